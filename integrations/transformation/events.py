"""A feed's events become records of streams: each names a kind, and a kind has its stream.

A feed is a list of changes. What a change carries is a record like any other, so it goes the way of
all records; only where it stands, which stream is meant and when it was said is read here. Nothing
here knows the clock, the network or the database.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Annotated, Literal, Self

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, model_validator

from integrations.transformation.arrow import Array, array, nulls, pc, positions, repeat
from integrations.transformation.event_reader import EventReader, Read
from integrations.transformation.keys import LONGEST, unfit
from integrations.transformation.kinds import STRING, WORD, Kind
from integrations.transformation.mapping import tangled
from integrations.transformation.refusals import Refusals
from integrations.transformation.rule import BOOL, TEXT, TIMESTAMP, Coerced, Rule, SourcePath
from integrations.transformation.rules import MomentRule, as_rule
from integrations.transformation.times import EpochSeconds, moments

_SPAN = pa.duration("us")
AHEAD = timedelta(hours=1)
"""How far ahead of the time at which it is read an event may claim to have happened: what was said
in a year from now would count as the last word until then."""
_RULE = "event"
"""The rule of refusals that are about the event itself."""


class EventShape(BaseModel):
    """Where an event says what: the `event` part of a feed.

    `kind` is looked up in the feed's routes. `key` is the record's, as the source wants it for a
    request. `at` is when the source said it, and `record` where it stands; both may be left out.
    An event whose `type` matches the shell pattern `deleted` is a tombstone. `id` is the event's
    own, by which one that is refused is known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: SourcePath
    key: SourcePath
    at: MomentRule | None = None
    precision: Literal["seconds", "exact"] = "seconds"
    record: SourcePath | None = None
    type: SourcePath | None = None
    deleted: Annotated[str, Field(min_length=1)] | None = None
    representation: Literal["at_creation", "at_delivery"]
    id: SourcePath = "id"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        wrong = list(self._mistakes())
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    @property
    def moment(self) -> Rule | None:
        """The rule behind `at`."""
        return None if self.at is None else as_rule(self.at, wanted=TIMESTAMP)

    def is_hint(self, *, reread: bool) -> bool:
        """Whether no event can be trusted in order, so that each key is fetched from the source.

        `reread` says whether something reads the stream's records again: then whole seconds do.
        """
        vague = self.precision == "seconds" and not reread
        late = self.representation == "at_delivery"
        return late or vague or self.at is None or self.record is None

    def reads(self) -> dict[str, Kind]:
        """The values that are read from every event: what kind is expected at which path."""
        return dict(self._places())

    def _places(self) -> Iterator[tuple[str, Kind]]:
        yield self.kind, STRING
        if self.type:
            yield self.type, STRING
        if self.moment:
            yield from self.moment.reads().items()
        yield self.key, WORD

    def _mistakes(self) -> Iterator[str]:
        if self.moment and not self.moment.reads():
            yield f"`at` needs `from`: where the moment of type {self.moment.name} stands"
        if self.deleted and not self.type:
            yield "`deleted` is a pattern for the event's `type`, whose place is missing"
        if isinstance(self.at, EpochSeconds) and self.precision == "exact":
            yield "epoch_s gives whole seconds, so `precision` cannot be exact"
        read: dict[str, Kind] = {}
        for path, kind in self._places():
            if (other := read.setdefault(path, kind)) is not kind:
                yield f"`{path}` is read as {other.name} in one place, as {kind.name} in another"
        yield from tangled(read)
        for path in read:
            if f"{self.record}.".startswith(f"{path}."):
                yield f"`{path}` is read as a value, yet the record `{self.record}` lies there"


@dataclass(frozen=True)
class Lane:
    """What a batch of events says to one stream; all Arrays have one entry an event.

    `records` are the bytes that the events carried (binary, null where none), `keys` the source's
    keys (string, null where none can be used), `said_at` when the source said it (UTC,
    microseconds, null where it did not say). `deleted` is true for a tombstone, `hint` where the
    key must be fetched: its key is never null. `places` are the events' positions in the batch.
    """

    records: Array
    keys: Array
    said_at: Array
    deleted: Array
    hint: Array
    places: Array

    def __len__(self) -> int:
        return len(self.places)

    def take(self, at: Array) -> "Lane":
        """The same for some of its events."""
        return Lane(*(getattr(self, column.name).take(at) for column in fields(self)))


@dataclass(frozen=True)
class Routed:
    """What became of a batch: `received` events are lanes, unrouted and refused together.

    `lanes` has each stream that was spoken to; `unrouted` counts events of a kind without a route;
    `refused` has the columns of `refusals.SCHEMA`. All keep the batch's order.
    """

    lanes: Mapping[str, Lane]
    unrouted: int
    refused: pa.Table
    received: int


class Router:
    """A feed's shape and routes (kind to stream), made ready to run over batches of events.

    `hints` names the streams for which every event is a hint: see `EventShape.is_hint`.
    """

    def __init__(
        self, shape: EventShape, routes: Mapping[str, str], *, hints: Collection[str] = ()
    ) -> None:
        self._shape = shape
        self._moment = shape.moment
        self._routes = dict(routes)
        self._hints = array(sorted(hints), TEXT)
        self._reader = EventReader(shape.reads(), record=shape.record)
        self._kind = EventReader({shape.kind: STRING})
        self._id = EventReader({shape.id: WORD})

    def run(self, events: Array, *, seen_at: Array | datetime) -> Routed:
        """The lanes of a batch: `events` is an Array of binary, one JSON object each.

        `seen_at` is when the batch was read, in UTC: one moment, or an Array of one an event; only
        the refused carry it.
        """
        refusals = Refusals()
        read = self._reader.read(events)
        unrouted = self._note_unread(read, events, refusals)
        kinds = read.values[self._shape.kind]
        ours = [at for at, kind in enumerate(kinds) if kind is None or kind in self._routes]
        unrouted += len(kinds) - len(ours)
        read = read if len(ours) == len(kinds) else read.only(ours)
        streams = array(list(map(self._routes.get, read.values[self._shape.kind])), TEXT)
        said = self._said(read)
        lane = self._lane(read, streams, said.values)
        now = moments(seen_at, array(read.rows, pa.int64()))
        for at, field, rule, reason in self._faults(read, streams, said, lane, now):
            refusals.add(read.rows[at], field=field, rule=rule, reason=reason)
        wrong = array(refusals.rows, pa.int64())
        bodies = [event.as_py() for event in events.take(wrong)]
        keys = self._ids(events, refusals.rows)
        refused = refusals.table(bodies, keys, seen_at=moments(seen_at, wrong))
        return Routed(self._split(lane, streams, refusals), unrouted, refused, len(events))

    def _note_unread(self, read: Read, events: Array, refusals: Refusals) -> int:
        """Notes the events that cannot be read; gives how many are of a kind without a route."""
        unrouted = 0
        rows = array([one.row for one in read.unread], pa.int64())
        kinds = self._kind.read(events.take(rows))
        known = dict(zip(kinds.rows, kinds.values[self._shape.kind], strict=True))
        for at, one in enumerate(read.unread):
            if (kind := known.get(at)) is not None and kind not in self._routes:
                unrouted += 1
            else:
                reason = f"`{one.path}`: {one.reason}" if one.path else one.reason
                refusals.add(one.row, field=one.path, rule="json", reason=reason)
        return unrouted

    def _said(self, read: Read) -> Coerced:
        if self._moment is None:
            return Coerced(nulls(len(read.rows), TIMESTAMP))
        columns = {
            path: array(read.values[path], kind.arrow)
            for path, kind in self._moment.reads().items()
        }
        return self._moment.apply(columns, wanted=TIMESTAMP, rows=len(read.rows))

    def _lane(self, read: Read, streams: Array, said_at: Array) -> Lane:
        """All the events as if they were one lane."""
        deleted = self._deleted(read)
        unsure = pc.or_(pc.is_null(said_at), pc.and_not(pc.is_null(read.records), deleted))
        hint = pc.or_(unsure, pc.is_in(streams, value_set=self._hints))
        if self._shape.representation == "at_delivery":
            hint = repeat(True, BOOL, len(hint))
        keys = _texts(read.values[self._shape.key])
        return Lane(read.records, keys, said_at, deleted, hint, array(read.rows, pa.int64()))

    def _deleted(self, read: Read) -> Array:
        pattern = self._shape.deleted
        if pattern is None or self._shape.type is None:
            return repeat(False, BOOL, len(read.rows))
        types = array(read.values[self._shape.type], TEXT)
        names = [name for name in types.unique().to_pylist() if name is not None]
        meant = [name for name in names if fnmatchcase(name, pattern)]
        deleted: Array = pc.is_in(types, value_set=array(meant, TEXT))
        return deleted

    def _faults(
        self, read: Read, streams: Array, said: Coerced, lane: Lane, now: Array
    ) -> Iterator[tuple[int, str, str, str]]:
        """What is wrong with which event: (its place in `read`, field, rule, reason)."""
        shape = self._shape
        for at in _where(pc.is_null(streams)):
            yield at, "kind", _RULE, f"kind: `{shape.kind}` is missing or null"
        if shape.deleted and shape.type:
            reason = f"type: `{shape.type}` is missing or null, and it says what is deleted"
            for at, type_ in enumerate(read.values[shape.type]):
                if type_ is None:
                    yield at, "type", _RULE, reason
        if self._moment is not None:
            for fault in said.told(self._moment.name):
                for at in _where(fault.where):
                    told = ", ".join(f"`{p}` {read.values[p][at]!r}" for p in self._moment.reads())
                    yield at, "at", fault.rule, f"at: {told} {fault.reason}"
        for at in _where(pc.greater(said.values, pc.add(now, pa.scalar(AHEAD, _SPAN)))):
            reason = f"at: {said.values[at].as_py():%Y-%m-%d %H:%M:%S} UTC has not come yet"
            yield at, "at", _RULE, reason
        keyless = pc.and_(pc.is_null(lane.keys), pc.or_(lane.hint, pc.is_null(lane.records)))
        for at in _where(pc.and_(keyless, pc.is_valid(streams))):
            bad = f"`{shape.key}` is missing, blank, or longer than {LONGEST} characters"
            yield at, "key", _RULE, f"key: {bad}, and the record must be fetched by it"

    def _split(self, lane: Lane, streams: Array, refusals: Refusals) -> dict[str, Lane]:
        good = pc.invert(pc.is_in(lane.places, value_set=array(refusals.rows, pa.int64())))
        lanes = {}
        for stream in dict.fromkeys(self._routes.values()):
            at = pc.indices_nonzero(pc.and_(good, pc.equal(streams, stream)))
            if len(at):
                lanes[stream] = lane.take(at)
        return lanes

    def _ids(self, events: Array, rows: list[int]) -> dict[int, str]:
        """The own ids of the events at these positions, as far as they have one."""
        read = self._id.read(events.take(array(rows, pa.int64())))
        ids = _texts(read.values[self._shape.id]).to_pylist()
        return {rows[at]: id_ for at, id_ in zip(read.rows, ids, strict=True) if id_ is not None}


def _texts(values: Sequence[str | int | None]) -> Array:
    """Keys as text, null where one cannot be used."""
    keys = array([None if value is None else str(value) for value in values], TEXT)
    usable: Array = pc.if_else(unfit(keys, [keys]), None, keys)
    return usable


def _where(mask: Array) -> list[int]:
    return positions(pc.indices_nonzero(mask))
