"""The rule for units of measure: `{type: unit, from: weight, is: g, to: kg}`.

Which units there are, which of them fit, and by what exact fraction one becomes another is the
library pint's to say. To import it costs 0.4 CPU-s, and every process reads the files of all
connectors: so the usual units stand here too, held equal to pint's by a test, and pint is asked
about the others.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any, Literal, Self

import pyarrow as pa
from pydantic import Field, PrivateAttr, model_validator

from integrations.transformation.arithmetic import Numeric
from integrations.transformation.arrow import Array, array, pc
from integrations.transformation.chain import Misfit
from integrations.transformation.exact import (
    FACTOR,
    LIMIT,
    TOO_LARGE,
    WIDE,
    Digits,
    Rounding,
    fitted,
    quotient,
    rounded,
    wide,
    within,
)
from integrations.transformation.kinds import STRING, Kind
from integrations.transformation.rule import (
    FLOAT,
    TEXT,
    Bad,
    Coerced,
    Columns,
    Rule,
    Settle,
    SourcePath,
)

_RATIO = pa.decimal256(30, 15)
_WHOLE = pa.decimal256(19, 0)
_TINIEST, _LARGEST = 10**15, 10**19


_USUAL: dict[str, tuple[str, Fraction]] = {
    name: (dimension, Fraction(size))
    for dimension, sizes in {
        "mass": "mg=1/1000000 g=1/1000 kg=1 t=1000 lb=0.45359237 oz=0.028349523125",
        "length": "mm=1/1000 cm=1/100 m=1 km=1000 in=0.0254 inch=0.0254 ft=0.3048 yd=0.9144",
        "time": "ms=1/1000 s=1 min=60 hour=3600 day=86400",
    }.items()
    for name, size in (one.split("=") for one in sizes.split())
}
"""What the usual units measure, and how much of it."""


@dataclass(frozen=True)
class Conversion:
    """A value in one unit is `value × ratio + offset` in another."""

    ratio: Fraction
    offset: Fraction

    @property
    def decimal(self) -> bool:
        """Whether both are decimals that Arrow multiplies with exactly."""
        parts = (self.ratio, self.offset)
        return all(_TINIEST % one.denominator == 0 and abs(one) < _TINIEST for one in parts)

    @property
    def whole(self) -> tuple[int, int, int]:
        """`(value × first + second) / third`, in whole numbers."""
        below = self.ratio.denominator * self.offset.denominator
        return int(self.ratio * below), int(self.offset * below), below


@cache
def _registry() -> Any:
    import pint

    return pint.UnitRegistry(non_int_type=Fraction)


@cache
def conversion(unit: str, to: str) -> Conversion:
    """How the one becomes the other; raises ValueError where it is no unit, or none that fits."""
    if unit not in _USUAL or to not in _USUAL:
        return asked(unit, to)
    (dimension, size), (other, ours) = _USUAL[unit], _USUAL[to]
    if dimension != other:
        raise _unlike(unit, to, dimension, other)
    return Conversion(size / ours, Fraction(0))


def asked(unit: str, to: str) -> Conversion:
    """The same, as pint has it."""
    source, ours = _parsed(unit), _parsed(to)
    if not source.is_compatible_with(ours):
        dimensions = (_dimension(one.dimensionality) for one in (source, ours))
        raise _unlike(unit, to, *dimensions)
    make = _registry().Quantity
    try:
        zero, one, two = (make(Fraction(n), source).to(ours).magnitude for n in range(3))
    except TypeError:  # logarithms have no fractions
        raise ValueError(f"{unit!r} becomes {to!r} by no factor") from None
    assert two - one == one - zero, "what has fractions is linear"
    return Conversion(Fraction(one - zero), Fraction(zero))


def _unlike(unit: str, to: str, dimension: str, other: str) -> ValueError:
    return ValueError(f"{unit!r} does not become {to!r}: they measure {dimension} and {other}")


def _parsed(unit: str) -> Any:
    try:
        return _registry().parse_units(unit)
    except Exception:  # noqa: BLE001  # pint raises many kinds on what is no unit
        raise ValueError(f"{unit!r} is no unit") from None


def _dimension(dimensions: Any) -> str:
    found = " × ".join(
        f"{name.strip('[]')}{'' if power == 1 else f'^{power}'}"
        for name, power in sorted(dimensions.items())
    )
    return found or "a plain number"


def same(unit: str, other: str) -> bool:
    """Whether two words mean one unit: `kg` and `kilogram`."""
    try:
        return unit == other or conversion(unit, other) == Conversion(Fraction(1), Fraction(0))
    except ValueError:
        return False


class Unit(Numeric):
    """A measure in another unit: `is` says the source's, or `is_from` where it stands, with the
    source's words for it in `units`; `to` is ours.

    Exact by fractions: 1 lb is 0.45359237 kg. Where no decimal is the factor (kg to lb), or a
    result may have more than nine decimals, `digits` and `rounding` say how it is rounded.
    """

    type: Literal["unit"]
    is_: str | None = Field(default=None, alias="is", min_length=1)
    is_from: SourcePath | None = None
    units: dict[str, str] = Field(
        default={}, description="The source's words, and the units that they are: {KGM: kg}."
    )
    to: str = Field(min_length=1)
    digits: Digits | None = None
    rounding: Rounding | None = None
    _ways: tuple[Conversion, ...] = PrivateAttr(default=())

    @model_validator(mode="after")
    def _one_unit(self) -> Self:
        if (self.is_ is None) == (self.is_from is None):
            raise ValueError("it needs either `is`, a unit, or `is_from`, where one is found")
        if (self.is_from is None) == bool(self.units):
            raise ValueError("`is_from` and `units` go together: the source's words for its units")
        if (self.digits is None) != (self.rounding is None):
            raise ValueError("`digits` and `rounding` go together")
        return self

    def in_unit(self) -> str:
        return self.to

    def reads(self) -> dict[str, Kind]:
        return super().reads() | ({} if self.is_from is None else {self.is_from: STRING})

    def settled(self, wanted: pa.DataType, settle: Settle) -> Rule:
        rule = super().settled(wanted, settle)
        assert isinstance(rule, Unit), "a copy of this one"
        if self.is_ is not None:
            rule._ways = (self._way(self.is_, wanted, "is"),)
        else:
            rule._ways = tuple(
                self._way(unit, wanted, "units", word) for word, unit in self.units.items()
            )
        return rule

    def _way(self, unit: str, wanted: pa.DataType, *at: str) -> Conversion:
        try:
            way = conversion(unit, self.to)
        except ValueError as error:
            raise Misfit(str(error), *at) from None
        if wanted != FLOAT and self.digits is None and not way.decimal:
            raise Misfit(f"{unit!r} becomes {self.to!r} by no decimal: say `digits` and `rounding`")
        if wanted != FLOAT and max(map(abs, way.whole)) >= _LARGEST:
            told = f"the fraction of {unit!r} to {self.to!r} is too long for exact decimals"
            raise Misfit(told, *at)
        return way

    def step(self, values: Array, columns: Columns, *, wanted: pa.DataType) -> Coerced:
        if self.is_from is None:
            return self._converted(values, None, wanted=wanted)
        words = columns[self.is_from]
        found = pc.index_in(words, value_set=array(list(self.units), TEXT))
        done = self._converted(values, found, wanted=wanted)
        strange = pc.and_(pc.is_valid(values), pc.is_null(found))
        known = ", ".join(self.units)
        return Coerced(done.values, strange, f"has a unit that is none of {known}", done.before)

    def _converted(self, values: Array, found: Array | None, *, wanted: pa.DataType) -> Coerced:
        """`found` is, for each value, which of the units it has; None where there is but one."""
        if wanted == FLOAT:
            return self._real(values, found)
        if all(way.decimal for way in self._ways):
            ratio = _each((way.ratio for way in self._ways), _RATIO, found)
            done = pc.multiply(wide(values), ratio)
            if any(way.offset for way in self._ways):
                done = pc.add(done, _each((way.offset for way in self._ways), _RATIO, found))
            if self.digits is not None and self.rounding is not None:
                done = rounded(done, self.digits, self.rounding)
            return fitted(done, wanted, rule=self.name)
        return self._divided(wide(values), found, wanted=wanted)

    def _divided(self, values: Array, found: Array | None, *, wanted: pa.DataType) -> Coerced:
        assert self.digits is not None, "settled"
        assert self.rounding is not None, "settled"
        first, second, third = zip(*(way.whole for way in self._ways), strict=True)
        product = pc.multiply(values, _each(first, _WHOLE, found))
        sums = pc.add(product, _each(second, _WHOLE, found))
        kept, beyond = within(sums, LIMIT)
        by = _each(third, FACTOR, found)
        kept = kept.cast(WIDE)
        done = fitted(quotient(kept, by, self.digits, self.rounding), wanted, rule=self.name)
        told = () if beyond is None else (Bad(beyond, TOO_LARGE, self.name),)
        return Coerced(done.values, before=(*told, *done.before))

    def _real(self, values: Array, found: Array | None) -> Coerced:
        ratio = _each((float(way.ratio) for way in self._ways), FLOAT, found)
        offset = _each((float(way.offset) for way in self._ways), FLOAT, found)
        done = pc.add(pc.multiply(values, ratio), offset)
        if self.digits is not None and self.rounding is not None:
            done = rounded(done, self.digits, self.rounding)
        return Coerced(done, pc.invert(pc.is_finite(done)), "becomes no finite number")


def _each(numbers: Iterable[Any], type_: pa.DataType, found: Array | None) -> Any:
    """The number of each value's unit, or the one there is."""
    made = [Decimal(n.numerator) / n.denominator if isinstance(n, Fraction) else n for n in numbers]
    if found is None:
        return pa.scalar(made[0], type_)
    return array(made, type_).take(found)
