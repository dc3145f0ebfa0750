"""Deletions: a flag, a tombstone, a key that the source no longer knows."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.canonical.payment import Payment
from integrations.errors import StopStream
from integrations.transformation.mapping import StreamMapping
from integrations.transformation.transform import DELETE, PULL, PUSH, Transformed, Transformer
from integrations_tests.transformation.things import NOW, Thing

PAYMENT: dict[str, Any] = {
    "entity": "payment",
    "key": "id",
    "version": "v",
    "deleted": "deleted",
    "fields": {
        "amount": {"type": "minor_units", "from": "amount", "currency": "currency"},
        "currency": {"type": "upper", "from": "currency"},
        "status": {"type": "enumeration", "from": "status", "map": {"succeeded": "paid"}},
        "status_raw": "status",
        "created_at": {"type": "epoch_s", "from": "created"},
        "metadata": "metadata",
        "customer_id": {"type": "id_or_object", "from": "customer"},
    },
}
LIVE = {"id": "ch_1", "v": 7, "amount": 100, "currency": "eur", "status": "succeeded", "created": 1}
STUB = {"id": "ch_2", "object": "charge", "deleted": True}
STAMPS = ["source_id", "_version", "_seen_at", "_rank", "_deleted_at"]
COLUMNS = [column.name for column in Payment.columns()]


def transformer(**changes: Any) -> Transformer:
    values = PAYMENT | changes
    return Transformer(StreamMapping.model_validate(values).bind(Payment))


MADE = transformer()


def run(*records: Any, told: list[bool | None] | None = None, **more: Any) -> Transformed:
    raw = [r if isinstance(r, bytes) else msgspec.json.encode(r) for r in records]
    deleted = None if told is None else pa.array(told, pa.bool_())
    stamps = {"seen_at": more.pop("seen_at", NOW), "rank": more.pop("rank", PULL)}
    made = transformer(**more) if more else MADE
    return made.run(pa.array(raw, pa.binary()), deleted=deleted, **stamps)


def moments(count: int) -> pa.Array:
    return pa.array([NOW + timedelta(seconds=n) for n in range(count)], pa.timestamp("us", "UTC"))


def test_a_flagged_stub_is_a_row_without_values() -> None:
    """Required fields are missing, and that is right: what is deleted has none."""
    done = run(LIVE, STUB, LIVE | {"id": "ch_3"}, seen_at=moments(3), rank=PUSH)
    assert done.refused.num_rows == 0
    assert done.rows["source_id"].to_pylist() == ["ch_1", "ch_2", "ch_3"]
    assert done.rows["amount"].is_null().to_pylist() == [False, True, False]
    stub = done.rows.to_pylist()[1]
    seen = NOW + timedelta(seconds=1)
    assert {stub[name] for name in COLUMNS} == {None}
    assert [stub[name] for name in STAMPS] == ["ch_2", None, seen, PUSH, seen]
    assert done.rows["_deleted_at"].to_pylist() == [None, seen, None]


@pytest.mark.parametrize("flag", [False, None, "absent"])
def test_a_record_without_the_flag_lives(flag: Any) -> None:
    """False, null and absent say the same; then required values are asked for again."""
    extra = {} if flag == "absent" else {"deleted": flag}
    done = run(LIVE | extra, {"id": "ch_2"} | extra)
    assert done.rows["_deleted_at"].to_pylist() == [None]
    assert done.refused["key"].to_pylist() == ["ch_2"]


GONE = LIVE | {"id": "ch_2", "deleted": True}


@pytest.mark.parametrize(
    ("record", "version"),
    [
        (GONE, 7),
        (GONE | {"status": "astonished", "created": 10**15, "currency": "xyz"}, 7),
        (GONE | {"amount": "100"}, 7),
        (GONE | {"customer": 5, "metadata": [1]}, 7),
        (GONE | {"v": None}, None),
        (STUB, None),
    ],
)
@pytest.mark.parametrize("told", [True, False])
def test_nothing_that_is_wrong_with_its_values_keeps_a_deleted_record_alive(
    record: dict[str, Any], version: int | None, told: bool
) -> None:
    """By flag or as a tombstone: key and version are all that is read of it."""
    if told:
        record = {name: value for name, value in record.items() if name != "deleted"}
    done = run(record, told=[told])
    assert done.refused.num_rows == 0
    row = done.rows.to_pylist()[0]
    assert {row[name] for name in COLUMNS} == {None}
    assert [row[name] for name in STAMPS] == ["ch_2", version, NOW, DELETE if told else PULL, NOW]


@pytest.mark.parametrize(
    ("record", "key", "field", "reason"),
    [
        ({"deleted": True}, None, "source_id", "the key `id` is missing, blank, or longer"),
        ({"id": " ", "deleted": True}, None, "source_id", "the key `id` is missing, blank"),
        ({"id": 7, "deleted": True}, None, "source_id", "`id`: expected `str | null`, got `int`"),
        ({"id": "a", "v": "x", "deleted": True}, "a", "v", "`v`: expected `int | null`"),
        ({"id": "a", "deleted": "true"}, "a", "_deleted_at", "`deleted`: expected `bool | null`"),
        (b'{"id":"a","deleted":true', None, "", "the record is no JSON"),
    ],
)
def test_a_deletion_that_cannot_be_read_is_refused(
    record: Any, key: str | None, field: str, reason: str
) -> None:
    """Its neighbours pass, deleted or not."""
    done = run(LIVE, record, STUB)
    assert done.rows["source_id"].to_pylist() == ["ch_1", "ch_2"]
    refused = done.refused.to_pylist()
    assert [(one["field"], one["key"]) for one in refused] == [
        (field, key or refused[0]["key"]),
    ]
    assert refused[0]["reason"].startswith(reason)
    assert key is not None or refused[0]["key"].startswith("sha256:")


def test_a_flag_is_needed_only_where_the_mapping_names_one() -> None:
    """Without it, a stub is a record that lacks what is required."""
    done = run(STUB, deleted=None)
    assert (done.rows.num_rows, done.refused["key"].to_pylist()) == (0, ["ch_2"])


def test_each_record_has_its_own_rank() -> None:
    """Ranks follow their records past those that are refused and deleted."""
    ranks = pa.array([PULL, PUSH, PUSH, PULL, PUSH], pa.int16())
    records = [LIVE, b"7", STUB, GONE | {"id": "ch_3"}, LIVE | {"id": "ch_4"}]
    done = run(*records, rank=ranks, told=[None, False, False, True, False])
    assert done.rows.select(["source_id", "_rank"]).to_pylist() == [
        {"source_id": "ch_1", "_rank": PULL},
        {"source_id": "ch_2", "_rank": PUSH},
        {"source_id": "ch_3", "_rank": DELETE},
        {"source_id": "ch_4", "_rank": PUSH},
    ]


@pytest.mark.parametrize(
    "key", ["id", {"type": "integer", "from": "id"}, {"type": "id_or_object", "from": "id"}]
)
def test_a_tombstone_needs_no_record_where_the_key_is_one_value(key: Any) -> None:
    """What the source answers with "no such record" is a row like those of `run`."""
    made = transformer(key=key)
    rows = made.tombstones(["1", "2"], seen_at=moments(2))
    assert rows.schema == run(LIVE, STUB).rows.schema
    assert rows.select(STAMPS).to_pylist() == [
        dict(zip(STAMPS, [str(n + 1), None, seen, DELETE, seen], strict=True))
        for n, seen in enumerate([NOW, NOW + timedelta(seconds=1)])
    ]
    assert {name for name in COLUMNS if rows[name].null_count < 2} == set()
    assert made.tombstones([], seen_at=NOW).schema == rows.schema


@pytest.mark.parametrize("key", [["id", "part"], {"type": "upper", "from": "id"}])
def test_a_tombstone_of_a_key_that_is_made_stops(key: Any) -> None:
    """Which row the source's key means cannot be told, and a guess would delete another."""
    with pytest.raises(StopStream, match="is not one plain value"):
        transformer(key=key).tombstones(["a"], seen_at=NOW)


@pytest.mark.parametrize("key", ["", " ", "a\x00", "x" * 501])
def test_a_tombstone_of_no_key_stops(key: str) -> None:
    """No row can have it."""
    with pytest.raises(StopStream, match="a key is blank"):
        transformer().tombstones(["a", key], seen_at=NOW)


def test_a_batch_of_deletions_alone_has_the_same_columns() -> None:
    """Every type of column survives being put together from live and deleted rows."""
    fields = {"text": "t", "json": "m", "money": "d", "yes": "y", "day": "on"}
    values = {"entity": "thing", "key": "id", "deleted": "deleted", "fields": fields}
    made = Transformer(StreamMapping.model_validate(values).bind(Thing))
    live = {"id": "a", "t": "x", "m": {"k": "v"}, "d": 1, "y": True, "on": "2026-01-01"}
    raw = [msgspec.json.encode(one) for one in (live, STUB, live)]
    mixed = made.run(pa.array(raw, pa.binary()), seen_at=NOW).rows
    assert made.run(pa.array(raw[1:2], pa.binary()), seen_at=NOW).rows.schema == mixed.schema
    assert mixed["json"].to_pylist() == ['{"k":"v"}', None, '{"k":"v"}']
    mixed.validate(full=True)


RECORDS = st.lists(
    st.fixed_dictionaries(
        {"id": st.sampled_from(["a", "b", "", None]) | st.integers(0, 1)},
        optional={
            "deleted": st.none() | st.booleans() | st.just("yes"),
            "amount": st.integers(0, 9) | st.just("1"),
            "currency": st.sampled_from(["eur", "zzz"]),
            "status": st.sampled_from(["succeeded", "?"]),
            "created": st.just(1),
            "v": st.integers(0, 9) | st.just("1"),
        },
    ),
    max_size=8,
)


@settings(max_examples=30)
@given(RECORDS, st.data())
def test_every_record_is_a_row_or_a_refusal_and_deletions_are_bare(
    records: list[dict[str, Any]], data: st.DataObject
) -> None:
    """Rows stay in order, a deletion holds no value, a live row holds all that is required."""
    size = len(records)
    told = data.draw(st.lists(st.booleans() | st.none(), min_size=size, max_size=size))
    start = datetime(2026, 1, 1, tzinfo=UTC)
    times = pa.array([start + timedelta(seconds=n) for n in range(size)], pa.timestamp("us", "UTC"))
    done = run(*records, told=told, seen_at=times)
    assert done.received == size == done.rows.num_rows + done.refused.num_rows
    seen = done.rows["_seen_at"].to_pylist()
    assert seen == sorted(seen)
    for row in done.rows.to_pylist():
        at = int((row["_seen_at"] - start).total_seconds())
        gone = records[at].get("deleted") is True or told[at] is True
        assert row["_deleted_at"] == (row["_seen_at"] if gone else None)
        assert row["_rank"] == (DELETE if told[at] is True else PULL)
        assert (row["amount"] is None) == gone == (row["status"] is None)
