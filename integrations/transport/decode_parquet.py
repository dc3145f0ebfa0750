"""Parquet: each row becomes a JSON object, as its columns say."""

import json
from collections.abc import Iterator
from typing import IO, Any, Literal

import msgspec
import pyarrow as pa
import pyarrow.compute
from pydantic import BaseModel, ConfigDict

from integrations.transport.decode_csv import token
from integrations.transport.file_listing import Unread

pc: Any = pyarrow.compute
_AT_ONCE = 8_192
_LARGEST = 32 << 30
"""Bytes of a file's columns, unpacked."""
_TEXT = msgspec.json.Encoder(enc_hook=lambda value: value.isoformat())  # pandas' nanoseconds


class ParquetFormat(BaseModel):
    """Rows of columns. Moments are texts with their zone, decimals texts too, bytes are base64."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["parquet"]

    def check(self, stream: IO[bytes]) -> None:
        """Raises `Unread` for what is no Parquet, or would be too much of it."""
        from pyarrow import parquet

        try:
            about = parquet.ParquetFile(stream).metadata
        except (pa.ArrowException, OSError) as error:
            raise Unread(f"is no Parquet: {error}") from None
        size = sum(about.row_group(n).total_byte_size for n in range(about.num_row_groups))
        if size > _LARGEST or about.num_rows > max(size, 1) * 64:
            raise Unread(f"says that it has {about.num_rows} rows of {size} bytes: too much")
        stream.seek(0)

    def records(self, stream: IO[bytes], *, file: str, notes: list[str]) -> Iterator[list[bytes]]:
        """The rows in blocks. Raises `Unread` where it breaks."""
        try:
            yield from self._blocks(stream, file)
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
            if isinstance(error, OSError) and error.errno is not None:  # a fault of our disk
                raise
            raise Unread(str(error)) from error

    def _blocks(self, stream: IO[bytes], file: str) -> Iterator[list[bytes]]:
        from pyarrow import parquet

        first = 1
        begin = f'{{"_file":{json.dumps(file, ensure_ascii=False)},"_line":'
        opened = parquet.ParquetFile(stream)
        for batch in opened.iter_batches(batch_size=_AT_ONCE, use_threads=False):
            numbers = pa.array(range(first, first + batch.num_rows)).cast(pa.string())
            parts: list[Any] = [begin, numbers]
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                parts += [f",{json.dumps(name, ensure_ascii=False)}:", _rendered(column)]
            made = pc.binary_join_element_wise(*parts, "}", "").cast(pa.binary())
            yield made.to_pylist()
            first += batch.num_rows


def _rendered(column: Any) -> Any:
    """A column as JSON, value by value."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if pa.types.is_floating(kind):
        text = pc.if_else(pc.is_finite(column), column, None).cast(pa.string())
    elif pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        text = column.cast(pa.string())
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        text = token(column.cast(pa.string()))
    elif pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_decimal(kind):
        text = pc.binary_join_element_wise('"', _told(column), '"', "")
    else:  # lists, structs, maps, bytes
        values = [_TEXT.encode(value).decode() for value in column.to_pylist()]
        text = pa.array(values, pa.string())
    return pc.fill_null(text, "null")


def _told(column: Any) -> Any:
    if pa.types.is_timestamp(column.type):
        # To microseconds: no column of ours holds more.
        moments = pc.cast(column, pa.timestamp("us", column.type.tz), safe=False)
        if moments.type.tz is None:
            return pc.strftime(moments, "%Y-%m-%dT%H:%M:%S")
        return pc.strftime(moments.cast(pa.timestamp("us", "UTC")), "%Y-%m-%dT%H:%M:%SZ")
    return column.cast(pa.string())
