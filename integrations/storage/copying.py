"""Arrow tables into Postgres by COPY, exactly: decimals by their digits, "" apart from null.

pyarrow writes CSV in a third of the CPU that psycopg needs to format rows. In its CSV every text
is quoted and null is nothing at all, which is how Postgres tells the two apart. To Postgres a
quoted text that holds a line of `\\.` is a text, and not the end (tried on 15 and 18).
"""

from collections.abc import Sequence
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import sql
from pyarrow import csv

_CSV = csv.WriteOptions(include_header=False, quoting_style="needed")


def copy_rows(
    connection: psycopg.Connection[Any],
    target: sql.Identifier,
    *,
    rows: pa.Table,
    names: Sequence[str],
) -> None:
    """Append the columns `names` of `rows` to the table `target`, whose columns are called the
    same. The session's time zone must be UTC. Raises KeyError for a column that `rows` has not,
    psycopg's errors for a value that Postgres cannot hold."""
    if not rows.num_rows:
        return
    rows = rows.select(list(names))
    columns = sql.SQL(", ").join(map(sql.Identifier, names))
    copy = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, ENCODING 'UTF8')")
    with connection.cursor() as cursor, cursor.copy(copy.format(target, columns)) as sink:
        sink.write(_csv(rows))


def _csv(rows: pa.Table) -> bytes:
    for place, field in enumerate(rows.schema):
        rows = rows.set_column(place, field.name, _plain(rows.column(place)))
    sink = pa.BufferOutputStream()
    csv.write_csv(rows, sink, _CSV)
    return sink.getvalue().to_pybytes()


def _plain(values: "pa.ChunkedArray[Any]") -> "pa.ChunkedArray[Any] | pa.Array[Any]":
    """The same values in a type that CSV takes, and takes fast."""
    kind: Any = values.type
    if pa.types.is_dictionary(kind):
        return values.cast(kind.value_type)
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        # Arrow prints a moment with a zone sixty times slower; without one it is in UTC.
        return values.cast(pa.timestamp(kind.unit))
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        # Postgres's own spelling of bytes: Arrow has no kernel for it, and CSV must be UTF-8.
        spelled = (None if value is None else f"\\x{value.hex()}" for value in values.to_pylist())
        return pa.array(spelled, pa.string())
    return values
