"""What records look like: which fields they have, how often and of which types.

A sample tells: some records of each batch, evenly spread. It is held against what is known of the
stream (`storage.fields`), so that a field which comes, goes or changes is seen on the day it does.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import pyarrow as pa

from integrations.storage.fields import KnownField
from integrations.transformation.arrow import Array, array
from integrations.transformation.structs import DECODING
from integrations.unanswered import MARK

SAMPLE = 256
"""Records of a batch that are looked at: 1.6 % of a full one."""
_DEEP = 12
"""Levels; what lies deeper is not looked at."""
_MOST_PATHS = 2_000
"""Of one landing, and of what is known of a stream: a source that names its fields by ids has a
new one in every record."""
_FREE = 30
"""More fields than this in one object are keys of a map, which is no news by itself."""
_TYPES: dict[type, str] = {
    bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object",
    type(None): "null",
}  # fmt: skip


Known = Mapping[str, KnownField]
"""What is known of a stream's fields, by path: `a.b`, and `a[].b` within a list."""


@dataclass(frozen=True)
class Change:
    """What became of one field. `what` is new, changed, gone or back; `types` are those that were
    not known before, of a field that is gone those that it had; `share` is how many records have
    it, of a field that is gone how many had."""

    what: Literal["new", "changed", "gone", "back"]
    path: str
    types: tuple[str, ...]
    share: float


class Shape:
    """Counts the fields of a landing's records; what lies below `opaque` paths is not looked at."""

    def __init__(self, opaque: Iterable[str] = ()) -> None:
        self.sampled = 0
        self._types: dict[str, set[str]] = {}
        self._present: Counter[str] = Counter()
        self._objects: Counter[str] = Counter()
        self._opaque = frozenset(opaque)

    def add(self, records: Array) -> None:
        """Looks at some records of a batch (an Array of binary); those that are no JSON objects, or
        were not told whole, are passed over, since they are refused."""
        step = max(1, -(-len(records) // SAMPLE))
        rows = array(range(0, len(records), step), pa.int64())
        sample: list[Any] = records.take(rows).to_pylist()
        for text in sample:
            if text.startswith(MARK):
                continue
            try:
                record = msgspec.json.decode(text)
            except DECODING:
                continue
            if isinstance(record, dict):
                self.sampled += 1
                self._note(record)

    def _note(self, record: dict[str, Any]) -> None:
        seen: Iterable[tuple[str, str]] = set(self._walk(record, "", _DEEP))
        if len(self._types) + len(set(seen)) > _MOST_PATHS:  # what lies deep has to stand back
            seen = sorted(seen, key=lambda one: (len(_above(one[0])), one))
        for path, type_ in seen:
            if path in self._types or len(self._types) < _MOST_PATHS:
                self._types.setdefault(path, set()).add(type_)
        self._present.update({path for path, _ in seen} & self._types.keys())
        self._objects.update(path for path, type_ in seen if type_ == "object")

    def _walk(self, value: Any, path: str, deep: int) -> Iterator[tuple[str, str]]:
        if path:
            yield path, _TYPES[type(value)]
        if deep == 0 or path in self._opaque:
            return
        if isinstance(value, dict):
            for name, inner in value.items():
                yield from self._walk(inner, f"{path}.{name}" if path else name, deep - 1)
        elif isinstance(value, list):
            for inner in value:
                yield from self._walk(inner, f"{path}[]", deep - 1)

    def _among(self, path: str) -> int:
        """In how many records the field could be: those that have the object around it. Where that
        is null, or a list is empty, nothing in it is missing."""
        above = _above(path)
        if path.endswith("[]"):
            return self._present[path]
        return self._objects[above[-1]] if above else self.sampled

    def known(self, before: Known) -> dict[str, KnownField]:
        """What is known afterwards of the fields, as far as it is not what was known before. Keys
        of maps are remembered as long as there is room."""
        after = {
            path: before.get(path, KnownField()).after(
                types=frozenset(self._types.get(path, ())),
                present=self._present[path],
                sampled=self._among(path),
            )
            for path in {**self._types, **before}
        }
        after = {path: field for path, field in after.items() if field != before.get(path)}
        new = after.keys() - before.keys()
        if over := max(0, len(before) + len(new) - _MOST_PATHS):
            free = _free([*before, *self._types])
            keys = sorted(path for path in new if not free.isdisjoint(_above(path)))
            for path in keys[-over:]:
                del after[path]
        return after

    def changes(self, before: Known) -> list[Change]:
        """What is not as it was; nothing where nothing was known. Of an object that comes or goes
        with all that is in it only the object itself, of the keys of a map none: a field that
        nearly every record had is no such key, however many others stand beside it."""
        if not before:
            return []
        free = _free([*before, *self._types])
        found = [
            change
            for path, after in sorted(self.known(before).items())
            if free.isdisjoint(_above(path)) or before.get(path, KnownField()).usual
            for change in self._change(path, before.get(path), after)
        ]
        whole = {change.path for change in found if change.what in ("new", "gone")}
        return [one for one in found if whole.isdisjoint(_above(one.path))]

    def _change(self, path: str, was: KnownField | None, now: KnownField) -> Iterator[Change]:
        share = self._present[path] / (self._among(path) or 1)
        if was is None:
            yield Change("new", path, tuple(sorted(now.types)), share)
            return
        strange = now.types - was.types - {"null"}
        # Null says nothing of a type: the first value in its place is no change.
        if strange and was.types - {"null"}:
            yield Change("changed", path, tuple(sorted(strange)), share)
        if now.gone and not was.gone:
            yield Change("gone", path, tuple(sorted(was.types)), was.share)
        if was.gone and not now.gone:
            yield Change("back", path, tuple(sorted(now.types)), share)


def _above(path: str) -> list[str]:
    """The objects and lists around a path: of `a.b[].c` these are `a`, `a.b` and `a.b[]`."""
    spelled = path.replace("[]", ".[]").split(".")
    return [".".join(spelled[:n]).replace(".[]", "[]") for n in range(1, len(spelled))]


def _free(paths: Iterable[str]) -> frozenset[str]:
    """The objects whose fields are keys of a map."""
    children = Counter(_above(path)[-1] for path in set(paths) if _above(path))
    return frozenset(path for path, count in children.items() if count > _FREE)
