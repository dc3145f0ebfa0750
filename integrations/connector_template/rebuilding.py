"""Rebuilds: a stream's rows under new keys, made again from all that is landed.

Another key makes other rows, so the old ones cannot be refreshed: they go, and what is landed is
loaded in their place, in one transaction. What is not landed any more cannot be made again; it is
marked as due, and comes back with the next sync.
"""

from dataclasses import dataclass, replace
from typing import Any

import psycopg
from psycopg import sql

from integrations.connector_template import loading, replaying
from integrations.connector_template.connector import BoundFeed, BoundStream
from integrations.connector_template.feed_loading import Part
from integrations.connector_template.loading import Checked
from integrations.connector_template.run import Clock, Run
from integrations.errors import FixConfig
from integrations.storage import positions
from integrations.storage.landing import LandingZone
from integrations.storage.ledger import LedgerEntry
from integrations.storage.loader import Said
from integrations.storage.manifest import Manifest
from integrations.storage.transaction import Transaction, translated
from integrations.sync_state.cursors import CursorSync


@dataclass(frozen=True)
class Rebuilt:
    """The ledger line, how many windows (or readings) have to be fetched again, the landings that
    were loaded in the order of saying, and what the canonical layer said of all of it."""

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

    Raises FixConfig where some of what is committed is not landed any more, unless `run.accept`,
    and where the file cuts time otherwise than it was cut.
    """
    with translated(stream.id):
        windows = replace(loading.pin(stream), key=None)
        positions.refuse_changed(connection, stream.id, pin=windows)
        connection.rollback()
    manifests, gone = _landed(stream, connection=connection, zone=zone)
    if gone and not run.accept:
        raise FixConfig(
            f"{gone} of its committed pulls are not landed any more: their rows would be missing "
            "until they are fetched again",
            where=str(stream.id),
            todo="Say `--accept`, and sync afterwards.",
        )
    loading.prepare(stream, connection=connection)
    entry = loading.line(stream.id, manifests[-1], run=run, clock=clock) if manifests else None
    entry = entry or LedgerEntry(
        stream=stream.id, cause=run.cause, run_id=run.run_id, began_at=clock()
    )
    with Transaction.open(connection, [stream.id], clock=clock) as transaction:
        _forget(stream, connection=connection)
        if gone:
            _make_due(stream, manifests, connection=connection)
        part = Part(stream, transaction)
        for manifest in manifests:
            for batch in zone.batches(manifest):
                part.add_pulled(batch)
        for feed in feeds:
            for manifest in replaying.pushed(feed, zone=zone):
                replaying.add(part, feed, manifest, zone=zone)
        line = part.judged(entry, accept=True)
        written = transaction.write(part.load.settled(line, said=Said()))
        positions.pin_anew(connection, stream.id, pin=loading.pin(stream))
        transaction.commit(stream.id)
    return Rebuilt(written, gone, manifests, part.found)


def _landed(
    stream: BoundStream, *, connection: psycopg.Connection[Any], zone: LandingZone
) -> tuple[list[Manifest], int]:
    """The landings that are committed, in the order of saying, and how many of them are gone."""
    committed = positions.committed(connection, stream.id)
    connection.rollback()
    if isinstance(stream.stream.sync, CursorSync):
        position = committed.get(positions.WHOLE)
        generation = position.generation if position else 0
        chain = zone.chain(stream.id, after=None, cursor=None, generation=generation)
        ends = [one.cursor[1] for one in chain if one.cursor]
        stands = position.cursor if position else None
        if stands is None:
            return [], 0
        return (chain[: ends.index(stands) + 1], 0) if stands in ends else (chain, 1)
    windows = [one.window for one in committed.values()]
    found = replaying.pulled(stream, windows, zone=zone)
    return found, len(windows) - len(found)


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
