"""Loading a feed's landing: each stream's part by the stream's own mapping, all in one commit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg
import pyarrow as pa

from integrations.connector_template import loading, lookups
from integrations.connector_template.connector import BoundFeed, BoundStream
from integrations.connector_template.loading import Checked
from integrations.connector_template.run import Clock, Run
from integrations.names import StreamId
from integrations.storage import fetched, positions
from integrations.storage.feed_load import FeedLoad
from integrations.storage.fetched import Fetched
from integrations.storage.landing import LandingZone
from integrations.storage.ledger import BLOCK_LEAST, LedgerEntry
from integrations.storage.loader import BRAKE_SHARE, Said
from integrations.storage.manifest import Manifest
from integrations.storage.parts import Batch
from integrations.storage.positions import Pin, Position, Reached
from integrations.storage.transaction import Transaction
from integrations.transformation.arrow import Array, array, pc
from integrations.transformation.events import Lane, Routed
from integrations.transformation.refusals import SCHEMA
from integrations.transformation.transform import DELETE, PUSH, Transformer
from integrations.transformation.transformed import Transformed


@dataclass(frozen=True)
class Loaded:
    """A feed's landing and its ledger lines: the feed's own, then one for each stream that was
    spoken of; `found` is what the canonical layer said, by stream."""

    manifest: Manifest
    entries: tuple[LedgerEntry, ...]
    found: dict[str, Checked]

    @property
    def blocked(self) -> bool:
        """Whether too much was refused: then nothing of it was loaded."""
        return any(entry.status == "blocked" for entry in self.entries)


def load(
    feed: BoundFeed,
    manifest: Manifest,
    *,
    connection: psycopg.Connection[Any],
    zone: LandingZone,
    run: Run,
    clock: Clock,
) -> Loaded | None:
    """Loads a landing of the feed in one transaction; None where another reader was faster.

    Where too much of one stream is refused, nothing of any is loaded and the position stays.
    """
    streams = {stream.id.stream: stream for stream in feed.routes.values()}
    spoken = [streams[name] for name in sorted(_spoken(feed, manifest, zone))]
    for stream in spoken:
        loading.prepare(stream, connection=connection)
    ids = [feed.id, *(stream.id for stream in spoken)]
    with Transaction.open(connection, ids, clock=clock) as transaction:
        position = positions.at(connection, feed.id)
        if (position.cursor if position else None) != (manifest.cursor or (None,))[0]:
            transaction.give_up()
            return None
        parts = {stream.id.stream: Part(stream, transaction) for stream in spoken}
        own = FeedLoad(transaction, feed.id)
        for routed in _routed(feed, manifest, zone):
            own.stage(unrouted=routed.unrouted, refused=routed.refused)
            for name, lane in routed.lanes.items():
                parts[name].add(lane)
        for part in parts.values():
            part.add_fetched(manifest, zone=zone)
        entries = _settled(feed, manifest, own, parts, run=run, clock=clock)
        if not any(entry.status == "blocked" for entry in entries):
            _move(feed, manifest, entries[0], position, connection=connection)
        written = tuple(transaction.write(entry) for entry in entries)
        transaction.commit(feed.id)
    return Loaded(manifest, written, {name: part.found for name, part in parts.items()})


class Part:
    """One stream's share of a feed's landing, on its way into the stream's load.

    An event that is a hint is a unit whose key was fetched once for all the events that name it:
    one of them is what was fetched, the others say it again.
    """

    def __init__(self, stream: BoundStream, transaction: Transaction) -> None:
        self.stream = stream
        self.load = loading.opened(stream, transaction)
        self.found = Checked()
        self.units = 0
        self._transformer = lookups.transformer(stream, connection=transaction.connection)
        self._hints = self._asked = 0
        self._waiting: set[str] = set()
        self._buried: set[str] = set()
        self._gone: set[str] = set()

    def add_pulled(self, batch: Batch, manifest: Manifest) -> None:
        """Stages records that were pulled."""
        self.units += len(batch.records)
        for result in self._transformer.pieces(batch.records, seen_at=batch.seen_at):
            self._stage(result)
            self.found.in_window += loading.in_window(self.stream, manifest, result.rows)

    def lend(self, batch: Batch) -> None:
        """Stages what a later landing has taken the place of, for values that are kept. What cannot
        pass any more is left out: nobody has to be told of it."""
        rows = self._transformer.run(batch.records, seen_at=batch.seen_at).rows
        self.units += rows.num_rows
        self.load.lend(rows)

    def add(self, lane: Lane) -> None:
        """Stages what a batch of events says itself."""
        self.units += len(lane)
        said = lane.take(pc.indices_nonzero(pc.invert(lane.hint)))
        self._hints += len(lane) - len(said)
        self._waiting.update(map(str, lane.keys.filter(lane.hint).to_pylist()))
        buried = lane.keys.filter(pc.and_(lane.hint, lane.deleted))
        self._buried.update(map(str, buried.to_pylist()))
        for result in spoken(self._transformer, said):
            self._stage(result)

    def add_fetched(self, manifest: Manifest, *, zone: LandingZone) -> None:
        """Stages what was fetched for the hints of one landing, when all of them are added. What
        was not fetched, because it was no hint by the file of that day, is still to be."""
        name = self.stream.id.stream
        for table in zone.fetched(manifest):
            of_stream = pc.equal(table["stream"], name)
            wanted = pc.is_in(table["key"], value_set=array(sorted(self._waiting), pa.string()))
            answers = table.filter(pc.and_(of_stream, wanted))
            self._waiting.difference_update(map(str, answers["key"].to_pylist()))
            self._add_answers(answers)
        late = [Fetched(name, key, None, manifest.at, "not yet asked") for key in self._waiting]
        if late:
            self._add_answers(fetched.table(late))
        self._waiting.clear()

    def _add_answers(self, answers: pa.Table) -> None:
        self._asked += len(answers)
        nothing = pc.and_(pc.is_null(answers["record"]), pc.is_null(answers["problem"]))
        self._gone.update(map(str, answers.filter(nothing)["key"].to_pylist()))
        for result in answered(self._transformer, answers):
            self._stage(result)
            self._hints -= result.received

    def judged(self, entry: LedgerEntry, *, accept: bool, broken: str = "") -> LedgerEntry:
        """The stream's line, with what was received and whether that may be loaded; `broken` says
        why else not."""
        nothing = pa.table({})
        self.load.stage(nothing, received=self._hints, repeated=self._hints)
        self.found.received += self._hints
        entry = self.load.judged(replace(entry, records=self.units), accept=accept, broken=broken)
        return entry if accept else self._braked(entry)

    def _braked(self, entry: LedgerEntry) -> LedgerEntry:
        """The line, blocked where the source lacks many records that its events call changed: more
        likely they are asked for at a wrong address."""
        unsaid = len(self._gone - self._buried)
        if unsaid < BLOCK_LEAST or unsaid <= BRAKE_SHARE * self._asked:
            return entry
        told = (
            f"{unsaid} of {self._asked} records that events name are not at the source, and no "
            "event says that they were deleted: is `one` right?"
        )
        return replace(entry, status="blocked", error=told)

    def _stage(self, result: Transformed) -> None:
        self.found.add(result)
        loading.staged(self.load, result)


def spoken(transformer: Transformer, lane: Lane) -> Iterator[Transformed]:
    """What events say themselves, as rows and refusals."""
    bodied = pc.is_valid(lane.records)
    whole = lane.take(pc.indices_nonzero(bodied))
    if len(whole):
        yield transformer.run(
            whole.records, seen_at=whole.said_at, rank=PUSH, deleted=whole.deleted
        )
    bare = lane.take(pc.indices_nonzero(pc.invert(bodied)))
    if len(bare):
        keys = [str(key) for key in bare.keys.to_pylist()]
        rows = transformer.tombstones(keys, seen_at=bare.said_at)
        yield Transformed(rows, SCHEMA.empty_table(), received=len(bare))


def answered(transformer: Transformer, answers: pa.Table) -> Iterator[Transformed]:
    """What was fetched (in the shape of `fetched.SCHEMA`), as rows and refusals: a record, a
    tombstone where the source has none, and a transient refusal where it could not be asked."""
    answers = answers.combine_chunks()
    failed = pc.is_valid(answers["problem"])
    there = pc.is_valid(answers["record"])
    found = answers.filter(there)
    if len(found):
        yield _buried(transformer.run(_only(found, "record"), seen_at=_only(found, "seen_at")))
    gone = answers.filter(pc.and_(pc.invert(there), pc.invert(failed)))
    if len(gone):
        keys = [str(key) for key in gone["key"].to_pylist()]
        rows = transformer.tombstones(keys, seen_at=_only(gone, "seen_at"))
        yield Transformed(rows, SCHEMA.empty_table(), received=len(gone))
    unasked = answers.filter(failed)
    if len(unasked):
        nothing = transformer.tombstones([], seen_at=array([], SCHEMA.field("seen_at").type))
        yield Transformed(nothing, transient(unasked), received=len(unasked))


def _buried(result: Transformed) -> Transformed:
    """The same, where a record that says that it is deleted is as good as none: its rank is that of
    a tombstone, since no list may show it, and a late pull must not keep it alive."""
    rows = result.rows
    at = rows.schema.get_field_index("_rank")
    ranks = pc.if_else(pc.is_valid(rows["_deleted_at"]), DELETE, rows["_rank"])
    return replace(result, rows=rows.set_column(at, "_rank", ranks.cast(rows["_rank"].type)))


def transient(unasked: pa.Table) -> pa.Table:
    """Keys that could not be fetched as refusals of a kind that is tried again; the key stands
    for the record."""
    keys = _only(unasked, "key")
    rows = len(unasked)

    def all_(text: str) -> Array:
        return array([text] * rows, pa.string())

    columns = {
        "key": keys,
        "field": all_("source_id"),
        "rule": all_(HINT),
        "reason": pc.binary_join_element_wise(
            "could not be fetched", _only(unasked, "problem"), ": "
        ),
        "record": keys.cast(pa.binary()),
        "kind": all_("transient"),
        "seen_at": _only(unasked, "seen_at"),
    }
    return pa.Table.from_arrays([columns[name] for name in SCHEMA.names], schema=SCHEMA)


HINT = "hint"
"""The rule of an entry whose bytes are a key that is still to be fetched."""


def _spoken(feed: BoundFeed, manifest: Manifest, zone: LandingZone) -> set[str]:
    """The streams that the landing speaks of: only these need to be locked."""
    return {name for routed in _routed(feed, manifest, zone) for name in routed.lanes}


def _routed(feed: BoundFeed, manifest: Manifest, zone: LandingZone) -> Iterator[Routed]:
    for batch in zone.batches(manifest):
        yield feed.router.run(batch.records, seen_at=batch.seen_at)


def _settled(
    feed: BoundFeed,
    manifest: Manifest,
    own: FeedLoad,
    parts: dict[str, Part],
    *,
    run: Run,
    clock: Clock,
) -> list[LedgerEntry]:
    """The ledger lines, the feed's first: all of them loaded, or all of them blocked."""
    draft = loading.line(feed.id, manifest, run=run, clock=clock)
    pushed = replace(draft, cause="push", records=0, api_calls=0, bytes=0)
    lines = {
        name: part.judged(replace(pushed, stream=part.stream.id), accept=run.accept)
        for name, part in parts.items()
    }
    first = own.judged(draft, routed=lines.values(), accept=run.accept)
    blocked = [line.stream for line in (first, *lines.values()) if line.status == "blocked"]
    said = Said(at=manifest.said_at, feed=feed.id.stream)
    entries = [own.settled(held(first, blocked))]
    for name, part in parts.items():
        line = held(lines[name], blocked)
        settle = part.load.blocked if blocked else part.load.settled
        entries.append(settle(line, said=said))
    return entries


def held(line: LedgerEntry, blocked: Sequence[StreamId]) -> LedgerEntry:
    """The line of a stream whose sibling is blocked: what was said with it has to wait too."""
    if not blocked or line.status == "blocked":
        return line
    told = f"held back with {', '.join(map(str, blocked))}, which is blocked"
    return replace(line, status="blocked", error=told)


def _move(
    feed: BoundFeed,
    manifest: Manifest,
    entry: LedgerEntry,
    was: Position | None,
    *,
    connection: psycopg.Connection[Any],
) -> None:
    """Until the source has been read to its end, it counts as heard until when it did before."""
    heard = was.checked_at if was else None
    reached = Reached(
        landing=manifest.landing,
        run_id=entry.run_id,
        generation=manifest.generation,
        cursor=manifest.cursor,
        said_at=manifest.said_at,
        checked_at=manifest.at if manifest.ended else heard,
    )
    positions.move(connection, feed.id, reached, pin=Pin())


def _only(table: pa.Table, name: str) -> Array:
    column: Any = table.column(name).combine_chunks()
    found: Any = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    only: Array = found
    return only
