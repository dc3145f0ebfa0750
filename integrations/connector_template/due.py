"""What of a stream is due: windows to pull, a full reading, or what follows its position."""

from datetime import datetime
from typing import Any

import psycopg

from integrations.connector_template.connector import BoundFeed, BoundStream
from integrations.names import StreamId, Window
from integrations.storage import positions
from integrations.sync_state.windows import FullSync, WindowSync, stretches


def due(
    stream: BoundStream, connection: psycopg.Connection[Any], *, now: datetime
) -> list[list[Window]]:
    """The unbroken stretches of due windows, oldest first; of a child those of its parent.

    A stream without windows gives one empty stretch when it is due; nothing due gives none.
    """
    sync = stream.stream.sync
    if isinstance(sync, WindowSync):
        committed = positions.committed(connection, stream.source).values()
        pulled = {one.window: one.pulled_at for one in committed if one.window is not None}
        return stretches(sync.due(stream.connection.begins_at, now, pulled=pulled))
    if isinstance(sync, FullSync):
        last = positions.at(connection, stream.source)
        # A replay or a retry commits late what was read early: how old the rows are says the pull.
        return [[]] if sync.due(last.pulled_at if last else None, now) else []
    return [[]] if sync.due(_checked_at(stream.source, connection), now) else []


def feed_due(feed: BoundFeed, connection: psycopg.Connection[Any], *, now: datetime) -> bool:
    """Whether the feed's position has grown so old that its source has to be asked again."""
    return feed.feed.due(_checked_at(feed.id, connection), now)


def _checked_at(reader: StreamId, connection: psycopg.Connection[Any]) -> datetime | None:
    position = positions.at(connection, reader)
    return position.checked_at if position else None
