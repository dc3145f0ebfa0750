"""Gaps: what a feed has missed, until the streams that it speaks of are read again."""

from typing import Any

import psycopg

from integrations.connector_template.connector import BoundFeed, BoundStream
from integrations.storage import positions
from integrations.storage.positions import Reset
from integrations.sync_state.cursors import CursorSync
from integrations.sync_state.windows import WindowSync

WORD = "gap"
"""With this begins why a stream was reset for one."""


def open_gap(feed: BoundFeed, *, connection: psycopg.Connection[Any]) -> str | None:
    """The feed's gap, as long as not all is read again of each stream that was reset for it, and
    what is missing; None without one. Only reads."""
    streams = {stream.id: stream for stream in feed.routes.values()}
    missing: list[str] = []
    why = ""
    for id_, stream in sorted(streams.items()):
        reset = positions.last_reset(connection, id_)
        if reset is None or not reset.why.startswith(WORD):
            continue
        left = _unread(stream, reset, connection)
        if left:
            why = reset.why
            missing.append(f"{left} of {id_}")
    return f"{why}. Still to be read: {', '.join(missing)}" if missing else None


def _unread(stream: BoundStream, reset: Reset, connection: psycopg.Connection[Any]) -> str:
    """What had passed when the stream was reset and was not read since, in words; or nothing."""
    sync = stream.stream.sync
    if isinstance(sync, WindowSync):
        read = positions.committed(connection, stream.id)
        passed = sync.windows(stream.connection.begins_at, reset.at)
        left = sum(window.label not in read for window in passed)
        return "" if not left else "1 window" if left == 1 else f"{left} windows"
    position = positions.at(connection, stream.id)
    if isinstance(sync, CursorSync):
        return "" if position is not None and position.checked_at is not None else "the rest"
    return "" if position is not None else "all"
