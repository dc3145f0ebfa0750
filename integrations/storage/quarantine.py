"""The quarantine: records that could not pass, with the reason and their bytes.

One entry per key and stream, so a record that fails every hour is one entry that counts; a later
success of the key closes it. Bytes are kept: an entry can be tried again without the source.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

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
    "seen_at": pa.timestamp("us", "UTC"),
}
REFUSED = pa.schema(_SHAPE)
"""What the transformer hands over beside the rows: one row per record that could not pass. `key`
is the source id, or `sha256:<hex>` of the record where it has none; `kind` is `data` or
`transient`; `seen_at` is when the source said the record."""

TABLE = sql.Identifier("integrations", "quarantine")

TRANSIENT = "transient"
"""The kind of an entry that may pass without a change: the next syncs try it again."""
TRANSIENT_TRIES = 5
TRANSIENT_WAIT = timedelta(minutes=1)
"""Before the first new try; then twice as long each time."""

_LONGEST_KEY = 500
"""Characters; a btree page takes 2,704 bytes, and a source's key may be anything."""


@dataclass(frozen=True, kw_only=True)
class QuarantineEntry:
    """A record that could not pass `times` times, first and last seen (UTC).

    `said_at` is when the source said what it stands by, `feed` the feed that said it (None: it was
    pulled), `resolution` how it was closed: `passed`, or `discarded` by a person.
    """

    stream: StreamId
    key: str
    kind: str
    field: str | None
    rule: str | None
    reason: str
    landing: str | None
    run_id: str
    first_at: datetime
    last_at: datetime
    times: int
    closed_at: datetime | None
    said_at: datetime
    feed: str | None
    resolution: str | None


@dataclass(frozen=True, kw_only=True)
class QuarantinedRecord(QuarantineEntry):
    """An entry with its record's bytes, as landed: a list of entries does not read them."""

    raw: bytes


def make_staging(connection: psycopg.Connection[Any], staging: sql.Identifier) -> None:
    """A table for the refused of one load, gone with its transaction."""
    connection.execute(
        sql.SQL(
            "CREATE TEMP TABLE {} (key text NOT NULL, field text, rule text, reason text NOT NULL,"
            " raw bytea NOT NULL, kind text NOT NULL, seen_at timestamptz NOT NULL,"
            " nth bigint GENERATED ALWAYS AS IDENTITY)"
            " ON COMMIT DROP"
        ).format(staging)
    )


def stage(
    connection: psycopg.Connection[Any], staging: sql.Identifier, *, refused: pa.Table
) -> None:
    """Add rows of the shape of REFUSED. Row by row: they are few, and hold any text."""
    if not refused.num_rows:
        return
    columns = "key, field, rule, reason, raw, kind, seen_at"
    copy = sql.SQL(f"COPY {{}} ({columns}) FROM STDIN").format(staging)
    with connection.cursor() as cursor, cursor.copy(copy) as sink:
        for row in refused.select(REFUSED.names).to_pylist():
            key, field, rule, reason, raw, kind, seen = row.values()
            sink.write_row((_key(key), _text(field), _text(rule), _text(reason), raw, kind, seen))


def put(  # noqa: PLR0913  # all of it goes into one statement
    connection: psycopg.Connection[Any],
    staging: sql.Identifier,
    *,
    leaf: sql.Identifier | None,
    stream: StreamId,
    landing: str | None,
    feed: str | None,
    run_id: str,
    limit: int | None,
    table: sql.Identifier = TABLE,
) -> None:
    """Open or renew an entry for each staged key, in the order of staging, at most `limit`; none
    for a key of which the source said something newer, in its row in `leaf` or in its entry, nor
    for the very bytes that a person has discarded."""
    mine = {
        "connector": stream.connector,
        "connection": stream.connection,
        "stream": stream.stream,
    }
    unless_newer = sql.SQL(_UNLESS_NEWER if leaf else "").format(leaf=leaf, **mine)
    connection.execute(
        sql.SQL(
            """
            INSERT INTO {table} AS q (connector, connection, stream, key, kind,
                field, rule, reason, raw, landing, feed, run_id, said_at)
            SELECT {connector}, {connection}, {stream}, key, kind, field, rule, reason, raw,
                   {landing}, {feed}, {run_id}, seen_at
            FROM (SELECT DISTINCT ON (key) * FROM {staging}
                  ORDER BY key, seen_at DESC, nth DESC) newest
            {unless_newer}
            ORDER BY nth LIMIT {limit}
            ON CONFLICT (connector, connection, stream, key) DO UPDATE SET
                kind = excluded.kind, field = excluded.field, rule = excluded.rule,
                reason = excluded.reason, raw = excluded.raw,
                landing = coalesce(excluded.landing, q.landing),
                feed = coalesce(excluded.feed, q.feed), resolution = NULL,
                run_id = excluded.run_id, said_at = excluded.said_at, last_at = excluded.last_at,
                first_at = CASE WHEN q.closed_at IS NULL THEN q.first_at ELSE excluded.first_at END,
                times = CASE WHEN q.closed_at IS NULL THEN q.times + 1 ELSE 1 END,
                closed_at = NULL
            WHERE excluded.said_at >= q.said_at
              AND NOT (q.resolution IS NOT DISTINCT FROM 'discarded' AND q.raw = excluded.raw)
            """
        ).format(
            **mine,
            table=table,
            unless_newer=unless_newer,
            landing=landing,
            feed=feed,
            run_id=run_id,
            staging=staging,
            limit=limit,
        )
    )


def without_key(connection: psycopg.Connection[Any], staging: sql.Identifier) -> int:
    """How many of the staged have no key of their own: which record they are nobody knows."""
    query = sql.SQL("SELECT count(*) FROM {} WHERE key LIKE 'sha256:%'").format(staging)
    row = connection.execute(query).fetchone()
    assert row is not None, "an aggregate gives one row"
    return int(row[0])


_UNLESS_NEWER: LiteralString = """
WHERE NOT EXISTS (SELECT FROM {leaf} t
    WHERE (t.connector, t.connection, t.stream, t.source_id)
        = ({connector}, {connection}, {stream}, newest.key)
      AND t._seen_at > newest.seen_at)"""


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
    return [QuarantineEntry(**_values(row)) for row in rows]


def show(
    connection: psycopg.Connection[Any], stream: StreamId, *, key: str
) -> QuarantinedRecord | None:
    """The entry of a key, open or closed, with its bytes; None when it never failed."""
    row = connection.execute(
        f"SELECT raw, {_FIELDS} FROM integrations.quarantine"
        " WHERE (connector, connection, stream, key) = (%s, %s, %s, %s)",
        [stream.connector, stream.connection, stream.stream, key],
    ).fetchone()
    return None if row is None else QuarantinedRecord(raw=bytes(row[0]), **_values(row[1:]))


def open_records(
    connection: psycopg.Connection[Any],
    stream: StreamId,
    *,
    keys: Sequence[str] | None = None,
    kind: str | None = None,
    besides: str | None = None,
    limit: int = 10_000,
    table: sql.Identifier = TABLE,
) -> list[QuarantinedRecord]:
    """Open entries with their bytes, the oldest statement first: of these keys, or all (None); of
    one kind, or of both; `besides` those that the run of this id refused. `transient` ones only
    when it is their time to be tried again."""
    query = sql.SQL(
        f"SELECT raw, {_FIELDS} FROM {{}}"
        " WHERE (connector, connection, stream) = (%s, %s, %s) AND closed_at IS NULL"
        " AND (%s::text[] IS NULL OR key = ANY(%s)) AND (%s::text IS NULL OR kind = %s)"
        " AND (%s::text IS DISTINCT FROM 'transient' OR times <= %s AND"
        " now() >= last_at + %s * (1 << (times - 1)))"
        " AND run_id IS DISTINCT FROM %s ORDER BY said_at, key LIMIT %s"
    )
    rows = connection.execute(
        query.format(table),
        [
            stream.connector, stream.connection, stream.stream, keys, keys, kind, kind,
            kind, TRANSIENT_TRIES, TRANSIENT_WAIT, besides, limit,
        ],
    )  # fmt: skip
    return [QuarantinedRecord(raw=bytes(row[0]), **_values(row[1:])) for row in rows]


def open_keys(connection: psycopg.Connection[Any], stream: StreamId) -> set[str]:
    """The keys of all open entries: there may be many, and each may be long."""
    rows = connection.execute(
        "SELECT key FROM integrations.quarantine"
        " WHERE (connector, connection, stream) = (%s, %s, %s) AND closed_at IS NULL",
        [stream.connector, stream.connection, stream.stream],
    )
    return {key for (key,) in rows}


def discard(
    connection: psycopg.Connection[Any], stream: StreamId, *, keys: Sequence[str]
) -> list[str]:
    """Closes the open entries of these keys, within the open transaction; which they were. Their
    bytes stay, and the same bytes open none of them again."""
    rows = connection.execute(
        "UPDATE integrations.quarantine SET closed_at = now(), resolution = 'discarded'"
        " WHERE (connector, connection, stream) = (%s, %s, %s) AND key = ANY(%s)"
        " AND closed_at IS NULL RETURNING key",
        [stream.connector, stream.connection, stream.stream, list(keys)],
    )
    return sorted(key for (key,) in rows)


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
    "connector, connection, stream, key, kind, field, rule, reason, landing, run_id,"
    " first_at, last_at, times, closed_at, said_at, feed, resolution"
)


def _values(row: tuple[Any, ...]) -> dict[str, Any]:
    """A row of `_FIELDS` as the values of an entry."""
    connector, connection, stream, *rest = row
    key, kind, field, rule, reason, landing, run_id, *when = rest
    first, last, times, closed, said, feed, resolution = when
    return {
        "stream": StreamId(connector, connection, stream),
        "key": key,
        "kind": kind,
        "field": field,
        "rule": rule,
        "reason": reason,
        "landing": landing,
        "run_id": run_id,
        "first_at": first.astimezone(UTC),
        "last_at": last.astimezone(UTC),
        "times": times,
        "closed_at": closed.astimezone(UTC) if closed else None,
        "said_at": said.astimezone(UTC),
        "feed": feed,
        "resolution": resolution,
    }


def _key(key: str) -> str:
    key = _text(key) or ""
    if len(key) <= _LONGEST_KEY:
        return key
    return f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"


def _text(text: str | None) -> str | None:
    """Postgres has no NUL in text; the record's own bytes keep it."""
    return None if text is None else text.replace("\x00", "\\u0000")
