"""Reads what an event says about itself, and cuts out the record it carries, byte for byte.

The record is not decoded here: it goes on as the bytes that the source sent, like one from a page.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pyarrow as pa

from integrations.transformation.arrow import Array, array, binary, nulls
from integrations.transformation.kinds import INTEGER, RAW, Kind
from integrations.transformation.parse import INT64, Unread, why_unread
from integrations.transformation.structs import (
    DECODING,
    HALF_PAIR,
    SLICE,
    getter,
    places,
    struct,
    tree,
)

_INSTEAD = "\ufffd"
_AT = " - at `$."
"""How msgspec names a place at the end of a message."""

Bytes = bytes | msgspec.Raw
Get = Callable[[Any], Any]
_Parts = tuple[Any, Any, Bytes]
"""An event's decoded values outside its record, those inside, and the record itself."""


@dataclass(frozen=True)
class Read:
    """What was read: `values` (by path) and `records` have an entry for each of `rows`.

    `rows` are positions in the batch, ascending. `records` is an Array of binary, null where the
    event carries none: it is absent or null, or another thing than an object, such as its id.
    """

    rows: list[int]
    values: dict[str, list[Any]]
    records: Array
    unread: list[Unread]

    def only(self, at: list[int]) -> "Read":
        """The same for some of its rows, by their places in it."""
        return Read(
            [self.rows[n] for n in at],
            {path: [values[n] for n in at] for path, values in self.values.items()},
            self.records.take(array(at, pa.int64())),
            self.unread,
        )


class EventReader:
    """Reads the values at some paths of an event, and the object at the path `record`."""

    def __init__(self, values: Mapping[str, Kind], *, record: str | None = None) -> None:
        self._within = f"{record}." if record else ""
        inside = {path for path in values if record and path.startswith(self._within)}
        inner = tree({path.removeprefix(self._within): values[path] for path in inside})
        outside = {path: kind for path, kind in values.items() if path not in inside}
        outer = tree(outside | ({record: RAW} if record else {}))
        self._outer = msgspec.json.Decoder(struct(outer)).decode
        self._object = struct(inner)
        anything: Any = self._object | str | float | bool | list[msgspec.Raw] | None
        self._inner = msgspec.json.Decoder(anything).decode
        self._nothing = self._object()
        ways = {path: getter(at) for path, _, at in places(outer)}
        self._record: Get = ways.pop(record) if record else lambda _: None
        self._values = [
            *((path, 0, get) for path, get in ways.items()),
            *((self._within + path, 1, getter(at)) for path, _, at in places(inner)),
        ]
        self._integers = [path for path, kind in values.items() if kind is INTEGER]

    def read(self, events: Array) -> Read:
        """Every event of a batch (an Array of binary), read or said why not."""
        found = Read([], {path: [] for path, *_ in self._values}, nulls(0, RAW.arrow), [])
        records = [found.records]
        # Slice by slice, so that events are Python objects only while they are warm in the cache.
        for start in range(0, len(events), SLICE):
            parts = list(self._slice(events, start, found))
            for path, side, get in self._values:
                found.values[path].extend([get(part[side]) for part in parts])
            records.append(binary([record for *_, record in parts]))
        found = replace(found, records=pa.concat_arrays(records))
        for path in self._integers:
            found = _narrow(found, path)
        return found

    def _slice(self, events: Array, start: int, found: Read) -> Iterator[_Parts]:
        """The parts of the events from `start` on; notes in `found` which could be read."""
        values: list[Any] = events.slice(start, SLICE).to_pylist()
        for row, event in enumerate(values, start):
            try:
                parts = self._one(event)
            except DECODING as error:
                found.unread.append(why_unread(row, error, what="event"))
            else:
                found.rows.append(row)
                yield parts

    def _one(self, event: bytes) -> _Parts:
        try:
            return self._parts(event)
        except DECODING:
            if event[:1] != b"{":
                raise msgspec.ValidationError("the event is no JSON object") from None
            text = _readable(event)
            if text == event:
                raise
        return self._as_sent(self._parts(text), text=text, event=event)

    def _parts(self, event: bytes) -> _Parts:
        outer = self._outer(event)
        record, inner = self._record(outer), self._nothing
        if record:
            try:
                inner = self._inner(record)
            except msgspec.ValidationError as error:
                placed = str(error).replace(_AT, f"{_AT}{self._within}")
                raise msgspec.ValidationError(placed) from None
            if type(inner) is not self._object:
                record, inner = None, self._nothing
        return outer, inner, record or b""

    def _as_sent(self, parts: _Parts, *, text: bytes, event: bytes) -> _Parts:
        """The parts of `text`, in which half pairs were replaced, with the record of the event."""
        for path, side, get in self._values:
            if _INSTEAD in str(get(parts[side])):
                half = f"holds half of a surrogate pair, which is no text{_AT}{path}`"
                raise msgspec.ValidationError(half)
        *decoded, record = parts
        if not record:
            return parts
        start = _address(record) - _address(text)
        return (*decoded, event[start : start + len(record)])


def _narrow(found: Read, path: str) -> Read:
    """The same without the events whose integer at `path` has more than 64 bits."""
    try:
        array(found.values[path], INTEGER.arrow)
    except OverflowError:
        values = found.values[path]
    else:
        return found
    good = [n for n, value in enumerate(values) if -INT64 <= (value or 0) < INT64]
    rows = sorted(set(found.rows) - {found.rows[n] for n in good})
    wide = [Unread(row, path, "expected `int` of at most 64 bits") for row in rows]
    found.unread.extend(wide)
    return found.only(good)


def _readable(event: bytes) -> bytes:
    """The event with U+FFFD for each half of a surrogate pair, which decoders refuse; of the same
    length, so that places in it are places in the event."""
    return HALF_PAIR.sub(lambda found: found[1] or rb"\ufffd", event)


def _address(buffer: Bytes) -> int:
    """Where a buffer lies: a record is a view into the text that it was cut from."""
    return pa.py_buffer(buffer).address
