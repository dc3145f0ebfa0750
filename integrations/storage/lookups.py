"""Tables in which values are looked up, read whole into memory: two columns, as texts.

They are read by COPY as CSV, so that no row of them passes through Python.
"""

import io
from collections.abc import Mapping
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.csv
from psycopg import sql

from integrations.errors import StopStream
from integrations.names import StreamId

MOST = 1_000_000
"""Rows of one table. So many with keys of 14 characters take 200 MB while they are read and 30 MB
afterwards, 1.5 CPU-seconds a load, and 1.8 more for each million values."""
TEXTS = pa.schema({"key": pa.string(), "value": pa.string()})

_COPY = sql.SQL(
    "COPY (SELECT {key}::text, {value}::text FROM {table} WHERE {rows} LIMIT {most})"
    " TO STDOUT (FORMAT csv)"
)
_SPELLING = (
    "SELECT set_config('datestyle', 'ISO', true), set_config('extra_float_digits', '1', true)"
)
"""How Postgres spells times and floating-point numbers here, whatever the server's settings are."""


def of_stream(
    connection: psycopg.Connection[Any], stream: StreamId, *, entity: str, key: str, value: str
) -> pa.Table:
    """The stream's live rows as `TEXTS`; none where it was never loaded. Raises StopStream where
    its table has no such column yet, and for more than `MOST` rows."""
    table = sql.Identifier("canonical", f"{entity}_live")
    rows = sql.SQL("(connector, connection, stream) = ({}, {}, {})").format(
        *map(sql.Literal, (stream.connector, stream.connection, stream.stream))
    )
    types = _types(connection, table)
    if not types:
        return TEXTS.empty_table()
    if not {key, value} <= types.keys():
        raise StopStream(
            f"the table of {stream} lacks a column that is looked up ({key} or {value})",
            todo=f"Sync `{stream}` first: it follows its model then.",
        )
    return _read(connection, table, key=key, value=value, rows=rows, named=str(stream))


def of_table(
    connection: psycopg.Connection[Any], name: str, *, key: str, value: str, types: frozenset[str]
) -> pa.Table:
    """The rows of a table or view `schema.name` as `TEXTS`; the value has one of these types of
    Postgres. Raises StopStream where it is not there, may not be read, lacks a column, or has more
    than `MOST` rows."""
    table = sql.Identifier(*name.split("."))
    try:
        there = _types(connection, table)
        for column in (key, value):
            if column not in there:
                what = f"the table {name} has no column {column!r}" if there else f"no table {name}"
                raise StopStream(f"{what} to look values up in", todo="Make it, or correct it.")
        if there[value] not in types:
            wanted = " or ".join(sorted(types))
            raise StopStream(
                f"the column {value!r} of {name} is of type {there[value]}, not {wanted}",
                todo="Have a view give it as that type.",
            )
        every = sql.SQL("true")
        return _read(connection, table, key=key, value=value, rows=every, named=name)
    except psycopg.errors.InsufficientPrivilege as error:
        raise StopStream(
            f"the table {name} may not be read: {error.diag.message_primary}",
            todo="Grant our role USAGE on its schema and SELECT on it.",
        ) from None


def _types(connection: psycopg.Connection[Any], table: sql.Identifier) -> Mapping[str, str]:
    """The types of a table's columns, without their sizes; empty where there is no such table."""
    found = connection.execute(
        "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute"
        " WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped",
        [table.as_string(connection)],
    )
    return dict(found.fetchall())


def _read(
    connection: psycopg.Connection[Any],
    table: sql.Identifier,
    *,
    key: str,
    value: str,
    rows: sql.Composable,
    named: str,
) -> pa.Table:
    connection.execute(_SPELLING)
    statement = _COPY.format(
        key=sql.Identifier(key),
        value=sql.Identifier(value),
        table=table,
        rows=rows,
        most=sql.Literal(MOST + 1),
    )
    sink = io.BytesIO()
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        sink.writelines(copy)
    texts = parsed(sink.getvalue(), names=TEXTS.names)
    if len(texts) > MOST:
        raise StopStream(
            f"{named} has more than {MOST:,} rows, too many to look values up in",
            todo="Look up in a view of those that are needed.",
        )
    return texts


def header(data: bytes) -> list[str]:
    """The names in the first row of a CSV. Raises what pyarrow raises for one that is wrong."""
    names: list[str] = pyarrow.csv.open_csv(io.BytesIO(data)).schema.names
    return names


def parsed(
    data: bytes, *, names: list[str] | None = None, columns: tuple[str, str] = ("key", "value")
) -> pa.Table:
    """Two columns of a CSV as `TEXTS`: an empty cell is null, and `""` an empty text. The header
    row names its columns, or `names` does. Raises what pyarrow raises for a CSV that is wrong."""
    if not data and names:
        return TEXTS.empty_table()
    wanted = list(dict.fromkeys(columns))
    found = pyarrow.csv.read_csv(
        io.BytesIO(data),
        read_options=pyarrow.csv.ReadOptions(column_names=names),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            include_columns=wanted,
            column_types=dict.fromkeys(wanted, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    key, value = (found.column(name) for name in columns)
    return pa.table([key, value], schema=TEXTS)
