"""What a feed's landing holds beside its events: records that were asked for one by one.

An event that is only a hint names a key; what the source says of it then is landed too, so that a
replay needs no call to the source.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_COLUMNS: dict[str, pa.DataType] = {
    "stream": pa.string(),
    "key": pa.string(),
    "record": pa.binary(),
    "seen_at": pa.timestamp("us", "UTC"),
    "problem": pa.string(),
}
SCHEMA = pa.schema(_COLUMNS)
"""One row per key: the stream it belongs to, the record as sent (null: the source has none), when
the source said so, and why it could not be asked (null: it could)."""


@dataclass(frozen=True)
class Fetched:
    """One answer about one key."""

    stream: str
    key: str
    record: bytes | None
    seen_at: datetime
    problem: str | None = None


def table(batch: Sequence[Fetched]) -> pa.Table:
    """The answers in the shape of SCHEMA."""
    columns: Any = zip(*map(astuple, batch), strict=True)
    arrays = zip(columns, _COLUMNS.values(), strict=True)
    return pa.Table.from_arrays([pa.array(column, kind) for column, kind in arrays], schema=SCHEMA)


def pack(batch: Sequence[Fetched]) -> pa.Buffer:
    """A Parquet file of the answers."""
    sink = pa.BufferOutputStream()
    pq.write_table(table(batch), sink, compression="zstd")
    return sink.getvalue()


def unpack(data: pa.Buffer) -> pa.Table:
    """The answers of a file; raises pyarrow's errors when the bytes are no such file."""
    return pq.read_table(pa.BufferReader(data), schema=SCHEMA)
