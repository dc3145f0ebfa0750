"""What is computed is right to its last digit, or its record is refused."""

from decimal import (
    MAX_PREC,
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_DOWN,
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    ROUND_UP,
    Context,
    Decimal,
)
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from integrations.transformation.arithmetic import Add, Divide, Multiply, Round, Subtract
from integrations.transformation.exact import LIMIT, Rounding
from integrations.transformation.mapping import MappingErrors
from integrations.transformation.rule import INT, MONEY, Coerced
from integrations_tests.transformation.things import No, check, one

MOST = "99999999999999999999999999999.999999999"
TO_2 = {"digits": 2, "rounding": "half_even"}
MODES: dict[Rounding, str] = {
    "half_even": ROUND_HALF_EVEN,
    "half_up": ROUND_HALF_UP,
    "half_down": ROUND_HALF_DOWN,
    "up": ROUND_UP,
    "down": ROUND_DOWN,
    "floor": ROUND_FLOOR,
    "ceiling": ROUND_CEILING,
}
D = Decimal


@pytest.mark.parametrize(
    ("column", "rule", "value", "becomes"),
    [
        ("money", {"type": "divide", "by": "1.21", "digits": 4, "rounding": "half_even"}, "12.10", D(10)),
        ("money", {"type": "divide", "by": "1.21", **TO_2}, "100", D("82.64")),
        ("money", {"type": "divide", "by": 3, **TO_2}, MOST, D("33333333333333333333333333333.33")),
        ("money", {"type": "divide", "by": "-3", **TO_2}, "1", D("-0.33")),
        ("money", {"type": "divide", "by": 8, **TO_2}, None, None),
        ("whole", {"type": "divide", "by": 2, "digits": 0, "rounding": "half_even"}, 5, 2),
        ("real", {"type": "divide", "by": 8, "digits": 2, "rounding": "half_up"}, 1.0, 0.13),
        ("money", {"type": "add", "by": "0.000000001"}, "-0.000000001", D(0)),
        ("money", {"type": "add", "by": "1.21"}, "0.1", D("1.31")),
        ("whole", {"type": "add", "by": -1}, -(2**63) + 1, -(2**63)),
        ("real", {"type": "add", "by": "0.5"}, 1.0, 1.5),
        ("money", {"type": "subtract", "by": 1}, "0.9", D("-0.1")),
        ("whole", {"type": "subtract", "by": 1}, 2**63 - 1, 2**63 - 2),
        ("real", {"type": "subtract", "by": "0.5"}, 2.0, 1.5),
        ("money", {"type": "multiply", "by": "1.21"}, "9999999.99", D("12099999.9879")),
        ("money", {"type": "multiply", "by": "0.5", **TO_2}, "0.01", D(0)),
        ("money", {"type": "multiply", "by": "0.5", "digits": 2, "rounding": "up"}, "0.01", D("0.01")),
        ("whole", {"type": "multiply", "by": 1000}, 5, 5000),
        ("money", {"type": "multiply", "by": 1, "digits": 3, "rounding": "down"}, "36028797018963966e6", D(36028797018963966000000)),
        ("money", {"type": "divide", "by": "0.01", **TO_2}, "36028797018963966", D(3602879701896396600)),
        ("real", {"type": "multiply", "by": "0.1"}, 5.0, 0.5),
        ("money", {"type": "negate"}, "1.5", D("-1.5")),
        ("whole", {"type": "negate"}, -(2**63) + 1, 2**63 - 1),
        ("real", {"type": "negate"}, 1.5, -1.5),
        ("money", {"type": "absolute"}, f"-{MOST}", D(MOST)),
        ("whole", {"type": "absolute"}, -5, 5),
        ("real", {"type": "absolute"}, -1.5, 1.5),
        ("money", {"type": "round", **TO_2}, "2.345", D("2.34")),
        ("money", {"type": "round", **TO_2}, "-2.355", D("-2.36")),
        ("real", {"type": "round", "digits": 1, "rounding": "floor"}, -1.55, -1.6),
        ("whole", {"type": "round", "digits": 0, "rounding": "up"}, 7, 7),
    ],
)  # fmt: skip
def test_a_number_becomes_another(column: str, rule: Any, value: Any, becomes: Any) -> None:
    """In a chain and alone, the same."""
    assert one({column: ["v", rule]}, {"v": value}) == becomes
    assert one({column: rule | {"from": "v"}}, {"v": value}) == becomes


@pytest.mark.parametrize(
    ("column", "rule", "value", "reason"),
    [
        ("money", {"type": "add", "by": "0.000000001"}, MOST, f"`v` {MOST} becomes more than the column can hold"),
        ("money", {"type": "subtract", "by": 1}, f"-{MOST}", "becomes more than the column can hold"),
        ("money", {"type": "multiply", "by": 10}, f"{LIMIT / 10}", "becomes more than the column can hold"),
        ("money", {"type": "multiply", "by": "1.5"}, "0.000000001", "becomes more than nine decimals; the rule says no"),
        ("money", {"type": "divide", "by": "0.1", **TO_2}, f"{LIMIT / 10}", "becomes more than the column can hold"),
        ("money", {"type": "round", "digits": 0, "rounding": "up"}, MOST, "becomes more than the column can hold"),
        ("whole", {"type": "add", "by": 1}, 2**63 - 1, "becomes more than the column can hold"),
        ("whole", {"type": "subtract", "by": 1}, -(2**63), "becomes more than the column can hold"),
        ("whole", {"type": "multiply", "by": 3}, 2**62, "becomes more than the column can hold"),
        ("whole", {"type": "negate"}, -(2**63), "becomes more than the column can hold"),
        ("real", {"type": "multiply", "by": 10}, 1e308, "becomes no finite number"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(column: str, rule: Any, value: Any, reason: str) -> None:
    """It does not wrap, and loses no digit."""
    assert reason in str(one({column: ["v", rule]}, {"v": value}))


NONE_IS_ZERO = {"type": "default", "value": 0}


@pytest.mark.parametrize(
    ("column", "rule", "record", "becomes"),
    [
        ("money", ["credit", {"type": "subtract", "other": "debit"}], {"credit": "5", "debit": "1.5"}, D("3.5")),
        ("money", ["credit", {"type": "subtract", "other": "debit"}], {"credit": None, "debit": "1.5"}, None),
        ("money", ["credit", {"type": "subtract", "other": "debit"}], {"credit": "5"}, None),
        (
            "money",
            ["credit", NONE_IS_ZERO, {"type": "subtract", "other": ["debit", NONE_IS_ZERO]}],
            {"credit": None, "debit": "1.5"},
            D("-1.5"),
        ),
        ("money", ["price", {"type": "multiply", "other": "number"}], {"price": "1.10", "number": 3}, D("3.3")),
        (
            "money",
            ["price", {"type": "multiply", "other": {"type": "integer", "from": "number"}}],
            {"price": "1.10", "number": 3},
            D("3.3"),
        ),
        ("whole", ["a", {"type": "add", "other": "b"}], {"a": 1, "b": 2}, 3),
        ("real", ["a", {"type": "add", "other": "b"}], {"a": 1.0, "b": 0.5}, 1.5),
        ("money", ["a", {"type": "divide", "other": "b", **TO_2}], {"a": 1, "b": 3}, D("0.33")),
        (  # 10^-9 and 10^-37 more
            "money",
            ["a", {"type": "divide", "other": "b", "digits": 9, "rounding": "up"}],
            {"a": 10**10, "b": "9999999999999999999.999999999"},
            D("0.000000002"),
        ),
        (
            "money",
            ["a", {"type": "divide", "other": "b", **TO_2}],
            {"a": 1, "b": 0},
            "money: `a` 1.000000000, `b` 0E-9 is divided by zero",
        ),
        (
            "money",
            ["a", {"type": "multiply", "other": "b"}],
            {"a": 0, "b": 10**19},
            "money: `a` 0E-9, `b` 10000000000000000000.000000000 is computed with a number of more "
            "than 19 digits before the point",
        ),
        (
            "money",
            ["a", {"type": "add", "other": {"type": "minor_units", "from": "b", "currency": "c"}}],
            {"a": 1, "b": 5, "c": "?"},
            "money: `a` 1.000000000, `b` 5, `c` '?' has no currency whose decimals are known",
        ),
        (
            "money",
            [{"type": "integer", "from": "a"}, {"type": "multiply", "by": "0.01"}],
            {"a": 1210},
            D("12.1"),
        ),
    ],
)  # fmt: skip
def test_two_fields(column: str, rule: Any, record: Any, becomes: Any) -> None:
    """Null with whatever else is null, unless a default stands before; whole numbers go with
    decimals; what the other rule cannot take costs the record."""
    assert one({column: rule}, record) == becomes


@pytest.mark.parametrize(
    "rule", [{"type": "negate"}, {"type": "absolute"}, {"type": "round", "digits": 1, "rounding": "up"}]
)  # fmt: skip
@pytest.mark.parametrize("value", [b"NaN", b"-Infinity"])
def test_what_is_no_number_stays_none(rule: dict[str, Any], value: bytes) -> None:
    """Python writes these into JSON, and Arrow reads them."""
    check("real", rule | {"from": "v"}, [(value, No("becomes no finite number"))])


def test_one_path_serves_two_columns() -> None:
    """A number that is a column of its own can be computed with, too, if it is read as the same."""
    line = ["price", {"type": "multiply", "other": {"type": "integer", "from": "number"}}]
    record = {"price": "1.10", "number": 3}
    assert one({"money": line, "whole": "number"}, record) == D("3.3")
    with pytest.raises(MappingErrors, match=r"`number` is read as .* elsewhere, here as"):
        one(
            {"money": ["price", {"type": "multiply", "other": "number"}], "whole": "number"}, record
        )


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"type": "add", "by": 1.21}, 'write the number in quotes, "1.21"'),
        ({"type": "add", "by": True}, 'a number is written as 3 or "1.21"'),
        ({"type": "add", "by": "NaN"}, "should be a finite number"),
        ({"type": "add", "by": "0.0000000001"}, "no more than 9 decimal places"),
        ({"type": "add"}, "it needs either `by`, a number, or `other`"),
        ({"type": "add", "by": 1, "other": "v"}, "it needs either `by`, a number, or `other`"),
        ({"type": "divide", "by": 0, **TO_2}, "nothing is divided by zero"),
        ({"type": "divide", "by": 2, "digits": 2}, "Field required"),
        ({"type": "multiply", "by": 2, "digits": 2}, "`digits` and `rounding` go together"),
        ({"type": "round", "digits": 10, "rounding": "up"}, "less than or equal to 9"),
        ({"type": "round", "digits": 1, "rounding": "bankers"}, "should be 'half_even', 'half_up'"),
    ],
)
def test_what_a_file_cannot_say(rule: Any, told: str) -> None:
    """Numbers are exact, roundings are said, and zero divides nothing."""
    with pytest.raises(ValidationError, match=told):
        one({"money": ["v", rule]}, {})


@pytest.mark.parametrize(
    ("fields", "at", "message"),
    [
        (
            {"text": ["v", {"type": "add", "by": 1}]},
            ("fields", "text"),
            "`text` takes text; the chain ends in an exact decimal, a whole number or a floating-point number",
        ),
        (
            {"whole": [{"type": "integer", "from": "v"}, {"type": "add", "by": "1.5"}]},
            ("fields", "whole"),
            "`whole` takes a whole number; the chain ends in an exact decimal",
        ),
        (
            {"whole": {"type": "add", "from": "v", "by": "1.5"}},
            ("fields", "whole"),
            "`whole` takes a whole number, which the rule add does not give",
        ),
        (
            {"money": ["v", {"type": "add", "other": ["w", {"type": "epoch_s"}]}]},
            ("fields", "money", 1, "other"),
            "an exact decimal is wanted; the chain ends in a moment in UTC",
        ),
        (
            {"money": ["v", {"type": "add", "other": {"type": "upper", "from": "w"}}]},
            ("fields", "money", 1, "other"),
            "an exact decimal is wanted, which the rule upper does not give",
        ),
        (
            {"real": ["v", {"type": "add", "other": {"type": "integer", "from": "w"}}]},
            ("fields", "real", 1, "other"),
            "a floating-point number is wanted, which the rule integer does not give",
        ),
        (
            {"money": ["v", {"type": "upper"}, {"type": "negate"}]},
            ("fields", "money", 2),
            "the rule negate takes an exact decimal, a whole number or a floating-point number; what comes is text",
        ),
    ],
)  # fmt: skip
def test_a_type_that_does_not_fit(fields: Any, at: Any, message: str) -> None:
    """Is a mistake of the file, at the rule where it shows."""
    with pytest.raises(MappingErrors) as caught:
        one(fields, {})
    assert caught.value.mistakes == ((at, message),)


@pytest.mark.parametrize("mode", MODES)
def test_halves_are_rounded_as_the_decimal_module_rounds_them(mode: Rounding) -> None:
    """On both sides of zero, by every rule that rounds; numbers by chance are seldom halves."""
    halves = [D(n) / 10 for n in (-25, -16, -15, -14, -5, 0, 5, 14, 15, 16, 25)]
    expected = [half.quantize(D(1), rounding=MODES[mode]) for half in halves]
    to_0: dict[str, Any] = {"digits": 0, "rounding": mode}
    values, ones = pa.array(halves, MONEY), pa.array([D(1)] * len(halves), MONEY)
    for rule in (Round(type="round", **to_0), Multiply(type="multiply", by=D(1), **to_0)):
        assert _told(rule.step(values, {}, wanted=MONEY)) == expected, rule
    divided = Divide(type="divide", other="w", **to_0)
    assert _told(divided._of(values, ones, wanted=MONEY)) == expected


EXACT = Context(prec=MAX_PREC)
WIDE = Context(prec=99)
amounts = st.decimals(-LIMIT, LIMIT, places=9).filter(lambda one: abs(one) < LIMIT)
awkward = st.builds(
    lambda power, more, places: D(2**power + more).scaleb(-places, context=WIDE),
    st.integers(0, 94), st.integers(-9, 9), st.integers(0, 9),
).filter(lambda number: abs(number) < LIMIT)  # fmt: skip
"""Near powers of two: what long division stumbles over."""
factors = st.one_of(
    st.decimals(-(10**18), 10**18, places=9),
    st.decimals(-9, 9, places=2),
    st.integers(1, 9).map(D),
    awkward.filter(lambda number: abs(number) < 10**18),
).filter(bool)
values_ = amounts | st.decimals(-99, 99, places=3) | awkward
sums = st.lists(st.tuples(values_, factors), min_size=1, max_size=8)
digits, modes = st.integers(0, 9), st.sampled_from(sorted(MODES))


def _rounded(exact: Fraction, places: int, mode: str) -> Decimal:
    """By whole numbers alone: what the decimal module says of a numerator and a remainder."""
    scaled = exact * 10**places
    below = scaled.numerator // scaled.denominator
    rest = scaled - below
    tail = (
        D(0) if not rest else D("0.5") if rest * 2 == 1 else D("0.3") if rest * 2 < 1 else D("0.7")
    )
    whole = WIDE.add(D(below), tail).quantize(D(1), rounding=MODES[mode], context=WIDE)  # type: ignore[index]
    return whole.scaleb(-places, context=WIDE)


def _told(done: Coerced) -> list[Any]:
    """The values, with True for those that were refused."""
    values: list[Any] = done.values.to_pylist()
    for bad in done.told("rule"):
        for at, is_bad in enumerate(bad.where.to_pylist()):
            values[at] = True if is_bad else values[at]
    return values


def _expected(exact: list[Decimal]) -> list[Any]:
    return [True if abs(one) >= LIMIT else one for one in exact]


@given(sums, digits, modes)
@settings(max_examples=80)
def test_a_quotient_is_rounded_from_what_it_is(sums: Any, places: int, mode: Any) -> None:
    """In every mode, whatever the digits: as whole numbers say it, never as a cut quotient would."""
    values = pa.array([value for value, _ in sums], MONEY)
    for by in {sums[0][1]}:
        rule = Divide(type="divide", by=by, digits=places, rounding=mode)
        expected = [_rounded(Fraction(value) / Fraction(by), places, mode) for value, _ in sums]
        assert _told(rule.step(values, {}, wanted=MONEY)) == _expected(expected)
    rule = Divide(type="divide", other="w", digits=places, rounding=mode)
    done = rule._of(values, pa.array([by for _, by in sums], MONEY), wanted=MONEY)
    expected = [_rounded(Fraction(value) / Fraction(by), places, mode) for value, by in sums]
    assert _told(done) == _expected(expected)


@given(sums, digits, modes)
@settings(max_examples=60)
def test_products_sums_and_roundings_are_those_of_the_decimal_module(
    sums: Any, places: int, mode: Any
) -> None:
    """To the last digit, or refused."""
    values = pa.array([value for value, _ in sums], MONEY)
    by = sums[0][1]
    step = D(1).scaleb(-places)
    quantized = lambda one: one.quantize(step, rounding=MODES[mode], context=WIDE)  # noqa: E731
    for rule, exact in (
        (Add(type="add", by=by), lambda one: EXACT.add(one, by)),
        (Subtract(type="subtract", by=by), lambda one: EXACT.subtract(one, by)),
        (
            Multiply(type="multiply", by=by, digits=places, rounding=mode),
            lambda one: quantized(EXACT.multiply(one, by)),
        ),
        (Round(type="round", digits=places, rounding=mode), quantized),
    ):
        expected = [exact(value) for value, _ in sums]
        assert _told(rule.step(values, {}, wanted=MONEY)) == _expected(expected), rule
    plain = Multiply(type="multiply", by=by).step(values, {}, wanted=MONEY)
    exact_products = [EXACT.multiply(value, by) for value, _ in sums]
    assert _told(plain) == [
        True if abs(one) >= LIMIT or one != one.quantize(D("1e-9"), context=WIDE) else one
        for one in exact_products
    ]


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=8), st.integers(-9, 2**40))
@settings(max_examples=60)
def test_whole_numbers_never_wrap(values: list[int], by: int) -> None:
    """A result of more than 64 bits is refused."""
    given_ = pa.array(values, INT)
    for rule, exact in (
        (Add(type="add", by=by), [value + by for value in values]),
        (Multiply(type="multiply", by=by), [value * by for value in values]),
    ):
        fits = [one if -(2**63) <= one < 2**63 else True for one in exact]
        assert _told(rule.step(given_, {}, wanted=INT)) == fits
