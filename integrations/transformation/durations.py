"""The rule for lengths of time."""

from decimal import Decimal
from typing import ClassVar, Literal

import pyarrow as pa

from integrations.transformation.arrow import Array, pc
from integrations.transformation.kinds import STRING
from integrations.transformation.numbers import whole
from integrations.transformation.reading import lost
from integrations.transformation.rule import INT, MONEY, Bad, Coerced, FromOne

_FINE = r"\d{1,9}"
_UP_TO = r"\d{1,9}"
_FORMS = {
    "proto3": rf"^(?P<sign>-?)(?P<seconds>{_UP_TO}\d{{0,3}})(?:\.(?P<fraction>{_FINE}))?s$",
    "seconds": rf"^(?P<sign>-?)(?P<seconds>{_UP_TO}\d{{0,3}})(?:\.(?P<fraction>{_FINE}))?$",
    "clock": (
        rf"^(?P<sign>-?)(?P<hours>{_UP_TO}):(?P<minutes>[0-5]\d):(?P<seconds>[0-5]\d)"
        rf"(?:\.(?P<fraction>{_FINE}))?$"
    ),
    "iso8601": (
        rf"^(?P<sign>-?)P(?:(?P<weeks>{_UP_TO})W|(?:(?P<days>{_UP_TO})D)?"
        rf"(?P<time>T(?:(?P<hours>{_UP_TO})H)?(?:(?P<minutes>{_UP_TO})M)?"
        rf"(?:(?P<seconds>{_UP_TO})(?:[.,](?P<fraction>{_FINE}))?S)?)?)$"
    ),
}
_EXAMPLES = {"proto3": "0.056576s", "seconds": "12.5", "clock": "01:02:03", "iso8601": "PT1H2M"}
_SECONDS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86_400, "weeks": 604_800}
_EMPTY = r"(?:P|T)$"
"""`P` and `PT` say no length, and `P1DT` breaks off."""
_EXACT = pa.decimal128(30, 9)
"""Seconds, narrow enough that their milliseconds still fit."""
_LONG = pa.decimal128(19, 0)


class Duration(FromOne):
    """A length of time as an exact number of seconds, or with `unit: ms` of milliseconds.

    `form` says how the source writes it: `proto3` (`0.056576s`), `iso8601` (`PT1H2M3.5S`, `P1D` is
    24 hours; years and months have no fixed length and are refused), `clock` (`HH:MM:SS`, more than
    24 hours too) or `seconds` (`12.5`). More than nine decimals are refused, and into a column of
    whole numbers everything that is none.
    """

    type: Literal["duration"]
    form: Literal["proto3", "iso8601", "clock", "seconds"]
    unit: Literal["s", "ms"] = "s"
    kind: ClassVar = STRING
    gives: ClassVar = (MONEY, INT)

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        pattern = _FORMS[self.form]
        found = pc.extract_regex(values, pattern=pattern)
        odd = lost(values, found)
        if self.form == "iso8601":
            odd = pc.or_(odd, pc.match_substring_regex(values, _EMPTY))
        lengths = self._lengths(found, pattern)
        told = (Bad(odd, f"is no duration as {_EXAMPLES[self.form]}", self.name),)
        good = pc.if_else(pc.fill_null(odd, False), None, lengths)
        if wanted == MONEY:
            return Coerced(good, before=told)
        last = whole(good)
        return Coerced(last.values, last.bad, f"is no whole number of {self.unit}", before=told)

    def _lengths(self, found: Array, pattern: str) -> Array:
        total = _decimals(pc.struct_field(found, ["fraction"]))
        for name, seconds in _SECONDS.items():
            if f"<{name}>" in pattern:
                counted = pc.struct_field(found, [name])
                digits = pc.if_else(pc.equal(counted, ""), "0", counted)
                each = pc.multiply(digits.cast(INT), seconds)
                total = pc.add(total, each.cast(_LONG).cast(_EXACT)).cast(_EXACT)
        thousand = 1000 if self.unit == "ms" else 1
        length = pc.multiply(total, pa.scalar(Decimal(thousand), pa.decimal128(4, 0))).cast(MONEY)
        negative = pc.equal(pc.struct_field(found, ["sign"]), "-")
        signed: Array = pc.if_else(negative, pc.negate(length), length)
        return signed


def _decimals(fraction: Array) -> Array:
    """The digits behind a point, at most nine, as a number below one."""
    digits: Array = pc.binary_join_element_wise("0.", fraction, "0", "")
    return digits.cast(_EXACT)
