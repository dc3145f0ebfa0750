"""The rules for text, numbers, words, references and maps."""

from typing import ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from integrations.transformation.arrow import Array, array, pc, repeat
from integrations.transformation.kinds import (
    BOOLEAN,
    DECIMAL,
    ID_OR_OBJECT,
    INTEGER,
    NUMBER,
    STRING,
    STRING_MAP,
    Kind,
)
from integrations.transformation.literals import TYPED, Given, literal
from integrations.transformation.rule import (
    BOOL,
    FLOAT,
    INT,
    JSON,
    MONEY,
    TEXT,
    Coerced,
    Columns,
    FromOne,
    Rule,
)


class Text(FromOne):
    """A string, taken as it is."""

    type: Literal["text"]
    kind: ClassVar = STRING
    gives: ClassVar = (TEXT,)


class Integer(FromOne):
    """A whole number of at most 64 bits; into a text column it goes as its digits."""

    type: Literal["integer"]
    kind: ClassVar = INTEGER
    gives: ClassVar = (INT, TEXT)

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        return Coerced(values.cast(wanted))


class Number(FromOne):
    """A binary floating-point number: for measures and rates, never for money."""

    type: Literal["number"]
    kind: ClassVar = NUMBER
    gives: ClassVar = (FLOAT,)

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        return Coerced(values, pc.invert(pc.is_finite(values)), "is no finite number")


class Decimal(FromOne):
    """An exact decimal, from a JSON number or from a string that holds one."""

    type: Literal["decimal"]
    kind: ClassVar = DECIMAL
    gives: ClassVar = (MONEY,)


class Boolean(FromOne):
    """`true` or `false`."""

    type: Literal["boolean"]
    kind: ClassVar = BOOLEAN
    gives: ClassVar = (BOOL,)


class Upper(FromOne):
    """A code in upper case: `eur` becomes `EUR`."""

    type: Literal["upper"]
    kind: ClassVar = STRING
    gives: ClassVar = (TEXT,)

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        return Coerced(pc.utf8_upper(values))


class Enumeration(FromOne):
    """The source's words in ours. A word that `map` lacks becomes `other`; without it, is refused.

    Map the source's own word to a text column beside it: it is what people search for.
    """

    type: Literal["enumeration"]
    kind: ClassVar = STRING
    gives: ClassVar = (TEXT,)
    map: dict[str, str] = Field(min_length=1)
    other: str | None = None

    def words(self) -> tuple[str, ...]:
        return (*self.map.values(), *((self.other,) if self.other is not None else ()))

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        found = pc.index_in(values, value_set=array(list(self.map), pa.string()))
        ours = array(list(self.map.values()), pa.string()).take(found)
        strange = pc.and_(pc.is_valid(values), pc.is_null(found))
        if self.other is not None:
            unknown = values.filter(strange) if pc.any(strange).as_py() else None
            return Coerced(pc.if_else(strange, self.other, ours), strange=unknown)
        return Coerced(ours, strange, f"is none of {', '.join(self.map)}")


class IdOrObject(FromOne):
    """The id of something that the source gives as its id, or whole with its id in `id`."""

    type: Literal["id_or_object"]
    kind: ClassVar = ID_OR_OBJECT
    gives: ClassVar = (TEXT,)


class StringMap(FromOne):
    """An object whose values are all strings, kept as JSON."""

    type: Literal["string_map"]
    kind: ClassVar = STRING_MAP
    gives: ClassVar = (JSON, TEXT)

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        return Coerced(values.cast(wanted) if wanted == TEXT else as_json(values))


class Constant(Rule):
    """The same value in every row; decimals, moments and days are written in quotes."""

    type: Literal["constant"]
    value: Given
    gives: ClassVar = TYPED

    def reads(self) -> dict[str, Kind]:
        return {}

    def words(self) -> tuple[str, ...]:
        return (self.value,) if isinstance(self.value, str) else ()

    def fits(self, wanted: pa.DataType) -> bool:
        """Whether the value is one of the column's type; 1 is no text."""
        try:
            literal(self.value, wanted)
        except ValueError:
            return False
        return True

    def apply(self, columns: Columns, *, wanted: pa.DataType, rows: int) -> Coerced:
        return Coerced(repeat(literal(self.value, wanted), wanted, rows))


def as_json(values: Array) -> Array:
    """Strings that hold JSON, as a JSON column."""
    return pa.ExtensionArray.from_storage(JSON, values)
