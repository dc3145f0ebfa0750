"""One record to many: the elements of a list in it, each a record of its own.

An element becomes a *unit*: JSON with the element as `item`, its place as `item_no`, and beside
them what the mapping reads of the record. So all that comes after knows units and nothing of lists:
parser, keys, deletions, refusals. A unit that is refused is kept with all of its record but the
list, or a mapping that is corrected could read no more of it than the wrong one did.

Nothing is lost and nothing doubled: the units of a record are the elements of its list; a record
without elements, and one that cannot be taken apart, is one unit.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, chain, starmap
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from integrations.transformation.arrow import Array, array, binary, pc, positions
from integrations.transformation.kinds import RAW
from integrations.transformation.parse import Unread, failing, unanswered, why_unread
from integrations.transformation.structs import DECODING, SLICE, Tree, tree
from integrations.unanswered import reason_of

ITEM, ITEM_NO = "item", "item_no"
"""Where a mapping finds the element, and its place in the list, from 0 on."""

EACH = "each"
"""The rule of the refusal of a whole record: its bytes are no unit."""

AT_ONCE = 25_000
"""Units that are made at one time; the elements of one record stay together."""

_RAW = msgspec.Raw | msgspec.UnsetType
_SEVERAL = list[msgspec.Raw] | dict[str, msgspec.Raw] | None | msgspec.UnsetType
_encode = msgspec.json.Encoder().encode
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class _Entry(msgspec.Struct, gc=False):
    """An entry of an object, as the element that it becomes."""

    key: str
    value: msgspec.Raw


class _Unit(msgspec.Struct, gc=False):
    item: msgspec.Raw
    item_no: int


_unit = msgspec.json.Decoder(_Unit).decode


@dataclass(frozen=True)
class Units:
    """What the records of a batch from `start` to before `end` became.

    `units` is an Array of binary, and `origin` the position in the batch of the record that each
    was made of, ascending. `empty` are the positions of records without elements, of which `silent`
    do not even say so: their list is absent. Those in `unread` cannot be taken apart.
    """

    start: int
    end: int
    units: Array
    origin: Array
    empty: list[int]
    silent: list[int]
    unread: list[Unread]

    @property
    def received(self) -> int:
        """How many units these are, one for each record that has no element."""
        return len(self.units) + len(self.empty) + len(self.unread)


class Explosion:
    """Takes the list (or the object) at the path `each` of records apart.

    `paths` are all that the mapping reads of a unit. Of an object each entry becomes an element
    `{"key": …, "value": …}`; `null` is a list without elements.
    """

    def __init__(self, each: str, paths: Iterable[str]) -> None:
        self._path = each.split(".")
        self._lists = msgspec.json.Decoder(_struct(tree({each: RAW}), _SEVERAL))
        self._list = _walk(len(self._path))
        beside = {path: RAW for path in paths if not of_element(path)}
        self._beside = msgspec.json.Decoder(_struct(tree(beside), _RAW))

    def pieces(self, records: Array) -> Iterator[Units]:
        """The units of a batch (an Array of binary, one JSON object each), part by part."""
        unread: dict[int, Unread] = {}
        lists, beside = list[Any](), list[bytes]()
        for start in range(0, len(records), SLICE):
            values: list[Any] = records.slice(start, SLICE).to_pylist()
            lists += map(self._list, _decoded(self._lists, values, start, unread))
            beside += map(_encode, _decoded(self._beside, values, start, unread))
        for at in positions(unanswered(records)):
            unread[at] = Unread(at, "", reason_of(records[at].as_py()))
        elements = [() if at in unread else _elements(each) for at, each in enumerate(lists)]
        ends = list(accumulate(map(len, elements)))
        start = 0
        while start < len(records):
            done = ends[start - 1] if start else 0
            end = max(start + 1, int(np.searchsorted(ends, done + AT_ONCE, side="right")))
            empty = [at for at in range(start, end) if not elements[at] and at not in unread]
            units, origin = _joined(elements[start:end], binary(beside[start:end]))
            yield Units(
                start=start,
                end=end,
                units=units,
                origin=pc.add(origin, start),
                empty=empty,
                silent=[at for at in empty if lists[at] is msgspec.UNSET],
                unread=[one for at, one in sorted(unread.items()) if start <= at < end],
            )
            start = end

    def whole(self, unit: bytes, record: bytes) -> bytes:
        """The unit with all of the record that it was made of, but the list."""
        try:
            beside = _less(_object(record), self._path)
        except DECODING:  # a name that is no text: what was read of the record has to do
            return unit
        told = _unit(unit)
        for name in (ITEM, ITEM_NO):
            beside.pop(name, None)
        made: bytes = _encode({ITEM: told.item, ITEM_NO: told.item_no, **beside})
        return made


def of_element(path: str) -> bool:
    """Whether a path of a mapping with `each` is of the element, and not of the record."""
    return path == ITEM_NO or path.split(".", maxsplit=1)[0] == ITEM


def _struct(of: Tree, leaf: Any) -> type[msgspec.Struct]:
    """A Struct of just the tree that knows null from absent, and leaves absent what is."""
    fields: list[tuple[str, Any, Any]] = []
    for number, (name, node) in enumerate(of.items()):
        type_ = leaf if node is RAW else _struct(node, leaf) | None | msgspec.UnsetType
        fields.append((f"v{number}", type_, msgspec.field(default=msgspec.UNSET, name=name)))
    return msgspec.defstruct("Record", fields, gc=False)


def _walk(levels: int) -> Callable[[Any], Any]:
    """Reads the value so many levels down; UNSET where something on the way is not there."""

    def walk(record: Any) -> Any:
        for _ in range(levels):
            record = getattr(record, "v0", msgspec.UNSET)
        return record

    return walk


def _decoded(
    decoder: "msgspec.json.Decoder[Any]", values: list[bytes], start: int, unread: dict[int, Unread]
) -> list[Any]:
    """The values, an empty record in the place of each that cannot be decoded and is `unread`."""
    found = list[Any]()
    for at, error in failing(decoder, values, into=found):
        unread.setdefault(start + at, why_unread(start + at, error))
    return found


def _elements(found: Any) -> list[Any]:
    if type(found) is dict:
        return list(map(_encode, starmap(_Entry, found.items())))
    return found if type(found) is list else []


def _joined(elements: list[Any], beside: Array) -> tuple[Array, Array]:
    """The units of records, and the position of each one's record among them."""
    sizes = np.fromiter(map(len, elements), np.int64, count=len(elements))
    origin: Any = np.repeat(np.arange(len(sizes)), sizes)
    places: Any = np.arange(len(origin)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    numbers = array(places, pa.int64()).cast(pa.string()).cast(pa.binary())
    more = pc.binary_replace_slice(beside, start=0, stop=1, replacement=b",")
    ends = pc.if_else(pc.equal(beside, b"{}"), b"}", more)
    of = array(origin, pa.int64())
    items = binary(list(chain.from_iterable(elements)))
    units: Array = pc.binary_join_element_wise(
        b'{"item":', items, b',"item_no":', numbers, ends.take(of), b""
    )
    return units, of


def _less(record: dict[str, msgspec.Raw], path: list[str]) -> dict[str, Any]:
    """The record without what stands at the path."""
    name, *below = path
    found = record.pop(name)
    return record | ({name: _less(_object(found), below)} if below else {})
