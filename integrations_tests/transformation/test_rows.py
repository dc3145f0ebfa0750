"""Which rows a mapping makes: one for each element of a list, none for what is filtered."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from integrations.canonical import ENTITIES
from integrations.transformation import explode
from integrations.transformation.describe import field_table, lineage
from integrations.transformation.kinds import INTEGER, NUMBER, Kind
from integrations.transformation.mapping import MappingErrors, StreamMapping
from integrations.transformation.transform import Transformer
from integrations.transformation.transformed import Transformed
from integrations.transformation.where import Condition

NOW = datetime(2026, 1, 2, tzinfo=UTC)
READINGS = {
    "entity": "customer",
    "key": ["uplink", "item.key"],
    "each": "payload",
    "fields": {"code": "item.key", "name": {"type": "decimal", "from": "item.value"}},
}
READINGS["fields"] = {"code": "item.key", "is_customer": "item.value", "phone": "device.eui"}
PLAIN: dict[str, Any] = {"entity": "customer", "key": "id", "fields": {"name": "name"}}


def made(mapping: Mapping[str, Any], *records: str, **settings: Any) -> Transformed:
    bound = StreamMapping.model_validate(mapping).bind(ENTITIES["customer"])
    rows = pa.array([one.encode() for one in records], pa.binary())
    return Transformer(bound).run(rows, seen_at=NOW, **settings)


def test_one_uplink_is_many_readings() -> None:
    """The payload is an object: each entry is a row, beside what the uplink says."""
    done = made(
        READINGS,
        '{"uplink": "u1", "device": {"eui": "A0"}, "payload": {"door": true, "lid": false}}',
        '{"uplink": "u2", "payload": {"door": true, "lid": "broken"}}',
        '{"uplink": "u3", "payload": {}}',
        '{"uplink": "u4", "payload": 7}',
    )
    rows = done.rows.select(["source_id", "is_customer", "phone"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("u1/door", True, "A0"), ("u1/lid", False, "A0"), ("u2/door", True, None),
    ]  # fmt: skip
    refused = [(one["key"], one["rule"], one["reason"]) for one in done.refused.to_pylist()]
    assert refused[0] == ("u2/lid", "boolean", "`item.value`: expected `bool | null`, got `str`")
    assert (refused[1][0][:7], refused[1][1]) == ("sha256:", "each")
    assert (done.records, done.received, done.filtered) == (4, 6, 1)


def test_a_refused_unit_is_tried_again_by_its_own_bytes() -> None:
    """It is not taken apart a second time."""
    first = made(READINGS, '{"uplink": "u2", "payload": {"lid": "broken", "door": true}}')
    (kept,) = [one["record"].decode() for one in first.refused.to_pylist()]
    again = made(READINGS, kept, units=True)
    assert again.refused.to_pylist() == first.refused.to_pylist()
    assert (again.received, again.records) == (1, None)


def test_words_that_nobody_knows_are_counted_over_all_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(explode, "AT_ONCE", 1)
    words = {"type": "table", "from": "item.value", "map": {"a": "A"}, "other": "?"}
    done = made(
        READINGS | {"fields": {"code": words}},
        '{"uplink": "u1", "payload": {"p": "x", "q": "y"}}',
        '{"uplink": "u2", "payload": {"p": "x", "q": "a"}}',
    )
    assert {name: dict(count) for name, count in done.strange.items()} == {"code": {"x": 2, "y": 1}}


def test_no_records_are_no_rows() -> None:
    done = made(READINGS)
    assert (len(done.rows), done.received, done.filtered) == (0, 0, 0)


LINES: dict[str, Any] = {
    "entity": "customer", "key": ["id", "item.sku"], "each": "lines",
    "fields": {"name": "item.sku", "country": "item.country"},
}  # fmt: skip


def children(*records: str, **settings: Any) -> Transformed:
    """The lines of orders, as a stream of children has them."""
    parent = StreamMapping.model_validate(PLAIN | {"deleted": "gone"})
    bound = StreamMapping.model_validate(LINES).bind(ENTITIES["customer"], of=parent)
    rows = pa.array([one.encode() for one in records], pa.binary())
    return Transformer(bound).run(rows, seen_at=NOW, **settings)


@pytest.mark.parametrize(
    ("record", "whole"),
    [
        ('{"id": "a", "lines": [{"sku": "x"}]}', True),
        ('{"id": "a", "lines": [{"sku": "x", "country": "?"}, {"sku": "y"}]}', True),
        ('{"id": "a", "lines": [{}]}', False),
        ('{"id": "a", "lines": []}', True),
        ('{"id": "a", "lines": null}', True),
        ('{"id": "a"}', False),
        ('{"id": "a", "lines": 5}', False),
        ('{"id": "a", "gone": true}', True),
    ],
)
def test_what_a_record_says_of_its_children(record: str, whole: bool) -> None:
    """All that there are, unless it is silent, or one of them is not known by its key."""
    (said,) = _said(children(record))
    assert (said["_parent"], said["_whole"]) == ("a", whole)


def test_a_unit_says_nothing_of_the_others() -> None:
    """It is tried again alone."""
    done = children('{"id": "a", "item": {"sku": "x"}, "item_no": 0}', units=True)
    assert [(one["_parent"], one["_whole"]) for one in _said(done)] == [("a", False)]


def test_children_are_said_by_their_own_parents(monkeypatch: pytest.MonkeyPatch) -> None:
    """In however small parts they are made; a record without a key says nothing."""
    monkeypatch.setattr(explode, "AT_ONCE", 2)
    orders = [f'{{"id": "{n}", "lines": [{{"sku": "x"}}, {{"sku": "y"}}]}}' for n in "abc"]
    done = children(*orders, '{"lines": [{"sku": "x"}]}')
    parents = {said["_said"]: said["_parent"] for said in _said(done)}
    assert parents == {0: "a", 1: "b", 2: "c"}
    assert [row["source_id"][0] for row in done.rows.to_pylist()] == [*"aabbcc"]
    assert [parents[row["_said"]] for row in done.rows.to_pylist()] == [*"aabbcc"]


def test_children_have_keys_of_their_own() -> None:
    child = StreamMapping.model_validate(LINES | {"key": "id"})
    with pytest.raises(MappingErrors, match="would be one for all elements"):
        child.bind(ENTITIES["customer"], of=StreamMapping.model_validate(PLAIN))


def _said(done: Transformed) -> list[dict[str, Any]]:
    assert done.said is not None
    return done.said.to_pylist()


@pytest.mark.parametrize(
    ("condition", "passing"),
    [
        ({"from": "kind", "in": ["a", "b"]}, "ab"),
        ({"from": "kind", "not_in": ["a"]}, "bnm"),
        ({"from": "kind", "present": True}, "ab"),
        ({"from": "kind", "present": False}, "nm"),
        ({"from": "name", "in": ["N"]}, "abnm"),
        ({"from": "count", "in": [1, 2]}, "a"),
        ({"from": "count", "not_in": [1]}, "bnm"),
        ({"from": "flag", "in": [True]}, "a"),
        ({"from": "flag", "not_in": [True]}, "bnm"),
        ({"from": "deep.list", "present": True}, "a"),
        ({"from": "deep", "present": True}, "ab"),
    ],
)
def test_what_passes_a_filter(condition: dict[str, Any], passing: str) -> None:
    """Null and absent are in no set, and not there."""
    records = (
        '{"id": "a", "name": "N", "kind": "a", "count": 1, "flag": true, "deep": {"list": []}}',
        '{"id": "b", "name": "N", "kind": "b", "count": 3, "flag": false, "deep": {"list": null}}',
        '{"id": "n", "name": "N", "kind": null, "count": null, "flag": null, "deep": null}',
        '{"id": "m", "name": "N"}',
    )
    done = made(PLAIN | {"where": [condition]}, *records)
    live = [row["source_id"] for row in done.rows.to_pylist() if row["_deleted_at"] is None]
    assert "".join(live) == passing
    left = [row["source_id"] for row in done.rows.to_pylist() if row["_filtered"]]
    assert sorted(live + left) == sorted("abnm")


@pytest.mark.parametrize(("value", "passing"), [("a", "a"), (7, "n"), (True, "t"), ("7", "n")])
def test_a_filter_on_a_value_that_is_read_as_it_was_sent(value: Any, passing: str) -> None:
    """It is compared by its text."""
    fields = {"name": "name", "code": {"type": "word", "from": "kind"}}
    done = made(
        PLAIN | {"fields": fields, "where": [{"from": "kind", "in": [value]}]},
        '{"id": "a", "kind": "a"}',
        '{"id": "n", "kind": 7}',
        '{"id": "t", "kind": true}',
        '{"id": "o", "kind": {"a": 7}}',
        '{"id": "m"}',
    )
    rows = done.rows.to_pylist()
    assert [row["source_id"] for row in rows if not row["_filtered"]] == [passing]


def test_a_filter_on_an_id_that_may_be_an_object() -> None:
    """It is text, however the mapping reads it."""
    fields = {"name": "name", "code": {"type": "id_or_object", "from": "kind"}}
    done = made(
        PLAIN | {"fields": fields, "where": [{"from": "kind", "in": ["a"]}]},
        '{"id": "a", "kind": {"id": "a"}}',
        '{"id": "b", "kind": "b"}',
    )
    assert [row["_filtered"] for row in done.rows.to_pylist()] == [False, True]


def test_all_conditions_have_to_hold() -> None:
    """What is left out is not looked at further: nothing of it is refused, and without a key it is
    only counted. A value that cannot be compared is refused."""
    where = [{"from": "kind", "in": ["x"]}, {"from": "count", "not_in": [2]}]
    done = made(
        PLAIN | {"where": where, "fields": {"name": "name", "country": "country"}},
        '{"id": "a", "kind": "x", "count": 1}',
        '{"id": "b", "kind": "x", "count": 2, "country": "?"}',
        '{"id": " ", "kind": "y"}',
        '{"id": "d", "kind": "x", "country": "?"}',
        '{"id": "e", "kind": 5}',
    )
    rows = [(row["source_id"], row["_filtered"]) for row in done.rows.to_pylist()]
    assert rows == [("a", False), ("b", True)]
    assert [one["key"] for one in done.refused.to_pylist()] == ["d", "e"]
    assert (done.received, done.filtered) == (5, 1)


def test_a_deletion_is_not_filtered() -> None:
    where = [{"from": "kind", "in": ["x"]}]
    done = made(PLAIN | {"where": where, "deleted": "gone"}, '{"id": "a", "gone": true}')
    (row,) = done.rows.to_pylist()
    assert (row["_deleted_at"], row["_filtered"]) == (NOW, False)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fields": {"name": "item.name"}}, "no `each` that says of which list `item.name` is"),
        ({"each": "lines", "fields": {"name": "lines.name"}}, "is `item.…`"),
        ({"each": "data.lines", "fields": {"name": "data"}}, "the list `data.lines` lies inside"),
        ({"where": [{"from": "name", "in": [1]}]}, "`name` is read as string elsewhere"),
    ],
)
def test_paths_that_cannot_be(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(MappingErrors, match=said):
        made(PLAIN | changes)


@pytest.mark.parametrize(
    "condition",
    [
        {"from": "kind"},
        {"from": "kind", "in": ["a"], "present": True},
        {"from": "kind", "in": []},
        {"from": "kind", "in": ["a", 1]},
        {"from": "kind", "in": [1.5]},
        {"from": "count", "in": [2**63]},
        {"from": "kind", "not_in": ["\ud800"]},
        {"in": ["a"]},
    ],
)
def test_conditions_that_are_none(condition: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="where"):
        StreamMapping.model_validate(PLAIN | {"where": [condition]})


def test_it_is_said_in_words_and_in_the_lineage() -> None:
    where = [{"from": "item.value", "present": True}, {"from": "uplink", "not_in": ["x"]}]
    bound = StreamMapping.model_validate(READINGS | {"where": where}).bind(ENTITIES["customer"])
    assert field_table(bound).startswith(
        "A row for each element of `payload`, which is `item`. Only where `item.value` is there and "
        "`uplink` is none of x.\n\n| column |"
    )
    found = lineage(bound)
    assert found["source_id"] == ["uplink", "payload[].key"]
    assert (found["is_customer"], found["phone"]) == (["payload[].value"], ["device.eui"])
    assert found["_deleted_at"] == ["payload[].value", "uplink"]
    placed = READINGS | {"key": ["uplink", "item_no"]}
    found = lineage(StreamMapping.model_validate(placed).bind(ENTITIES["customer"]))
    assert found["source_id"] == ["uplink", "payload"]


@pytest.mark.parametrize(("value", "kind"), [(7, NUMBER), (2**53, NUMBER), (2**53 + 1, INTEGER)])
def test_a_number_that_no_float_tells_apart_is_read_as_a_whole_one(value: int, kind: Kind) -> None:
    """Otherwise it would be taken for its neighbour; that the path is read as both is a mistake."""
    assert Condition.model_validate({"from": "n", "in": [value]}).reads({"n": NUMBER}) is kind
