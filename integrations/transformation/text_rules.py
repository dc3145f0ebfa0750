"""The rules that change text. Patterns are RE2's, which cannot run away, and are tried at load."""

from functools import cache
from typing import Annotated, ClassVar, Literal, Self

import pyarrow as pa
from pydantic import AfterValidator, Field, model_validator

from integrations.transformation.arrow import Array, array, pc
from integrations.transformation.kinds import STRING
from integrations.transformation.rule import TEXT, Coerced, FromOne

Side = Literal["left", "right", "both"]
WhenAbsent = Literal["clear", "reject"]
"""What becomes of a text that lacks what is looked for: null, or a refusal of its record."""


@cache
def _nothing() -> Array:
    """An empty text, to try a pattern on. Made when it is asked for: pyarrow imports pandas."""
    return array([""], TEXT)


def _tried(pattern: str) -> str:
    try:
        pc.match_substring_regex(_nothing(), pattern)
    except pa.ArrowInvalid as error:
        raise ValueError(f"the pattern is none of RE2: {_why(error)}") from None
    return pattern


def _why(error: Exception) -> str:
    """RE2's words, without Arrow's before them."""
    return str(error).rpartition("Invalid regular expression: ")[2]


Pattern = Annotated[str, Field(min_length=1), AfterValidator(_tried)]


class _OfText(FromOne):
    """Base of the rules from text to text."""

    kind: ClassVar = STRING
    gives: ClassVar = (TEXT,)


class Lower(_OfText):
    """Text in lower case."""

    type: Literal["lower"]

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        return Coerced(pc.utf8_lower(values))


class Title(_OfText):
    """Text with every word's first letter in upper case, the others in lower."""

    type: Literal["title"]

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        return Coerced(pc.utf8_title(values))


_TRIM = {
    "both": (pc.utf8_trim_whitespace, pc.utf8_trim),
    "left": (pc.utf8_ltrim_whitespace, pc.utf8_ltrim),
    "right": (pc.utf8_rtrim_whitespace, pc.utf8_rtrim),
}


class Trim(_OfText):
    """Text without white space around it, or without those of `characters`; `side` is both, left
    or right."""

    type: Literal["trim"]
    characters: str = ""
    side: Side = "both"

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        white, some = _TRIM[self.side]
        if not self.characters:
            return Coerced(white(values))
        return Coerced(some(values, characters=self.characters))


class BlankToNull(_OfText):
    """Text that holds only white space, or nothing, is null."""

    type: Literal["blank_to_null"]

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        blank = pc.equal(pc.utf8_trim_whitespace(values), "")
        return Coerced(pc.if_else(blank, None, values))


class Replace(_OfText):
    r"""Each `find` in the text, as it stands, or each match of `pattern`, becomes `with`; there
    `\1` is what the first group matched."""

    type: Literal["replace"]
    find: str | None = Field(default=None, min_length=1)
    pattern: Pattern | None = None
    with_: str = Field(alias="with")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.find is None) == (self.pattern is None):
            raise ValueError("it needs either `find`, a text, or `pattern`, a regular expression")
        try:
            self.coerce(_nothing(), wanted=TEXT)
        except pa.ArrowInvalid as error:
            raise ValueError(f"`with` does not go with the pattern: {error}") from None
        return self

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        if self.pattern is None:
            return Coerced(pc.replace_substring(values, self.find, self.with_))
        return Coerced(pc.replace_substring_regex(values, self.pattern, self.with_))


class Extract(_OfText):
    """What the one named group of `pattern` matches: `^DE(?P<number>[0-9]+)$`.

    Text that does not match is null with `when_absent: clear`, and refused with `reject`.
    """

    type: Literal["extract"]
    pattern: Pattern
    when_absent: WhenAbsent

    @model_validator(mode="after")
    def _one_group(self) -> Self:
        try:
            groups = pc.extract_regex(_nothing(), pattern=self.pattern).type.num_fields
        except pa.ArrowInvalid:
            groups = 0
        if groups != 1:
            raise ValueError("the pattern needs one group, and a name for it: (?P<part>[0-9]+)")
        return self

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        parts = pc.struct_field(pc.extract_regex(values, pattern=self.pattern), [0])
        return _found(values, parts, self.when_absent, f"does not match {self.pattern}")


class Split(_OfText):
    """One part of a text between separators: `part` 1 is the first, -1 the last.

    Text with fewer parts is null with `when_absent: clear`, and refused with `reject`.
    """

    type: Literal["split"]
    separator: str = Field(min_length=1)
    part: int
    when_absent: WhenAbsent

    @model_validator(mode="after")
    def _some_part(self) -> Self:
        if self.part == 0:
            raise ValueError("the first part is 1, the last is -1")
        return self

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        lists = pc.split_pattern(values, self.separator)
        lengths = pc.list_value_length(lists)
        begin = pc.subtract(pc.cumulative_sum(pc.fill_null(lengths, 0)), pc.fill_null(lengths, 0))
        at = pc.add(begin, self.part - 1 if self.part > 0 else pc.add(lengths, self.part))
        there = pc.less_equal(abs(self.part), lengths)
        parts = pc.take(pc.list_flatten(lists), pc.if_else(there, at, None))
        return _found(values, parts, self.when_absent, f"has no part {self.part}")


def _found(values: Array, parts: Array, when_absent: WhenAbsent, reason: str) -> Coerced:
    if when_absent == "clear":
        return Coerced(parts)
    return Coerced(parts, pc.and_(pc.is_valid(values), pc.is_null(parts)), reason)


class Pad(_OfText):
    """Text filled up to `length` characters with `fill`, on its left or right `side`; longer text
    stays as it is."""

    type: Literal["pad"]
    length: int = Field(ge=1)
    fill: str = Field(min_length=1, max_length=1)
    side: Literal["left", "right"]

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        pad = pc.utf8_lpad if self.side == "left" else pc.utf8_rpad
        return Coerced(pad(values, width=self.length, padding=self.fill))


class StripZeros(_OfText):
    """Text without zeros before it: `0042` is `42`, and `000` is `0`."""

    type: Literal["strip_zeros"]

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        return Coerced(pc.replace_substring_regex(values, r"^0+((?s).)", r"\1"))


class Prefix(_OfText):
    """`text` before the text; null stays null."""

    type: Literal["prefix"]
    text: str = Field(min_length=1)

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        return Coerced(pc.binary_join_element_wise(self.text, values, ""))


class Suffix(_OfText):
    """`text` behind the text; null stays null."""

    type: Literal["suffix"]
    text: str = Field(min_length=1)

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        return Coerced(pc.binary_join_element_wise(values, self.text, ""))


class Truncate(_OfText):
    """Text of more than `max` characters is refused, or cut off there with `when_longer: cut`."""

    type: Literal["truncate"]
    max: int = Field(ge=1)
    when_longer: Literal["cut", "reject"] = "reject"

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        if self.when_longer == "cut":
            return Coerced(pc.utf8_slice_codeunits(values, 0, self.max))
        bad = pc.greater(pc.utf8_length(values), self.max)
        return Coerced(pc.if_else(bad, None, values), bad, f"has more than {self.max} characters")
