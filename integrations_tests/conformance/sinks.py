"""Every place where text ends up, read back as a person with access would read it."""

import base64
import logging
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pyarrow.parquet as pq
from psycopg import sql

from integrations.sandbox.address import FILE
from integrations.storage.database import connect


class Heard(logging.Handler):
    """Keeps every log line as its formatter writes it, tracebacks included."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def spellings(secret: str) -> set[bytes]:
    """The forms in which a secret may hide: as it is, in hex, in a URL, within base64."""
    octets = secret.encode()
    # What base64 of any text that holds the secret must hold, for each way of aligning it.
    inner = {base64.b64encode(b"\0" * shift + octets)[4 if shift else 0 : -4] for shift in range(3)}
    return {octets, octets.hex().encode(), quote(secret, safe="").encode()} | inner


def holding(secret: str, url: str, folder: Path, lines: list[str]) -> list[str]:
    """The places that hold the secret in any spelling: tables, files, `log`."""
    forms = spellings(secret)
    places = [*_tables(url), *_files(folder), ("log", "\n".join(lines).encode())]
    return sorted({name for name, data in places if any(form in data for form in forms)})


def _tables(url: str) -> Iterator[tuple[str, bytes]]:
    """Every table of every schema, row by row; bytes are shown as hex."""
    with connect(url) as connection:
        names = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type ="
            " 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        for name in names:
            query = sql.SQL("SELECT to_jsonb(t)::text FROM {} t").format(sql.Identifier(*name))
            rows = connection.execute(query).fetchall()
            yield ".".join(name), "\n".join(text for (text,) in rows).encode()


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below a folder, Parquet decoded; the twins' own address book holds secrets."""
    for file in folder.rglob("*"):
        if not file.is_file() or file.name == FILE:
            continue
        data = file.read_bytes()
        if file.suffix == ".parquet":
            for column in pq.read_table(file).columns:
                data += "\n".join(map(str, column.to_pylist())).encode()
        yield str(file.relative_to(folder)), data
