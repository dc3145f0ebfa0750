"""The circuits of a connection's endpoints, as all processes share them.

A process looks at them, and tells of its calls, over a connection of its own that is made at first
need and knows little patience: what is kept here spares a source, and must not stop a pull.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.types.json import Jsonb

from integrations.storage.database import connect, living

PATIENCE_S = 2
"""For the database: to connect, and for each statement."""
SLOT_S = 5
"""Calls are counted by so many seconds since 1970, a length on which all processes agree."""


@dataclass(frozen=True)
class Circuit:
    """What is known of an endpoint's health; times are aware, by the database's clock.

    `counts` has calls and failures by the number of their `SLOT_S` seconds since 1970. `until` is
    None while all may ask; else nobody does before, and then one call is made, which has until
    `probe_until`. `cool_s` is how long it was shut for the last time, `why` the last failure.
    """

    counts: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    until: datetime | None = None
    cool_s: float = 0.0
    probe_until: datetime | None = None
    why: str = ""


Change = Callable[[Circuit, datetime], Circuit]
"""Makes another circuit of one, at a time by the database's clock."""


@dataclass(frozen=True)
class Known:
    """The circuits of a connection by endpoint, none for one that was never in trouble, and when
    they were looked at, by the database's clock."""

    circuits: Mapping[str, Circuit]
    at: datetime


def known(connection: psycopg.Connection[Any], connector: str, name: str) -> Known:
    """What is known now, within whatever transaction is open."""
    rows = connection.execute(_KNOWN, [connector, name]).fetchall()
    found = {endpoint: _circuit(*rest) for _, endpoint, *rest in rows if endpoint is not None}
    return Known(found, rows[0][0].astimezone(UTC))


def forget(connection: psycopg.Connection[Any], connector: str, name: str) -> list[str]:
    """Lets a connection be asked again and forgets its failures, within whatever transaction is
    open; gives the endpoints that were left alone."""
    rows = connection.execute(
        "DELETE FROM integrations.circuits WHERE (connector, connection) = (%s, %s)"
        " RETURNING endpoint, open_until",
        [connector, name],
    )
    return sorted(endpoint for endpoint, until in rows if until is not None)


class Circuits:
    """The circuits of one connection, in the database of `beside`; one thread at a time."""

    def __init__(self, beside: psycopg.Connection[Any], connector: str, name: str) -> None:
        # Not the settings' way: that would start a server that is away, and wait for it.
        self._url = make_conninfo(
            beside.info.dsn,
            password=beside.info.password or None,
            tcp_user_timeout=PATIENCE_S * 1000,
        )
        self._name = (connector, name)
        self._own: psycopg.Connection[Any] | None = None

    def known(self) -> Known:
        """As `known`. Raises psycopg's errors, and those of `connect`."""
        with self._transaction() as connection:
            return known(connection, *self._name)

    def change(self, endpoint: str, change: Change) -> tuple[Circuit, Circuit, datetime]:
        """Has one circuit changed, in turn with all other processes: what it was, what it is now,
        and when. Raises as `known` does, and then nothing is changed."""
        with self._transaction() as connection:
            row = connection.execute(_LOCKED, [*self._name, endpoint]).fetchone()
            assert row is not None, "it was there, or was made"
            before, now = _circuit(*row[1:]), row[0].astimezone(UTC)
            after = change(before, now)
            if after != before:
                connection.execute(_KEPT, [*_values(after), *self._name, endpoint])
        return before, after, now

    def close(self) -> None:
        """Closes the connection, if there was need for one."""
        if self._own is not None:
            self._own.close()

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Connection[Any]]:
        connection = self._connection()
        with connection.transaction():
            # Of the transaction, not the session: connection poolers hand that on to others.
            limit = sql.SQL("SET LOCAL statement_timeout = {}").format(PATIENCE_S * 1000)
            connection.execute(limit)
            yield connection

    def _connection(self) -> psycopg.Connection[Any]:
        if self._own is None or not living(self._own):
            self.close()
            self._own = connect(self._url, autocommit=True, timeout_s=PATIENCE_S)
        return self._own


def _circuit(
    counts: Mapping[str, list[int]],
    until: datetime | None,
    cool_s: float,
    probe_until: datetime | None,
    why: str,
) -> Circuit:
    slots = {int(slot): (calls, failures) for slot, (calls, failures) in counts.items()}
    return Circuit(slots, _utc(until), cool_s, _utc(probe_until), why)


def _values(circuit: Circuit) -> list[object]:
    counts = Jsonb({str(slot): list(count) for slot, count in circuit.counts.items()})
    return [counts, circuit.until, circuit.cool_s, circuit.probe_until, circuit.why]


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)


_KNOWN = """
SELECT clock_timestamp(), endpoint, counts, open_until, cool_s, probe_until, why
FROM (SELECT) one LEFT JOIN integrations.circuits ON (connector, connection) = (%s, %s)
"""
_LOCKED = """
INSERT INTO integrations.circuits (connector, connection, endpoint) VALUES (%s, %s, %s)
ON CONFLICT (connector, connection, endpoint) DO UPDATE SET endpoint = excluded.endpoint
RETURNING clock_timestamp(), counts, open_until, cool_s, probe_until, why
"""
"""The row, made where there is none: from here on others wait until the transaction ends."""
_KEPT = """
UPDATE integrations.circuits
SET (counts, open_until, cool_s, probe_until, why) = (%s, %s, %s, %s, %s)
WHERE (connector, connection, endpoint) = (%s, %s, %s)
"""
