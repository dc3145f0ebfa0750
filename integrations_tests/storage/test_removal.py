"""The end of a connection's data: all of it goes, and nothing of any other connection."""

from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from integrations.errors import RetryLater
from integrations.names import StreamId
from integrations.storage import removal
from integrations.storage.connections import Added, add, stored
from integrations.storage.database import connect
from integrations.storage.removal import holdings, remove_landings, remove_rows
from integrations.storage.tables import Column, TableSpec, ensure_leaf
from integrations.storage.transaction import lock

EAST, WEST = ("shop", "east"), ("shop", "west")
OTHERS = [WEST, ("mill", "east")]
SALE = TableSpec("sale", (Column("note", "text"),))
VALUES = {
    "text": "x", "timestamp with time zone": "2026-01-01", "jsonb": "{}", "bytea": "x",
    "ARRAY": [], "integer": 1, "bigint": 1, "smallint": 1, "double precision": 1, "boolean": True,
}  # fmt: skip
COLUMNS = """
SELECT column_name, data_type FROM information_schema.columns
WHERE (table_schema, table_name) = (%s, %s) AND is_nullable = 'NO' AND column_default IS NULL
AND is_identity = 'NO'
"""


@pytest.fixture
def tables(connection: psycopg.Connection[Any]) -> list[tuple[str, str]]:
    """Every table that has columns for a connection, with a row of each of three connections."""
    for connector in ("shop", "mill"):
        ensure_leaf(connection, SALE, connector=connector)
    found = connection.execute(
        "SELECT table_schema, table_name FROM information_schema.columns"
        " WHERE table_schema = 'integrations' AND column_name = 'connection' ORDER BY 2"
    ).fetchall()
    for schema, table in [*found, ("canonical", "sale")]:
        for account in (EAST, *OTHERS):
            _insert(connection, schema, table, account)
    connection.commit()
    return [(schema, table) for schema, table in found if table != "connections"]


def _insert(
    connection: psycopg.Connection[Any], schema: str, table: str, account: tuple[str, str]
) -> None:
    needed = connection.execute(COLUMNS, [schema, table]).fetchall()
    row = {name: VALUES[kind] for name, kind in needed}
    row |= {"connector": account[0], "connection": account[1]}
    if table == "files":
        row["state"] = "loaded"
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(schema, table),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join([sql.Placeholder()] * len(row)),
    )
    connection.execute(statement, list(row.values()))


def accounts(connection: psycopg.Connection[Any], table: str) -> list[tuple[str, str]]:
    found = connection.execute(f"SELECT connector, connection FROM {table} ORDER BY 1 DESC, 2")  # type: ignore[arg-type]
    return found.fetchall()


def test_all_of_one_connection_goes_and_nothing_of_another(
    connection: psycopg.Connection[Any], tables: list[tuple[str, str]], tmp_path: Path
) -> None:
    """Rows, quarantine, positions, ledger, and whatever table a later version adds."""
    names = {"canonical.sale", *(".".join(table) for table in tables)}
    zone = (tmp_path / "raw").as_uri()
    everything = dict.fromkeys(names, 1)
    assert holdings(connection, zone, *EAST) == everything
    connection.rollback()

    assert remove_rows(connection, *EAST) == everything

    assert names > {"integrations.ledger", "integrations.positions", "integrations.quarantine"}
    for table in (*names, "integrations.connections"):
        assert accounts(connection, table) == OTHERS
    assert holdings(connection, zone, *EAST) == {}


@pytest.mark.parametrize("known", [True, False], ids=["seen before", "its first load"])
def test_it_waits_for_no_load(
    connection: psycopg.Connection[Any],
    tables: list[tuple[str, str]],
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    known: bool,
) -> None:
    """While a stream is loaded nothing of its connection goes."""
    monkeypatch.setattr(removal, "_LOCK_WAIT", "50ms")
    stream = StreamId(*EAST, "x" if known else "never_seen")
    with connect(database) as loading:
        lock(loading, stream)
        with pytest.raises(RetryLater, match="shop/east is being loaded"):
            remove_rows(connection, *EAST, streams=[] if known else [stream])
        assert EAST in accounts(connection, "canonical.sale")
        connection.rollback()
        lock(loading, StreamId(*WEST, "x"))
        loading.rollback()
    remove_rows(connection, *EAST, streams=[stream])
    assert accounts(connection, "canonical.sale") == OTHERS


def test_a_leaf_that_was_never_made_holds_nothing(
    connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    """A connection that was never synced is removed like any other."""
    assert add(connection, Added(*EAST, {}))
    connection.commit()
    assert holdings(connection, (tmp_path / "raw").as_uri(), *EAST) == {}
    connection.rollback()
    assert remove_rows(connection, *EAST) == {}
    assert stored(connection) == []


def test_landings_go_with_their_folders(
    tmp_path: Path, connection: psycopg.Connection[Any]
) -> None:
    """Complete and half ones; the others' stay, and a second call finds nothing."""
    zone = tmp_path / "raw"
    for account in (EAST, *OTHERS):
        for place in ("orders/2026-01-01T00-00Z/a", "orders/2026-01-01T00-00Z/b", "buyers/-/c"):
            folder = zone.joinpath(*account, place)
            folder.mkdir(parents=True)
            (folder / "part-00000.parquet").touch()
            if not place.endswith("b"):
                (folder / "manifest.json").touch()
    assert holdings(connection, zone.as_uri(), *EAST) == {"landings": 3}
    assert remove_landings(zone.as_uri(), *EAST) == 3
    assert remove_landings(zone.as_uri(), *EAST) == 0
    assert not (zone / "shop" / "east").exists()
    for account in OTHERS:
        assert len(list(zone.joinpath(*account).rglob("*.parquet"))) == 3
