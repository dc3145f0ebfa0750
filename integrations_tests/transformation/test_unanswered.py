"""Records of which the source did not tell all: each is refused for that alone, under its own key."""

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.transformation.mapping import StreamMapping
from integrations.transformation.shape import Shape
from integrations.transformation.transform import Transformer
from integrations.transformation.transformed import Transformed
from integrations.unanswered import MARK, marked, reason_of
from integrations_tests.transformation.things import NOW, Thing

WHY = "GET /things/7 answered 404"


def ran(*records: bytes, **changes: Any) -> Transformed:
    values = {"entity": "thing", "key": "id", "fields": {"text": "name"}} | changes
    bound = StreamMapping.model_validate(values).bind(Thing)
    return Transformer(bound).run(pa.array(records, pa.binary()), seen_at=NOW)


@given(
    record=st.dictionaries(st.text(), st.integers() | st.text()),
    reason=st.text(),
    blanks=st.sampled_from(["", " ", "\n\t"]),
)
def test_a_mark_is_read_as_it_was_made(record: dict[str, Any], reason: str, blanks: str) -> None:
    """It stands first, the record is an object still, and nothing else of it has changed."""
    text = json.dumps(record)
    made = marked(f"{blanks}{{{blanks}{text[1:]}".encode(), reason)
    assert made.startswith(MARK)
    assert reason_of(made) == reason
    told = json.loads(made)
    assert told.pop("integrations.unanswered") == reason
    assert told == record


@pytest.mark.parametrize(
    ("record", "key"),
    [
        (b'{"id":"7"}', "7"),
        (b'{"id":"7","name":3}', "7"),
        (b'{"name":"x"}', None),
        (b"{}", None),
    ],
)
def test_it_is_refused_for_that_alone(record: bytes, key: str | None) -> None:
    """Whatever else it lacks; the others pass, and all are counted."""
    silent = marked(record, WHY)
    done = ran(b'{"id":"1","name":"a"}', silent, b'{"id":"2","name":"b"}')
    assert done.rows["source_id"].to_pylist() == ["1", "2"]
    (refused,) = done.refused.to_pylist()
    told = (refused["field"], refused["rule"], refused["reason"], refused["record"])
    assert told == ("record", "unanswered", WHY, silent)
    assert refused["key"] == key if key else refused["key"].startswith("sha256:")
    assert done.received == 3


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b' "x"', "its own words about that cannot be read"),
        (b"1" * 5_000, "its own words about that cannot be read"),
        (b"[" * 5_000 + b"]" * 5_000, "its own words about that cannot be read"),
        (rb'"a\ud83d"', "a?"),
        (b"null", "None"),
    ],
)
@pytest.mark.parametrize("mapping", [{}, {"each": "lines", "key": ["id", "item.n"]}])
def test_a_source_that_writes_so_is_refused(
    said: bytes, reason: str, mapping: dict[str, Any]
) -> None:
    """Whatever it writes: one record stops no stream."""
    done = ran(MARK + said + b',"id":"7"}', **mapping)
    assert done.refused["reason"].to_pylist() == [reason]


def test_a_deleted_record_needs_no_more() -> None:
    """It is not there to be asked for, and says so itself."""
    done = ran(marked(b'{"id":"7","gone":true}', WHY), deleted="gone")
    assert done.refused.num_rows == 0
    assert done.rows["_deleted_at"].to_pylist() == [NOW]


def test_it_is_no_list_without_elements() -> None:
    """Which would say that there are none."""
    done = ran(marked(b'{"id":"7"}', WHY), each="lines", key=["id", "item.n"])
    assert (done.received, done.filtered) == (1, 0)
    assert done.refused["reason"].to_pylist() == [WHY]


def test_it_is_no_news_of_what_records_look_like() -> None:
    """Nor is what it lacks."""
    shape = Shape()
    shape.add(pa.array([b'{"id":"1"}', marked(b'{"id":"7"}', WHY)], pa.binary()))
    assert [one.path for one in shape.changes({})] == []
    assert shape.sampled == 1
    assert shape.known({}).keys() == {"id"}
