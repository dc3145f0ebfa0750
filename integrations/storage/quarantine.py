"""The quarantine: records that could not pass, with the reason and their bytes.

One entry per key and stream, so a record that fails every hour is one entry that counts; a later
success of the key closes it. Bytes are kept: an entry can be tried again without the source.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import sql

from integrations.names import StreamId

_SHAPE: dict[str, pa.DataType] = {
    "key": pa.string(),
    "field": pa.string(),
    "rule": pa.string(),
    "reason": pa.string(),
    "record": pa.binary(),
    "kind": pa.string(),
}
REFUSED = pa.schema(_SHAPE)
"""What the transformer hands over beside the rows: one row per record that could not pass. `key`
is the source id, or `sha256:<hex>` of the record where it has none; `kind` is `data` or
`transient`."""

_LONGEST_KEY = 500
"""Characters; a btree page takes 2,704 bytes, and a source's key may be anything."""


@dataclass(frozen=True, kw_only=True)
class QuarantineEntry:
    """A record that could not pass `times` times, first and last seen (UTC); `raw` is as landed."""

    stream: StreamId
    key: str
    kind: str
    field: str | None
    rule: str | None
    reason: str
    raw: bytes
    landing: str | None
    run_id: str
    first_at: datetime
    last_at: datetime
    times: int
    closed_at: datetime | None


def make_staging(connection: psycopg.Connection[Any], staging: sql.Identifier) -> None:
    """A table for the refused of one load, gone with its transaction."""
    connection.execute(
        sql.SQL(
            "CREATE TEMP TABLE {} (key text NOT NULL, field text, rule text, reason text NOT NULL,"
            " raw bytea NOT NULL, kind text NOT NULL, nth bigint GENERATED ALWAYS AS IDENTITY)"
            " ON COMMIT DROP"
        ).format(staging)
    )


def stage(
    connection: psycopg.Connection[Any], staging: sql.Identifier, *, refused: pa.Table
) -> None:
    """Add rows of the shape of REFUSED. Row by row: they are few, and hold any text."""
    if not refused.num_rows:
        return
    copy = sql.SQL("COPY {} (key, field, rule, reason, raw, kind) FROM STDIN").format(staging)
    with connection.cursor() as cursor, cursor.copy(copy) as sink:
        for row in refused.select(REFUSED.names).to_pylist():
            key, field, rule, reason, raw, kind = row.values()
            sink.write_row((_key(key), _text(field), _text(rule), _text(reason), raw, kind))


def put(
    connection: psycopg.Connection[Any],
    staging: sql.Identifier,
    *,
    stream: StreamId,
    landing: str | None,
    run_id: str,
    limit: int | None,
) -> None:
    """Open or renew an entry for each staged key, in the order of staging, at most `limit`."""
    connection.execute(
        sql.SQL(
            """
            INSERT INTO integrations.quarantine AS q (connector, connection, stream, key, kind,
                field, rule, reason, raw, landing, run_id)
            SELECT {connector}, {connection}, {stream}, key, kind, field, rule, reason, raw,
                   {landing}, {run_id}
            FROM (SELECT DISTINCT ON (key) * FROM {staging} ORDER BY key, nth DESC) newest
            ORDER BY nth LIMIT {limit}
            ON CONFLICT (connector, connection, stream, key) DO UPDATE SET
                kind = excluded.kind, field = excluded.field, rule = excluded.rule,
                reason = excluded.reason, raw = excluded.raw, landing = excluded.landing,
                run_id = excluded.run_id, last_at = excluded.last_at,
                first_at = CASE WHEN q.closed_at IS NULL THEN q.first_at ELSE excluded.first_at END,
                times = CASE WHEN q.closed_at IS NULL THEN q.times + 1 ELSE 1 END,
                closed_at = NULL
            """
        ).format(
            connector=stream.connector,
            connection=stream.connection,
            stream=stream.stream,
            landing=landing,
            run_id=run_id,
            staging=staging,
            limit=limit,
        )
    )


def entries(
    connection: psycopg.Connection[Any],
    *,
    streams: Sequence[StreamId] | None = None,
    closed: bool = False,
    limit: int | None = 100,
) -> list[QuarantineEntry]:
    """Entries, the last seen first: the open ones, with `closed` the others too. None stands for
    all streams."""
    rows = connection.execute(
        f"SELECT {_FIELDS} FROM integrations.quarantine"
        " WHERE (%s OR connector || '/' || connection || '/' || stream = ANY(%s))"
        " AND (%s OR closed_at IS NULL)"
        " ORDER BY last_at DESC, connector, connection, stream, key LIMIT %s",
        [streams is None, [str(stream) for stream in streams or ()], closed, limit],
    )
    return [_entry(row) for row in rows]


def show(
    connection: psycopg.Connection[Any], stream: StreamId, *, key: str
) -> QuarantineEntry | None:
    """The entry of a key, open or closed; None when it never failed."""
    row = connection.execute(
        f"SELECT {_FIELDS} FROM integrations.quarantine"
        " WHERE (connector, connection, stream, key) = (%s, %s, %s, %s)",
        [stream.connector, stream.connection, stream.stream, key],
    ).fetchone()
    return None if row is None else _entry(row)


@dataclass(frozen=True, kw_only=True)
class Reasons:
    """How many records of a stream one rule of one field refused, with one of the reasons."""

    stream: StreamId
    field: str | None
    rule: str | None
    count: int
    example: str


def summary(connection: psycopg.Connection[Any], run_ids: Sequence[str]) -> list[Reasons]:
    """Why these runs refused records, the most frequent reason of each stream first."""
    rows = connection.execute(
        "SELECT connector, connection, stream, field, rule, count(*), min(reason)"
        " FROM integrations.quarantine WHERE run_id = ANY(%s)"
        " GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 6 DESC, 4, 5",
        [list(run_ids)],
    )
    return [
        Reasons(stream=StreamId(*row[:3]), field=row[3], rule=row[4], count=row[5], example=row[6])
        for row in rows
    ]


_FIELDS = (
    "connector, connection, stream, key, kind, field, rule, reason, raw, landing, run_id,"
    " first_at, last_at, times, closed_at"
)


def _entry(row: tuple[Any, ...]) -> QuarantineEntry:
    connector, connection, stream, *rest = row
    key, kind, field, rule, reason, raw, landing, run_id, first, last, times, closed = rest
    return QuarantineEntry(
        stream=StreamId(connector, connection, stream),
        key=key,
        kind=kind,
        field=field,
        rule=rule,
        reason=reason,
        raw=bytes(raw),
        landing=landing,
        run_id=run_id,
        first_at=first.astimezone(UTC),
        last_at=last.astimezone(UTC),
        times=times,
        closed_at=closed.astimezone(UTC) if closed else None,
    )


def _key(key: str) -> str:
    key = _text(key) or ""
    if len(key) <= _LONGEST_KEY:
        return key
    return f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"


def _text(text: str | None) -> str | None:
    """Postgres has no NUL in text; the record's own bytes keep it."""
    return None if text is None else text.replace("\x00", "\\u0000")
