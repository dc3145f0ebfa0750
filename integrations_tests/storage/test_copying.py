"""What is copied is what arrives: every value of every type that a column can have."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import set_json_loads

from integrations.canonical.entity import POSTGRES
from integrations.storage.copying import copy_rows
from integrations.storage.database import connect
from integrations_tests.storage.values import JSON, VALUES, exact

Connection = psycopg.Connection[Any]
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
        set_json_loads(exact, cursor)
        columns = sql.SQL(", ").join(map(sql.Identifier, names))
        cursor.execute(sql.SQL("SELECT {} FROM target ORDER BY nth").format(columns))
        return cursor.fetchall()


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS)
def test_every_value_arrives_as_it_is(target: Connection, rows: list[dict[str, Any]]) -> None:
    """To the last digit and byte, and null apart from what is empty."""
    schema = pa.schema([(NAMES[kind], pa.string() if kind == JSON else kind) for kind in VALUES])
    expected = [
        row | {NAMES[JSON]: None if row[NAMES[JSON]] is None else exact(row[NAMES[JSON]])}
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
