"""Lists taken apart: every element is one unit, and what is no list is said."""

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrations.transformation import explode
from integrations.transformation.explode import Explosion, Units

PATHS = ("id", "buyer.name", "item.sku", "item_no", "data.device")


def taken(
    *records: bytes | dict[str, Any], each: str = "lines", paths: tuple[str, ...] = PATHS
) -> list[Units]:
    rows = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in records]
    return list(Explosion(each, paths).pieces(pa.array(rows, pa.binary())))


def units(*records: bytes | dict[str, Any], **settings: Any) -> list[Any]:
    return [json.loads(unit.as_py()) for part in taken(*records, **settings) for unit in part.units]


def test_an_element_goes_with_what_is_read_of_its_record() -> None:
    """And with nothing else of it; bytes are the source's own."""
    record = b'{"id": 7, "buyer": {"name": "Zo\xc3\xab", "age": 3}, "x": 1, "lines": [1.50, {"sku":"a"}]}'
    (part,) = taken(record)
    head = b'"id":7,"buyer":{"name":"Zo\xc3\xab"}}'
    assert part.units.to_pylist() == [
        b'{"item":1.50,"item_no":0,' + head,
        b'{"item":{"sku":"a"},"item_no":1,' + head,
    ]
    assert (part.origin.to_pylist(), part.received) == ([0, 0], 2)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"lines": ["a", None, [1], {}]}, ["a", None, [1], {}]),
        ({"lines": {"t": 21.5, "h": {"v": None}}},
         [{"key": "t", "value": 21.5}, {"key": "h", "value": {"v": None}}]),
        ({"lines": {"é\"\n": 1}}, [{"key": "é\"\n", "value": 1}]),
        ({"lines": [], "item": 1, "item_no": 2}, []),
        ({"lines": [1], "item": 1, "item_no": 2}, [1]),
    ],
)  # fmt: skip
def test_what_the_elements_are(record: dict[str, Any], expected: list[Any]) -> None:
    """Of a list its members, of an object its entries; `item` of the record is never theirs."""
    found = units(record)
    assert [one["item"] for one in found] == expected
    assert [one["item_no"] for one in found] == list(range(len(expected)))


@pytest.mark.parametrize(
    ("record", "empty", "silent", "reason"),
    [
        (b'{"lines": []}', 1, 0, None),
        (b'{"lines": {}}', 1, 0, None),
        (b'{"lines": null}', 1, 0, None),
        (b'{"id": 1}', 1, 1, None),
        (b'{"lines": "many"}', 0, 0, "lines: expected `object | array | null`, got `str`"),
        (b'{"lines": 3}', 0, 0, "lines: expected `object | array | null`, got `int`"),
        (b'{"lines": true}', 0, 0, "lines: expected `object | array | null`, got `bool`"),
        (b'[{"lines": []}]', 0, 0, ": expected `object`, got `array`"),
        (b"null", 0, 0, ": expected `object`, got `null`"),
        (b'{"lines": [1', 0, 0, ": the record is no JSON"),
        (b'{"lines": [1]} {}', 0, 0, ": the record is no JSON"),
        (b'{"lines": {"\xff": 1}}', 0, 0, ": the record is no JSON"),
        (b'{"lines": [1], "buyer": 5}', 0, 0, "buyer: expected `object | null`, got `int`"),
    ],
)
def test_a_record_without_elements_is_one_unit(
    record: bytes, empty: int, silent: int, reason: str | None
) -> None:
    """Whether it has none, does not say, or cannot be read."""
    (part,) = taken(record)
    assert (len(part.units), part.received) == (0, 1)
    assert (len(part.empty), len(part.silent)) == (empty, silent)
    told = [f"{one.path}: {one.reason}" for one in part.unread]
    assert [one.startswith(str(reason)) for one in told] == [True] * (reason is not None)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"data": {"lines": [1, 2], "device": "d"}}, [1, 2]),
        ({"data": None}, None),
        ({"data": {"lines": None}}, []),
        ({}, None),
    ],
)
def test_a_list_may_lie_deeper(record: dict[str, Any], expected: list[int] | None) -> None:
    """What stands beside it in the object goes with the elements, the list itself does not."""
    (part,) = taken(record, each="data.lines")
    found = [json.loads(unit.as_py()) for unit in part.units]
    assert [one["item"] for one in found] == (expected or [])
    assert len(part.silent) == (expected is None)
    assert all(one["data"] == {"device": "d"} for one in found)


def test_what_quarantine_keeps_of_an_element() -> None:
    """All of its record, less the list and what only looks like the element."""
    record = {
        "id": 1, "item": "x", "item_no": 7, "data": {"lines": [5], "more": [1]}, "other": {"a": None},
    }  # fmt: skip
    explosion = Explosion("data.lines", PATHS)
    (part,) = explosion.pieces(pa.array([json.dumps(record).encode()], pa.binary()))
    kept = explosion.whole(part.units[0].as_py(), json.dumps(record).encode())
    assert kept.startswith(b'{"item":5,"item_no":0,')
    assert json.loads(kept) == {
        "item": 5, "item_no": 0, "id": 1, "data": {"more": [1]}, "other": {"a": None},
    }  # fmt: skip


def test_a_name_that_begins_like_the_element_is_of_the_record() -> None:
    (unit,) = units({"items": 3, "item_note": "n", "lines": [1]}, paths=("items", "item_note"))
    assert unit == {"item": 1, "item_no": 0, "items": 3, "item_note": "n"}


def test_what_cannot_be_taken_apart_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the part of its own records, however many there are."""
    monkeypatch.setattr(explode, "AT_ONCE", 2)
    parts = taken({"lines": "x"}, {"lines": [1, 2]}, {"lines": 3}, {"lines": [4]}, {"lines": 5})
    assert [[one.row for one in part.unread] for part in parts] == [[0, 2], [4]]
    assert [part.received for part in parts] == [4, 2]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(
        st.characters(exclude_categories=["Cs"])), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(), st.lists(_JSON, max_size=6) | st.none()), max_size=12))
def test_every_element_is_exactly_one_unit(records: list[tuple[int, list[Any] | None]]) -> None:
    """In the order of the source, beside its own record, in however small parts they are made."""
    rows = [{"id": id_, "lines": lines} for id_, lines in records]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(explode, "AT_ONCE", 4)
        parts = taken(*rows)
    found = [json.loads(unit.as_py()) for part in parts for unit in part.units]
    assert [(one["id"], one["item_no"], one["item"]) for one in found] == [
        (id_, at, item) for id_, lines in records for at, item in enumerate(lines or [])
    ]
    origins = [rows[at]["id"] for part in parts for at in part.origin.to_pylist()]
    assert origins == [one["id"] for one in found]
    assert [*(part.start for part in parts), len(rows)] == [0, *(part.end for part in parts)]
    assert sum(part.received for part in parts) == sum(len(each or [0]) for _, each in records)


def test_ten_thousand_elements_of_one_record_stay_together() -> None:
    (one, two) = taken({"id": 1, "lines": list(range(30_000))}, {"id": 2, "lines": [7] * 10_000})
    assert (len(one.units), len(two.units)) == (30_000, 10_000)
    assert json.loads(one.units[29_999].as_py()) == {"item": 29_999, "item_no": 29_999, "id": 1}
