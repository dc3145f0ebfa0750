"""Files: what became of each that a source has shown, one line for each reading.

The rows of a reading have its time as `_seen_at`, which is how those are found that a later reading
of the same file does not say any more.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg

from integrations.names import StreamId
from integrations.redaction import redact
from integrations.storage.ledger import LedgerEntry
from integrations.storage.manifest import FileSeen

STATES = ("loaded", "refused", "waiting")
_NAMED = 3  # so many are named in a message


def note(
    connection: psycopg.Connection[Any],
    stream: StreamId,
    seen: Sequence[FileSeen],
    *,
    run_id: str,
) -> None:
    """Keeps what became of files, within the open transaction. Each says its last word: that a file
    had to wait is forgotten when it is seen again."""
    told = [one for one in seen if one.state in STATES]
    if not told:
        return
    with connection.cursor() as cursor:
        cursor.executemany(
            "DELETE FROM integrations.files WHERE (connector, connection, stream, path) ="
            " (%s, %s, %s, %s) AND state <> 'loaded' AND records = 0 AND read_at < %s",
            [(*_key(stream), one.path, one.read_at) for one in told],
        )
        cursor.executemany(
            "INSERT INTO integrations.files (connector, connection, stream, path, read_at, state,"
            " reason, size, modified_at, hash, records, run_id)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [
                (
                    *_key(stream), one.path, one.read_at, one.state, redact(one.reason), one.size,
                    one.modified_at, one.hash, one.records, run_id,
                )
                for one in told
            ],
        )  # fmt: skip


def read_before(
    connection: psycopg.Connection[Any], stream: StreamId, seen: Sequence[FileSeen]
) -> dict[datetime, datetime]:
    """When loaded files were read before, even in part, to when they are read now (UTC)."""
    loaded = [one for one in seen if one.state == "loaded"]
    if not loaded:
        return {}
    found = connection.execute(
        """
        SELECT f.read_at, min(n.read_at) FROM integrations.files f
        JOIN unnest(%s::text[], %s::timestamptz[]) AS n (path, read_at) USING (path)
        WHERE (connector, connection, stream) = (%s, %s, %s)
          AND f.records > 0 AND f.read_at < n.read_at
        GROUP BY f.read_at
        """,
        [[one.path for one in loaded], [one.read_at for one in loaded], *_key(stream)],
    )
    return {was.astimezone(UTC): now.astimezone(UTC) for was, now in found}


def counts(connection: psycopg.Connection[Any], stream: StreamId) -> dict[str, int]:
    """How many files of a stream are loaded, refused and waiting, by their last reading."""
    found = connection.execute(
        """
        SELECT state, count(*) FROM (
            SELECT DISTINCT ON (path) path, state FROM integrations.files
            WHERE (connector, connection, stream) = (%s, %s, %s) ORDER BY path, read_at DESC) last
        GROUP BY state
        """,
        _key(stream),
    )
    return dict.fromkeys(STATES, 0) | dict(found.fetchall())


def not_loaded(connection: psycopg.Connection[Any], stream: StreamId) -> list[tuple[str, str, str]]:
    """The files whose last reading did not load them, as (path, state, reason)."""
    found = connection.execute(
        """
        SELECT path, state, reason FROM (
            SELECT DISTINCT ON (path) path, state, reason FROM integrations.files
            WHERE (connector, connection, stream) = (%s, %s, %s) ORDER BY path, read_at DESC) last
        WHERE state <> 'loaded' ORDER BY path
        """,
        _key(stream),
    )
    return found.fetchall()


def counted(entry: LedgerEntry, seen: Sequence[FileSeen]) -> LedgerEntry:
    """The ledger line with its files."""
    states = Counter(one.state for one in seen)
    return replace(
        entry,
        files=states["loaded"],
        files_refused=states["refused"],
        files_waiting=states["waiting"],
    )


def told(entry: LedgerEntry, seen: Sequence[FileSeen]) -> LedgerEntry:
    """The ledger line of a load that went well; of files that are refused it warns, beside what it
    warns of already."""
    found = [f"{one.path}: {one.reason}" for one in seen if one.state == "refused"]
    if not found:
        return entry
    more = [f"and {len(found) - _NAMED} more"] if len(found) > _NAMED else []
    whole = [*([entry.error] if entry.error else []), *found[:_NAMED], *more]
    return replace(entry, status="warn", error=redact("; ".join(whole)))


def _key(stream: StreamId) -> tuple[str, str, str]:
    return (stream.connector, stream.connection, stream.stream)
