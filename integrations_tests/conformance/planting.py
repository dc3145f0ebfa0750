"""A made-up secret in every kind of place, so that finding none later says something.

Nobody knows these values as secrets, so nothing masks them on their way.
"""

import gzip
import json
import logging
import sys
import zlib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq

from integrations.storage.database import connect
from integrations_tests.conformance.sinks import Heard
from integrations_tests.conformance.spellings import SPELLINGS

AWKWARD = "k+/=&\"'<>%\\é"
"""Characters that are written otherwise in a URL, in JSON, in HTML, in Python or in base64."""

FILES = {
    "planted.txt", "planted.json", "planted.log.gz", "planted/*/manifest.json",
    "raw/planted-values.parquet", "raw/planted-words.parquet", "raw/planted-about.parquet",
}  # fmt: skip
COLUMNS = {
    "text": "text", "texts": "text[]", "json": "json", "jsonb": "jsonb", "bytea": "bytea",
    "zlib": "bytea", "gzip": "bytea", "packed": "text",
}  # fmt: skip
SCHEMAS = ("canonical", "integrations", "dagster", "public")
DAGSTER = {
    "dagster.event_logs", "dagster.runs", "dagster.run_tags", "dagster.snapshots",
    "dagster.asset_keys", "logs/*/compute_logs/*.out", "logs/*/compute_logs/*.err",
}  # fmt: skip
EVERYWHERE = (
    FILES
    | DAGSTER
    | {"log"}
    | {f"{schema}.planted_{name}" for schema in SCHEMAS for name in COLUMNS}
)


def made_up() -> dict[str, str]:
    """By each spelling's name a secret of its own."""
    return {name: f"{token_hex(8)}{AWKWARD}{token_hex(8)}" for name in SPELLINGS}


@contextmanager
def planted(
    url: str, home: Path, *, heard: Heard, instance: dg.DagsterInstance, secrets: Mapping[str, str]
) -> Iterator[None]:
    """Each secret in its spelling, in every place, inside; what can be taken out is out after it:
    a run's record stays, as it does in life."""
    said = "\n".join(SPELLINGS[name](secret) for name, secret in secrets.items())
    files = _write(home, said)
    heard.handle(logging.LogRecord("planted", logging.INFO, "", 1, "%s", (said,), None))
    _insert(url, said)
    _run(instance, said)
    yield
    for file in files:
        file.unlink()
    heard.lines.clear()
    with connect(url) as connection:
        for schema in SCHEMAS:
            for name in COLUMNS:
                connection.execute(f"DROP TABLE {schema}.planted_{name}")


def _write(home: Path, said: str) -> list[Path]:
    raw = home / "raw"
    raw.mkdir(exist_ok=True)
    kept = home / "planted" / "20260101T000000.000000Z-00000000"
    kept.mkdir(parents=True)
    (home / "planted.txt").write_text(said)
    (home / "planted.json").write_text(json.dumps({"said": said}))
    (home / "planted.log.gz").write_bytes(gzip.compress(said.encode()))
    (kept / "manifest.json").write_text(json.dumps([said]))
    words = pa.array([said, said]).dictionary_encode()
    about = pa.table({"a": [1]}).replace_schema_metadata({"said": said})
    pq.write_table(
        pa.table({"record": [said.encode()]}), raw / "planted-values.parquet", compression="zstd"
    )
    pq.write_table(pa.table({"word": words}), raw / "planted-words.parquet", compression="gzip")
    pq.write_table(about, raw / "planted-about.parquet")
    return [*home.glob("planted*.*"), *raw.glob("planted*"), kept / "manifest.json"]


def _insert(url: str, said: str) -> None:
    whole = said.encode()
    values = {
        "text": said, "texts": ["", said], "json": json.dumps({"a": [said]}),
        "jsonb": json.dumps([{said: 1}]), "bytea": whole, "zlib": zlib.compress(whole),
        "gzip": gzip.compress(whole), "packed": b64encode(zlib.compress(whole)).decode(),
    }  # fmt: skip
    with connect(url) as connection:
        for schema in SCHEMAS:
            for name, type_ in COLUMNS.items():
                connection.execute(f"CREATE TABLE {schema}.planted_{name} (value {type_})")
                statement = f"INSERT INTO {schema}.planted_{name} VALUES (%s)"
                connection.execute(statement, [values[name]])


def _run(instance: dg.DagsterInstance, said: str) -> None:
    """A run that says it wherever a run can: its tags, its snapshot, what it prints, its events
    and their metadata, its error."""

    @dg.op(description=said)
    def careless(context: dg.OpExecutionContext) -> None:
        print(said, flush=True)
        print(said, file=sys.stderr, flush=True)
        context.log.info(said)
        more = {"text": said, "json": dg.MetadataValue.json({"a": [said]})}
        context.log_event(dg.AssetMaterialization("planted", metadata=more))
        raise ValueError(said)

    @dg.job(tags={"said": said})
    def planted_job() -> None:
        careless()

    planted_job.execute_in_process(instance=instance, raise_on_error=False)
