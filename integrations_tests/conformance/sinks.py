"""Every place where text ends up, read back as a person with access would read it.

What is packed is unpacked: Parquet by value, gzip, and what Dagster compresses before it stores it.
"""

import base64
import binascii
import gzip
import logging
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from psycopg import sql

from integrations.sandbox.address import FILE
from integrations.storage.database import connect
from integrations_tests.conformance.spellings import Text

_NAMED = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{8}T[\d.]+Z-[0-9a-f]+|(?<=compute_logs/)\w+"
)
"""What a file's name has of its own: a run's id, a landing's, the one of a step's output."""
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")


class Heard(logging.Handler):
    """Keeps every log line as its formatter writes it, tracebacks included."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@dataclass(frozen=True)
class Sinks:
    """All places, read at one moment: what stands in each, by its name."""

    places: Mapping[str, Text]

    @classmethod
    def read(cls, url: str, folder: Path, lines: list[str]) -> "Sinks":
        """Tables of every schema, files below a folder, and the lines of the `log`."""
        found: dict[str, list[bytes]] = {"log": [line.encode() for line in lines]}
        for name, data in [*_tables(url), *_files(folder)]:
            found.setdefault(name, []).append(data)
        return cls({name: Text(b"\n".join(data)) for name, data in found.items()})

    def holding(self, secret: str) -> list[str]:
        """The places that hold the secret in any spelling."""
        return sorted(name for name, text in self.places.items() if text.holds(secret))


def _tables(url: str) -> Iterator[tuple[str, bytes]]:
    """Every table of every schema, value by value."""
    with connect(url) as connection:
        names = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type ="
            " 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        for name in names:
            query = sql.SQL("SELECT * FROM {}").format(sql.Identifier(*name))
            rows = connection.execute(query).fetchall()
            yield ".".join(name), b"\n".join(part for row in rows for part in _unpacked(row))


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below a folder by what it is called and what it holds; the twins' own address
    book holds secrets. Files that differ only in ids are one place."""
    for file in folder.rglob("*"):
        if not file.is_file() or file.name == FILE:
            continue
        path = str(file.relative_to(folder))
        held = _parquet(file) if file.suffix == ".parquet" else _unpacked(file.read_bytes())
        yield _NAMED.sub("*", path), b"\n".join([path.encode(), *held])


def _parquet(file: Path) -> Iterator[bytes]:
    """The values of a Parquet file, and what is written beside them."""
    yield file.read_bytes()
    table = pq.read_table(file)
    yield from _unpacked(dict(table.schema.metadata or {}))
    for field, column in zip(table.schema, table.columns, strict=True):
        yield from _unpacked([field.name, dict(field.metadata or {}), column.to_pylist()])


def _unpacked(value: Any) -> Iterator[bytes]:
    """A value, and all that it is made of or was before it was packed."""
    if isinstance(value, dict):
        yield from _unpacked([*value.keys(), *value.values()])
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _unpacked(part)
    elif isinstance(value, bytes | memoryview):
        data = bytes(value)
        yield data
        for unpack in (zlib.decompress, gzip.decompress) if data else ():
            try:
                yield from _unpacked(unpack(data))
            except (zlib.error, OSError, EOFError):
                continue
    elif value is not None:
        text = str(value)
        yield text.encode()
        if _BASE64.fullmatch(text):
            yield from _unpacked(_decoded(text))


def _decoded(text: str) -> bytes:
    whole = text.rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        return base64.b64decode(whole + "=" * (-len(whole) % 4))
    except binascii.Error:
        return b""
