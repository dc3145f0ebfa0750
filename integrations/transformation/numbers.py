"""The rules for numbers: whole, floating, exact, and as people write them."""

import re
from typing import Annotated, ClassVar, Literal, Self

import pyarrow as pa
from pydantic import Field, model_validator

from integrations.transformation.arrow import Array, pc
from integrations.transformation.kinds import DECIMAL, INTEGER, NUMBER, STRING
from integrations.transformation.reading import lost, matching, parsed
from integrations.transformation.rule import FLOAT, INT, MONEY, TEXT, Bad, Coerced, FromOne

_WHOLE = r"^-?\d+$"
_EXACT = r"^-?\d+(?:\.\d{1,9}0*)?(?:[eE][+-]?\d{1,3})?$"
_FLOATING = r"^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$"
_NO_DECIMAL = "is no decimal number of at most 29 digits and nine decimals"
_NO_FLOAT = "is no finite number"
_NO_WHOLE = "is no whole number of at most 64 bits"
_TOO_LONG = "has more than nine decimals, or more than 29 digits before them"
_LARGEST = 2**53
"""The last whole number before floating-point numbers leave some out."""
_BLANK = r"[ \x{A0}\x{202F}]"
"""A blank between digits: plain, or one at which a line does not break."""
_SIGNS = ("open", "left", "inner", "right", "close")
_AROUND = " \t\r\n\u00a0\u202f\ufeff"
"""Blanks around a value; U+FEFF is what a byte order mark looks like inside of a text."""


class Integer(FromOne):
    """A whole number of at most 64 bits; into a text column it goes as its digits.

    Behind another rule also from text (`17`, `-5`, `007`), or from a decimal that is whole.
    """

    type: Literal["integer"]
    kind: ClassVar = INTEGER
    takes: ClassVar = (INT, TEXT, MONEY)
    gives: ClassVar = (INT, TEXT)

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        if values.type == TEXT:
            read = parsed(values, matching(values, _WHOLE), INT, _NO_WHOLE)
        else:
            read = whole(values) if values.type == MONEY else Coerced(values)
        return Coerced(read.values.cast(wanted), read.bad, read.reason)


class Number(FromOne):
    """A binary floating-point number: for measures and rates, never for money.

    Behind another rule also from text, from a decimal, of which it is the nearest, and from a whole
    number up to 2^53, beyond which some cannot be held.
    """

    type: Literal["number"]
    kind: ClassVar = NUMBER
    takes: ClassVar = (FLOAT, INT, TEXT, MONEY)
    gives: ClassVar = (FLOAT,)

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        if values.type == INT:
            bad = pc.or_(pc.less(values, -_LARGEST), pc.greater(values, _LARGEST))
            exact = pc.if_else(bad, None, values).cast(FLOAT)
            return Coerced(exact, bad, "lies beyond 2^53: a floating-point number would round it")
        if values.type == TEXT:
            read = parsed(values, matching(values, _FLOATING), FLOAT, _NO_FLOAT)
            finite = pc.fill_null(pc.is_finite(read.values), True)
            bad = pc.or_(read.bad, pc.invert(finite))
            return Coerced(pc.if_else(finite, read.values, None), bad, _NO_FLOAT)
        given = nearest(values) if values.type == MONEY else values
        return Coerced(given, pc.invert(pc.is_finite(given)), _NO_FLOAT)


class Decimal(FromOne):
    """An exact decimal, from a JSON number or from a string that holds one.

    It has at most 29 digits before the point and nine after it: more are refused, never rounded.
    """

    type: Literal["decimal"]
    kind: ClassVar = DECIMAL
    takes: ClassVar = (MONEY, TEXT, INT)
    gives: ClassVar = (MONEY,)

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        if values.type == TEXT:
            return parsed(values, matching(values, _EXACT), MONEY, _NO_DECIMAL)
        return Coerced(values.cast(MONEY) if values.type == INT else values)


class WrittenNumber(FromOne):
    """A number as people write it: `1.234,56`, `1 234-`, `€ 12`.

    Nothing is guessed. `decimal` is what stands before the decimals; `thousands`, if given, may
    stand between groups of three digits, and nowhere else. `minus` says where the sign of a number
    below zero stands, `symbols` are words or signs that may stand before or behind the number, and
    with `blanks` those around it, a byte order mark among them, are left out. Digits are 0 to 9.
    More than nine decimals, or 29 digits before them, are refused, never rounded.
    """

    type: Literal["written_number"]
    decimal: Literal[".", ","] = "."
    thousands: Literal[".", ",", " ", "'", "_"] | None = None
    minus: Literal["leading", "trailing", "either", "parentheses"] = "leading"
    plus: bool = False
    symbols: tuple[Annotated[str, Field(pattern=r"^[^\s\d.,'()+-]+$")], ...] = ()
    blanks: bool = False
    kind: ClassVar = STRING
    gives: ClassVar = (MONEY, INT, FLOAT)

    @model_validator(mode="after")
    def _clear(self) -> Self:
        if self.decimal == self.thousands:
            raise ValueError("`decimal` and `thousands` are the same sign")
        return self

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        text = pc.utf8_trim(values, characters=_AROUND) if self.blanks else values
        found = pc.extract_regex(text, pattern=self._pattern())
        part = {name: pc.struct_field(found, [name]) for name in (*_SIGNS, "whole", "fraction")}
        signs = pc.binary_join_element_wise(*(part[name] for name in _SIGNS), "")
        negative = pc.is_in(signs, value_set=pa.array(["-", "()"]))
        clear = pc.or_(negative, pc.is_in(signs, value_set=pa.array(["", "+"])))
        digits = part["whole"]
        if self.thousands:
            digits = pc.replace_substring_regex(digits, pattern=r"\D", replacement="")
        shaped = pc.binary_join_element_wise(
            pc.if_else(negative, "-", ""), digits, ".", part["fraction"], "0", ""
        )
        shaped = pc.if_else(clear, shaped, None)
        odd = Bad(lost(values, shaped), f"is no number as {self._example()}", self.name)
        read = parsed(shaped, shaped, MONEY, _TOO_LONG)
        if wanted == MONEY:
            return Coerced(read.values, read.bad, read.reason, before=(odd,))
        last = whole(read.values) if wanted == INT else Coerced(nearest(read.values))
        return Coerced(last.values, last.bad, last.reason, before=(odd, *read.told(self.name)))

    def _pattern(self) -> str:
        signs = ("-" if self.minus in {"leading", "either"} else "") + ("+" if self.plus else "")
        left = f"[{re.escape(signs)}]?" if signs else ""
        right = "-?" if self.minus in {"trailing", "either"} else ""
        open_, close = (r"\(?", r"\)?") if self.minus == "parentheses" else ("", "")
        words = "|".join(map(re.escape, self.symbols))
        before = f"(?:(?:{words}){_BLANK}?)?" if words else ""
        behind = f"(?:{_BLANK}?(?:{words}))?" if words else ""
        between = _BLANK if self.thousands == " " else re.escape(self.thousands or "")
        grouped = rf"\d{{1,3}}(?:{between}\d{{3}})+|" if self.thousands else ""
        return (
            rf"^(?P<open>{open_})(?P<left>{left}){before}(?P<inner>{left if words else ''})"
            rf"(?P<whole>{grouped}\d+)(?:{re.escape(self.decimal)}(?P<fraction>\d+))?"
            rf"(?P<right>{right}){behind}(?P<close>{close})$"
        )

    def _example(self) -> str:
        number = f"1{self.thousands or ''}234{self.decimal}56"
        dressed = {"parentheses": f"({number})", "trailing": f"{number}-"}
        return dressed.get(self.minus, f"-{number}")


def nearest(decimals: Array) -> Array:
    """Decimals as the floating-point numbers that lie nearest to them."""
    # Arrow's own cast is off by one in the last place for some long ones (pyarrow 26).
    found: Array = decimals.cast(TEXT).cast(FLOAT)
    return found


def whole(decimals: Array) -> Coerced:
    """Decimals as whole numbers; one with decimals, or of more than 64 bits, is bad."""
    narrow = pc.and_(
        pc.greater_equal(decimals, pa.scalar(-(2**63)).cast(MONEY)),
        pc.less_equal(decimals, pa.scalar(2**63 - 1).cast(MONEY)),
    )
    fits = pc.and_(narrow, pc.equal(pc.floor(decimals), decimals))
    return Coerced(pc.if_else(fits, decimals, None).cast(INT), pc.invert(fits), _NO_WHOLE)
