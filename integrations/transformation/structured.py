"""The rules for values that are no single one: JSON, lists of strings, maps."""

from typing import ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from integrations.transformation.arrow import Array, pc
from integrations.transformation.json_text import (
    DEEPEST,
    STRING,
    as_json,
    deep,
    longest,
    read,
    skeleton,
    valid,
)
from integrations.transformation.kinds import STRING_MAP, VALUE, Kind
from integrations.transformation.rule import JSON, TEXT, Bad, Coerced, Columns, FromOne

_LIST = rf"^\[\s*(?:{STRING}\s*(?:,\s*{STRING}\s*)*)?\]$"


def _flat(value: str) -> str:
    """The skeleton of an object that holds no other."""
    member = rf'""\s*:\s*{value}\s*'
    return rf"^\{{\s*(?:{member}(?:,\s*{member})*)?\}}$"


_TEXTS = _flat('""')
_SCALARS = _flat(r'(?:""|-?\d[\d.eE+-]*|true|false)')
_NO_MAP = "is no object of strings"
_EXPONENT = r"[eE][+-]?0*[1-9]\d{3,}"
_LARGE = rf"{_EXPONENT}|\d{{1000}}"
"""An exponent of four digits, or a thousand digits: jsonb keeps numbers exactly, and has an end at
16,383 decimals."""


class FromJson(FromOne):
    """Base of the rules over JSON text: alone they read a value as it was sent, behind another rule
    they take text that holds JSON."""

    kind: ClassVar = VALUE
    takes: ClassVar = (TEXT,)
    gives: ClassVar = (JSON, TEXT)

    def apply(self, columns: Columns, *, wanted: pa.DataType, rows: int) -> Coerced:
        assert self.source is not None, "a rule without `from` stands behind another"
        return self.kept(columns[self.source], wanted=wanted)

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        odd = pc.invert(valid(values))
        done = self.kept(_less(values, odd), wanted=wanted)
        told = Bad(odd, "holds no JSON", self.name)
        return Coerced(done.values, done.bad, done.reason, before=(told, *done.before))

    def kept(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        """The column of these JSON texts."""
        raise NotImplementedError


class Json(FromJson):
    """Any value, kept as the JSON that the source sent.

    Behind another rule it takes text that holds JSON. What Postgres cannot keep is refused: a
    number with an exponent beyond 999 or a thousand digits, or more than 1000 levels.
    """

    type: Literal["json"]

    def kept(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        told = (Bad(deep(values), f"is nested deeper than {DEEPEST} levels", self.name),)
        values, bad = _less(values, told[0].where), None
        large = _LARGE if longest(values) >= 1000 else _EXPONENT
        if pc.any(pc.match_substring_regex(values, large)).as_py():
            bad = pc.match_substring_regex(skeleton(values), large)
            values = _less(values, bad)
        reason = "holds a number that Postgres cannot keep"
        return Coerced(_as(wanted, values), bad, reason, before=told)


class StringList(FromJson):
    """A list of strings: into a JSON column as it is, into a text column joined by `join`.

    A list that could not be taken apart again is refused there: a string in it holds the joining
    sign itself, or it is the empty one alone.
    """

    type: Literal["string_list"]
    join: str = Field(default=", ", min_length=1)

    def kept(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        odd = pc.invert(pc.match_substring_regex(values, _LIST))
        good = _less(values, odd)
        told = (Bad(odd, "is no list of strings", self.name),)
        if wanted == JSON:
            return Coerced(as_json(good), before=told)
        lists = read(pc.fill_null(good, "[]"), pa.list_(TEXT))
        joined = pc.if_else(pc.is_valid(good), pc.binary_join(lists, self.join), None)
        apart = pc.split_pattern(joined, self.join)
        unlike = pc.not_equal(*(pc.binary_join(each, "\x00") for each in (apart, lists)))
        empty = pc.and_(pc.equal(joined, ""), pc.equal(pc.list_value_length(lists), 1))
        unclear = pc.or_(unlike, empty)
        reason = f"could not be taken apart again once it is joined by {self.join!r}"
        return Coerced(_less(joined, unclear), unclear, reason, before=told)


class StringMap(FromJson):
    """An object whose values are all strings, kept as JSON.

    With `values: scalars` numbers and booleans among them become the strings of what was sent:
    `{"weight": 1.20}` is kept as `{"weight": "1.20"}`.
    """

    type: Literal["string_map"]
    values: Literal["strings", "scalars"] = "strings"

    def reads(self) -> dict[str, Kind]:
        kind = STRING_MAP if self.values == "strings" else VALUE
        return {} if self.source is None else {self.source: kind}

    def apply(self, columns: Columns, *, wanted: pa.DataType, rows: int) -> Coerced:
        if self.values == "strings" and self.source is not None:
            return Coerced(_as(wanted, columns[self.source]))
        return super().apply(columns, wanted=wanted, rows=rows)

    def kept(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        scalars = self.values == "scalars"
        odd = pc.invert(pc.match_substring_regex(skeleton(values), _SCALARS if scalars else _TEXTS))
        good = _less(values, odd)
        reason = "is no object of strings, numbers and booleans" if scalars else _NO_MAP
        return Coerced(_as(wanted, _quoted(good) if scalars else good), odd, reason)


def _less(values: Array, bad: Array) -> Array:
    """The values, null where they are bad."""
    left: Array = pc.if_else(pc.fill_null(bad, False), None, values)
    return left


def _as(wanted: pa.DataType, texts: Array) -> Array:
    return as_json(texts) if wanted == JSON else texts.cast(TEXT)


def _quoted(values: Array) -> Array:
    """JSON texts with quotes around numbers and booleans."""
    # A mark goes around each, and an empty pair of marks behind each string, which is taken out
    # again: U+0001 stands in no JSON text, where it must be escaped.
    marked = pc.replace_substring_regex(
        values, pattern=rf"({STRING})|(-?\d[\d.eE+-]*|true|false)", replacement="\\1\x01\\2\x01"
    )
    bare = pc.replace_substring(marked, pattern="\x01\x01", replacement="")
    quoted: Array = pc.replace_substring(bare, pattern="\x01", replacement='"')
    return quoted
