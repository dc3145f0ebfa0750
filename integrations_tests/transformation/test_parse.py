"""Reading records: every shape of damage costs its own record, and only that."""

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.transformation.kinds import (
    DECIMAL,
    ID_OR_OBJECT,
    INTEGER,
    NUMBER,
    STRING,
    STRING_MAP,
    VALUE,
    Kind,
)
from integrations.transformation.parse import Parsed, Parser

PATHS = {
    "id": STRING,
    "amount": INTEGER,
    "rate": NUMBER,
    "card.fee": DECIMAL,
    "card.owner": ID_OR_OBJECT,
    "tags": STRING_MAP,
    "card.any": VALUE,
}
GOOD = b'{"id":"good","amount":1,"card":{"fee":1.5,"owner":{"id":"o"}},"tags":{"a":"b"}}'


def parse(*records: bytes) -> Parsed:
    return Parser(PATHS).parse(pa.array(records, pa.binary()))


@pytest.mark.parametrize(
    ("record", "path", "reason"),
    [
        (b"null", "", "the record is no JSON object"),
        (b"", "", "the record is no JSON object"),
        (b"[1]", "", "the record is no JSON object"),
        (b'"x"', "", "the record is no JSON object"),
        (b'{"id":"a"', "", "the record is no JSON: Input data was truncated"),
        (b'{"id":"a"}{"id":"b"}', "", "trailing characters"),
        (b'{"id":"a"}}', "", "trailing characters"),
        (b'{"id":"a","id":"b"}', "", "specified twice"),
        (b'{"id":"\\ud800"}', "", "the record holds half of a surrogate pair, which is no text"),
        (b'{"other":"\\udfff\\ud83d\\ude00"}', "", "half of a surrogate pair"),
        (b'{"id":"\\\\ud800"', "", "the record is no JSON: Input data was truncated"),
        (b'{"id":"\\ud83c\\udf00"', "", "the record is no JSON: Input data was truncated"),
        (b'{"other":1e400}', "", "the record cannot be read: Number too big"),
        (b'{"id":"\xff"}', "", "can't decode byte 0xff"),
        (b'{"id":"a\nb"}', "", "invalid character"),
        (b'{"other":' + b"[" * 50_000 + b"]" * 50_000 + b"}", "", "recursion"),
        (b'{"amount":"1"}', "amount", "expected `int | null`, got `str`"),
        (b'{"amount":9223372036854775808}', "amount", "expected `int` of at most"),
        (b'{"rate":1e999}', "rate", "out of range"),
        (b'{"card":5}', "card", "expected `object | null`, got `int`"),
        (b'{"card":{"fee":true}}', "card.fee", "expected `decimal | null`, got `bool`"),
        (b'{"card":{"fee":"1.0000000001"}}', "card.fee", "requires scale 10"),
        (b'{"card":{"owner":5}}', "card.owner", "expected `str | object | null`, got `int`"),
        (b'{"card":{"any":"\xff"}}', "card.any", "Invalid UTF8"),
        (b'{"card":{"any":NaN}}', "", "the record is no JSON"),
        (b'{"tags":{"a":null}}', "tags[...]", "expected `str`, got `null`"),
    ],
)
@pytest.mark.parametrize("place", ["first", "between", "alone"])
def test_a_bad_record_is_named_and_its_neighbours_pass(
    record: bytes, path: str, reason: str, place: str
) -> None:
    """Wherever it stands: pyarrow 26 crashed on a block that began with `null`."""
    before = [GOOD] if place == "between" else []
    after = [] if place == "alone" else [GOOD]
    parsed = parse(*before, record, *after)
    assert [(u.row, u.path) for u in parsed.unread] == [(len(before), path)]
    assert reason in parsed.unread[0].reason
    assert parsed.columns["id"].to_pylist() == ["good"] * len(before + after)
    assert len(parsed.rows) == len(before + after)


def test_bad_records_of_a_long_batch_are_named_by_their_places() -> None:
    """In the batch's order, whatever is wrong with each, and also where others were wrong before."""
    records = [GOOD] * 2_500
    records[1_200], records[1_201], records[2_300] = b'{"id":5}', b"null", b'{"id":6}'
    used = Parser(PATHS)
    for _ in range(2):
        read = used.parse(pa.array(records, pa.binary()))
        assert [(one.row, one.path) for one in read.unread] == [
            (1200, "id"),
            (1201, ""),
            (2300, "id"),
        ]


def test_good_values_arrive() -> None:
    """Nested values, references, maps and exact decimals, by their paths."""
    columns = {path: values[0].as_py() for path, values in parse(GOOD).columns.items()}
    assert {path: str(value) for path, value in columns.items()} == {
        "id": "good",
        "amount": "1",
        "rate": "None",
        "card.fee": "1.500000000",
        "card.owner": "o",
        "tags": '{"a":"b"}',
        "card.any": "None",
    }


def test_what_lies_inside_a_null_is_null() -> None:
    """A null object, an absent one and an empty one look alike."""
    parsed = parse(b'{"card":null}', b"{}", b'{"card":{}}', GOOD)
    assert parsed.columns["card.owner"].to_pylist() == [None, None, None, "o"]
    assert parsed.columns["card.fee"].null_count == 3


def test_a_value_is_kept_as_it_was_sent() -> None:
    """With its blanks and its escapes; null and absent are null."""
    texts = [b'{"a" : [1.20]}', b'"\\u00e9"', b"-0", b"true", b"null", b'"null"']
    parsed = parse(*(b'{"card":{"any":%s}}' % text for text in texts), b'{"card":null}', b"{}")
    told = [None if text == b"null" else text.decode() for text in texts]
    assert parsed.columns["card.any"].to_pylist() == [*told, None, None]


def test_records_may_be_written_over_several_lines() -> None:
    """Whitespace between tokens is the source's own business."""
    pretty = msgspec.json.format(GOOD, indent=2)
    assert parse(pretty, pretty).columns["amount"].to_pylist() == [1, 1]


def test_large_binary_reads_as_binary() -> None:
    """Landings may hold either."""
    parsed = Parser(PATHS).parse(pa.array([GOOD], pa.large_binary()))
    assert parsed.columns["id"].to_pylist() == ["good"]


@pytest.mark.parametrize("kind", [STRING, ID_OR_OBJECT])
def test_two_values_in_one_record_shift_no_other(kind: Kind) -> None:
    """Whichever reader looks at it: rows and records are counted against each other."""
    records = [b'{"id":"a"}{"id":"b"}', b'{"id":"c"}']
    parsed = Parser({"id": kind}).parse(pa.array(records, pa.binary()))
    assert (parsed.rows.to_pylist(), parsed.columns["id"].to_pylist()) == ([1], ["c"])


def test_an_empty_batch_has_empty_columns() -> None:
    """Types stay, so that batches can be put together."""
    assert {p: c.type for p, c in parse().columns.items()} == {p: k.arrow for p, k in PATHS.items()}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "fee", "owner", "any", "a"]), inner, max_size=3)
    ),
    max_leaves=6,
)
RECORDS = st.lists(
    st.dictionaries(st.sampled_from([*PATHS, "card", "z"]), JSON, max_size=4) | JSON, max_size=12
)


@settings(max_examples=100)
@given(RECORDS)
def test_any_json_is_read_or_refused(records: list[object]) -> None:
    """No record is lost, none is read twice, and nothing raises."""
    parsed = parse(*map(msgspec.json.encode, records))
    rows = parsed.rows.to_pylist()
    assert rows == sorted(rows)
    assert sorted(rows + [u.row for u in parsed.unread]) == list(range(len(records)))
    assert {len(c) for c in parsed.columns.values()} == {len(rows)}


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=12) | st.just(GOOD), max_size=8))
def test_any_bytes_are_read_or_refused(records: list[bytes]) -> None:
    """Even what is no JSON at all."""
    parsed = parse(*records)
    whole = parsed.columns["id"].to_pylist().count("good")
    assert whole == records.count(GOOD)
    assert len(parsed.rows) + len(parsed.unread) == len(records)


@settings(max_examples=100)
@given(st.lists(RECORDS, min_size=2, max_size=4))
def test_what_a_parser_has_read_before_changes_no_answer(batches: list[list[object]]) -> None:
    """It remembers where records were wrong, to be faster: one that remembers nothing agrees."""
    used = Parser(PATHS)
    for batch in batches:
        records = pa.array(map(msgspec.json.encode, batch), pa.binary())
        assert used.parse(records) == Parser(PATHS).parse(records)


def test_a_record_that_was_wrong_elsewhere_before_is_named_alike() -> None:
    """With the first of its faults, and not with the one that is suspected."""
    used, wrong = Parser(PATHS), b'{"id":5,"amount":"x"}'
    for record in (b'{"amount":"x"}', wrong):
        read = used.parse(pa.array([GOOD, record], pa.binary()))
    assert read == parse(GOOD, wrong)
    assert read.unread[0].path == "id"
