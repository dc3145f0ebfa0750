"""What records look like, held against what was known: every change is told, once, and no noise is."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.storage.fields import KnownField
from integrations.transformation.shape import SAMPLE, Shape

RECORD = {"id": 1, "card": {"brand": "visa"}, "lines": [{"sku": "a"}], "name": "x"}


def shape(*records: Any, opaque: tuple[str, ...] = ()) -> Shape:
    made = Shape(opaque)
    made.add(pa.array([msgspec.json.encode(record) for record in records], pa.binary()))
    return made


def known(*shapes: Shape) -> dict[str, KnownField]:
    """What is known after these, one landing after the other."""
    found: dict[str, KnownField] = {}
    for one in shapes:
        found |= one.known(found)
    return found


def told(now: Shape, *before: Shape) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(one.what, one.path, one.types) for one in now.changes(known(*before))]


USUAL = shape(*[RECORD] * 100)
"""So often that whatever is in it is missed when it is not."""


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in RECORD.items() if key != name}


CHANGES: dict[str, tuple[list[Any], list[tuple[str, str, tuple[str, ...]]]]] = {
    "as it was": ([RECORD] * 30, []),
    "a new field": ([RECORD | {"vat": "NL"}], [("new", "vat", ("string",))]),
    "a new field of two types": (
        [RECORD | {"vat": 1}, RECORD | {"vat": None}],
        [("new", "vat", ("integer", "null"))],
    ),
    "a new object is told without its fields": (
        [RECORD | {"a": {"b": {"c": 1}}}],
        [("new", "a", ("object",))],
    ),
    "new within an object": (
        [RECORD | {"card": {"brand": "visa", "last4": "1"}}],
        [("new", "card.last4", ("string",))],
    ),
    "new within a list": (
        [RECORD | {"lines": [{"sku": "a", "n": 1.5}]}],
        [("new", "lines[].n", ("number",))],
    ),
    "another type": ([RECORD | {"name": 5}], [("changed", "name", ("integer",))]),
    "null is no other type": ([RECORD | {"name": None}] * 30, []),
    "gone": ([without("name")] * 20, [("gone", "name", ("string",))]),
    "too few to be called gone": ([without("name")] * 19, []),
    "one has it": ([*[without("name")] * 30, RECORD], []),
    "gone with all that is in it": ([without("card")] * 20, [("gone", "card", ("object",))]),
    "an empty list lacks nothing": ([RECORD | {"lines": []}] * 30, []),
    "a null object lacks nothing": ([RECORD | {"card": None}] * 30, []),
    "an object without it does": (
        [RECORD | {"card": {"last4": "1"}}] * 20,
        [("gone", "card.brand", ("string",)), ("new", "card.last4", ("string",))],
    ),
}


@pytest.mark.parametrize(("records", "expected"), CHANGES.values(), ids=CHANGES)
def test_a_change_is_told(records: list[Any], expected: list[Any]) -> None:
    """With its place and types; and once: what was told is known then."""
    now = shape(*records)
    assert told(now, USUAL) == expected
    assert expected == [] or told(now, USUAL, now) == []


def test_the_first_landing_is_no_news() -> None:
    assert told(USUAL) == []


def test_what_was_rare_is_not_missed() -> None:
    """In nine of ten records is not in nearly all."""
    often = shape(*[RECORD] * 90, *[without("name")] * 10)
    assert told(shape(*[without("name")] * 100), often) == []


def test_landings_of_a_few_records_add_up() -> None:
    """An hour has five records: the fourth hour without the field tells that it is gone."""
    hour = shape(*[without("name")] * 5)
    assert told(hour, USUAL, hour, hour) == []
    assert told(hour, USUAL, hour, hour, hour) == [("gone", "name", ("string",))]
    assert told(hour, USUAL, hour, hour, shape(RECORD), hour) == []


def test_what_was_gone_comes_back() -> None:
    gone = shape(*[without("name")] * 20)
    assert told(shape(RECORD), USUAL, gone) == [("back", "name", ("string",))]


def test_keys_of_a_map_are_no_fields() -> None:
    """A source that puts ids where names belong would have news in every record."""
    ids = shape(*({"id": n, "by_id": {f"k{n}": 1}} for n in range(40)))
    more = shape(*({"id": n, "by_id": {f"n{n}": "x"}} for n in range(40)))
    assert told(more, ids) == []


def test_so_many_keys_of_maps_are_known_and_no_more() -> None:
    """Or each landing would leave thousands of rows, and read those of all before it."""
    found: dict[str, KnownField] = {}
    for day in range(3):
        records = ({"id": n, f"d{day}": 1, "by_id": {f"k{day}-{n}": 1}} for n in range(250))
        wide = shape(*(one | {"map": {f"{day}-{n}": n for n in range(800)}} for one in records))
        found |= wide.known(found)
    assert len(found) <= 2_002
    assert {"id", "d0", "d1", "d2"} <= found.keys()  # fields find room whatever there is


def test_a_field_among_very_many_is_missed() -> None:
    """An object may have more fields than thirty, and each of them may be a column."""
    fields = {f"f{n}": n for n in range(40)}
    some = shape(*[{"id": 1, "attributes": {k: v for k, v in fields.items() if k != "f7"}}] * 30)
    usual = shape(*[{"id": 1, "attributes": fields}] * 100)
    assert told(some, usual) == [("gone", "attributes.f7", ("integer",))]


def test_thirty_fields_are_no_map_yet() -> None:
    fields = {f"k{n}": 1 for n in range(31)}
    few, some, many = (shape(*[{"o": dict([*fields.items()][:n])}] * 9) for n in (29, 30, 31))
    assert told(some, few) == [("new", "o.k29", ("integer",))]
    assert told(many, some) == []


def test_the_first_value_in_the_place_of_null_is_no_change() -> None:
    assert told(shape(RECORD), shape(*[RECORD | {"name": None}] * 100)) == []


def test_what_is_read_whole_is_not_looked_into() -> None:
    made = shape({"id": 1, "metadata": {"a": "b"}}, opaque=("metadata",))
    assert known(made).keys() == {"id", "metadata"}


def test_refused_records_say_nothing() -> None:
    made = Shape()
    made.add(pa.array([b"null", b"[1]", b"{", b'{"a":1}', b"\xff"], pa.binary()))
    assert (made.sampled, set(known(made))) == (1, {"a"})


def test_a_batch_is_sampled_evenly() -> None:
    """However many records there are, the last ones too."""
    count = 10 * SAMPLE
    made = shape(*({"id": n, "late": 1} if n > count * 0.9 else {"id": n} for n in range(count)))
    assert made.sampled == SAMPLE
    assert 0.05 < known(made)["late"].share < 0.15
    assert shape(*[RECORD] * (SAMPLE + SAMPLE // 2)).sampled <= SAMPLE


def test_what_is_known_well_is_not_written_again() -> None:
    """After ten thousand records a sync that brings no news writes nothing."""
    settled = {"id": KnownField(frozenset({"integer"}), 10_000, 10_000)}
    assert shape({"id": 5}).known(settled) == {}
    assert shape({"id": 5.5}).known(settled).keys() == {"id"}


def _paths(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield (here := f"{path}.{name}" if path else name)
            yield from _paths(inner, here)


TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.sampled_from("abc"), TREES, max_size=3), max_size=8))
def test_every_field_is_known(records: list[dict[str, Any]]) -> None:
    """And in how many records it is."""
    found = known(shape(*records))
    wanted = {path for record in records for path in _paths(record)}
    assert found.keys() == wanted
    for path in wanted:
        having = sum(path in set(_paths(record)) for record in records)
        around = sum(isinstance(_at(record, path.split(".")[:-1]), dict) for record in records)
        assert (found[path].present, found[path].sampled) == (having, around)


def _at(value: Any, keys: list[str]) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def test_of_too_many_fields_those_in_maps_stand_back() -> None:
    """A map of thousands of keys beside a field does not push it out."""
    record = {"by_id": {f"k{n}": 1 for n in range(3_000)}, "zz": 1}
    assert {"by_id", "zz"} <= known(shape(*[record] * 3)).keys()
