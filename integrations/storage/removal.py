"""The end of a connection's data: rows, everything that is remembered of them, and landings.

The database's part goes in one transaction, under the locks that loads take, so that no load sees
half of it. The landings go last: what is left of them after a crash is found by the next removal.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import psycopg
from psycopg import sql

from integrations.errors import RetryLater
from integrations.names import StreamId
from integrations.storage import connections
from integrations.storage.folders import Folders
from integrations.storage.manifest import MANIFEST
from integrations.storage.transaction import lock

_LOCK_WAIT = "10s"
"""A load of one landing takes seconds; who asks for a removal sits and waits."""


def holdings(
    connection: psycopg.Connection[Any], zone: str, connector: str, name: str
) -> dict[str, int]:
    """How much there is of a connection, by table (`canonical.payment`, `integrations.ledger` …),
    and under `landings` how many pulls the landing zone holds; what is empty is left out.

    Deletes nothing. Raises RetryLater and FixConfig as `Folders` does.
    """
    counts = {}
    for shown, table in _tables(connection, connector).items():
        count = sql.SQL("SELECT count(*) FROM {} WHERE (connector, connection) = (%s, %s)")
        row = connection.execute(count.format(table), [connector, name]).fetchone()
        assert row is not None, "an aggregate gives one row"
        counts[shown] = int(row[0])
    counts["landings"] = sum(map(len, _landings(Folders(zone), connector, name).values()))
    return {shown: count for shown, count in counts.items() if count}


def remove_rows(
    connection: psycopg.Connection[Any],
    connector: str,
    name: str,
    *,
    streams: Iterable[StreamId] = (),
) -> dict[str, int]:
    """Deletes and commits all that the database has of a connection, the connection too; gives how
    much went of each table.

    `streams` are those that its file has: the first load of one may be under way, of which nothing
    can be seen yet. The connection must be idle. Raises RetryLater while one of them is loaded.
    """
    gone = {}
    try:
        with connection.transaction():
            connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(_LOCK_WAIT))
            known = _streams(connection, connector, name) | set(streams)
            for stream in sorted(known):  # whoever takes several takes them in this order
                lock(connection, stream)
            for shown, table in _tables(connection, connector).items():
                delete = sql.SQL("DELETE FROM {} WHERE (connector, connection) = (%s, %s)")
                gone[shown] = connection.execute(delete.format(table), [connector, name]).rowcount
            connections.remove(connection, connector, name)
    except psycopg.errors.LockNotAvailable:
        raise RetryLater(
            f"{connector}/{name} is being loaded", todo="Nothing was removed; try again later."
        ) from None
    return {shown: count for shown, count in gone.items() if count}


def remove_landings(zone: str, connector: str, name: str) -> int:
    """Removes all landings of a connection under a zone's URL; gives how many there were.

    Raises RetryLater and FixConfig as `Folders` does.
    """
    folders, removed = Folders(zone), 0
    found = _landings(folders, connector, name)
    for window, landings in found.items():
        for landing in landings:
            # The manifest first: half a landing must not look like a whole one.
            folders.remove(f"{window}/{landing}", first=MANIFEST)
            removed += 1
        folders.remove_if_empty(window)
    for stream in {window.rpartition("/")[0] for window in found}:
        folders.remove_if_empty(stream)
    folders.remove_if_empty(f"{connector}/{name}")
    return removed


def _landings(folders: Folders, connector: str, name: str) -> Mapping[str, list[str]]:
    """The landings of a connection, complete or not, by their window's folder."""
    root = f"{connector}/{name}"
    windows = [
        f"{root}/{stream}/{window}"
        for stream in folders.children(root)
        for window in folders.children(f"{root}/{stream}")
    ]
    return {window: folders.children(window) for window in windows}


def _tables(connection: psycopg.Connection[Any], connector: str) -> dict[str, sql.Identifier]:
    """Every table that holds something of single connections, by the name that people know: the
    connector's leaves, and what is remembered. Asked of the catalogue, so that no table that is
    made later is forgotten; the table of the connections themselves is not among them."""
    leaves = connection.execute(
        "SELECT parent.relname, leaf.relname FROM pg_inherits"
        " JOIN pg_class leaf ON leaf.oid = inhrelid JOIN pg_class parent ON parent.oid = inhparent"
        " WHERE parent.relnamespace = 'canonical'::regnamespace"
        " AND leaf.relname = parent.relname || '__' || %s ORDER BY 1",
        [connector],
    ).fetchall()
    remembered = connection.execute(
        "SELECT relname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid"
        " WHERE relnamespace = 'integrations'::regnamespace AND relkind IN ('r', 'p')"
        " AND attname IN ('connector', 'connection') AND relname <> 'connections'"
        " GROUP BY 1 HAVING count(*) = 2 ORDER BY 1"
    ).fetchall()
    canonical = {
        f"canonical.{entity}": sql.Identifier("canonical", leaf) for entity, leaf in leaves
    }
    return canonical | {
        f"integrations.{table}": sql.Identifier("integrations", table) for (table,) in remembered
    }


def _streams(connection: psycopg.Connection[Any], connector: str, name: str) -> set[StreamId]:
    """Every stream and feed of which anything is remembered."""
    known: set[str] = set()
    for table in ("streams", "positions", "ledger", "quarantine"):
        query = "SELECT DISTINCT stream FROM {} WHERE (connector, connection) = (%s, %s)"
        found = connection.execute(
            sql.SQL(query).format(sql.Identifier("integrations", table)), [connector, name]
        )
        known |= {stream for (stream,) in found}
    return {StreamId(connector, name, stream) for stream in known}
