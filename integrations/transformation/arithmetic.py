"""The rules that compute: on exact decimals, whole numbers and floating-point numbers.

What comes decides how: decimals and whole numbers are exact, floating-point numbers are not. Null
with whatever else is null; `default` before makes it a number.
"""

from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import pyarrow as pa
from pydantic import Field, PrivateAttr, model_validator

from integrations.transformation.arrow import Array, pc
from integrations.transformation.chain import Misfit
from integrations.transformation.exact import (
    FACTOR,
    TOO_LARGE,
    WIDE,
    Digits,
    ExactNumber,
    Rounding,
    factors,
    fitted,
    quotient,
    rounded,
    wide,
)
from integrations.transformation.kinds import DECIMAL, INTEGER, NUMBER, Kind
from integrations.transformation.rule import (
    FLOAT,
    INT,
    MONEY,
    Bad,
    Coerced,
    Columns,
    FromOne,
    Rule,
    Settle,
)

if TYPE_CHECKING:
    from integrations.transformation.rules import FieldRule

_KINDS: dict[pa.DataType, Kind] = {INT: INTEGER, MONEY: DECIMAL, FLOAT: NUMBER}


class Numeric(FromOne):
    """Base of the rules that turn a number into one of the same type, or a whole one into an exact
    decimal. One that reads for itself reads the type that is wanted."""

    kind: ClassVar = DECIMAL
    takes: ClassVar = (MONEY, INT, FLOAT)
    gives: ClassVar = (MONEY, INT, FLOAT)
    _read_as: Kind = PrivateAttr(default=DECIMAL)

    def reads(self) -> dict[str, Kind]:
        own = {} if self.source is None else {self.source: self._read_as}
        return own | {path: kind for rule in self.inner() for path, kind in rule.reads().items()}

    def fits(self, wanted: pa.DataType) -> bool:
        return wanted in self.gives and wanted in self.gives_of(wanted)

    def gives_of(self, taken: pa.DataType) -> tuple[pa.DataType, ...]:
        return (INT, MONEY) if taken == INT else (taken,)

    def settled(self, wanted: pa.DataType, settle: Settle) -> Rule:
        rule = self.model_copy()
        rule._read_as = _KINDS[wanted]
        return rule


class Negate(Numeric):
    """The number with the other sign."""

    type: Literal["negate"]

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        if wanted == FLOAT:
            return _finite(pc.negate(values))
        return fitted(pc.negate(wide(values)), wanted, rule=self.name)


class Absolute(Numeric):
    """The number without its sign."""

    type: Literal["absolute"]

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        if wanted == FLOAT:
            return _finite(pc.abs(values))
        return fitted(pc.abs(wide(values)), wanted, rule=self.name)


class Round(Numeric):
    """The number with so many decimals; `rounding` is half_even, half_up, half_down, up, down,
    floor or ceiling, as Python's decimal module has them.

    A floating-point number stays one, and is rounded as such: what looks like a tie, as 1.005 does,
    lies beside it and may go either way. Where that matters a `decimal` is rounded.
    """

    type: Literal["round"]
    digits: Digits
    rounding: Rounding

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        if wanted == FLOAT:
            return _finite(rounded(values, self.digits, self.rounding))
        # One digit more than a decimal has: 999.5 may become 1000.
        done = rounded(values.cast(pa.decimal256(40, 9)), self.digits, self.rounding)
        return fitted(done, wanted, rule=self.name)


class Arithmetic(Numeric):
    """Base of the rules of two numbers: `by` is the second, or `other` a rule that gives it."""

    by: ExactNumber | None = None
    other: "FieldRule | None" = Field(
        default=None, description="The second number: a path, a rule, or a list of rules."
    )

    @model_validator(mode="after")
    def _one_second(self) -> Self:
        if (self.by is None) == (self.other is None):
            raise ValueError("it needs either `by`, a number, or `other`, where one is found")
        return self

    def gives_of(self, taken: pa.DataType) -> tuple[pa.DataType, ...]:
        whole = self.by is None or self.by == self.by.to_integral_value()
        return super().gives_of(taken) if whole or taken != INT else (MONEY,)

    def settled(self, wanted: pa.DataType, settle: Settle) -> Rule:
        rule = super().settled(wanted, settle)
        if self.other is None:
            return rule
        return rule.having([_second(self.other, wanted, settle)])

    def step(self, values: Array, columns: Columns, *, wanted: pa.DataType) -> Coerced:
        """The column made of both numbers; null where one of them is."""
        if not self.inner():
            assert self.by is not None, "the file says one of the two"
            number = float(self.by) if wanted == FLOAT else pa.scalar(self.by, FACTOR)
            return self._of(values, number, wanted=wanted)
        (rule,) = self.inner()
        type_ = wanted if rule.fits(wanted) else INT
        second = rule.apply(columns, wanted=type_, rows=len(values))
        done = self._of(values, second.values, wanted=wanted)
        return Coerced(done.values, done.bad, done.reason, (*second.told(rule.name), *done.before))

    def _of(self, values: Array, second: Any, *, wanted: pa.DataType) -> Coerced:
        """`second` is a number (floating-point, or exact), or a column of them."""
        if wanted != FLOAT:
            return self.exact(wide(values), second, wanted=wanted)
        return _finite(self.real(values, second))

    def exact(self, values: Array, second: Any, *, wanted: pa.DataType) -> Coerced:
        """The column of exact numbers; `values` are `WIDE`."""
        raise NotImplementedError

    def real(self, values: Array, second: Any) -> Array:
        """The column of floating-point numbers."""
        raise NotImplementedError


def _second(given: Any, wanted: pa.DataType, settle: Settle) -> Rule:
    """The rule of the second number; where decimals are computed, whole numbers will do."""
    try:
        return settle(given, wanted)
    except Misfit as error:
        try:
            if wanted == MONEY:
                return settle(given, INT)
        except Misfit:
            pass
        raise error.below("other") from None


class Add(Arithmetic):
    """The sum of the number and `by`, or of what `other` gives."""

    type: Literal["add"]

    def exact(self, values: Array, second: Any, *, wanted: pa.DataType) -> Coerced:
        return fitted(pc.add(values, second.cast(WIDE)), wanted, rule=self.name)

    def real(self, values: Array, second: Any) -> Array:
        done: Array = pc.add(values, second)
        return done


class Subtract(Arithmetic):
    """The number less `by`, or less what `other` gives."""

    type: Literal["subtract"]

    def exact(self, values: Array, second: Any, *, wanted: pa.DataType) -> Coerced:
        return fitted(pc.subtract(values, second.cast(WIDE)), wanted, rule=self.name)

    def real(self, values: Array, second: Any) -> Array:
        done: Array = pc.subtract(values, second)
        return done


class Multiply(Arithmetic):
    """The number times `by`, or times what `other` gives; a product of more than nine decimals
    needs `digits` and `rounding`."""

    type: Literal["multiply"]
    digits: Digits | None = None
    rounding: Rounding | None = None

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.digits is None) != (self.rounding is None):
            raise ValueError("`digits` and `rounding` go together")
        return self

    def exact(self, values: Array, second: Any, *, wanted: pa.DataType) -> Coerced:
        second, bad = _factor(second)
        product = pc.multiply(values, second)
        if self.digits is not None and self.rounding is not None:
            product = rounded(product, self.digits, self.rounding)
        return _with(fitted(product, wanted, rule=self.name), bad)

    def real(self, values: Array, second: Any) -> Array:
        product: Array = pc.multiply(values, second)
        if self.digits is not None and self.rounding is not None:
            return rounded(product, self.digits, self.rounding)
        return product


class Divide(Arithmetic):
    """The number divided by `by`, or by what `other` gives, rounded as `digits` and `rounding` say.

    Exact decimals are rounded from the true quotient, not from one cut short before.
    """

    type: Literal["divide"]
    digits: Digits
    rounding: Rounding

    @model_validator(mode="after")
    def _not_by_zero(self) -> Self:
        if self.by == 0:
            raise ValueError("nothing is divided by zero")
        return self

    def gives_of(self, taken: pa.DataType) -> tuple[pa.DataType, ...]:
        if taken == INT:
            return (MONEY, INT) if self.digits == 0 else (MONEY,)
        return (taken,)

    def exact(self, values: Array, second: Any, *, wanted: pa.DataType) -> Coerced:
        second, bad = _factor(second)
        second, zero = _nowhere_zero(second)
        done = fitted(quotient(values, second, self.digits, self.rounding), wanted, rule=self.name)
        return _with(Coerced(done.values, zero, "is divided by zero", done.before), bad)

    def real(self, values: Array, second: Any) -> Array:
        return rounded(pc.divide(values, second), self.digits, self.rounding)


def _finite(values: Array) -> Coerced:
    """Floating-point numbers less NaN and infinities, which some sources write into JSON."""
    bad = pc.invert(pc.is_finite(values))
    return Coerced(pc.if_else(bad, None, values), bad, "becomes no finite number")


def _factor(second: Any) -> tuple[Any, Array | None]:
    """A number to multiply with or to divide by, and where one is too large for that."""
    return factors(second) if isinstance(second, pa.Array) else (second, None)


def _nowhere_zero(second: Any) -> tuple[Any, Array | None]:
    if not isinstance(second, pa.Array):
        return second, None
    zero = pc.equal(second, pa.scalar(Decimal(0), FACTOR))
    return pc.if_else(zero, None, second), zero


def _with(done: Coerced, too_large: Array | None) -> Coerced:
    if too_large is None:
        return done
    told = Bad(too_large, TOO_LARGE, "number")
    return Coerced(done.values, done.bad, done.reason, (*done.before, told))
