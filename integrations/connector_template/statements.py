"""Statements: everything that is landed and was said about one record, found by its key.

A record is searched for in the bytes of what is landed; only what holds the key's bytes is read and
mapped. So a month of landings is looked through about as fast as it can be read, part by part.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import pyarrow as pa

from integrations.connector_template.connector import BoundFeed, BoundStream
from integrations.connector_template.feed_loading import answered, spoken
from integrations.errors import StopStream
from integrations.storage.history import Line, Row
from integrations.storage.landing import LandingZone
from integrations.storage.manifest import Manifest
from integrations.storage.merge import DELETE
from integrations.storage.parts import Batch
from integrations.transformation.arrow import Array, array, pc, positions, repeat
from integrations.transformation.event_reader import EventReader
from integrations.transformation.events import Lane
from integrations.transformation.explode import EACH, ITEM_NO
from integrations.transformation.keys import KeyReader
from integrations.transformation.kinds import STRING, WORD
from integrations.transformation.mapping import BoundMapping
from integrations.transformation.numbers import Integer
from integrations.transformation.rule import BOOL
from integrations.transformation.transform import Transformer
from integrations.transformation.transformed import Transformed
from integrations.transformation.values import IdOrObject, Text, Word

How = Literal["pulled", "event", "fetched", "absent", "retried"]
"""How something was said: in a page, by an event, in an answer about its key, by its absence from
a complete reading, or by its own bytes out of quarantine."""

HASHED = "sha256:"
_LITERAL = (Text, Integer, IdOrObject, Word)
"""Rules of a key whose bytes stand in the record as they stand in the key."""

Looked = Callable[[Manifest], None]
"""Is told of each landing before it is looked through."""


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """One load of a statement: its ledger line, and the fate (None: nothing of it was loaded).
    `withdrew` says that the row was deleted, as the mapping refuses what it was made from."""

    line: Line
    fate: str | None
    withdrew: bool = False


@dataclass(frozen=True, kw_only=True)
class Event:
    """Which event of which feed; a hint says only that its key has to be asked for."""

    feed: str
    id: str | None
    type: str | None
    hint: bool


@dataclass(kw_only=True)
class Statement:
    """One statement: when the source said it, how, where it is landed (None: nowhere), and what
    today's mapping makes of it: `row`, or why it is `refused` (field, rule, reason). A hint gives
    neither. `problem` is why a key could not be asked for. `loads` are in the order of commits.
    """

    how: How
    said_at: datetime
    manifest: Manifest | None = None
    event: Event | None = None
    row: Row | None = None
    refused: tuple[str | None, str | None, str] | None = None
    problem: str | None = None
    record: bytes | None = None
    result: Transformed | None = None
    loads: list[Loaded] = field(default_factory=list)

    @property
    def deleted(self) -> bool:
        """Whether it says that the record is deleted."""
        return self.how == "absent" or bool(self.row and self.row["_deleted_at"])

    @property
    def tombstone(self) -> bool:
        """Whether the source itself says so, and not a flag of the record."""
        return bool(self.row and self.row["_rank"] == DELETE)

    @property
    def hint(self) -> bool:
        return self.event is not None and self.event.hint


class Needle:
    """Finds the records of one key among others, fast: by the bytes of the key first.

    Exact: a record with a backslash may spell its key in other bytes, so it is always read. A key
    `sha256:…` is the hash of a record that has none.
    """

    def __init__(self, key: str, *, parts: list[str] | None) -> None:
        self._parts = None if parts is None else [part.encode() for part in parts]
        self._hash = key.removeprefix(HASHED) if key.startswith(HASHED) else None
        self.key = key

    def may(self, records: Array) -> Array:
        """The positions of the records (binary) that may hold the key."""
        if self._hash is not None or self._parts is None:
            return array(range(len(records)), pa.int64())
        mask = repeat(True, BOOL, len(records))
        for part in self._parts:
            mask = pc.and_(mask, pc.match_substring(records, pattern=part))
        mask = pc.or_(mask, pc.match_substring(records, pattern=b"\\"))
        found: Array = pc.indices_nonzero(pc.fill_null(mask, False)).cast(pa.int64())
        return found

    def hashes(self, record: bytes) -> bool:
        """Whether the key is the record's hash."""
        return self._hash is not None and hashlib.sha256(record).hexdigest() == self._hash


def needle(mapping: BoundMapping, key: str) -> Needle:
    """For the records of a stream."""
    if not all(isinstance(rule, _LITERAL) for rule in mapping.key):
        return Needle(key, parts=None)
    parts = key.split("/") if len(mapping.key) > 1 else [key]
    if len(mapping.key) > 1:
        parts = [part.replace("%2F", "/").replace("%25", "%") for part in parts]
    places = [ITEM_NO in rule.reads() for rule in mapping.key]  # which no record holds
    return Needle(
        key, parts=[part for part, place in zip(parts, places, strict=False) if not place]
    )


class Finder:
    """Finds what is landed about one key of one stream."""

    def __init__(
        self, stream: BoundStream, key: str, *, transformer: Transformer, zone: LandingZone
    ) -> None:
        self.key = key
        self._stream, self._zone = stream, zone
        self._needle = needle(stream.mapping, key)
        self._reader = KeyReader(stream.mapping.key, stream.mapping.paths)
        self._transformer = transformer

    def pulled(self, manifest: Manifest) -> Iterator[Statement]:
        """What a landing of the stream itself says. Raises StopStream as `zone.batches` does."""
        for batch in self._zone.batches(manifest):
            for records, seen_ats, units in self._taken_apart(batch):
                for at in self._ours(records):
                    one = array([at], pa.int64())
                    seen_at = seen_ats.take(one)
                    result = self._transformer.run(records.take(one), seen_at=seen_at, units=units)
                    yield self._stated("pulled", result, seen_at, manifest, records[at].as_py())

    def _taken_apart(self, batch: Batch) -> Iterator[tuple[Array, Array, bool]]:
        """The records that may be about the key, or where these are lists what is in them: as units
        then. A record that could not be taken apart is known by its hash."""
        if self._stream.mapping.mapping.each is None:
            yield batch.records, batch.seen_at, False
            return
        may = self._needle.may(batch.records)
        records, seen_at = batch.records.take(may), batch.seen_at.take(may)
        units, origin = self._transformer.kept(records)
        yield units, seen_at.take(origin), True
        if self.key.startswith(HASHED):
            yield records, seen_at, False

    def pushed(self, feed: BoundFeed, manifest: Manifest) -> Iterator[Statement]:
        """What a landing of a feed says: its events, then what was fetched for the hints."""
        name = self._stream.id.stream
        for batch in self._zone.batches(manifest):
            may = self._needle.may(batch.records)
            events = batch.records.take(may)
            if not len(events):
                continue
            lane = feed.router.run(events, seen_at=batch.seen_at.take(may)).lanes.get(name)
            if lane is not None:
                yield from self._said(feed, lane, events, batch.seen_at.take(may), manifest)
        for table in self._zone.fetched(manifest):
            answers = table.filter(pc.equal(table["stream"], name)).combine_chunks()
            yield from self._answered(answers, manifest)

    def retried(
        self, record: bytes, *, said_at: datetime, rank: int, rule: str | None
    ) -> Statement:
        """What a record says that was tried again by its own bytes; `rule` had refused it."""
        units = rule != EACH
        records = array([record], pa.binary())
        result = self._transformer.run(records, seen_at=said_at, rank=rank, units=units)
        return self._stated("retried", result, said_at, None, record)

    def _ours(self, records: Array) -> list[int]:
        """The positions of the records whose key it is."""
        may = self._needle.may(records)
        if not len(may):
            return []
        candidates = records.take(may)
        ids = self._reader.read(candidates)
        told = zip(positions(may), ids, candidates, strict=True)
        return [at for at, id_, record in told if self._is(id_, record.as_py())]

    def _is(self, id_: str | None, record: bytes) -> bool:
        return id_ == self.key or (id_ is None and self._needle.hashes(record))

    def _said(
        self, feed: BoundFeed, lane: Lane, events: Array, seen_at: Array, manifest: Manifest
    ) -> Iterator[Statement]:
        whole = pc.is_valid(lane.records)
        ours = set(positions(pc.indices_nonzero(whole))) & set(self._ours_in(lane))
        keyed = pc.or_(lane.hint, pc.invert(whole))  # known by the event's own key
        by_key = pc.and_(keyed, pc.equal(lane.keys, self.key))
        ours |= set(positions(pc.indices_nonzero(pc.fill_null(by_key, False))))
        # As a load takes them: those with a record first.
        for at in sorted(ours, key=lambda at: (not whole[at].as_py(), at)):
            one = lane.take(array([at], pa.int64()))
            place = one.places[0].as_py()
            event = event_of(feed, events.take(one.places), hint=bool(one.hint[0].as_py()))
            said_at = one.said_at[0].as_py() or seen_at[place].as_py()
            if event.hint:
                yield Statement(how="event", said_at=said_at, manifest=manifest, event=event)
                continue
            (result,) = spoken(self._transformer, one)
            record = one.records[0].as_py()
            yield self._stated("event", result, said_at, manifest, record, event=event)

    def _ours_in(self, lane: Lane) -> list[int]:
        return self._ours(pc.fill_null(lane.records, b""))

    def _answered(self, answers: pa.Table, manifest: Manifest) -> Iterator[Statement]:
        for at in range(len(answers)):
            one = answers.slice(at, 1)
            (told,) = one.to_pylist()
            record = told["record"]
            if told["key"] != self.key and not (
                record is not None and self._ours(array([record], pa.binary()))
            ):
                continue
            (result,) = answered(self._transformer, one)
            said = self._stated("fetched", result, told["seen_at"], manifest, record)
            said.problem = told["problem"]
            yield said

    def _stated(
        self,
        how: How,
        result: Transformed,
        said_at: Array | datetime,
        manifest: Manifest | None,
        record: bytes | None,
        *,
        event: Event | None = None,
    ) -> Statement:
        at: Any = said_at if isinstance(said_at, datetime) else said_at[0].as_py()
        rows, refused = result.rows.to_pylist(), result.refused.to_pylist()
        return Statement(
            how=how,
            said_at=at.astimezone(UTC),
            manifest=manifest,
            event=event,
            row=rows[0] if rows else None,
            refused=(refused[0]["field"], refused[0]["rule"], refused[0]["reason"])
            if refused
            else None,
            record=record,
            result=result,
        )


def found(
    finder: Finder,
    *,
    pulls: list[Manifest],
    pushes: list[tuple[BoundFeed, Manifest]],
    looked: Looked,
    notes: list[str],
) -> Iterator[Statement]:
    """All statements about a key, landing by landing; what cannot be read is told in `notes`."""
    for feed, manifest in [(None, one) for one in pulls] + list(pushes):
        looked(manifest)
        try:
            yield from finder.pushed(feed, manifest) if feed else finder.pulled(manifest)
        except StopStream as error:
            notes.append(str(error))


def event_of(feed: BoundFeed, events: Array, *, hint: bool) -> Event:
    """What one event says of itself."""
    shape = feed.feed.event
    kinds = {shape.id: WORD} | ({shape.type: STRING} if shape.type else {})
    read = EventReader(kinds).read(events)
    (id_,) = read.values[shape.id] or [None]
    (type_,) = (read.values[shape.type] if shape.type else []) or [None]
    return Event(feed=feed.id.stream, id=None if id_ is None else str(id_), type=type_, hint=hint)
