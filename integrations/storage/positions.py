"""Positions: what of a stream is committed, written in the transaction of its rows.

A stream with windows has one position per window, another one in all: a full stream's says when it
was read, a cursor stream's (and a feed's) where its source goes on. With the first of them the
stream is pinned: how its time is cut and what its keys are made of. A file that changed that later
would cut the same time into other windows, and one committed hour would show a whole day green.

A reset raises the stream's generation: earlier positions and landings count no longer.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg

from integrations.errors import FixConfig, StopStream
from integrations.names import StreamId, Window
from integrations.storage.manifest import UNSURE, began_at

WHOLE = "-"
"""The label of the one position of a stream without windows."""


@dataclass(frozen=True, kw_only=True)
class Pin:
    """What must stay as it was at the first commit: `cadence` as the file writes it and `starts_at`
    (UTC), both None for a stream without windows, and `key`, what a source id is made of."""

    cadence: str | None = None
    starts_at: datetime | None = None
    key: str | None = None

    @property
    def windows(self) -> str:
        """How time is cut, in words."""
        if self.cadence is None:
            return "none"
        return f"{self.cadence} from {self.starts_at.isoformat() if self.starts_at else '-'}"


@dataclass(frozen=True, kw_only=True)
class Position:
    """What is committed of a window (None: of the whole stream), from which landing (None: set by
    a person), by which run, and when.

    `cursor` is where a cursor stream goes on; `said_at` when the landing's pull began by the
    source's clock; `checked_at` when the source last said that nothing comes after; `floor_at`
    what `merge.Merge` takes as the floor. Times are in UTC.
    """

    window: Window | None
    landing: str | None
    run_id: str
    generation: int
    committed_at: datetime
    cursor: str | None = None
    said_at: datetime | None = None
    checked_at: datetime | None = None
    floor_at: datetime | None = None

    @property
    def pulled_at(self) -> datetime:
        """When the pull of its landing began, UTC: by the source's clock where that is known."""
        if self.said_at is not None:
            return self.said_at
        return began_at(self.landing) if self.landing else self.committed_at


@dataclass(frozen=True, kw_only=True)
class Reset:
    """When and why a stream was last reset (UTC)."""

    at: datetime
    why: str


def refuse_changed(connection: psycopg.Connection[Any], stream: StreamId, *, pin: Pin) -> None:
    """Raises FixConfig when the stream was first committed with other windows or another key."""
    first = pinned(connection, stream)
    if first is None:
        return
    if first.windows != pin.windows:
        raise FixConfig(
            f"its windows are {pin.windows} now, and were {first.windows} at its first commit",
            where=str(stream),
            todo=f"Put the file back, or run `integrations repartition {stream}`.",
        )
    if first.key is not None and pin.key is not None and first.key != pin.key:
        raise FixConfig(
            f"its key is {pin.key} now, and was {first.key} at its first commit",
            where=str(stream),
            todo=f"Put the file back, or run `integrations replay --rebuild {stream}`.",
        )


def pinned(connection: psycopg.Connection[Any], stream: StreamId) -> Pin | None:
    """The stream as of its first commit; None before it."""
    found = connection.execute(
        "SELECT cadence, starts_at, key FROM integrations.streams"
        " WHERE (connector, connection, stream) = (%s, %s, %s)",
        _key(stream),
    ).fetchone()
    return None if found is None else Pin(cadence=found[0], starts_at=found[1], key=found[2])


def pin_anew(connection: psycopg.Connection[Any], stream: StreamId, *, pin: Pin) -> None:
    """Takes a changed file's pin for the stream's own, within the open transaction: the caller has
    made rows and positions fit it."""
    connection.execute(
        "UPDATE integrations.streams SET cadence = %s, starts_at = %s, key = %s"
        " WHERE (connector, connection, stream) = (%s, %s, %s)",
        [pin.cadence, pin.starts_at, pin.key, *_key(stream)],
    )


def generation(connection: psycopg.Connection[Any], stream: StreamId) -> int:
    """How often the stream was reset."""
    found = connection.execute(
        "SELECT generation FROM integrations.streams"
        " WHERE (connector, connection, stream) = (%s, %s, %s)",
        _key(stream),
    ).fetchone()
    return 0 if found is None else int(found[0])


def last_reset(connection: psycopg.Connection[Any], stream: StreamId) -> Reset | None:
    """The stream's last reset, if there was one."""
    found = connection.execute(
        "SELECT reset_at, reset_why FROM integrations.streams"
        " WHERE (connector, connection, stream) = (%s, %s, %s)",
        _key(stream),
    ).fetchone()
    if found is None or found[0] is None:
        return None
    return Reset(at=found[0].astimezone(UTC), why=found[1])


def reset(connection: psycopg.Connection[Any], stream: StreamId, *, why: str) -> int:
    """Forgets the stream's positions, within the open transaction; gives its new generation.

    Rows stay: what is pulled next is compared with them. Floors stay too: they are about rows.
    A stream that was never committed has nothing to forget.
    """
    found = connection.execute(
        "UPDATE integrations.streams"
        " SET generation = generation + 1, reset_at = now(), reset_why = %s"
        " WHERE (connector, connection, stream) = (%s, %s, %s) RETURNING generation",
        [why, *_key(stream)],
    ).fetchone()
    return 0 if found is None else int(found[0])


def forget(
    connection: psycopg.Connection[Any], stream: StreamId, *, windows: Iterable[Window | None]
) -> None:
    """Takes away the positions of these windows (None: of the whole stream), within the open
    transaction: they are due again. A floor stays: it is about rows."""
    labels = [window.label if window else WHOLE for window in windows]
    connection.execute(
        "UPDATE integrations.positions SET generation = -1"
        ' WHERE (connector, connection, stream) = (%s, %s, %s) AND "window" = ANY(%s)',
        [*_key(stream), labels],
    )


def committed(connection: psycopg.Connection[Any], stream: StreamId) -> dict[str, Position]:
    """The stream's positions of its generation, by their window's label (`-` without windows)."""
    rows = connection.execute(f"{_SELECT} AND slice = '-'", _key(stream))
    return {row[0]: _position(row) for row in rows}


def ever_committed(connection: psycopg.Connection[Any], stream: StreamId) -> list[Position]:
    """The newest position of every window (or the whole stream's), also of those that were reset
    since: the rows were made from their landings."""
    every = _SELECT.replace("stream, generation)", "stream)")
    rows = connection.execute(f"{every} AND landing IS NOT NULL", _key(stream))
    return [_position(row) for row in rows]


def at(
    connection: psycopg.Connection[Any], stream: StreamId, *, window: Window | None = None
) -> Position | None:
    """The position of just this window (None: of the whole stream), if there is one."""
    label = window.label if window else WHOLE
    row = connection.execute(
        f"{_SELECT} AND slice = '-' AND \"window\" = %s", [*_key(stream), label]
    ).fetchone()
    position = None if row is None else _position(row)
    return position if position is not None and position.window == window else None


def floor(connection: psycopg.Connection[Any], stream: StreamId) -> datetime | None:
    """What was said before it of a key that is not there stays deleted, whatever generation."""
    found = connection.execute(
        "SELECT max(floor_at) FROM integrations.positions"
        " WHERE (connector, connection, stream) = (%s, %s, %s)",
        _key(stream),
    ).fetchone()
    return found[0].astimezone(UTC) if found and found[0] else None


def forget_floor(connection: psycopg.Connection[Any], stream: StreamId) -> None:
    """Takes the floor away, within the open transaction."""
    connection.execute(
        "UPDATE integrations.positions SET floor_at = NULL"
        " WHERE (connector, connection, stream) = (%s, %s, %s)",
        _key(stream),
    )


@dataclass(frozen=True, kw_only=True)
class Reached:
    """How far a landing brings a stream: what a position becomes when it is committed.

    `cursor` is where the landing goes on from, and to; the other fields are `Position`'s.
    """

    window: Window | None = None
    landing: str | None
    run_id: str
    generation: int = 0
    cursor: tuple[str | None, str | None] | None = None
    said_at: datetime | None = None
    checked_at: datetime | None = None
    floor_at: datetime | None = None


def move(
    connection: psycopg.Connection[Any], stream: StreamId, reached: Reached, *, pin: Pin
) -> None:
    """Commit what was reached, within the open transaction. Of a window, a landing whose pull began
    before the committed one's leaves the position where it is.

    Raises FixConfig when the pin changed, StopStream when the stream was reset after the landing
    was made, or does not stand any more where the landing goes on from.
    """
    _pin(connection, stream, pin=pin)
    window = reached.window
    where = f"{stream}{f' {window}' if window else ''}"
    if _generation_now(connection, stream) != reached.generation:
        raise StopStream(
            f"landing {reached.landing} is from before the stream was reset",
            where=where,
            todo="Fetch it again.",
        )
    was = at(connection, stream, window=window)
    if reached.cursor is not None and (was.cursor if was else None) != reached.cursor[0]:
        raise StopStream("another run has moved the position meanwhile", where=where)
    if reached.cursor is None and was is not None and _newer(was, reached):
        return
    start, end = (window.start, window.end) if window else (None, None)
    to = reached.cursor[1] if reached.cursor else None
    connection.execute(
        """
        INSERT INTO integrations.positions AS p
            (connector, connection, stream, "window", window_start, window_end,
             landing, run_id, generation, position, said_at, checked_at, floor_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (connector, connection, stream, slice, "window") DO UPDATE SET
            window_start = excluded.window_start, window_end = excluded.window_end,
            landing = excluded.landing, run_id = excluded.run_id, committed_at = now(),
            generation = excluded.generation, position = excluded.position,
            said_at = excluded.said_at, checked_at = excluded.checked_at,
            floor_at = greatest(p.floor_at, excluded.floor_at)
        """,
        [
            *_key(stream), window.label if window else WHOLE, start, end,
            reached.landing, reached.run_id, reached.generation,
            None if to is None else json.dumps(to),
            reached.said_at, reached.checked_at, reached.floor_at,
        ],
    )  # fmt: skip


def checked(
    connection: psycopg.Connection[Any], stream: StreamId, *, at: datetime, generation: int
) -> None:
    """Notes that the source had nothing after the position at `at`, unless it was reset since."""
    connection.execute(
        "UPDATE integrations.positions SET checked_at = greatest(checked_at, %s)"
        " WHERE (connector, connection, stream, \"window\") = (%s, %s, %s, '-')"
        " AND generation = %s",
        [at, *_key(stream), generation],
    )


def outdated(connection: psycopg.Connection[Any], stream: StreamId, reached: Reached) -> bool:
    """Whether the window is committed from a pull that began later. Rows alone cannot tell where
    one that is said again unchanged keeps its older stamps."""
    was = at(connection, stream, window=reached.window)
    return was is not None and _newer(was, reached)


def _newer(was: Position, than: Reached) -> bool:
    """By the source's clock where both pulls know it: ours may have been set back."""
    if was.landing is None or than.landing is None or was.landing == than.landing:
        return False
    if was.said_at is not None and than.said_at is not None:
        apart = was.said_at - than.said_at
        if abs(apart) > UNSURE:
            return apart > UNSURE
    return was.landing > than.landing


def _pin(connection: psycopg.Connection[Any], stream: StreamId, *, pin: Pin) -> None:
    connection.execute(
        "INSERT INTO integrations.streams AS s (connector, connection, stream, cadence, starts_at,"
        " key) VALUES (%s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (connector, connection, stream) DO UPDATE SET key = excluded.key"
        " WHERE s.key IS NULL",
        [*_key(stream), pin.cadence, pin.starts_at, pin.key],
    )
    refuse_changed(connection, stream, pin=pin)


def _generation_now(connection: psycopg.Connection[Any], stream: StreamId) -> int:
    """The generation, which nobody changes until the end of the transaction."""
    found = connection.execute(
        "SELECT generation FROM integrations.streams"
        " WHERE (connector, connection, stream) = (%s, %s, %s) FOR SHARE",
        _key(stream),
    ).fetchone()
    return 0 if found is None else int(found[0])


_SELECT = (
    'SELECT p."window", window_start, window_end, landing, run_id, p.generation, committed_at,'
    " position, said_at, checked_at, floor_at"
    " FROM integrations.positions p JOIN integrations.streams s"
    " USING (connector, connection, stream, generation)"
    " WHERE (connector, connection, stream) = (%s, %s, %s)"
)


def _position(row: tuple[Any, ...]) -> Position:
    _, start, end, landing, run_id, generation, committed_at, cursor, said, checked, floor = row
    return Position(
        window=Window(start.astimezone(UTC), end.astimezone(UTC)) if start else None,
        landing=landing,
        run_id=run_id,
        generation=generation,
        committed_at=committed_at.astimezone(UTC),
        cursor=cursor,
        said_at=_utc(said),
        checked_at=_utc(checked),
        floor_at=_utc(floor),
    )


def _utc(moment: datetime | None) -> datetime | None:
    return moment.astimezone(UTC) if moment else None


def _key(stream: StreamId) -> list[str]:
    return [stream.connector, stream.connection, stream.stream]
