"""Replays: rows made again from what is landed, without a call to the source.

After a mapping has changed, rows are refreshed, those that the mapping refuses now are withdrawn,
and quarantine loses what passes now. A replay says again what was said, with the stamps that it
had: what the source has said since stands, and no position moves. Landings of both lanes are
taken, in the order in which the source said them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import psycopg

from integrations.connector_template import loading
from integrations.connector_template.connector import BoundFeed, BoundStream
from integrations.connector_template.event_handler import ChangeFeed, Feeds
from integrations.connector_template.family import Family
from integrations.connector_template.feed_loading import Part
from integrations.connector_template.loading import Checked
from integrations.connector_template.run import Clock, Run
from integrations.names import Window
from integrations.storage import positions
from integrations.storage.landing import LandingZone
from integrations.storage.ledger import LedgerEntry
from integrations.storage.loader import Said
from integrations.storage.manifest import FileSeen, Manifest
from integrations.storage.transaction import Transaction
from integrations.sync_state.cursors import CursorSync
from integrations.transformation.events import Router

GATHERED = 20_000
"""Events that are loaded at once: a feed's landings are many and small."""


def pulled(
    stream: BoundStream, windows: Iterable[Window | None], *, zone: LandingZone
) -> list[Manifest]:
    """The landings of the pull lane to replay, in the order in which they were said: of each
    window the newest, of a cursor stream all."""
    if isinstance(stream.stream.sync, CursorSync):
        found = [one for one in zone.every(stream.source) if one.cursor is not None]
    else:
        newest = (zone.newest(stream.source, window=window) for window in windows)
        found = [one for one in newest if one is not None]
    return sorted(found, key=lambda manifest: (manifest.at, manifest.landing))


def feeds(stream: BoundStream) -> list[BoundFeed]:
    """The feeds that route to the stream, as far as they speak of it: other kinds are filtered."""
    handler = stream.config.event_handler
    found = handler.feeds if isinstance(handler, Feeds) else {}
    return [_narrowed(stream, name, found[name]) for name in stream.feeds]


def _narrowed(stream: BoundStream, name: str, feed: ChangeFeed) -> BoundFeed:
    kinds = [kind for kind, to in feed.routes.items() if to == stream.id.stream]
    hints = [stream.id.stream] if feed.event.is_hint(reread=stream.reread) else []
    router = Router(feed.event, dict.fromkeys(kinds, stream.id.stream), hints=hints)
    return BoundFeed(
        replace(stream.id, stream=name),
        stream.config,
        stream.connection,
        feed,
        dict.fromkeys(kinds, stream),
        router,
    )


def pushed(feed: BoundFeed, *, zone: LandingZone) -> list[Manifest]:
    """The landings of a feed, in the order in which they were said."""
    return sorted(zone.every(feed.id), key=lambda manifest: (manifest.at, manifest.landing))


def load_pulled(
    stream: BoundStream,
    manifests: list[Manifest],
    *,
    connection: psycopg.Connection[Any],
    zone: LandingZone,
    run: Run,
    clock: Clock,
) -> tuple[Checked, LedgerEntry]:
    """Loads again some landings of the pull lane, at least one, in one transaction. Raises as
    `Transaction.open` does, and StopStream for a landing that is damaged."""
    loading.prepare(stream, connection=connection)
    if not stream.children:
        with Transaction.open(connection, [stream.id], clock=clock) as transaction:
            return pulled_in(transaction, stream, manifests, zone=zone, run=run, clock=clock)
    ids = [one.id for one in stream.family]
    with Transaction.open(connection, ids, clock=clock) as transaction:
        family = Family(stream, transaction)
        for manifest in manifests:
            for batch in zone.batches(manifest):
                family.add_pulled(batch, manifest)
        draft = loading.line(stream.id, manifests[-1], run=run, clock=clock)
        lines = family.judged(replace(draft, api_calls=0), accept=run.accept)
        lines = family.settled(lines, said=Said(), accept=run.accept)
        written = family.written(lines)
        transaction.commit(stream.id)
    return family.part.found, written


def pulled_in(
    transaction: Transaction,
    stream: BoundStream,
    manifests: list[Manifest],
    *,
    zone: LandingZone,
    run: Run,
    clock: Clock,
) -> tuple[Checked, LedgerEntry]:
    """The same in a transaction that is open, which it commits; without children."""
    part = Part(stream, transaction)
    for manifest in manifests:
        for batch in zone.batches(manifest):
            part.add_pulled(batch, manifest)
    draft = loading.line(stream.id, manifests[-1], run=run, clock=clock)
    said = Said(files=loaded_files(manifests))
    written = _settled(part, draft, transaction, run=run, said=said)
    transaction.commit(stream.id)
    return part.found, written


def load_pushed(
    stream: BoundStream,
    feed: BoundFeed,
    *,
    connection: psycopg.Connection[Any],
    zone: LandingZone,
    run: Run,
    clock: Clock,
) -> Iterator[tuple[Checked, LedgerEntry]]:
    """Loads again what the feed said of the stream, many landings at once."""
    loading.prepare(stream, connection=connection)
    for manifests in gathered(pushed(feed, zone=zone)):
        with Transaction.open(connection, [stream.id], clock=clock) as transaction:
            loaded = pushed_in(
                transaction, stream, feed, manifests, zone=zone, run=run, clock=clock
            )  # fmt: skip
        if loaded is not None:
            yield loaded


def pushed_in(
    transaction: Transaction,
    stream: BoundStream,
    feed: BoundFeed,
    manifests: list[Manifest],
    *,
    zone: LandingZone,
    run: Run,
    clock: Clock,
) -> tuple[Checked, LedgerEntry] | None:
    """The same of some landings of the feed, in a transaction that is open, which it commits; None
    where they do not speak of the stream."""
    part = Part(stream, transaction)
    for manifest in manifests:
        add(part, feed, manifest, zone=zone)
    if not part.units:
        transaction.give_up()
        return None
    draft = loading.line(stream.id, manifests[-1], run=run, clock=clock)
    written = _settled(part, draft, transaction, run=run, said=Said(feed=feed.id.stream))
    transaction.commit(stream.id)
    return part.found, written


def add(part: Part, feed: BoundFeed, manifest: Manifest, *, zone: LandingZone) -> None:
    """Stages what one landing of the feed says of the part's stream."""
    name = part.stream.id.stream
    for batch in zone.batches(manifest):
        lane = feed.router.run(batch.records, seen_at=batch.seen_at).lanes.get(name)
        if lane is not None:
            part.add(lane)
    part.add_fetched(manifest, zone=zone)


def loaded_files(manifests: Iterable[Manifest]) -> tuple[FileSeen, ...]:
    """The files whose records are in the landings; what became of others was said once."""
    return tuple(one for each in manifests for one in each.files if one.state == "loaded")


def _settled(
    part: Part, draft: LedgerEntry, transaction: Transaction, *, run: Run, said: Said
) -> LedgerEntry:
    line = part.judged(replace(draft, api_calls=0), accept=run.accept)
    settle = part.load.blocked if line.status == "blocked" else part.load.settled
    return transaction.write(settle(line, said=said))


def missing(
    stream: BoundStream, *, connection: psycopg.Connection[Any], zone: LandingZone
) -> list[Window]:
    """The committed windows whose landings are gone: they cannot be replayed."""
    committed = positions.committed(connection, stream.id).values()
    connection.rollback()
    windows = [one.window for one in committed if one.window is not None]
    return sorted(one for one in windows if zone.newest(stream.source, window=one) is None)


def gathered(manifests: list[Manifest]) -> Iterator[list[Manifest]]:
    """Landings that are small, in groups that are loaded at once."""
    group: list[Manifest] = []
    for manifest in manifests:
        group.append(manifest)
        if sum(one.records for one in group) >= GATHERED:
            yield group
            group = []
    if group:
        yield group
