"""How a source writes dates and times, in a small language: `DD-MM-YYYY HH:mm:SS`.

| part | is |
|---|---|
| `YYYY` | a year of four digits; two would not say the century |
| `MM` `DD` | month and day of two digits; `M` `D` of one or two |
| `HH` `mm` `SS` | hour (0 to 23), minute, second of two digits; `H` of one or two |
| `F` | a fraction of a second, of any length: `.F` or `,F` |
| `Z` | the offset: `Z`, `+02:00`, `+0200`, `+02` |
| `[…]` | may be missing: `HH:mm[:SS[.F]]` |
| `T`, digits, blanks and signs | stand for themselves |
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

import pyarrow as pa
from pydantic import AfterValidator

from integrations.transformation.arrow import Array, pc

_PARTS = {
    "YYYY": ("year", r"\d{4}"),
    "MM": ("month", r"\d\d"),
    "M": ("month", r"\d{1,2}"),
    "DD": ("day", r"\d\d"),
    "D": ("day", r"\d{1,2}"),
    "HH": ("hour", r"\d\d"),
    "H": ("hour", r"\d{1,2}"),
    "mm": ("minute", r"\d\d"),
    "SS": ("second", r"\d\d"),
    "F": ("fraction", r"\d{1,6}"),
    "Z": ("zone", r"Z|[+-]\d\d(?::?\d\d)?"),
}
_TOKEN = re.compile(r"([A-Za-z])\1*|.", re.DOTALL)
_DAY = ("year", "month", "day")
_TIME = ("hour", "minute", "second")


@dataclass(frozen=True)
class Written:
    """A format, made ready: `parts` are the names of what it holds."""

    pattern: str
    parts: frozenset[str]

    def iso(self, values: Array) -> Array:
        """The values as ISO 8601 has them, null where one is not so written."""
        found = pc.extract_regex(values, pattern=self.pattern)
        day = pc.binary_join_element_wise(*(self._digits(found, name) for name in _DAY), "-")
        clock = pc.binary_join_element_wise(*(self._digits(found, name) for name in _TIME), ":")
        # Padded, a fraction that is missing is one of zeros.
        finer = pc.utf8_rpad(self._part(found, "fraction"), width=6, padding="0")
        zone = self._part(found, "zone")
        told: Array = pc.binary_join_element_wise(day, "T", clock, ".", finer, zone, "")
        return told

    def _digits(self, found: Array, name: str) -> Array:
        """A part as two digits; zeros where it is missing."""
        padded: Array = pc.utf8_lpad(self._part(found, name), width=2, padding="0")
        return padded

    def _part(self, found: Array, name: str) -> Any:
        return pc.struct_field(found, [name]) if name in self.parts else pa.scalar("")


@cache
def written(format_: str) -> Written:
    """The format, made ready; raises `ValueError` for one that says nothing clear."""
    pattern, parts = [], list[str]()
    for letters in (found[0] for found in _TOKEN.finditer(format_)):
        if letters in _PARTS:
            name, digits = _PARTS[letters]
            rest = r"\d*" if name == "fraction" else ""  # finer than a microsecond is cut off
            pattern.append(f"(?P<{name}>{digits}){rest}")
            parts.append(name)
        elif letters in "[]":
            pattern.append({"[": "(?:", "]": ")?"}[letters])
        elif letters.isalpha() and letters != "T":
            raise ValueError(_unknown(letters))
        else:
            pattern.append(re.escape(letters))
    for name in parts:
        if parts.count(name) > 1:
            minutes = "; minutes are `mm`" if name == "month" else ""
            raise ValueError(f"the {name} stands twice in {format_!r}{minutes}")
    missing = [name for name in _DAY if name not in parts]
    if missing:
        raise ValueError(f"{format_!r} has no {' and no '.join(missing)}")
    try:
        re.compile("".join(pattern))
    except re.error:
        raise ValueError(f"the brackets of {format_!r} do not pair") from None
    return Written(f"^{''.join(pattern)}$", frozenset(parts))


def _unknown(letters: str) -> str:
    if letters == "YY":
        return "a year has four digits, `YYYY`: two do not say the century"
    return f"{letters!r} is no part of a format; the parts are {', '.join(_PARTS)} and [optional]"


def _checked(format_: str) -> str:
    written(format_)
    return format_


Format = Annotated[str, AfterValidator(_checked)]
"""A format that says something clear."""
