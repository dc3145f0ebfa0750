"""What is copied is what arrives: every value of every type that a column can have."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql
from psycopg.rows import dict_row

from integrations.canonical.entity import POSTGRES
from integrations.storage.copying import copy_rows
from integrations.storage.database import connect

Connection = psycopg.Connection[Any]
JSON = pa.json_(pa.string())
MOST = 10**38 - 1
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
VALUES: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.string(): TEXT | st.sampled_from(["", "\\.", "\\N", 'a"b', "a,b", "a\nb\r\n", " ", "'"]),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float64(): st.floats(allow_nan=False) | st.sampled_from([-0.0, 5e-324]),
    pa.bool_(): st.booleans(),
    pa.timestamp("us", tz="UTC"): st.datetimes(timezones=st.just(UTC))
    | st.sampled_from([datetime(1, 1, 1, tzinfo=UTC), datetime(1999, 12, 31, 23, 59, tzinfo=UTC)]),
    pa.date32(): st.dates()
    | st.sampled_from([date(1, 1, 1), date(9999, 12, 31), date(2000, 1, 1)]),
    pa.decimal128(38, 9): (
        st.integers(-MOST, MOST) | st.sampled_from([0, 1, -1, MOST, -MOST, 10**13, -(10**8)])
    ).map(lambda units: Decimal(f"{units}E-9")),
    JSON: st.sampled_from(['{"a": [1, null, "é"]}', "[]", '"x"', "12.50", "null", "true"]),
    pa.binary(): st.binary(max_size=20),
}
"""What a column of each type of an entity can hold."""
STORED = {pa.int16(): "smallint"} | {kind: POSTGRES[kind] for kind in VALUES}
NAMES = {kind: f"column {number}" for number, kind in enumerate(STORED)}


ROWS = st.lists(
    st.fixed_dictionaries({NAMES[kind]: st.none() | VALUES[kind] for kind in VALUES}),
    min_size=1,
    max_size=8,
)


@pytest.fixture(scope="module")
def target(shared_database: str) -> Iterator[Connection]:
    """A connection with a table `target` of one column of each type."""
    with connect(shared_database) as connection:
        columns = sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(NAMES[kind]), sql.SQL(name))
            for kind, name in STORED.items()
        )
        create = "CREATE TEMP TABLE target (nth int GENERATED ALWAYS AS IDENTITY, {})"
        connection.execute(sql.SQL(create).format(columns))
        yield connection


def stored(connection: Connection, table: pa.Table) -> list[dict[str, Any]]:
    """The table as it is read again, JSON as Python's values."""
    connection.execute("TRUNCATE target RESTART IDENTITY")
    names = table.column_names
    copy_rows(connection, sql.Identifier("target"), rows=table, names=names, jsonb=[NAMES[JSON]])
    with connection.cursor(row_factory=dict_row) as cursor:
        columns = sql.SQL(", ").join(map(sql.Identifier, names))
        cursor.execute(sql.SQL("SELECT {} FROM target ORDER BY nth").format(columns))
        return cursor.fetchall()


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(ROWS)
def test_every_value_arrives_as_it_is(target: Connection, rows: list[dict[str, Any]]) -> None:
    """To the last digit and byte, and null apart from what is empty."""
    schema = pa.schema([(NAMES[kind], pa.string() if kind == JSON else kind) for kind in VALUES])
    expected = [
        row | {NAMES[JSON]: None if row[NAMES[JSON]] is None else json.loads(row[NAMES[JSON]])}
        for row in rows
    ]
    assert stored(target, pa.Table.from_pylist(rows, schema)) == expected


def test_slices_and_dictionaries_arrive_as_their_values(target: Connection) -> None:
    """Arrow keeps the place in a buffer beside it, and a text beside its numbers."""
    ranks, words = pa.array([0, 1, 2, None], pa.int16()), pa.array(["a", "b", "b", None])
    table = pa.table({NAMES[pa.int16()]: ranks, NAMES[pa.string()]: words.dictionary_encode()})
    whole = pa.concat_tables([table.slice(1, 2), table.slice(3), table.slice(0, 1)])
    said = [tuple(row.values()) for row in stored(target, whole)]
    assert said == [(1, "b"), (2, "b"), (None, None), (0, "a")]


def test_more_rows_than_are_sent_at_once_arrive(target: Connection) -> None:
    """In their order, none twice."""
    count = 12_345
    table = pa.table({NAMES[pa.int64()]: pa.array(range(count), pa.int64())})
    assert [row[NAMES[pa.int64()]] for row in stored(target, table)] == list(range(count))


def test_a_text_that_postgres_cannot_hold_is_an_error(target: Connection) -> None:
    """And nothing of it is stored."""
    with pytest.raises(psycopg.DataError), target.transaction():
        stored(target, pa.table({NAMES[pa.string()]: ["good", "nul \0"]}))
