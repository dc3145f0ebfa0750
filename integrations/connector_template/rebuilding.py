"""Rebuilds: a stream's rows under new keys, made again from all that is landed.

Another key makes other rows, so the old ones cannot be refreshed: they go, and what is landed is
loaded in their place, in one transaction. What is not landed any more cannot be made again; it is
marked as due, and comes back with the next sync. Where too much of it is refused, the new key is
more likely wrong than the records are: then everything stays as it was.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from psycopg import sql

from integrations.connector_template import loading, replaying
from integrations.connector_template.connector import BoundFeed, BoundStream
from integrations.connector_template.family import Family
from integrations.connector_template.feed_loading import held
from integrations.connector_template.loading import Checked
from integrations.connector_template.run import Clock, Run
from integrations.errors import FixConfig
from integrations.storage import history, positions
from integrations.storage.landing import LandingZone
from integrations.storage.ledger import LedgerEntry
from integrations.storage.loader import Said
from integrations.storage.manifest import Manifest
from integrations.storage.positions import Position
from integrations.storage.transaction import Transaction, translated
from integrations.sync_state.cursors import CursorSync


@dataclass(frozen=True)
class Rebuilt:
    """The ledger line, how many windows (or readings) have to be fetched again, the landings that
    were read in the order of saying, and what the canonical layer said of all of it. A line that is
    `blocked` says that nothing was changed."""

    entry: LedgerEntry
    fetch_again: int
    landed: list[Manifest]
    found: Checked


def rebuild(
    stream: BoundStream,
    feeds: list[BoundFeed],
    *,
    connection: psycopg.Connection[Any],
    zone: LandingZone,
    run: Run,
    clock: Clock,
) -> Rebuilt:
    """Replaces the stream's rows and quarantine by what its landings give with today's mapping.

    Too many refused (`blocked`) leave a ledger line and nothing else, unless `run.accept`: entries
    in quarantine would have keys of the new making, which a file that is put back never closes.
    Raises FixConfig where some of what is committed is not landed any more, unless `run.accept`,
    and where the file cuts time otherwise than it was cut.
    """
    with translated(stream.id):
        windows = replace(loading.pin(stream), key=None)
        positions.refuse_changed(connection, stream.id, pin=windows)
        connection.rollback()
    loading.prepare(stream, connection=connection)
    ids = [one.id for one in stream.family]
    with Transaction.open(connection, ids, clock=clock) as transaction:
        manifests, gone = _landed(stream, connection=connection, zone=zone)
        if gone and not run.accept:
            raise FixConfig(
                f"{gone} of its committed pulls are not landed any more: their rows would be "
                "missing until they are fetched again",
                where=str(stream.id),
                todo="Say `--accept`, and sync afterwards.",
            )
        entry = _draft(stream, manifests, run=run, clock=clock)
        family = Family(stream, transaction)
        _stage(family, stream, manifests, feeds, connection=connection, zone=zone)
        lines = family.judged(entry, accept=run.accept)
        if any(line.status == "blocked" for line in lines):
            lines = _unchanged(lines, family.part.found)
        else:
            for one in stream.family:
                _forget(one, connection=connection)
                positions.pin_anew(connection, one.id, pin=loading.pin(one))
            if gone:
                _make_due(stream, manifests, connection=connection)
            said = Said(files=replaying.loaded_files(manifests))
            lines = family.settled(lines, said=said, accept=run.accept)
        written = family.written(lines)
        transaction.commit(stream.id)
    return Rebuilt(written, gone, manifests, family.part.found)


def _stage(
    family: Family,
    stream: BoundStream,
    manifests: list[Manifest],
    feeds: list[BoundFeed],
    *,
    connection: psycopg.Connection[Any],
    zone: LandingZone,
) -> None:
    """Stages what was pulled, then what the feeds said."""
    for one in stream.family:
        for manifest in _replaced(one, manifests, connection=connection, zone=zone):
            for batch in zone.batches(manifest):
                family.lend(batch, one.id)
    for manifest in manifests:
        for batch in zone.batches(manifest):
            family.add_pulled(batch, manifest)
    for feed in feeds:
        for manifest in replaying.pushed(feed, zone=zone):
            replaying.add(family.part, feed, manifest, zone=zone)


def _unchanged(lines: list[LedgerEntry], found: Checked) -> list[LedgerEntry]:
    """The lines of a rebuild that is blocked, with why: of a stream, or of its sibling."""
    blocked = [line.stream for line in lines if line.status == "blocked"]
    told = [replace(lines[0], error=lines[0].error or _why(found)), *lines[1:]]
    return [held(line, blocked) for line in (told if lines[0].stream in blocked else lines)]


def _replaced(
    stream: BoundStream,
    manifests: list[Manifest],
    *,
    connection: psycopg.Connection[Any],
    zone: LandingZone,
) -> Iterator[Manifest]:
    """The landings that were loaded, and whose place a later one of their window has taken, where
    the mapping keeps values: what is stored may have been said by them alone."""
    if not stream.mapping.keeps or isinstance(stream.stream.sync, CursorSync):
        return
    loaded = history.loaded(connection, stream.id) - {one.landing for one in manifests}
    yield from (one for one in zone.every(stream.source) if one.landing in loaded)


def _why(found: Checked) -> str:
    """Why a rebuild is blocked, with the reason that most records were refused for."""
    most = max(found.reasons.items(), key=lambda one: one[1][0], default=None)
    told = f"{found.refused} of {found.received} records would be refused"
    if most is not None:
        (field, _), (count, example) = most
        told += f" ({count} of them for {field}: {example})"
    return f"{told}, so the rows stay as they were"


def _draft(
    stream: BoundStream, manifests: list[Manifest], *, run: Run, clock: Clock
) -> LedgerEntry:
    if manifests:
        return loading.line(stream.id, manifests[-1], run=run, clock=clock)
    return LedgerEntry(stream=stream.id, cause=run.cause, run_id=run.run_id, began_at=clock())


def _landed(
    stream: BoundStream, *, connection: psycopg.Connection[Any], zone: LandingZone
) -> tuple[list[Manifest], int]:
    """The landings that the rows were made from, in the order of saying, and how many of them are
    gone. What was landed and never committed is not among them."""
    committed = positions.ever_committed(connection, stream.id)
    if isinstance(stream.stream.sync, CursorSync):
        return _chained(stream, committed, zone=zone)
    found = [
        zone.find(stream.id, window=one.window, landing=one.landing)
        for one in committed
        if one.landing is not None
    ]
    there = [one for one in found if one is not None]
    return sorted(there, key=lambda one: (one.at, one.landing)), len(found) - len(there)


def _chained(
    stream: BoundStream, committed: list[Position], *, zone: LandingZone
) -> tuple[list[Manifest], int]:
    """Of a cursor stream: from its beginning to where it stands, or as far as that is there."""
    found: list[Manifest] = []
    for position in committed:
        chain = zone.chain(stream.id, after=None, cursor=None, generation=position.generation)
        ends = [one.cursor[1] for one in chain if one.cursor]
        if position.cursor not in ends:
            return chain, 1
        found += chain[: ends.index(position.cursor) + 1]
    return found, 0


def _forget(stream: BoundStream, *, connection: psycopg.Connection[Any]) -> None:
    """Deletes the stream's rows, and what of it is in quarantine, under keys that are no more."""
    leaf = stream.mapping.entity.table().leaf(stream.id.connector)
    for table in (leaf, sql.Identifier("integrations", "quarantine")):
        connection.execute(
            sql.SQL("DELETE FROM {} WHERE (connector, connection, stream) = (%s, %s, %s)").format(
                table
            ),
            [stream.id.connector, stream.id.connection, stream.id.stream],
        )


def _make_due(
    stream: BoundStream, landed: list[Manifest], *, connection: psycopg.Connection[Any]
) -> None:
    """Lets be fetched again what is not landed any more."""
    if isinstance(stream.stream.sync, CursorSync):
        positions.reset(connection, stream.id, why="rebuilt, with landings missing")
        return
    kept = {manifest.window for manifest in landed}
    committed = positions.committed(connection, stream.id).values()
    gone = [one.window for one in committed if one.window not in kept]
    positions.forget(connection, stream.id, windows=gone)
