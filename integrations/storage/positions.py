"""Positions: what of a stream is committed, written in the transaction of its rows.

A stream with windows has one position per window, a full stream one in all. With the first of them
the stream's cadence and start are pinned: a file that changed them later would cut the same time
into other windows, and one committed hour would show a whole day green.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg

from integrations.errors import FixConfig, StopStream
from integrations.names import StreamId, Window
from integrations.storage.landing import began_at

FULL = "-"
"""The label of the one position of a stream without windows."""


@dataclass(frozen=True, kw_only=True)
class Pin:
    """How a stream's time is cut: `cadence` as its file writes it and `starts_at` (UTC), both None
    for a full stream."""

    cadence: str | None = None
    starts_at: datetime | None = None

    def __str__(self) -> str:
        if self.cadence is None:
            return "full"
        return f"{self.cadence} from {self.starts_at.isoformat() if self.starts_at else '-'}"


@dataclass(frozen=True, kw_only=True)
class Position:
    """What is committed of a window (None: of the full stream), from which landing, by which run,
    and when (UTC)."""

    window: Window | None
    landing: str
    run_id: str
    generation: int
    committed_at: datetime

    @property
    def pulled_at(self) -> datetime:
        """When the pull of its landing began, UTC."""
        return began_at(self.landing)


def refuse_changed(connection: psycopg.Connection[Any], stream: StreamId, *, pin: Pin) -> None:
    """Raises FixConfig when the stream was first committed with another cadence or start."""
    found = connection.execute(
        "SELECT cadence, starts_at FROM integrations.streams"
        " WHERE (connector, connection, stream) = (%s, %s, %s)",
        _key(stream),
    ).fetchone()
    first = pin if found is None else Pin(cadence=found[0], starts_at=found[1])
    if first != pin:
        raise FixConfig(
            f"its windows are {pin} now, and were {first} at its first commit",
            where=str(stream),
            todo="Put the file back.",
        )


def committed(connection: psycopg.Connection[Any], stream: StreamId) -> dict[str, Position]:
    """The stream's positions by their window's label (`-` for a full stream)."""
    rows = connection.execute(
        'SELECT "window", window_start, window_end, landing, run_id, generation, committed_at'
        " FROM integrations.positions WHERE (connector, connection, stream) = (%s, %s, %s)"
        " AND slice = '-'",
        _key(stream),
    )
    return {
        label: Position(
            window=Window(start.astimezone(UTC), end.astimezone(UTC)) if start else None,
            landing=landing,
            run_id=run_id,
            generation=generation,
            committed_at=at.astimezone(UTC),
        )
        for label, start, end, landing, run_id, generation, at in rows
    }


def landing(
    connection: psycopg.Connection[Any], stream: StreamId, *, window: Window | None
) -> str | None:
    """The landing from which just this window (None: the full stream) is committed, if it is."""
    start, end = (window.start, window.end) if window else (None, None)
    found = connection.execute(
        "SELECT landing FROM integrations.positions WHERE (connector, connection, stream, slice,"
        " \"window\") = (%s, %s, %s, '-', %s) AND window_start IS NOT DISTINCT FROM %s"
        " AND window_end IS NOT DISTINCT FROM %s",
        [*_key(stream), window.label if window else FULL, start, end],
    ).fetchone()
    return None if found is None else str(found[0])


def due(windows: Iterable[Window], *, positions: Mapping[str, Position]) -> list[Window]:
    """Those of `windows` that have to be pulled: never committed, or from a pull that began before
    the window had passed, which cannot have seen all of it."""

    def covered(window: Window) -> bool:
        position = positions.get(window.label)
        return (
            position is not None and position.window == window and position.pulled_at >= window.end
        )

    return [window for window in windows if not covered(window)]


def move(
    connection: psycopg.Connection[Any],
    stream: StreamId,
    *,
    window: Window | None,
    pin: Pin,
    landing: str,
    run_id: str,
    generation: int = 0,
) -> None:
    """Commit the window (None: the full stream) as of `landing`, within the open transaction. A
    landing whose pull began before the committed one's leaves the position where it is.

    Raises FixConfig when cadence or start changed, StopStream when the stream was reset after the
    landing was made.
    """
    connection.execute(
        "INSERT INTO integrations.streams (connector, connection, stream, cadence, starts_at)"
        " VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        [*_key(stream), pin.cadence, pin.starts_at],
    )
    refuse_changed(connection, stream, pin=pin)
    label = window.label if window else FULL
    was = connection.execute(
        "SELECT generation, landing FROM integrations.positions WHERE (connector, connection,"
        " stream, slice, \"window\") = (%s, %s, %s, '-', %s) FOR UPDATE",
        [*_key(stream), label],
    ).fetchone()
    if was is not None and was[0] != generation:
        raise StopStream(
            f"landing {landing} is from before the stream was reset",
            where=f"{stream}{f' {window}' if window else ''}",
            todo="Fetch it again.",
        )
    if was is not None and was[1] > landing:
        return
    start, end = (window.start, window.end) if window else (None, None)
    connection.execute(
        """
        INSERT INTO integrations.positions
            (connector, connection, stream, "window", window_start, window_end,
             landing, run_id, generation)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (connector, connection, stream, slice, "window") DO UPDATE SET
            window_start = excluded.window_start, window_end = excluded.window_end,
            landing = excluded.landing, run_id = excluded.run_id, committed_at = now()
        """,
        [*_key(stream), label, start, end, landing, run_id, generation],
    )


def _key(stream: StreamId) -> list[str]:
    return [stream.connector, stream.connection, stream.stream]
