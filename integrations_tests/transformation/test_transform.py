"""A batch as a whole: rows, refusals, keys and stamps."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from integrations.canonical.entity import Fault
from integrations.canonical.payment import Payment
from integrations.errors import StopStream
from integrations.redaction import redacted
from integrations.transformation.mapping import StreamMapping
from integrations.transformation.refusals import SCHEMA
from integrations.transformation.transform import PUSH, Transformer
from integrations.unanswered import marked
from integrations_tests.transformation.things import NOW, Thing, transform

PAYMENT: dict[str, Any] = {
    "amount": {"type": "minor_units", "from": "amount", "currency": "currency"},
    "currency": {"type": "upper", "from": "currency"},
    "status": {"type": "enumeration", "from": "status", "map": {"succeeded": "paid"}},
    "status_raw": "status",
    "created_at": {"type": "epoch_s", "from": "created"},
    "metadata": "metadata",
}


def payment(number: int, **changes: Any) -> dict[str, Any]:
    record = {"id": f"ch_{number}", "amount": 100 + number, "currency": "eur"}
    record |= {"status": "succeeded", "created": 1_700_000_000 + number, "metadata": {}}
    return record | changes


@pytest.mark.parametrize(
    ("mapping", "key", "rule"),
    [
        ({}, "ch_1", "unanswered"),
        ({"each": "lines", "key": ["id", {"type": "integer", "from": "item_no"}]}, None, "each"),
    ],
    ids=["a record", "a record of units"],
)
def test_what_the_source_says_is_not_whole_is_refused(
    mapping: dict[str, Any], key: str | None, rule: str
) -> None:
    """With its words and by its key, although what there is of it could be read."""
    whole, told = payment(0, lines=[1]), payment(1, lines=[1])
    records = [msgspec.json.encode(whole), marked(msgspec.json.encode(told), "no price (at x.1)")]
    bound = StreamMapping(entity="payment", **{"key": "id", "fields": PAYMENT} | mapping).bind(
        Payment
    )
    result = Transformer(bound).run(pa.array(records, pa.binary()), seen_at=NOW)
    assert len(result.rows) == 1
    (refused,) = result.refused.to_pylist()
    assert (refused["reason"], refused["rule"], refused["record"]) == (
        "no price (at x.1)", rule, records[1],
    )  # fmt: skip
    assert refused["key"] == (key or f"sha256:{hashlib.sha256(records[1]).hexdigest()}")


def test_the_bad_records_of_a_thousand_are_refused_and_the_others_pass() -> None:
    """997 rows, and three refusals that say which column, which rule and why."""
    records = [payment(n) for n in range(1000)]
    records[17] |= {"amount": "100"}
    records[400] |= {"currency": None}
    records[999] |= {"status": "astonished"}
    done = transform(PAYMENT, *records, entity=Payment)
    assert (done.received, len(done.rows), len(done.refused)) == (1000, 997, 3)
    good = [f"ch_{n}" for n in range(1000) if n not in (17, 400, 999)]
    assert done.rows["source_id"].to_pylist() == good
    assert done.refused.select(["key", "field", "rule"]).to_pylist() == [
        {"key": "ch_17", "field": "amount", "rule": "minor_units"},
        {"key": "ch_400", "field": "amount", "rule": "minor_units"},
        {"key": "ch_999", "field": "status", "rule": "enumeration"},
    ]
    assert done.refused["record"].to_pylist()[0] == msgspec.json.encode(records[17])


def test_a_row_is_what_its_record_said() -> None:
    """Positions stay together when others drop out around them."""
    records = [payment(n, status="?" if n % 3 else "succeeded") for n in range(50)]
    rows = transform(PAYMENT, b"5", *records, entity=Payment).rows.to_pylist()
    for row in rows:
        number = int(row["source_id"].removeprefix("ch_"))
        assert int(row["amount"].scaleb(2)) == 100 + number
        assert row["created_at"] == datetime.fromtimestamp(1_700_000_000 + number, UTC)
    assert len(rows) == 17


def test_the_columns_of_rows_and_refusals() -> None:
    """The shapes that the loader builds on; JSON goes out as text."""
    done = transform({"text": "t"}, {"id": "a"}, b"x")
    assert done.rows.schema.names == [
        "source_id",
        *(c.name for c in Thing.columns()),
        "_version",
        "_seen_at",
        "_rank",
        "_deleted_at",
    ]
    types = {name: done.rows.schema.field(name).type for name in ("json", "_version", "_seen_at")}
    assert types == {
        "json": pa.string(),
        "_version": pa.int64(),
        "_seen_at": pa.timestamp("us", tz="UTC"),
    }
    assert done.refused.schema == SCHEMA


def test_a_refusal_tells_everything_that_is_wrong() -> None:
    """One entry a record: the first fault gives field and rule, the reason holds all."""
    done = transform(
        PAYMENT, payment(1, currency="xyz", status="?", created=10**15), entity=Payment
    )
    assert done.refused.to_pylist()[0] | {"record": b""} == {
        "key": "ch_1",
        "field": "amount",
        "rule": "minor_units",
        "reason": (
            "amount: `amount` 101, `currency` 'xyz' has no currency whose decimals are known; "
            "status: `status` '?' is none of succeeded; "
            "created_at: `created` 1000000000000000 "
            "lies outside the years 1 to 9999 in epoch seconds"
        ),
        "record": b"",
        "kind": "data",
        "seen_at": NOW,
    }


def test_a_required_column_without_a_value_is_refused_with_its_source() -> None:
    """The reason names the path that held nothing."""
    done = transform(PAYMENT, payment(1, status=None, created=None), entity=Payment)
    assert done.refused["reason"].to_pylist() == [
        "status: `status` null gives nothing, and the column is required; "
        "status_raw: `status` null gives nothing, and the column is required; "
        "created_at: `created` null gives nothing, and the column is required"
    ]


@pytest.mark.parametrize(
    ("record", "key"),
    [
        ({"id": "a", "t": 5}, "a"),
        ({"id": "  ", "t": "x"}, None),
        ({"id": None}, None),
        ({"t": "x"}, None),
        ({"id": "x" * 501}, None),
        ({"id": "a\x00"}, None),
        ({"id": 7}, None),
        (b'{"id":"a"', None),
        (b"null", None),
    ],
)
def test_a_refused_record_goes_by_its_key_or_by_its_hash(record: Any, key: str | None) -> None:
    """A later success under the same key can close the entry."""
    raw = record if isinstance(record, bytes) else msgspec.json.encode(record)
    refused = transform({"text": "t"}, raw).refused
    assert refused["key"].to_pylist() == [key or f"sha256:{hashlib.sha256(raw).hexdigest()}"]


def test_a_key_may_have_five_hundred_characters() -> None:
    done = transform({"text": "t"}, {"id": "x" * 500})
    assert done.rows["source_id"].to_pylist() == ["x" * 500]


def test_what_cannot_be_read_is_told_of_the_first_column_that_is_made_of_it() -> None:
    refused = transform({"text": "t", "word": "t"}, {"id": "a", "t": 5}).refused
    assert refused["field"].to_pylist() == ["text"]


def test_a_numeric_id_is_answered_with_how_to_write_it() -> None:
    """The likeliest mistake of a first mapping says its own remedy."""
    refused = transform({"text": "t"}, {"id": 7}).refused
    assert refused.select(["field", "rule", "reason"]).to_pylist() == [
        {
            "field": "source_id",
            "rule": "key",
            "reason": (
                "`id`: expected `str | null`, got `int`; write the key as {type: integer, from: id}"
            ),
        }
    ]
    numeric = {"type": "integer", "from": "id"}
    rows = transform({"text": "t"}, {"id": 7}, key=numeric).rows
    assert rows["source_id"].to_pylist() == ["7"]


@settings(max_examples=60)
@given(
    st.lists(st.tuples(*[st.text("a/%2F", min_size=1, max_size=4)] * 2), unique=True, min_size=1)
)
@example([("/", "a"), ("%2F", "a")])
@example([("a/b", "c"), ("a", "b/c")])
def test_no_two_keys_of_several_parts_look_alike(parts: list[tuple[str, str]]) -> None:
    """("a/b", "c") and ("a", "b/c") are two records."""
    records = [{"a": a, "b": b} for a, b in parts]
    ids = transform({"text": "t"}, *records, key=["a", "b"]).rows["source_id"].to_pylist()
    assert len(set(ids)) == len(parts)


def test_several_parts_are_joined_by_slashes() -> None:
    """Readable where nothing needs to be escaped."""
    rows = transform({"text": "t"}, {"a": "nl", "b": "7/1"}, key=["a", "b"]).rows
    assert rows["source_id"].to_pylist() == ["nl/7%2F1"]


def test_rows_carry_version_time_and_rank() -> None:
    """`_seen_at` follows each record, also past refused ones, and the refused ones too."""
    bound = StreamMapping.model_validate(
        {"entity": "thing", "key": "id", "version": "v", "fields": {"text": "t"}}
    ).bind(Thing)
    records = [b'{"id":"a","v":3}', b"7", b'{"id":"b"}']
    times = pa.array([NOW + timedelta(seconds=n) for n in range(3)], pa.timestamp("us", tz="UTC"))
    done = Transformer(bound).run(pa.array(records, pa.binary()), seen_at=times, rank=PUSH)
    assert done.rows.select(["source_id", "_version", "_seen_at", "_rank"]).to_pylist() == [
        {"source_id": "a", "_version": 3, "_seen_at": NOW, "_rank": 1},
        {"source_id": "b", "_version": None, "_seen_at": NOW + timedelta(seconds=2), "_rank": 1},
    ]
    assert done.refused["seen_at"].to_pylist() == [NOW + timedelta(seconds=1)]


def test_an_empty_batch_gives_empty_tables() -> None:
    """An empty window is a window like any other."""
    done = transform({"text": "t"})
    assert (done.received, len(done.rows), len(done.refused)) == (0, 0, 0)
    assert done.rows.schema == transform({"text": "t"}, {"id": "a"}).rows.schema


class Shy(Thing):
    """As Thing, but names one fault at a time."""

    @classmethod
    def faults(cls, table: pa.Table) -> list[Fault]:
        return super().faults(table)[:1]


def test_the_model_is_asked_until_it_has_nothing_to_say() -> None:
    """One fault may hide another; rows are right only after a pass without any."""
    records = [{"id": str(n), "w": w} for n, w in enumerate(["x", "on", "y", "off", "z"])]
    done = transform({"word": "w"}, *records, entity=Shy)
    assert done.rows["source_id"].to_pylist() == ["1", "3"]
    assert done.refused["key"].to_pylist() == ["0", "2", "4"]


def shout(*, card_brand: pa.Array) -> pa.Array:
    """A function of a connector's transformer.py."""
    return pc.utf8_upper(card_brand)


RULE = {"type": "python", "call": "shout", "reads": {"card.brand": "string"}}


def test_a_function_says_what_the_file_cannot() -> None:
    """It takes whole columns under their paths and gives one."""
    record = {"id": "a", "card": {"brand": "visa"}}
    done = transform({"text": RULE}, record, functions={"shout": shout})
    assert done.rows["text"].to_pylist() == ["VISA"]


def fails(*, card_brand: pa.Array) -> pa.Array:
    raise ValueError(f"Jane Doe {card_brand}")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            fails,
            rf"failed: ValueError at \S+test_transform\.py:{fails.__code__.co_firstlineno + 1}\. ",
        ),
        (lambda card_brand: card_brand.cast("int64"), r"failed: ArrowInvalid at \S+\.py:\d+\. "),
        (lambda card_brand: pa.array([1]), "gave 1 × int64, where 1 × string were wanted"),
        (lambda card_brand: card_brand[:0], "gave 0 × string, where 1 × string were wanted"),
    ],
)
def test_a_function_that_fails_stops_the_stream(function: Any, message: str) -> None:
    """It is nobody's record that is wrong, and nothing of a record is said."""
    record = {"id": "a", "card": {"brand": "Jane Doe"}}
    with pytest.raises(StopStream, match=message) as caught:
        transform({"text": RULE}, record, functions={"shout": function})
    assert "Jane" not in redacted(caught.value)


VALUES = st.none() | st.integers() | st.text(max_size=6) | st.just("2026-01-01") | st.booleans()
RECORDS = st.lists(
    st.fixed_dictionaries({}, optional=dict.fromkeys(("id", "a", "b", "c", "d", "e"), VALUES)),
    max_size=10,
)


@settings(max_examples=80)
@given(RECORDS)
def test_every_record_is_a_row_or_a_refusal(records: list[dict[str, Any]]) -> None:
    """Whatever the values, and what is refused does not depend on the neighbours."""
    fields = {
        "text": "a",
        "moment": {"type": "epoch_s", "from": "b"},
        "day": "c",
        "money": {"type": "minor_units", "from": "b", "currency": "d"},
        "word": "e",
    }
    done = transform(fields, *records)
    assert done.received == len(records) == len(done.rows) + len(done.refused)
    half = len(records) // 2
    parts = [transform(fields, *part) for part in (records[:half], records[half:])]
    assert [line for part in parts for line in part.refused.to_pylist()] == done.refused.to_pylist()
