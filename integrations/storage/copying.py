"""Arrow tables into Postgres by COPY in its binary form, so exactly: "" apart from null, decimals
by their digits.

pgpq writes that form from Arrow's columns; text and CSV cost both sides twice as much, since each
number and moment is spelled out and read again.
"""

from collections.abc import Collection, Sequence
from typing import Any

import psycopg
import pyarrow as pa
from pgpq import ArrowToPostgresBinaryEncoder as Encoder
from pgpq.encoders import StringEncoderBuilder
from pgpq.schema import Jsonb
from psycopg import sql

_AT_ONCE = 5_000
"""Rows that are encoded and sent together: some MB are never in memory twice."""


def copy_rows(
    connection: psycopg.Connection[Any],
    target: sql.Identifier,
    *,
    rows: pa.Table,
    names: Sequence[str],
    jsonb: Collection[str] = (),
) -> None:
    """Append the columns `names` of `rows` to the table `target`, whose columns are called the
    same and are of the same types; those in `jsonb` are texts there and jsonb here. Raises KeyError
    for a column that `rows` has not, psycopg's errors for a value that Postgres cannot hold."""
    if not rows.num_rows:
        return
    rows = _plain(rows.select(list(names)))
    encoder = _encoder(rows.schema, jsonb)
    columns = sql.SQL(", ").join(map(sql.Identifier, names))
    copy = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(target, columns)
    with connection.cursor() as cursor, cursor.copy(copy) as sink:
        sink.write(encoder.write_header())
        for batch in rows.to_batches(max_chunksize=_AT_ONCE):
            sink.write(encoder.write_batch(batch))
        sink.write(encoder.finish())


def _plain(rows: pa.Table) -> pa.Table:
    """The same values, those of dictionaries spelled out."""
    schema = pa.schema(
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in rows.schema
    )
    return rows if schema == rows.schema else rows.cast(schema)


def _encoder(schema: pa.Schema, jsonb: Collection[str]) -> Encoder:
    builders = {field.name: Encoder.infer_encoder(field) for field in schema}
    for name in builders.keys() & jsonb:
        builders[name] = StringEncoderBuilder.new_with_output(schema.field(name), Jsonb())
    return Encoder.new_with_encoders(schema, builders)
