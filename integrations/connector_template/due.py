"""What of a stream is due: windows that have passed and are not committed, or a full reading."""

from datetime import datetime
from typing import Any

import psycopg

from integrations.connector_template.connector import BoundStream
from integrations.names import Window
from integrations.storage import positions
from integrations.sync_state.windows import WindowSync, stretches


def due(
    stream: BoundStream, connection: psycopg.Connection[Any], *, now: datetime
) -> list[list[Window]]:
    """The unbroken stretches of due windows, oldest first.

    A stream that is read in full gives one empty stretch when it is due; nothing due gives none.
    """
    sync = stream.stream.sync
    done = positions.committed(connection, stream.id)
    if isinstance(sync, WindowSync):
        windows = list(sync.windows(stream.connection.begins_at, now))
        return stretches(positions.due(windows, positions=done))
    last = done.get(positions.FULL)
    # A replay or a retry commits late what was read early: how old the rows are says the pull.
    return [[]] if sync.due(last.pulled_at if last else None, now) else []
