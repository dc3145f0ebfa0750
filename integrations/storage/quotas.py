"""The one budget of all processes that use a connection: read, changed and written in turn.

What it says is another's business: here it is a text, and the time by the database's clock. It is
worth no flush of the disk: who holds a lock for that long would hold up all others.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import psycopg

T = TypeVar("T")
_WAIT = "5s"
"""Longer than anybody holds the lock who is alive."""


def begin(connection: psycopg.Connection[Any], connector: str, name: str) -> tuple[float, bool]:
    """What a session begins with: by how many seconds the clock of the connection's source is ahead
    (0 where nothing is known), and whether anything is known of its quotas."""
    found = connection.execute(
        "SELECT (SELECT offset_s FROM integrations.clocks"
        "         WHERE (connector, connection) = (%(connector)s, %(name)s)),"
        " EXISTS (SELECT FROM integrations.quotas"
        "          WHERE (connector, connection) = (%(connector)s, %(name)s)"
        "            AND until > clock_timestamp())",
        {"connector": connector, "name": name},
    ).fetchone()
    assert found is not None, "a row without a table"
    return float(found[0] or 0.0), bool(found[1])


def prepare(connection: psycopg.Connection[Any]) -> None:
    """Makes a connection of its own one that keeps budgets."""
    connection.execute("SELECT set_config('synchronous_commit', 'off', false)")
    connection.execute("SELECT set_config('lock_timeout', %s, false)", [_WAIT])
    connection.commit()


def change(
    connection: psycopg.Connection[Any],
    connector: str,
    name: str,
    how: Callable[[str, float], tuple[str, float, T]],
) -> T:
    """Changes the state of a connection's quotas, one process after the other, and commits.

    `how` is given the state ("{}" where there is none) and the time, in seconds since 1970 by the
    database's clock; it gives the new state, until when that matters, and what this returns.
    """
    with connection.transaction():
        found = _locked(connection, connector, name)
        if found is None:
            connection.execute(
                "INSERT INTO integrations.quotas (connector, connection) VALUES (%s, %s)"
                " ON CONFLICT DO NOTHING",
                [connector, name],
            )
            found = _locked(connection, connector, name)
            assert found is not None, "it was made"
        state, until, result = how(*found)
        connection.execute(
            "UPDATE integrations.quotas SET state = %s, until = to_timestamp(%s),"
            " changed_at = clock_timestamp() WHERE (connector, connection) = (%s, %s)",
            [state, until, connector, name],
        )
    return result


def read(
    connection: psycopg.Connection[Any], connector: str, name: str
) -> tuple[str, float] | None:
    """The state and the time, as of now; None where nothing is known."""
    return connection.execute(
        "SELECT state::text, extract(epoch FROM clock_timestamp())::float8"
        " FROM integrations.quotas WHERE (connector, connection) = (%s, %s)"
        " AND until > clock_timestamp()",
        [connector, name],
    ).fetchone()


def _locked(
    connection: psycopg.Connection[Any], connector: str, name: str
) -> tuple[str, float] | None:
    # The time is read when the lock is there, not when it is asked for.
    return connection.execute(
        "WITH locked AS MATERIALIZED (SELECT state FROM integrations.quotas"
        "  WHERE (connector, connection) = (%s, %s) FOR UPDATE)"
        " SELECT state::text, extract(epoch FROM clock_timestamp())::float8 FROM locked",
        [connector, name],
    ).fetchone()
