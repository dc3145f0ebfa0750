"""Rows of every shipped model, with the extremes of each of its types, through a load and back."""

from datetime import datetime, timedelta
from itertools import count
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import set_json_loads

from integrations.canonical import ENTITIES
from integrations.canonical.entity import Entity, EntityColumn
from integrations.storage.loader import Load
from integrations.storage.loader import Said as About
from integrations.storage.merge import Order
from integrations.storage.tables import ensure_leaf
from integrations_tests.storage.loads import PIN, STREAM, T0, draft
from integrations_tests.storage.values import JSON, VALUES, exact

Connection = psycopg.Connection[Any]
Row = dict[str, Any]
CODES = {"str_matches('^[A-Z]{2}$')": 2, "str_matches('^[A-Z]{3}$')": 3}
LETTERS = [chr(letter) for letter in range(ord("A"), ord("Z") + 1)]
MOMENTS = map(timedelta(seconds=1).__mul__, count())
"""Each load is said later than the one before it."""


@pytest.fixture
def database(emptied: str) -> str:
    return emptied


def values(column: EntityColumn) -> st.SearchStrategy[Any]:
    """What the column takes."""
    found = VALUES[column.type]
    if column.allowed:
        found = st.sampled_from(column.allowed)
    elif column.checks:
        size = CODES[column.checks[0]]
        found = st.lists(st.sampled_from(LETTERS), min_size=size, max_size=size).map("".join)
    return found | st.none() if column.nullable else found


def rows(entity: type[Entity]) -> st.SearchStrategy[list[Row]]:
    """A batch of the entity: never one row alone, since columns are written as a whole."""
    columns = st.fixed_dictionaries({one.name: values(one) for one in entity.columns()})
    return st.lists(columns, min_size=2, max_size=8)


def loaded(connection: Connection, entity: type[Entity], table: pa.Table, *, at: datetime) -> None:
    """The rows as the transformer hands them over, loaded and committed."""
    columns = dict(zip(table.column_names, table.columns, strict=True))
    texts = {name: one.cast(pa.string()) for name, one in columns.items() if one.type == JSON}
    size, moment = len(table), pa.timestamp("us", "UTC")
    staged = pa.table(
        {"source_id": [str(number) for number in range(size)]}
        | columns
        | texts
        | {"_version": pa.nulls(size, pa.int64()), "_seen_at": pa.array([at] * size, moment)}
        | {"_rank": pa.array([0] * size, pa.int16()), "_deleted_at": pa.nulls(size, moment)}
    )
    with Load.open(connection, entity.table(), STREAM, order=Order()) as load:
        load.stage(staged, refused=None, received=size)
        load.commit(draft(size), pin=PIN, said=About(), accept=False)


def stored(connection: Connection, entity: type[Entity], size: int) -> list[Row]:
    """The first so many rows of the live view, JSON as Python's values."""
    names = sql.SQL(", ").join(sql.Identifier(one.name) for one in entity.columns())
    query = sql.SQL("SELECT {} FROM {} WHERE source_id::int < %s ORDER BY source_id::int")
    with connection.cursor(row_factory=dict_row) as cursor:
        set_json_loads(exact, cursor)
        found = cursor.execute(query.format(names, entity.table().live), [size]).fetchall()
    connection.rollback()
    return found


@pytest.mark.parametrize("name", ENTITIES)
def test_rows_come_back_as_they_were(name: str, connection: Connection) -> None:
    """To the last digit, character and byte, first as new rows and then as changed ones."""
    entity = ENTITIES[name]
    ensure_leaf(connection, entity.table(), connector=STREAM.connector)
    schema = pa.schema([(one.name, one.type) for one in entity.columns()])

    @settings(
        max_examples=3, suppress_health_check=list(HealthCheck), database=None,
        phases=[Phase.generate],  # a load a guess is too dear for finding the smallest
    )  # fmt: skip
    @given(rows(entity))
    def holds(given: list[Row]) -> None:
        table = pa.Table.from_pylist(given, schema)
        assert entity.faults(table) == []
        loaded(connection, entity, table, at=T0 + next(MOMENTS))
        expected = [
            {key: read(one, schema.field(key).type) for key, one in row.items()} for row in given
        ]
        assert stored(connection, entity, len(given)) == expected

    holds()


def read(value: Any, kind: pa.DataType) -> Any:
    """A value as it is read again."""
    return exact(value) if kind == JSON and value is not None else value
