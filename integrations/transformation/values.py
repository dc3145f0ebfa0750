"""The rules for text, words, references and constants."""

from typing import ClassVar, Literal, Self

import pyarrow as pa
from pydantic import Field, model_validator

from integrations.transformation.arrow import Array, array, pc, repeat
from integrations.transformation.json_text import scalars
from integrations.transformation.kinds import ID_OR_OBJECT, STRING, VALUE, Kind
from integrations.transformation.literals import TYPED, Given, literal
from integrations.transformation.rule import INT, TEXT, Coerced, Columns, FromOne, Rule


class Text(FromOne):
    """A string, taken as it is, blanks and a byte order mark in it too.

    Postgres cannot store the character NUL, and half of a surrogate pair or bytes that are no UTF-8
    are no text: these are refused.
    """

    type: Literal["text"]
    kind: ClassVar = STRING
    gives: ClassVar = (TEXT,)


class Word(FromOne):
    """A string, or a number or a boolean as the text that the source sent: `12`, `"12 A"`.

    For values that are a number in one place and a string in another. `1.20` stays `1.20`.
    """

    type: Literal["word"]
    kind: ClassVar = VALUE
    takes: ClassVar = (TEXT, INT)
    gives: ClassVar = (TEXT,)

    def apply(self, columns: Columns, *, wanted: pa.DataType, rows: int) -> Coerced:
        assert self.source is not None, "a rule without `from` stands behind another"
        texts, structured = scalars(columns[self.source])
        return Coerced(texts, structured, "is no string, number or boolean")

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        return Coerced(values.cast(TEXT))


class Upper(FromOne):
    """A code in upper case: `eur` becomes `EUR`."""

    type: Literal["upper"]
    kind: ClassVar = STRING
    gives: ClassVar = (TEXT,)

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        return Coerced(pc.utf8_upper(values))


class Enumeration(FromOne):
    """The source's words in ours. A word that `map` lacks becomes `other`; without it, is refused.

    Map the source's own word to a text column beside it: it is what people search for. With
    `ignore_case` it does not matter how the source's word is cased.
    """

    type: Literal["enumeration"]
    kind: ClassVar = STRING
    gives: ClassVar = (TEXT,)
    map: dict[str, str] = Field(min_length=1)
    other: str | None = None
    ignore_case: bool = False

    @model_validator(mode="after")
    def _clear(self) -> Self:
        if self.ignore_case and len({word.lower() for word in self.map}) < len(self.map):
            raise ValueError("two words of `map` differ in case alone, which `ignore_case` ignores")
        return self

    def words(self) -> tuple[str, ...]:
        return (*self.map.values(), *((self.other,) if self.other is not None else ()))

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        given, words = values, array(list(self.map), pa.string())
        if self.ignore_case:
            given, words = pc.utf8_lower(values), pc.utf8_lower(words)
        found = pc.index_in(given, value_set=words)
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
