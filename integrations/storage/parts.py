"""What is inside a part: the bytes of records, when the source said them, and their page.

Its own module, because the layout of the files is one idea and their place in the zone another.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

Records = Sequence[bytes | msgspec.Raw]
"""Records as the source sent them, each in a buffer."""

_MOMENT = pa.timestamp("us", "UTC")


@dataclass(frozen=True)
class Batch:
    """Records in memory, in the order in which they came: `first` is the first one's place in the
    landing, `seen_at` (microseconds, UTC) runs beside `records`."""

    records: pa.BinaryArray
    seen_at: "pa.TimestampArray[Any, Any]"
    first: int


def pack(records: Records, *, pages: Sequence[tuple[int, int, datetime]]) -> pa.Buffer:
    """A Parquet file of `records`; `pages` has number, length and `seen_at` of each page."""
    # One join and one array of offsets: pa.array() over bytes objects costs four times as much.
    offsets = np.zeros(len(records) + 1, dtype=np.int32)
    np.cumsum(np.fromiter(map(len, records), np.int32, len(records)), out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets.data), pa.py_buffer(b"".join(records))]
    numbers, counts, moments = zip(*pages, strict=True)
    places = np.repeat(np.arange(len(pages)), counts)
    table = pa.table(
        {
            "record": pa.BinaryArray.from_buffers(pa.binary(), len(records), buffers),
            "seen_at": pa.array(moments, _MOMENT).take(places),
            "page": pa.array(np.repeat(np.array(numbers, np.int32), counts)),
        }
    )
    sink = pa.BufferOutputStream()
    # Records hardly repeat as a whole, so a dictionary of them is work for nothing.
    dictionary: Any = ["seen_at", "page"]  # the stubs know only the boolean
    pq.write_table(table, sink, compression="zstd", use_dictionary=dictionary)
    return sink.getvalue()


def count(data: pa.Buffer) -> int:
    """How many records a part says that it holds."""
    return pq.ParquetFile(pa.BufferReader(data)).metadata.num_rows


def unpack(data: pa.Buffer, *, first: int) -> Batch:
    """The records of a part, whose first is the landing's record number `first`.

    Raises pyarrow's errors when the bytes are no such file.
    """
    table = pq.read_table(pa.BufferReader(data), columns=["record", "seen_at"])
    records: Any = table.column("record").combine_chunks()
    seen_at: Any = table.column("seen_at").combine_chunks()
    return Batch(records=records, seen_at=seen_at, first=first)
