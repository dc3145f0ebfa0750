"""Which values a record does not have, where the first reading only said that they are null.

A record is decoded once more, and of it only the paths that are asked for, into objects that say of
each whether it is there. Only records in which all that a column reads is null are looked at, and
only where it makes a difference.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import compress, repeat
from operator import attrgetter, is_, is_not
from typing import Any

import msgspec
import pyarrow as pa

from integrations.transformation import arrow
from integrations.transformation.arrow import Array, array, pc
from integrations.transformation.kinds import RAW, Kind
from integrations.transformation.parse import Parsed, Unread, failing, why_unread
from integrations.transformation.rule import BOOL
from integrations.transformation.structs import SLICE, tree


class Presence:
    """Tells which records lack all paths of a column; `columns` are the paths of each."""

    def __init__(self, columns: Iterable[Iterable[str]]) -> None:
        self.columns = [tuple(paths) for paths in columns]
        self._tree = tree({path: RAW for paths in self.columns for path in paths})
        self._decoder = msgspec.json.Decoder(_shape(self._tree))

    def absent(self, records: Array) -> tuple[dict[str, Array], list[tuple[int, Exception]]]:
        """By path, which records (an Array of binary) do not have it; and those that cannot be read
        again, by their position."""
        parts: dict[str, list[Array]] = {}
        wrong: list[tuple[int, Exception]] = []
        for start in range(0, len(records), SLICE):
            values: list[Any] = records.slice(start, SLICE).to_pylist()
            found = list[Any]()
            for at, error in failing(self._decoder, values, into=found):
                wrong.append((start + at, error))
            for path, absent in _absent(found, self._tree):
                parts.setdefault(path, []).append(absent)
        return {path: pa.concat_arrays(some) for path, some in parts.items()}, wrong


class Absences:
    """What is absent in one batch; looked for when it is first asked for."""

    def __init__(self, presence: Presence, parsed: Parsed, records: Array) -> None:
        self._presence, self._parsed, self._records = presence, parsed, records
        self._found: dict[str, Array] | None = None
        self.unread: list[Unread] = []
        """The records that could not be read again."""

    def may_be(self, paths: Iterable[str]) -> Array:
        """The records in which all of these are null."""
        return _all([pc.is_null(self._parsed.columns[path]) for path in paths])

    def of(self, paths: Iterable[str]) -> Array:
        """The records in which all of these are absent, the paths of one of the columns."""
        if self._found is None:
            self._found = self._look()
        return _all([self._found[path] for path in paths])

    def _look(self) -> dict[str, Array]:
        """By path, which records do not have it; of those alone that lack all of some column."""
        may = reduce(pc.or_, map(self.may_be, self._presence.columns))
        places = self._parsed.rows.filter(may)
        found, wrong = self._presence.absent(self._records.take(places))
        self.unread = [why_unread(places[at].as_py(), error) for at, error in wrong]
        there = arrow.repeat(False, BOOL, len(may))
        return {path: pc.replace_with_mask(there, may, one) for path, one in found.items()}


def _all(masks: Sequence[Array]) -> Array:
    found: Array = reduce(pc.and_, masks)
    return found


def _shape(of: Mapping[str, Any]) -> type[msgspec.Struct]:
    """A Struct like those of `structs.struct` that tells what is absent (UNSET) from what is null;
    in an object that is absent everything is."""
    fields: list[tuple[str, Any, Any]] = []
    for number, (name, node) in enumerate(of.items()):
        type_: Any = msgspec.Raw | msgspec.UnsetType
        default: Any = msgspec.UNSET
        if not isinstance(node, Kind):
            inner = _shape(node)
            type_, default = inner | None, inner()
        fields.append((f"v{number}", type_, msgspec.field(default=default, name=name)))
    return msgspec.defstruct("Presence", fields, gc=False, frozen=True)


def _absent(records: list[Any], of: Mapping[str, Any]) -> Iterator[tuple[str, Array]]:
    """By path below these objects, in which of them it is absent: whole columns, without a step of
    Python for each."""
    for number, (name, node) in enumerate(of.items()):
        values = list(map(attrgetter(f"v{number}"), records))
        if isinstance(node, Kind):
            yield name, _mask(map(is_, values, repeat(msgspec.UNSET)))
            continue
        whole = list(map(is_not, values, repeat(None)))
        nowhere = arrow.repeat(False, BOOL, len(values))
        for path, absent in _absent(list(compress(values, whole)), node):
            yield f"{name}.{path}", pc.replace_with_mask(nowhere, _mask(whole), absent)


def _mask(values: Iterable[bool]) -> Array:
    return array(list(values), BOOL)
