"""Resets that keep something: positions that outlive the generation in which they were committed.

A reset (`positions.reset`) makes all of a stream due again. Here is what is taken over into the new
generation, within the same transaction and under the stream's lock.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg

from integrations.names import StreamId
from integrations.storage.positions import Position


def keep_windows(
    connection: psycopg.Connection[Any], stream: StreamId, *, generation: int, until: datetime
) -> int:
    """Takes the windows that end at `until` (aware) or before over into `generation`, which a reset
    has just given; how many they are."""
    kept = connection.execute(
        "UPDATE integrations.positions SET generation = %s"
        " WHERE (connector, connection, stream) = (%s, %s, %s)"
        " AND generation = %s AND window_end <= %s",
        [generation, *_key(stream), generation - 1, until],
    )
    return kept.rowcount


def replace_windows(
    connection: psycopg.Connection[Any],
    stream: StreamId,
    kept: Sequence[Position],
    *,
    generation: int,
) -> None:
    """Makes these the stream's windows, in `generation`. What stands beside windows, a floor, is
    about rows and stays."""
    connection.execute(
        "DELETE FROM integrations.positions"
        " WHERE (connector, connection, stream) = (%s, %s, %s) AND window_start IS NOT NULL",
        _key(stream),
    )
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO integrations.positions (connector, connection, stream,"
            ' "window", window_start, window_end, landing, run_id, generation, committed_at,'
            " said_at, checked_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                [
                    *_key(stream), one.window.label, one.window.start, one.window.end,
                    one.landing, one.run_id, generation, one.committed_at, one.said_at,
                    one.checked_at,
                ]
                for one in kept
                if one.window is not None
            ],
        )  # fmt: skip


def attested(connection: psycopg.Connection[Any], stream: StreamId) -> dict[str, str]:
    """The landings of which the ledger says that they were loaded, with the status of the last
    line that does: ok or warn."""
    found = connection.execute(
        "SELECT DISTINCT ON (landing) landing, status FROM integrations.ledger"
        " WHERE (connector, connection, stream) = (%s, %s, %s)"
        " AND landing IS NOT NULL AND status IN ('ok', 'warn') ORDER BY landing, id DESC",
        _key(stream),
    )
    return dict(found.fetchall())


def _key(stream: StreamId) -> list[str]:
    return [stream.connector, stream.connection, stream.stream]
