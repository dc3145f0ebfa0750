"""The rules that read foreign values take them by column, good and bad ones: more of them are no more
steps of Python. That every rule does so with good ones is held in `hot_path`."""

from typing import Any

import pyarrow as pa
import pytest
from pydantic import TypeAdapter

from integrations.transformation.rule import BOOL, DATE, FLOAT, INT, JSON, MONEY, TEXT, TIMESTAMP
from integrations.transformation.rules import FieldRule, settle
from integrations_tests.hot_path.counting import grown, steps_of

FEW, MANY = 200, 800
TEXTS = {"type": "text", "from": "v"}
ALONE: dict[str, tuple[dict[str, Any], pa.DataType, list[Any]]] = {
    "boolean": ({"true": ["Y", 1], "false": ["N", 0]}, BOOL, ['"Y"', "0", '"\\u004e"', '"?"']),
    "bytes": ({"encoding": "base64"}, pa.binary(), ["QQ==", "QUI=", "x"]),
    "date": ({"format": "DD-MM-YYYY"}, DATE, ["31-01-2026", "1-1-2026"]),
    "decimal": ({}, MONEY, [1, 2]),
    "duration": ({"form": "iso8601"}, MONEY, ["PT1H", "P"]),
    "enumeration": ({"map": {"a": "b"}, "ignore_case": True}, TEXT, ["A", "c"]),
    "epoch_date": ({}, DATE, [1, 2**60]),
    "epoch_ms": ({"zero_is_null": True}, TIMESTAMP, [0, 1, 2**60]),
    "epoch_s": ({}, TIMESTAMP, [0, 1, 2**60]),
    "epoch_us": ({}, TIMESTAMP, [0, 1, 2**62]),
    "id_or_object": ({}, TEXT, ["a"]),
    "integer": ({}, INT, [1]),
    "json": ({}, JSON, ['{"a":1}', "[]", "1e-9999"]),
    "local_date": ({"zone_from": "z"}, DATE, ["2026-01-31T12:00:00Z", "2099-07-01T12:00:00Z"]),
    "local_time": (
        {"zone_from": "z"},
        TIMESTAMP,
        ["2026-03-29T02:30", "2099-07-01T12:00", "0000-01-01T00:00"],
    ),
    "microsoft_date": ({}, TIMESTAMP, ["/Date(0)/", "x"]),
    "minor_units": ({"currency": "z"}, MONEY, [5]),
    "number": ({}, FLOAT, [1.5]),
    "string_list": ({}, TEXT, ['["a","b"]', "[1]", '["a, b"]']),
    "string_map": ({"values": "scalars"}, JSON, ['{"a":1}', "[]"]),
    "text": ({}, TEXT, ["a"]),
    "timestamp": (
        {"zero_is_null": True},
        TIMESTAMP,
        ["2026-01-31T12:00:00Z", "0001-01-01T00:00:00Z", "x"],
    ),
    "upper": ({}, TEXT, ["a"]),
    "word": ({}, TEXT, ['"a"', "1", '"\\""', "[]"]),
    "written_number": ({"decimal": ","}, MONEY, ["1,5", "x"]),
}
BEHIND: dict[str, tuple[dict[str, Any], pa.DataType, list[Any]]] = {
    "boolean": ({}, BOOL, ["true", "x"]),
    "decimal": ({}, MONEY, ["1.5", "x"]),
    "integer": ({}, INT, ["17", "x"]),
    "number": ({}, FLOAT, ["1.5", "x"]),
    "json": ({}, JSON, ["{}", "[]"]),
}
"""Those whose way behind another rule is another."""
ARROW = {"decimal": MONEY, "number": FLOAT}


def more_steps(
    rule: Any, wanted: pa.DataType, values: list[Any], type_: pa.DataType | None
) -> float:
    """What each further value costs, whatever it is."""
    made = settle(TypeAdapter(FieldRule).validate_python(rule), wanted)
    zones = ["Europe/Amsterdam", "Asia/Tokyo", "nowhere", None]

    def apply(count: int) -> None:
        column = pa.array([*values, None] * count, type_)[:count]
        made.apply({"v": column, "z": pa.array(zones * count)[:count]}, wanted=wanted, rows=count)

    apply(FEW)  # zones are read once
    few, many = steps_of(lambda: apply(FEW)), steps_of(lambda: apply(MANY))
    return grown(few, many, records=MANY - FEW)[""]


@pytest.mark.parametrize("name", ALONE)
def test_a_rule_takes_no_step_for_a_value(name: str) -> None:
    """Good and bad ones, in any mixture."""
    settings, wanted, values = ALONE[name]
    rule = {"type": name, "from": "v"} | settings
    # A bad value is looked for by halving where only pyarrow can say that it is one.
    assert more_steps(rule, wanted, values, ARROW.get(name)) < 0.5


@pytest.mark.parametrize("name", BEHIND)
def test_behind_another_rule_neither(name: str) -> None:
    """Where it takes text."""
    settings, wanted, values = BEHIND[name]
    assert more_steps([TEXTS, {"type": name} | settings], wanted, values, None) < 0.5
