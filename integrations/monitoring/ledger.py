"""What the ledger says about each stream: the numbers behind `integrations status`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import sql

from integrations.names import StreamId
from integrations.storage.ledger import LedgerEntry


@dataclass(frozen=True, kw_only=True)
class StreamStatus:
    """A stream or feed today. Times are UTC, None where it never happened. `rows` are those of the
    live view, None of a feed, which fills no table of its own; `error_rate` (0 to 1), `received`
    and `quarantined` are of the newest run's lines, `status` and `error` of the worst of them, the
    latest of equals; `open_quarantine` counts entries; `covered_until` is the end of the last
    committed window, None where there are no windows."""

    stream: StreamId
    entity: str | None
    status: str | None = None
    last_success: datetime | None = None
    last_attempt: datetime | None = None
    rows: int | None = 0
    received: int = 0
    quarantined: int = 0
    error: str | None = None
    open_quarantine: int = 0
    covered_until: datetime | None = None

    @property
    def error_rate(self) -> float:
        """The share of what the newest run received that could not pass."""
        return self.quarantined / self.received if self.received else 0.0


def statuses(
    connection: psycopg.Connection[Any], *, entities: Mapping[StreamId, str | None]
) -> list[StreamStatus]:
    """One for each stream of `entities` (its entity's name, None for a feed), in their order, those
    that never ran too. Counts the rows in the tables, so it costs a scan of each entity's index."""
    lines = {StreamId(*row[:3]): row[3:] for row in connection.execute(_LINES)}
    rows: dict[StreamId, int] = {}
    for entity in {name for name in entities.values() if name is not None}:
        found = _rows(connection, entity)
        rows |= {stream: count for stream, count in found.items() if entities.get(stream) == entity}
    return [
        _status(stream, entity, lines.get(stream), rows.get(stream, 0) if entity else None)
        for stream, entity in entities.items()
    ]


def _status(
    stream: StreamId, entity: str | None, line: tuple[Any, ...] | None, rows: int | None
) -> StreamStatus:
    if line is None:
        return StreamStatus(stream=stream, entity=entity, rows=rows)
    status, success, attempt, received, quarantined, error, entries, until = line
    return StreamStatus(
        stream=stream,
        entity=entity,
        status=status,
        last_success=_utc(success),
        last_attempt=_utc(attempt),
        rows=rows,
        received=received,
        quarantined=quarantined,
        error=error,
        open_quarantine=entries,
        covered_until=_utc(until),
    )


def _rows(connection: psycopg.Connection[Any], entity: str) -> dict[StreamId, int]:
    live = sql.Identifier("canonical", f"{entity}_live")
    there = connection.execute("SELECT to_regclass(%s)", [f"canonical.{entity}_live"]).fetchone()
    if there == (None,):
        return {}
    count = "SELECT connector, connection, stream, count(*) FROM {} GROUP BY 1, 2, 3"
    return {StreamId(*row[:3]): row[3] for row in connection.execute(sql.SQL(count).format(live))}


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)


def synced(connection: psycopg.Connection[Any]) -> set[tuple[str, str]]:
    """The connections, as (connector, connection), of which anything was ever committed."""
    found = connection.execute("SELECT DISTINCT connector, connection FROM integrations.positions")
    return {(row[0], row[1]) for row in found}


_LINES = """
SELECT connector, connection, stream, worst.status, success.at, newest.ended_at,
       run.received, run.quarantined, worst.error, entries.open, covered.until
FROM (SELECT DISTINCT connector, connection, stream FROM integrations.ledger) streams
CROSS JOIN LATERAL (
    SELECT l.ended_at, l.run_id FROM integrations.ledger l
    WHERE (l.connector, l.connection, l.stream) = (streams.connector, streams.connection,
        streams.stream)
    ORDER BY l.id DESC LIMIT 1) newest
CROSS JOIN LATERAL (
    SELECT l.status, l.error FROM integrations.ledger l
    WHERE (l.connector, l.connection, l.stream) = (streams.connector, streams.connection,
        streams.stream) AND l.run_id = newest.run_id
    ORDER BY array_position(ARRAY['failed', 'blocked', 'warn', 'ok'], l.status::text), l.id DESC
    LIMIT 1) worst
CROSS JOIN LATERAL (
    SELECT max(l.ended_at) AS at FROM integrations.ledger l
    WHERE (l.connector, l.connection, l.stream) = (streams.connector, streams.connection,
        streams.stream) AND l.status IN ('ok', 'warn') AND l.cause <> 'replay') success
CROSS JOIN LATERAL (
    SELECT sum(l.received)::bigint AS received, sum(l.quarantined)::bigint AS quarantined
    FROM integrations.ledger l
    WHERE (l.connector, l.connection, l.stream) = (streams.connector, streams.connection,
        streams.stream) AND l.run_id = newest.run_id) run
CROSS JOIN LATERAL (
    SELECT count(*) AS open FROM integrations.quarantine q
    WHERE (q.connector, q.connection, q.stream) = (streams.connector, streams.connection,
        streams.stream) AND q.closed_at IS NULL) entries
CROSS JOIN LATERAL (
    SELECT max(p.window_end) AS until FROM integrations.positions p
    WHERE (p.connector, p.connection, p.stream) = (streams.connector, streams.connection,
        streams.stream)) covered
"""


def of_runs(connection: psycopg.Connection[Any], run_ids: Sequence[str]) -> list[LedgerEntry]:
    """The lines that these runs wrote, in order of writing."""
    return _entries(connection, sql.SQL("run_id = ANY(%s) ORDER BY id"), [list(run_ids)])


def newest(connection: psycopg.Connection[Any], reader: StreamId) -> LedgerEntry | None:
    """The last line of a stream or feed; None where it has none."""
    last = sql.SQL("(connector, connection, stream) = (%s, %s, %s) ORDER BY id DESC LIMIT 1")
    names = [reader.connector, reader.connection, reader.stream]
    return next(iter(_entries(connection, last, names)), None)


def _entries(
    connection: psycopg.Connection[Any], which: sql.SQL, values: Sequence[object]
) -> list[LedgerEntry]:
    names = [field.name for field in fields(LedgerEntry) if field.name not in ("stream", "window")]
    columns = sql.SQL(", ").join(map(sql.Identifier, names))
    query = sql.SQL("SELECT connector, connection, stream, {} FROM integrations.ledger WHERE {}")
    rows = connection.execute(query.format(columns, which), values)
    return [
        LedgerEntry(stream=StreamId(*row[:3]), **dict(zip(names, row[3:], strict=True)))
        for row in rows
    ]
