"""Money: whatever comes in comes out, to the last digit."""

from decimal import Decimal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.transformation.money import EXPONENTS
from integrations_tests.transformation.things import transform

AMOUNTS = st.lists(
    st.tuples(st.integers(-(2**63), 2**63 - 1), st.sampled_from(sorted(EXPONENTS))), min_size=1
)
DECIMALS = st.lists(
    st.decimals(
        allow_nan=False, allow_infinity=False, places=9, min_value=-(10**28), max_value=10**28
    ),
    min_size=1,
)


@settings(max_examples=40)
@given(AMOUNTS)
def test_minor_units_come_back_without_drift(amounts: list[tuple[int, str]]) -> None:
    """Multiplied by the currency's power of ten again, every amount is the integer it was."""
    rule = {"type": "minor_units", "from": "v", "currency": "c"}
    records = [{"id": str(n), "v": v, "c": c.lower()} for n, (v, c) in enumerate(amounts)]
    found = transform({"money": rule}, *records).rows["money"].to_pylist()
    assert [value.scaleb(EXPONENTS[c]) for value, (_, c) in zip(found, amounts, strict=True)] == [
        v for v, _ in amounts
    ]


@settings(max_examples=40)
@given(DECIMALS)
def test_decimals_come_back_without_drift(values: list[Decimal]) -> None:
    """A decimal of nine places is the same one in the column, as a number and as a string."""
    for quote in ("", '"'):
        records = [
            msgspec.Raw(f'{{"id":"{n}","v":{quote}{v:f}{quote}}}'.encode())
            for n, v in enumerate(values)
        ]
        found = transform({"money": "v"}, *records).rows["money"].to_pylist()
        assert found == values
