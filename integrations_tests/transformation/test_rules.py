"""Each rule: the values that it takes, what they become, and what is said of the others."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from integrations_tests.transformation.things import one

T = {"type": "timestamp", "from": "v"}
EPOCH = {"type": "epoch_s", "from": "v"}
DAY = {"type": "date", "from": "v"}
EPOCH_DAY = {"type": "epoch_date", "from": "v"}
WORD = {"type": "enumeration", "from": "v", "map": {"1": "on", "0": "off"}}
WORD_OF = {"type": "enumeration", "map": {"AN": "on", "AUS": "off"}}
ID = {"type": "id_or_object", "from": "v"}
UNITS = {"type": "minor_units", "from": "v", "currency": "c"}


@pytest.mark.parametrize(
    ("column", "rule", "value", "becomes"),
    [
        ("text", "v", "é 😀\n\t", "é 😀\n\t"),
        ("text", "v", "", ""),
        ("text", "v", None, None),
        ("text", {"type": "integer", "from": "v"}, 2**63 - 1, "9223372036854775807"),
        ("whole", "v", -(2**63), -(2**63)),
        ("real", "v", 1.5, 1.5),
        ("real", "v", 3, 3.0),
        ("yes", "v", False, False),
        ("text", {"type": "upper", "from": "v"}, "eur", "EUR"),
        ("text", ["v", {"type": "upper"}], "eur", "EUR"),
        ("word", ["v", {"type": "upper"}, WORD_OF], "an", "on"),
        ("word", WORD, "0", "off"),
        ("word", WORD, None, None),
        ("word", WORD | {"other": "off"}, "what", "off"),
        ("word", WORD | {"other": "off"}, None, None),
        ("text", ID, "cus_1", "cus_1"),
        ("text", ID, {"object": "customer", "id": "cus_1"}, "cus_1"),
        ("text", ID, None, None),
        ("json", "v", {"a": "b", "c": 'd"'}, '{"a":"b","c":"d\\""}'),
        ("json", "v", {}, "{}"),
        ("json", "v", None, None),
        ("json", "v", {"a": "\\u0000"}, '{"a":"\\\\u0000"}'),
        ("text", {"type": "constant", "value": "x"}, None, "x"),
        ("whole", {"type": "constant", "value": 5}, None, 5),
        ("moment", EPOCH, 0, datetime(1970, 1, 1, tzinfo=UTC)),
        ("moment", EPOCH, -1, datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("moment", EPOCH, 253402300799, datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("day", EPOCH_DAY, 86399, date(1970, 1, 1)),
        ("day", EPOCH_DAY, -1, date(1969, 12, 31)),
        ("day", "v", "2024-02-29", date(2024, 2, 29)),
        ("moment", "v", "2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("moment", "v", "2026-01-31 12:00+02:00", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("moment", "v", "2026-01-31T12:00:00-0530", datetime(2026, 1, 31, 17, 30, tzinfo=UTC)),
        (
            "moment",
            "v",
            "2026-01-31T12:00:00.123456999Z",
            datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC),
        ),
        ("money", "v", 12, Decimal(12)),
        ("money", "v", "12.10", Decimal("12.1")),
        ("money", "v", "-0.000000001", Decimal("-0.000000001")),
    ],
)
def test_a_rule_takes_a_value(column: str, rule: Any, value: Any, becomes: Any) -> None:
    """The value arrives in the column exactly."""
    assert one({column: rule}, {"v": value}) == becomes


@pytest.mark.parametrize(
    ("column", "rule", "value", "reason"),
    [
        ("text", "v", 5, "`v`: expected `str | null`, got `int`"),
        ("whole", "v", "5", "`v`: expected `int | null`, got `str`"),
        ("whole", "v", 5.0, "`v`: expected `int | null`, got `float`"),
        ("whole", "v", 2**63, "`v`: expected `int` of at most 64 bits"),
        ("yes", "v", "true", "`v`: expected `bool | null`, got `str`"),
        ("text", "v", "a\x00b", "text: `v` 'a\\x00b' holds the character NUL"),
        ("word", ["v", {"type": "upper"}, WORD_OF], "a", "word: `v` 'a' is none of AN, AUS"),
        ("moment", ["v", {"type": "epoch_s"}], 10**12, "lies outside the years 1 to 9999"),
        ("json", "v", {"k": "\x00"}, "holds the character NUL"),
        ("json", "v", {"k": 1}, "`v[...]`: expected `str`, got `int`"),
        ("json", "v", ["k"], "`v`: expected `object | null`, got `array`"),
        ("word", WORD, "2", "word: `v` '2' is none of 1, 0"),
        ("word", "v", "2", "word: `v` '2' gives '2', which is none of 'on', 'off'"),
        ("text", ID, {"object": "customer"}, "`v`: object missing required field `id`"),
        ("moment", EPOCH, 253402300800, "lies outside the years 1 to 9999"),
        ("moment", EPOCH, 1700000000000, "lies outside the years 1 to 9999"),
        ("moment", EPOCH, -(2**63), "lies outside the years 1 to 9999"),
        ("day", EPOCH_DAY, 2**63 - 1, "lies outside the years 1 to 9999"),
        ("moment", "v", "2026-01-31T12:00:00", "is no ISO 8601 moment with a zone"),
        ("moment", "v", "2026-02-30T12:00:00Z", "is no ISO 8601 moment with a zone"),
        ("moment", "v", "yesterday", "moment: `v` 'yesterday' is no ISO 8601 moment"),
        ("day", "v", "2026-02-30", "is no day as 2026-01-31"),
        ("day", "v", "31-01-2026", "is no day as 2026-01-31"),
        ("money", "v", "1.0000000001", "requires scale 10"),
        ("money", "v", "1e30", "decimal128"),
        ("money", "v", "NaN", "not a valid decimal128"),
        ("secret", "v", "Jane Doe", "secret: `v` ••• gives •••, which does not match"),
    ],
)
def test_a_rule_refuses_a_value(column: str, rule: Any, value: Any, reason: str) -> None:
    """The reason names value, column and what is wrong; personal values are masked."""
    assert reason in str(one({column: rule}, {"v": value}))


@pytest.mark.parametrize(
    ("amount", "currency", "exponents", "becomes"),
    [
        (1210, "eur", {}, Decimal("12.10")),
        (1210, "JPY", {}, Decimal(1210)),
        (1210, "kwd", {}, Decimal("1.210")),
        (1210, "clf", {}, Decimal("0.1210")),
        (500, "ugx", {}, Decimal(500)),
        (500, "ugx", {"UGX": 2}, Decimal(5)),
        (5, "mga", {"MGA": 0}, Decimal(5)),
        (2**63 - 1, "eur", {}, Decimal(2**63 - 1).scaleb(-2)),
        (-(2**63), "kwd", {}, Decimal(-(2**63)).scaleb(-3)),
        (None, "eur", {}, None),
        (None, None, {}, None),
    ],
)
def test_minor_units(amount: Any, currency: Any, exponents: Any, becomes: Any) -> None:
    """An amount is divided by what the currency says, or by what the connector says instead."""
    rule = UNITS | {"exponents": exponents}
    assert one({"money": rule}, {"v": amount, "c": currency}) == becomes


@pytest.mark.parametrize(("currency", "shown"), [(None, "null"), ("xxq", "'xxq'"), ("", "''")])
def test_an_amount_without_a_known_currency_is_refused(currency: Any, shown: str) -> None:
    """Nobody guesses how many decimals an amount has."""
    told = one({"money": UNITS}, {"v": 5, "c": currency})
    assert told == f"money: `v` 5, `c` {shown} has no currency whose decimals are known"


def test_decimals_are_exact_as_numbers_and_as_strings() -> None:
    """12.10 passes through no binary float, quoted or not."""
    for text in (b'{"id":"a","v":79228162514264337.593543951}', b'{"id":"a","v":"0.1"}'):
        value = text.split(b":")[-1].strip(b'"}').decode()
        assert one({"money": "v"}, text) == Decimal(value)
