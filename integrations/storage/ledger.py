"""The ledger: what became of everything that a sync received, one line per load.

A line is written in the transaction of the rows that it counts, so it cannot say more or less
than what is in the table. Lines of pulls that failed before any load are written on their own.
"""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal

import psycopg

from integrations.errors import LedgerUnbalanced
from integrations.names import StreamId, Window
from integrations.redaction import redact

Cause = Literal["sync", "backfill", "replay", "retry", "push", "reconcile"]
Status = Literal["ok", "warn", "blocked", "failed"]
FATES = (
    "inserted", "updated", "unchanged", "stale", "duplicate", "filtered", "quarantined", "deleted",
)  # fmt: skip
"""What can become of a unit: every one has exactly one fate."""

WARN_SHARE, BLOCK_SHARE = 0.01, 0.05
BLOCK_LEAST = 20
"""Fewer refused never block: one poison record must not stop a stream for ever."""


@dataclass(frozen=True, kw_only=True)
class LedgerEntry:
    """One line. `records` is what transport counted, `received` are units after explosion; the
    fates from `inserted` to `deleted` add up to it, unless nothing was loaded (`blocked`,
    `failed`). Beside the sum stand rows that nobody said: `absent_deleted` by a complete reading
    that lacks them, `withdrawn` by a replay whose mapping refuses what they were made from.
    `files` are those whose records it counts, beside them those refused and those left alone.
    `in_window` leaves the overlap out, None where a stream has no windows. `error` says why nothing
    was loaded, or what was left out, `drift` in words what of the records was news. Times are
    aware; `seconds` is from `began_at` to `ended_at`.
    """

    stream: StreamId
    cause: Cause
    run_id: str
    began_at: datetime
    window: Window | None = None
    landing: str | None = None
    status: Status = "ok"
    ended_at: datetime | None = None
    records: int = 0
    received: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    stale: int = 0
    duplicate: int = 0
    filtered: int = 0
    quarantined: int = 0
    deleted: int = 0
    absent_deleted: int = 0
    withdrawn: int = 0
    in_window: int | None = None
    api_calls: int = 0
    bytes: int = 0
    seconds: float = 0.0
    error: str | None = None
    drift: tuple[str, ...] = ()
    files: int = 0
    files_refused: int = 0
    files_waiting: int = 0

    @property
    def error_rate(self) -> float:
        """The share of what was received that could not pass, 0 to 1."""
        return self.quarantined / self.received if self.received else 0.0

    def balanced(self) -> "LedgerEntry":
        """Itself. Raises LedgerUnbalanced when the fates are not what was received."""
        fates = {fate: getattr(self, fate) for fate in FATES}
        if sum(fates.values()) != self.received:
            said = ", ".join(f"{count} {fate}" for fate, count in fates.items() if count)
            where = f"{self.stream}{f' {self.window}' if self.window else ''}"
            raise LedgerUnbalanced(
                f"{self.received} received, but {said or 'no fates'}",
                where=where,
                todo="Nothing was committed; please report this.",
            )
        return self


def judged(refused: int, *, received: int, accept: bool) -> Status:
    """What the share of refused units says of a load: ok, warn, or blocked unless `accept`."""
    share = refused / received if received else 0.0
    if share > BLOCK_SHARE and refused >= BLOCK_LEAST and not accept:
        return "blocked"
    return "warn" if share > WARN_SHARE else "ok"


def failing(connection: psycopg.Connection[Any], stream: StreamId) -> set[str]:
    """The labels of the windows whose newest line says that they failed."""
    found = connection.execute(
        'SELECT "window" FROM (SELECT DISTINCT ON ("window") "window", status'
        " FROM integrations.ledger WHERE (connector, connection, stream) = (%s, %s, %s)"
        " ORDER BY \"window\", id DESC) newest WHERE status = 'failed'",
        [stream.connector, stream.connection, stream.stream],
    )
    return {label for (label,) in found}


def write(connection: psycopg.Connection[Any], entry: LedgerEntry) -> None:
    """Add the line, within whatever transaction is open. `ended_at` must be set."""
    if entry.ended_at is None:
        raise ValueError("a ledger line needs the time at which its work ended")
    row = {
        field.name: getattr(entry, field.name)
        for field in fields(entry)
        if field.name not in ("stream", "window")
    }
    row |= {
        "drift": list(map(redact, entry.drift)),
        "connector": entry.stream.connector,
        "connection": entry.stream.connection,
        "stream": entry.stream.stream,
        "window": entry.window.label if entry.window else "-",
    }
    names = psycopg.sql.SQL(", ").join(map(psycopg.sql.Identifier, row))
    values = psycopg.sql.SQL(", ").join([psycopg.sql.Placeholder()] * len(row))
    statement = psycopg.sql.SQL("INSERT INTO integrations.ledger ({}) VALUES ({})")
    connection.execute(statement.format(names, values), list(row.values()))
