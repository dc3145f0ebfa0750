"""How far each source's clock is ahead of ours, kept from one session to the next.

A session learns it from the dates of the answers. What it has learned holds for the next one, from
its first request on: a clock of ours that was set back must not make newer rows look older.
"""

from typing import Any

import psycopg


def held(connection: psycopg.Connection[Any], connector: str, name: str) -> float:
    """By how many seconds the clock of a connection's source is ahead; 0 where nothing is known."""
    found = connection.execute(
        "SELECT offset_s FROM integrations.clocks WHERE (connector, connection) = (%s, %s)",
        [connector, name],
    ).fetchone()
    return 0.0 if found is None else float(found[0])


def hold(
    connection: psycopg.Connection[Any], connector: str, name: str, *, offset_s: float
) -> None:
    """Keeps what was measured now, within whatever transaction is open."""
    connection.execute(
        "INSERT INTO integrations.clocks (connector, connection, offset_s) VALUES (%s, %s, %s)"
        " ON CONFLICT (connector, connection) DO UPDATE"
        " SET offset_s = excluded.offset_s, measured_at = now()",
        [connector, name, offset_s],
    )
