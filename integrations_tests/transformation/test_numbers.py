"""Numbers in every dress: exactly what was meant, or a refusal that says what is wrong."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.transformation.money import EXPONENTS
from integrations_tests.transformation.things import No, check, one, transform

D = Decimal

NO_NUMBER = [
    *("", " ", "\t", "\n", "-", "+", ".", ",", "e", "1e", "e1", "1e+", "--1", "+-1", "-+1", "1-1"),
    *("NaN", "nan", "-NaN", "Infinity", "-Infinity", "inf", "null", "None", "N/A", "true", "one"),
    *("0x1F", "0b1", "0o7", "1f", "1L", "1d", "1%", "1 000 000 x", "1\x00", "\x001", "1\n", "\n1"),
    *("\ufeff1", "1\ufeff", "\u200b1", "\u2212" + "1", "\u0661\u0662", "\uff11\uff12", "\u00bd"),
    *("\u2167", "\u00b2", "1.2.3", "1..2", "1,2,3", "1__0", "0x1p3", "1e1e1", "1e1.5", "12 34"),
    *("#REF!", "1/2", "1:2", "(1", "1)", "\U0001d7ce"),
]
"""What no rule takes for a number."""
STRICT = [*("+1", " 1", "1 ", "1_000", "1 000", "1,000", "1'000", "1-", "(1)", "$1", "\u20ac 1")]
"""Spellings that are taken where the file says so, and nowhere else."""

WHOLE = [{"type": "text", "from": "v"}, {"type": "integer"}]
EXACT = [{"type": "text", "from": "v"}, {"type": "decimal"}]
FLOATING = [{"type": "text", "from": "v"}, {"type": "number"}]
WRITTEN = {"type": "written_number", "from": "v"}
DUTCH = WRITTEN | {"decimal": ",", "thousands": ".", "minus": "either", "blanks": True}
DUTCH |= {"symbols": ["\u20ac", "EUR"], "plus": True}
LONG = "12345678901234567890123456789.123456789"


def refused(values: list[str], why: str) -> Iterator[tuple[str, No]]:
    return ((value, No(why)) for value in values)


def test_whole_numbers_of_json() -> None:
    """A JSON number without a fraction and of 64 bits, and nothing else."""
    cases = [
        *((n, n) for n in (0, 1, -1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63))),
        (b"-0", 0),
        (None, None),
        *((v, No("expected `int | null`")) for v in ("1", 1.0, 1.5, True, False, [], {}, [1], "")),
        *((v, No("at most 64 bits")) for v in (2**63, -(2**63) - 1, 10**30)),
        (b"1e3", No("expected `int")),
        (b"1E400", No("")),
        (b"NaN", No("no JSON")),
        (b"-Infinity", No("no JSON")),
        (b"01", No("no JSON")),
        (b"+1", No("no JSON")),
        (b"0x10", No("no JSON")),
        (b"1_000", No("no JSON")),
        (b'"\\ud800"', No("half of a surrogate pair")),
        (b'"\xff"', No("")),
    ]
    check("whole", "v", cases)


def test_whole_numbers_of_text() -> None:
    """Digits with a minus before them; leading zeros mean nothing."""
    cases = [
        *(("17", 17), ("-5", -5), ("0", 0), ("-0", 0), ("007", 7), ("-007", -7), (None, None)),
        *((str(n), n) for n in (2**63 - 1, -(2**63), 2**53 + 1)),
        ("0" * 60 + "5", 5),
        *refused([str(2**63), str(-(2**63) - 1), "9" * 100], "no whole number of at most 64 bits"),
        *refused([*NO_NUMBER, *STRICT, "1.0", "1.5", "1e3", "1,0"], "is no whole number"),
    ]
    check("whole", WHOLE, cases)


def test_whole_numbers_of_decimals() -> None:
    """A decimal is taken as a whole number only where it is one."""
    rule = [{"type": "decimal", "from": "v"}, {"type": "integer"}]
    cases = [
        *((17, 17), ("17.0", 17), (b"1e3", 1000), (2**63 - 1, 2**63 - 1), (-(2**63), -(2**63))),
        *((v, No("no whole number")) for v in (17.5, "0.000000001", 2**63, -(2**63) - 1, "1e28")),
    ]
    check("whole", rule, cases)
    check("text", WHOLE, [("007", "7"), ("-0", "0")])


def test_exact_decimals_of_json() -> None:
    """Numbers and strings of numbers, by their digits."""
    cases = [
        *((12, D(12)), ("12.10", D("12.10")), (b"12.10", D("12.10")), (b"-0.0", D(0))),
        *((b"1e3", D(1000)), ("1E-9", D("1E-9")), (b"0.1", D("0.1")), (None, None)),
        *((LONG, D(LONG)), (f"-{LONG}", D(f"-{LONG}")), (LONG.encode(), D(LONG))),
        ("1.0000000000", D(1)),
        *((v, No("`v`: ")) for v in ("1.0000000001", "1e-10", "9" * 30, "1e29", "1e400", True)),
        *((v, No("`v`: ")) for v in ([], {}, ["1"], *(v for v in NO_NUMBER if v != "\x001"))),
        *((v, No("`v`: ")) for v in STRICT if v != "+1"),
        ("+1", D(1)),  # no other number can be meant
        (b"1e400", No("Number too big")),
        (b"NaN", No("")),
        (b'"\\udfff"', No("half of a surrogate pair")),
    ]
    check("money", "v", cases)


def test_exact_decimals_of_text() -> None:
    """As JSON writes numbers; what has a tenth decimal is refused, never rounded."""
    cases = [
        *(("12.10", D("12.10")), ("-0", D(0)), ("1e3", D(1000)), ("1E-9", D("1E-9")), (None, None)),
        *((LONG, D(LONG)), (f"-{LONG}", D(f"-{LONG}")), ("1e28", D(10) ** 28)),
        *(("0" * 60 + "1.5", D("1.5")), ("1.0000000000", D(1)), ("-0.000000001", D("-1E-9"))),
        *refused(["1.0000000001", "0.0000000001", "1e-10", "9" * 30, "1e29"], "nine decimals"),
        *refused(["1e99", "1e400", "1e-400", ".5", "5.", "-.5"], "is no decimal number"),
        *refused(NO_NUMBER + STRICT, "is no decimal number of at most 29 digits and nine"),
    ]
    check("money", EXACT, cases)


def test_a_path_is_read_as_what_its_rule_takes_first() -> None:
    """A decimal is read from a number and from text, and a whole number from a number alone."""
    check("money", ["v", {"type": "decimal"}], [(b"12.10", D("12.10")), ("12.10", D("12.10"))])
    check("whole", ["v", {"type": "integer"}], [(5, 5), ("5", No("expected `int"))])
    check(
        "real", ["v", {"type": "number"}], [(5, 5.0), (b"1.5", 1.5), ("5", No("expected `float"))]
    )
    check("moment", ["v", {"type": "epoch_s"}], [(b"1.5", No("expected `int"))])


def test_floating_point_numbers() -> None:
    """Finite ones; a whole number that they cannot hold is refused."""
    cases = [
        *(("1.5", 1.5), ("-0", -0.0), ("1e3", 1000.0), ("0.1", 0.1), ("1e-300", 1e-300)),
        *(("1.7976931348623157e308", 1.7976931348623157e308), ("007.5", 7.5), (None, None)),
        *refused(["1e400", "-1e400", "1e309", "1" * 400], "no finite number"),
        *refused([*NO_NUMBER, *STRICT, ".5", "5.", "1,5"], "is no finite number"),
    ]
    check("real", FLOATING, cases)
    of_json = [
        (1, 1.0),
        (b"1.5e3", 1500.0),
        (b"-0.0", -0.0),
        ("1", No("expected `float")),
        (b"1e400", No("")),
    ]
    check("real", "v", [*of_json, (b"NaN", No("")), (True, No("expected `float")), (None, None)])
    whole = [{"type": "integer", "from": "v"}, {"type": "number"}]
    check("real", whole, [(2**53, 2.0**53), (-(2**53), -(2.0**53)), (2**53 + 1, No("beyond 2^53"))])
    check("real", whole, [(-(2**63), No("would round it")), (0, 0.0), (None, None)])
    check("real", [{"type": "decimal", "from": "v"}, {"type": "number"}], [("0.1", 0.1)])


def test_a_float_is_the_nearest_to_a_decimal() -> None:
    """Also to a long one, of which Arrow's own cast misses the last place."""
    long = "15279158514919045.1"
    for rule in (
        [{"type": "decimal", "from": "v"}, {"type": "number"}],
        {"type": "written_number", "from": "v"},
    ):
        check("real", rule, [(long, float(long)), ("-0.000000001", -1e-9), (None, None)])


def test_written_numbers_as_they_come() -> None:
    """Without settings: digits, a point and a leading minus."""
    cases = [
        *(("12.10", D("12.10")), ("-5", D(-5)), ("0", D(0)), ("-0", D(0)), ("007", D(7))),
        *((LONG, D(LONG)), ("1.1000000000", D("1.1")), ("1.234", D("1.234")), (None, None)),
        *refused(["1.0000000001", "9" * 30], "more than nine decimals, or more than 29 digits"),
        *refused([*NO_NUMBER, *STRICT, "1e3", ".5", "5.", "1,5"], "is no number as -1234.56"),
    ]
    check("money", WRITTEN, cases)
    whole = [("17.0", 17), (str(2**63), No("no whole number")), ("1.5", No("no whole number"))]
    check(
        "whole", WRITTEN, [*whole, ("1.00000000001", No("nine decimals")), ("x", No("no number"))]
    )
    check("real", WRITTEN, [("17.5", 17.5), ("1,5", No("no number")), (None, None)])


def test_written_numbers_of_the_netherlands() -> None:
    """A decimal comma, points between thousands, the sign and the euro on either side."""
    cases = [
        *(("1.234,56", D("1234.56")), ("1234,56", D("1234.56")), ("1.234.567", D(1234567))),
        *(("-1", D(-1)), ("1-", D(-1)), ("+1", D(1)), ("1.000", D(1000)), ("0,5", D("0.5"))),
        *(("\u20ac 12", D(12)), ("\u20ac12", D(12)), ("12 \u20ac", D(12)), ("12,5EUR", D("12.5"))),
        *(("-\u20ac 12", D(-12)), ("\u20ac -12", D(-12)), ("12- EUR", D(-12)), (None, None)),
        *(
            (" 1 ", D(1)),
            ("\ufeff1", D(1)),
            ("1\n", D(1)),
            ("\u00a01\t", D(1)),
            ("EUR\u00a01", D(1)),
        ),
        *refused(
            ["1.23", "1.2345", "12.34.567", "1234.567", "1.234.56", ".123", "1.", "1,"], "no number"
        ),
        *refused(
            ["-1-", "--1", "-\u20ac-1", "\u20ac", "EUR", "USD 1", "$1", "1,234,5", "1.234,"],
            "no number",
        ),
        *refused(
            ["+1-", "1+", "(1)", "1 000", "1'000", "1_000", "1e3", "1,5,5", "- 1"], "no number"
        ),
        *refused([v for v in NO_NUMBER if v.strip("\n\ufeff") != "1"], "is no number as -1.234,56"),
    ]
    check("money", DUTCH, cases)


@pytest.mark.parametrize(
    ("settings_", "taken", "against"),
    [
        ({"thousands": ","}, {"1,234.5": D("1234.5"), "1234": D(1234)}, ["1,23", "12,34", ",123"]),
        (
            {"thousands": " "},
            {"1 234": D(1234), "1\u00a0234": D(1234), "1\u202f234": D(1234)},
            ["1  234", "1 23", " 1"],
        ),
        ({"thousands": "'"}, {"1'234'567.8": D("1234567.8")}, ["1'23", "1,234"]),
        ({"thousands": "_"}, {"1_234": D(1234)}, ["1_23", "_1", "1_"]),
        ({"minus": "trailing"}, {"5-": D(-5), "5": D(5)}, ["-5", "-5-", "5--"]),
        ({"minus": "parentheses"}, {"(5)": D(-5), "5": D(5)}, ["-5", "(5", "5)", "(-5)", "((5))"]),
        ({"plus": True}, {"+5": D(5), "-5": D(-5)}, ["+-5", "++5", "5+"]),
        ({"symbols": ["kg", "a|b"]}, {"5 kg": D(5), "a|b5": D(5), "-kg5": D(-5)}, ["5 a", "5kgkg"]),
        ({"blanks": True}, {" 5\r\n": D(5), "\ufeff-5": D(-5)}, ["5 5", "- 5", "\u200b5"]),
    ],
)
def test_each_spelling_is_taken_where_it_is_declared(
    settings_: dict[str, Any], taken: dict[str, Any], against: list[str]
) -> None:
    """And nothing beside it."""
    check("money", WRITTEN | settings_, [*taken.items(), *refused(against, "is no number")])


def test_a_separator_cannot_mean_two_things() -> None:
    """That is a mistake of the file."""
    for wrong in ({"thousands": "."}, {"symbols": ["1"]}, {"symbols": [""]}, {"decimal": ";"}):
        with pytest.raises(ValueError, match=r"the same sign|should match|should be"):
            one({"money": WRITTEN | wrong}, {"v": "1"})


def test_minor_units_behind_another_rule() -> None:
    """An amount that is text, or a decimal that is whole, has its currency beside it too."""
    for first in ({"type": "text", "from": "v"}, {"type": "decimal", "from": "v"}):
        rule = [first, {"type": "integer"}, {"type": "minor_units", "currency": "c"}]
        check("money", rule, [("1210", D("12.10")), ("1.5", No("no whole number"))], c="eur")
        check("money", rule, [("1210", No("no currency whose decimals are known"))], c="xxq")
    check("money", ["v", {"type": "minor_units", "currency": "c"}], [(5, D(5))], c="JPY")


NUMBERS = st.decimals(
    allow_nan=False, allow_infinity=False, places=9, min_value=-(10**28), max_value=10**28
)


def grouped(value: D, sign: str) -> str:
    return f"{value:,.9f}".replace(",", "x").replace(".", ",").replace("x", sign)


@settings(max_examples=15)
@given(st.lists(NUMBERS, min_size=1), st.sampled_from([".", " ", "'", "_"]))
def test_what_was_written_is_read(values: list[D], sign: str) -> None:
    """Written with commas and groups and read again, a decimal is the one it was."""
    rule = WRITTEN | {"decimal": ",", "thousands": sign}
    check("money", rule, [(grouped(value, sign), value) for value in values])
    check("money", EXACT, [(f"{value:f}", value) for value in values])


@settings(max_examples=15)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_a_float_is_the_one_that_was_written(values: list[float]) -> None:
    """Its shortest text leads back to it."""
    check("real", FLOATING, [(repr(value), value) for value in values])


@settings(max_examples=40)
@given(st.text(max_size=8) | st.text("0123456789.,-+eE_ \u0661", max_size=8))
def test_no_text_is_silently_another_number(text: str) -> None:
    """Whatever is taken is what Python says of the same text, or nothing is."""
    for rule in (EXACT, WRITTEN):
        found = one({"money": rule}, {"v": text})
        assert isinstance(found, str) or found == D(text.strip("\x00"))


def drift(count: int) -> int:
    """How many of so many amounts do not come back as the text that they were."""
    step, codes = 982_451_653_337, sorted(EXPONENTS)
    lost = 0
    for start in range(0, count, 25_000):
        amounts = [
            (n * step % 10**17 - 5 * 10**16, codes[n % len(codes)])
            for n in range(start, min(start + 25_000, count))
        ]
        told = [D(a).scaleb(-EXPONENTS[c]) for a, c in amounts]
        records = [
            b'{"id":"%d","a":%d,"c":"%s","t":"%s","w":"%s"}'
            % (n, a, c.encode(), f"{value:f}".encode(), grouped(value, ".").encode())
            for n, ((a, c), value) in enumerate(zip(amounts, told, strict=True))
        ]
        for rule in (
            {"type": "minor_units", "from": "a", "currency": "c"},
            "t",
            [{"type": "text", "from": "t"}, {"type": "decimal"}],
            {"type": "written_number", "from": "w", "decimal": ",", "thousands": "."},
        ):
            found = transform({"money": rule}, *records).rows["money"].to_pylist()
            lost += len(told) - sum(map(D.__eq__, found, told))
    return lost


def test_money_does_not_drift() -> None:
    """Amounts of every currency, in four spellings, to the last digit."""
    assert drift(20_000) == 0


@pytest.mark.long
def test_a_million_amounts_do_not_drift() -> None:
    """The long form."""
    assert drift(1_000_000) == 0
