"""Exact decimals, column by column: what is computed is right to its last digit, or refused.

Arrow computes with up to 76 digits, but truncates quotients and raises for a whole column where one
value does not fit. Here a result is rounded as is said, and one that does not fit costs its row.
"""

from decimal import Decimal
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import BeforeValidator, Field

from integrations.transformation.arrow import Array, pc
from integrations.transformation.rule import INT, MONEY, Bad, Coerced

WIDE = pa.decimal256(38, 9)
"""A value, ready to be computed with."""
FACTOR = pa.decimal256(28, 9)
"""What a value is multiplied with or divided by."""
LIMIT = Decimal(10) ** 29
FACTOR_LIMIT = Decimal(10) ** 19
DECIMALS = 9

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
    found: Array = pc.round(values, ndigits=digits, round_mode=_MODES[rounding])
    return found


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
    """`values` (`WIDE`) divided by `by` (`FACTOR`, nowhere zero), rounded as if never truncated."""
    # Arrow truncates, here after 38 decimals. That moves no rounding: a quotient of whole numbers,
    # the divisor below 10^28, is a tie of nine decimals or at least 5 × 10^-38 away from any.
    found, beyond = within(pc.divide(values.cast(pa.decimal256(47, 18)), by), LIMIT)
    done = rounded(found, digits, rounding)
    # What lies beyond stays so: `fitted` is to see it.
    return done if beyond is None else pc.if_else(beyond, pa.scalar(LIMIT, done.type), done)


def fitted(values: Array, wanted: pa.DataType, *, rule: str) -> Coerced:
    """Results as a column; those that it cannot hold, or not exactly, are bad."""
    try:
        return Coerced(values.cast(wanted))
    except pa.ArrowInvalid:  # one of them does not fit
        pass
    kept, beyond = _held(values, wanted)
    least = rounded(kept, 0 if wanted == INT else DECIMALS, "down")
    inexact = pc.not_equal(least, kept)
    good = pc.if_else(inexact, None, least).cast(wanted)
    told = (Bad(inexact, INEXACT, rule),)
    return Coerced(good, before=told if beyond is None else (*told, Bad(beyond, BEYOND, rule)))


def _held(values: Array, wanted: pa.DataType) -> tuple[Array, Array | None]:
    if wanted == MONEY:
        return within(values, LIMIT)
    bounds = (pa.scalar(Decimal(end), pa.decimal256(28, 9)) for end in (-(2**63), 2**63 - 1))
    low, high = bounds
    bad = pc.or_(pc.less(values, low), pc.greater(values, high))
    return pc.if_else(bad, None, values), bad
