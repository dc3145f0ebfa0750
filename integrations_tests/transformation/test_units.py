"""A measure in another unit is exact, or its record is refused; units that do not fit never load."""

import subprocess
import sys
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from integrations.canonical.entity import Entity, Float, Integer, Money, column
from integrations.transformation.mapping import MappingErrors
from integrations.transformation.rule import MONEY
from integrations.transformation.rules import settle
from integrations.transformation.units import _USUAL, Unit, asked, conversion, same
from integrations_tests.transformation.things import one

D = Decimal
TO_5 = {"digits": 5, "rounding": "half_even"}


class Parcel(Entity):
    """A parcel."""

    weight: Money = column("Weight.", nullable=True, unit="kg")
    height: Float = column("Height.", nullable=True, unit="cm")
    pieces: Integer = column("Millimetres.", nullable=True, unit="millimetre")
    any: Money = column("Whatever.", nullable=True)


@pytest.mark.parametrize(
    ("column", "rule", "value", "becomes"),
    [
        ("weight", {"is": "g", "to": "kg"}, "1", D("0.001")),
        ("weight", {"is": "g", "to": "kg"}, "-1250.5", D("-1.2505")),
        ("weight", {"is": "lb", "to": "kg"}, "1", D("0.45359237")),
        ("weight", {"is": "oz", "to": "kg", **TO_5}, "1", D("0.02835")),
        ("weight", {"is": "oz", "to": "kg"}, "16000", D("453.59237")),
        ("weight", {"is": "kg", "to": "kilogram"}, "1", D(1)),
        ("weight", {"is": "g", "to": "kg"}, None, None),
        ("any", {"is": "inch", "to": "cm"}, "10", D("25.4")),
        ("any", {"is": "kg", "to": "lb", **TO_5}, "1", D("2.20462")),
        ("any", {"is": "kg", "to": "oz", **TO_5}, "0.45359237", D(16)),
        ("any", {"is": "km/h", "to": "m/s", **TO_5}, "1", D("0.27778")),
        ("any", {"is": "degF", "to": "degC", **TO_5}, "100", D("37.77778")),
        ("any", {"is": "degC", "to": "kelvin"}, "-40", D("233.15")),
        ("any", {"is": "kWh", "to": "J"}, "0.5", D(1_800_000)),
        ("any", {"is": "%", "to": "dimensionless"}, "21", D("0.21")),
        ("height", {"is": "m", "to": "cm"}, 1.5, 150.0),
        ("height", {"is": "mm", "to": "cm", "digits": 0, "rounding": "half_up"}, 15.0, 2.0),
        ("pieces", {"is": "cm", "to": "mm"}, 12, 120),
    ],
)  # fmt: skip
def test_a_measure_in_another_unit(column: str, rule: Any, value: Any, becomes: Any) -> None:
    """By the exact fraction, in a chain and alone."""
    rule = {"type": "unit"} | rule
    assert one({column: ["v", rule]}, {"v": value}, entity=Parcel) == becomes
    assert one({column: rule | {"from": "v"}}, {"v": value}, entity=Parcel) == becomes


OF_RECORD = {"type": "unit", "is_from": "unit", "to": "kg", "units": {"GRM": "g", "LBR": "lb"}}


@pytest.mark.parametrize(
    ("rule", "unit", "becomes"),
    [
        (OF_RECORD, "GRM", D("0.002")),
        (OF_RECORD, "LBR", D("0.90718474")),
        (OF_RECORD | {"units": {"kg": "kg"}}, "kg", D(2)),
        (OF_RECORD, "grm", "weight: `v` 2.000000000, `unit` 'grm' has a unit that is none of GRM, LBR"),
        (OF_RECORD, None, "weight: `v` 2.000000000, `unit` null has a unit that is none of GRM, LBR"),
    ],
)  # fmt: skip
def test_a_unit_for_each_record(rule: Any, unit: Any, becomes: Any) -> None:
    """Where the source says it beside the measure; one that nobody knows is not guessed."""
    record = {"v": 2, "unit": unit}
    assert one({"weight": ["v", rule]}, record, entity=Parcel) == becomes
    assert one({"weight": ["v", rule]}, {"v": None, "unit": unit}, entity=Parcel) is None


@pytest.mark.parametrize(("unit", "becomes"), [("K", D(2)), ("C", D("275.15"))])
@pytest.mark.parametrize("units", [{"K": "kelvin", "C": "degC"}, {"C": "degC", "K": "kelvin"}])
def test_units_that_begin_elsewhere(units: dict[str, str], unit: str, becomes: Decimal) -> None:
    """Each has its own zero, whichever is written first."""
    rule = {"type": "unit", "is_from": "unit", "to": "kelvin", "units": units}
    assert one({"any": ["v", rule]}, {"v": 2, "unit": unit}, entity=Parcel) == becomes
    assert not same(unit="degC", other="kelvin")


@pytest.mark.parametrize(
    ("rule", "value", "reason"),
    [
        ({"is": "g", "to": "kg"}, "0.0000001", "becomes more than nine decimals"),
        ({"is": "oz", "to": "kg"}, "1", "becomes more than nine decimals"),
        ({"is": "t", "to": "kg"}, "1e28", "becomes more than the column can hold"),
        ({"is": "stone", "to": "kg", **TO_5}, "5e28", "becomes more than the column can hold"),
    ],
)
def test_a_measure_that_does_not_fit(rule: Any, value: str, reason: str) -> None:
    """No digit is lost unless the file says how."""
    told = one({"weight": ["v", {"type": "unit"} | rule]}, {"v": value}, entity=Parcel)
    assert reason in told


@pytest.mark.parametrize(
    ("fields", "at", "message"),
    [
        (
            {"weight": ["v", {"type": "unit", "is": "cm", "to": "kg"}]},
            ("fields", "weight", 1, "is"),
            "'cm' does not become 'kg': they measure length and mass",
        ),
        (
            {"any": ["v", {"type": "unit", "is": "km/h", "to": "%"}]},
            ("fields", "any", 1, "is"),
            "'km/h' does not become '%': they measure length × time^-1 and a plain number",
        ),
        (
            {"weight": {"type": "unit", "from": "v", "is": "gramm", "to": "kg"}},
            ("fields", "weight", "is"),
            "'gramm' is no unit",
        ),
        (
            {"weight": ["v", OF_RECORD | {"units": {"GRM": "g", "MTR": "m"}}]},
            ("fields", "weight", 1, "units", "MTR"),
            "'m' does not become 'kg': they measure length and mass",
        ),
        (
            {"weight": ["v", {"type": "unit", "is": "kg", "to": "g"}]},
            ("fields", "weight"),
            "`weight` is in kg; the rule gives g",
        ),
        (
            {"weight": ["v", {"type": "unit", "is": "kg", "to": "g"}, {"type": "negate"}]},
            ("fields", "weight"),
            "`weight` is in kg; the rule gives g",
        ),
        (
            {"any": ["v", {"type": "unit", "is": "kg", "to": "lb"}]},
            ("fields", "any", 1),
            "'kg' becomes 'lb' by no decimal: say `digits` and `rounding`",
        ),
        (
            {"any": ["v", {"type": "unit", "is": "deg", "to": "rad", **TO_5}]},
            ("fields", "any", 1, "is"),
            "the fraction of 'deg' to 'rad' is too long for exact decimals",
        ),
        (
            {"any": ["v", {"type": "unit", "is": "dBm", "to": "W", **TO_5}]},
            ("fields", "any", 1, "is"),
            "'dBm' becomes 'W' by no factor",
        ),
    ],
)
def test_a_unit_that_does_not_fit_never_loads(fields: Any, at: Any, message: str) -> None:
    """The mistake stands where the unit does."""
    with pytest.raises(MappingErrors) as caught:
        one(fields, {}, entity=Parcel)
    assert caught.value.mistakes == ((at, message),)


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"to": "kg"}, "it needs either `is`, a unit, or `is_from`"),
        ({"to": "kg", "is": "g", "is_from": "u", "units": {"g": "g"}}, "it needs either `is`"),
        ({"to": "kg", "is_from": "u"}, "`is_from` and `units` go together"),
        ({"to": "kg", "is": "g", "units": {"g": "g"}}, "`is_from` and `units` go together"),
        ({"to": "kg", "is": "g", "digits": 2}, "`digits` and `rounding` go together"),
    ],
)
def test_what_a_file_cannot_say(rule: Any, told: str) -> None:
    """A unit is said once."""
    with pytest.raises(ValidationError, match=told):
        one({"weight": ["v", {"type": "unit"} | rule]}, {}, entity=Parcel)


PAIRS = [("kg", "g"), ("m", "mm"), ("lb", "g"), ("inch", "cm"), ("hour", "s"), ("degC", "kelvin")]


@given(st.lists(st.decimals(-(10**15), 10**15, places=3), min_size=1), st.sampled_from(PAIRS))
@settings(max_examples=60)
def test_there_and_back_is_the_same(values: list[Decimal], pair: tuple[str, str]) -> None:
    """A measure that becomes another unit's and returns has lost nothing."""
    column_, (unit, other) = pa.array(values, MONEY), pair
    for is_, to in ((unit, other), (other, unit)):
        rule = Unit(type="unit", **{"from": "v", "is": is_}, to=to, digits=9, rounding="half_even")
        done = settle(rule, MONEY).apply({"v": column_}, wanted=MONEY, rows=len(column_))
        assert not any(bad.where.true_count for bad in done.told("unit"))
        column_ = done.values
    assert column_.to_pylist() == values


@pytest.mark.parametrize("to", sorted(_USUAL))
def test_the_usual_units_are_those_of_the_library(to: str) -> None:
    """Each as every other, and where they do not fit in the same words."""
    for unit in _USUAL:
        assert _said(conversion, unit, to) == _said(asked, unit, to)


def _said(convert: Any, unit: str, to: str) -> Any:
    try:
        return convert(unit, to)
    except ValueError as error:
        return str(error)


def test_the_library_is_imported_for_other_units_only() -> None:
    """It takes half a second, which no process pays that needs no more than the usual ones."""
    code = """if True:
        import sys
        from integrations.transformation.rules import settle
        from integrations.transformation.rule import FLOAT
        from integrations.transformation.units import Unit
        for unit, to in (("g", "kg"), ("in", "cm"), ("yd", "cm"), ("kWh", "J")):
            rule = {"type": "unit", "from": "v", "is": unit, "to": to}
            settle(Unit.model_validate(rule), FLOAT)
            print("pint" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.split() == ["False", "False", "False", "True"]
