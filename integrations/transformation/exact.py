"""Exact decimals, column by column: what is computed is right to its last digit, or refused.

Arrow computes with up to 76 digits, but cuts quotients short, divides wrongly by long numbers, and
raises for a whole column where one value does not fit. Here a result is rounded as is said, and one
that does not fit costs its row.
"""

from decimal import Decimal
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import BeforeValidator, Field

from integrations.transformation.arrow import Array, pc
from integrations.transformation.rule import FLOAT, INT, MONEY, Bad, Coerced

WIDE = pa.decimal256(38, 9)
"""A value, ready to be computed with."""
FACTOR = pa.decimal256(28, 9)
"""What a value is multiplied with or divided by."""
LIMIT = Decimal(10) ** 29
FACTOR_LIMIT = Decimal(10) ** 19
DECIMALS = 9

_STEP = 9
"""Decimals that Arrow takes off at a time. It divides exactly by what fits into 32 bits, by more
not always: 36028797018963966 of 24 decimals, rounded to nine, is 36028797018963961.16 (pyarrow 26).
"""
_QUOTIENT = pa.decimal256(40, 0)
_TENS = pa.decimal256(11, 0)
_WHOLE = pa.decimal256(30, 0)
_SIGN = pa.decimal256(2, 0)
_SIGNS = (Decimal(-1), Decimal(0), Decimal(1))

Digits = Annotated[int, Field(ge=0, le=DECIMALS, description="Decimals of the result.")]
Rounding = Literal["half_even", "half_up", "half_down", "up", "down", "floor", "ceiling"]
"""As Python's decimal module names them: `up` is away from zero, `ceiling` to plus infinity."""

_MODES: dict[Rounding, str] = {
    "half_even": "half_to_even",
    "half_up": "half_towards_infinity",
    "half_down": "half_towards_zero",
    "up": "towards_infinity",
    "down": "towards_zero",
    "floor": "down",
    "ceiling": "up",
}
"""The same in Arrow's words."""

BEYOND = "becomes more than the column can hold"
INEXACT = "becomes more than nine decimals; the rule says no `digits` and `rounding`"
TOO_LARGE = "is computed with a number of more than 19 digits before the point"


def _number(value: Any) -> Any:
    if isinstance(value, float):
        raise ValueError(f'write the number in quotes, "{value}": without them it is not exact')
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise ValueError('a number is written as 3 or "1.21"')
    return value


ExactNumber = Annotated[
    Decimal,
    BeforeValidator(_number, json_schema_input_type=int | str),
    Field(max_digits=28, decimal_places=DECIMALS, allow_inf_nan=False),
]
"""A number in a connector's file: a whole one, or in quotes."""


def wide(values: Array) -> Array:
    """Whole numbers or decimals, ready to be computed with."""
    return values.cast(WIDE)


def rounded(values: Array, digits: int, rounding: Rounding) -> Array:
    """Decimals of 256 bits or floating-point numbers, rounded."""
    if not pa.types.is_floating(values.type):
        while values.type.scale - digits > _STEP:
            values = _shortened(values, values.type.scale - _STEP + 1)
    found: Array = pc.round(values, ndigits=digits, round_mode=_MODES[rounding])
    return found


def _shortened(values: Array, scale: int) -> Array:
    """The values with fewer decimals, for rounding them further: what is cut off leaves a one in
    the last, so that no value falls on a tie or on a whole number that did not lie there."""
    cut = pc.round(values, ndigits=scale - 1, round_mode=_MODES["down"])
    ones = (pa.scalar(one.scaleb(-scale), pa.decimal256(scale + 1, scale)) for one in _SIGNS)
    less, none, more = ones
    left = pc.if_else(pc.less(values, cut), less, pc.if_else(pc.equal(values, cut), none, more))
    return exactly(pc.add(cut, left), scale)


def exactly(values: Array, scale: int) -> Array:
    """The values with no more decimals than these; raises `ArrowInvalid` where one has more."""
    while values.type.scale > scale:
        off = min(_STEP, values.type.scale - scale)
        values = values.cast(pa.decimal256(values.type.precision - off, values.type.scale - off))
    return values


def within(values: Array, limit: Decimal) -> tuple[Array, Array | None]:
    """The values without those that lie at the limit or beyond, and where these stood."""
    ends = pc.min_max(values).as_py().values()  # ten times as fast as to compare them all
    if all(end is None or abs(end) < limit for end in ends):
        return values, None
    bad = pc.greater_equal(pc.abs(values), pa.scalar(limit, pa.decimal256(40, 9)))
    return pc.if_else(bad, None, values), bad


def factors(values: Array) -> tuple[Array, Array | None]:
    """Decimals as something to multiply with or divide by, and where they are too large for it."""
    kept, bad = within(wide(values), FACTOR_LIMIT)
    return kept.cast(FACTOR), bad


def quotient(values: Array, by: Any, digits: int, rounding: Rounding) -> Array:
    """`values` (`WIDE`) divided by `by` (`FACTOR`, nowhere zero), rounded from what it truly is."""
    beyond = pc.greater_equal(pc.abs(values), pc.multiply(pc.abs(by), pa.scalar(LIMIT, _WHOLE)))
    kept = pc.if_else(beyond, None, values)
    whole, rest = _divided(pc.multiply(kept, pa.scalar(Decimal(10 ** (digits + 1)), _TENS)), by)
    # One digit more than is wanted, and behind it a one where something is left over.
    left = pc.multiply(pc.sign(rest.cast(FLOAT)), pc.sign(_real(by))).cast(_SIGN)
    exact = pc.add(pc.multiply(whole, pa.scalar(Decimal(10), _SIGN)), left)
    unit = pa.scalar(Decimal(1).scaleb(-digits - 2), pa.decimal256(digits + 3, digits + 2))
    done = rounded(pc.multiply(exact, unit), digits, rounding)
    # What lies beyond stays so: `fitted` is to see it.
    held: Array = pc.if_else(beyond, pa.scalar(LIMIT, done.type), done)
    return held


def _divided(values: Array, by: Any) -> tuple[Array, Array]:
    """Whole quotients, and remainders of either sign that are smaller than the divisor.

    Arrow's own division is wrong for some divisors, see `_STEP`. Here floating-point numbers only
    guess; what is right is settled by multiplying back, which is exact.
    """
    real, least = _real(by), pc.abs(by)
    rest, whole = values, pc.multiply(values, 0).cast(_QUOTIENT)
    while not pc.all(pc.less(pc.abs(rest), least), min_count=0).as_py():
        guess = pc.round(pc.divide(rest.cast(FLOAT), real)).cast(_QUOTIENT)
        whole = pc.add(whole, guess).cast(_QUOTIENT)
        rest = pc.subtract(values, pc.multiply(whole, by))
    return whole, rest


def _real(by: Any) -> Any:
    return by.cast(FLOAT)


def fitted(values: Array, wanted: pa.DataType, *, rule: str) -> Coerced:
    """Results as a column; those that it cannot hold, or not exactly, are bad."""
    scale = 0 if wanted == INT else DECIMALS
    try:
        return Coerced(exactly(values, scale).cast(wanted))
    except pa.ArrowInvalid:  # one of them does not fit
        pass
    kept, beyond = _held(values, wanted)
    least = rounded(kept, scale, "down")
    inexact = pc.not_equal(least, kept)
    good = exactly(pc.if_else(inexact, None, least), scale).cast(wanted)
    told = (Bad(inexact, INEXACT, rule),)
    return Coerced(good, before=told if beyond is None else (*told, Bad(beyond, BEYOND, rule)))


def _held(values: Array, wanted: pa.DataType) -> tuple[Array, Array | None]:
    if wanted == MONEY:
        return within(values, LIMIT)
    bounds = (pa.scalar(Decimal(end), pa.decimal256(28, 9)) for end in (-(2**63), 2**63 - 1))
    low, high = bounds
    bad = pc.or_(pc.less(values, low), pc.greater(values, high))
    return pc.if_else(bad, None, values), bad
