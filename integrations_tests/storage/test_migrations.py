"""The steps that make the tables of schema `integrations`."""

import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest

from integrations.errors import FixConfig
from integrations.storage import migrations
from integrations.storage.database import connect
from integrations.storage.migrations import migrate

STEPS = [
    "0001_ledger_and_positions",
    "0002_lanes",
    "0003_fields",
    "0004_drift_of_a_line",
    "0005_circuits",
    "0006_quotas",
    "0007_files",
]
"""All there are, in their order."""


@pytest.fixture
def steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of steps of the test's own, beginning with the real ones."""
    for step in migrations._STEPS.glob("*.sql"):
        (tmp_path / step.name).write_text(step.read_text())
    monkeypatch.setattr(migrations, "_STEPS", tmp_path)
    return tmp_path


def names(connection: psycopg.Connection[Any]) -> list[str]:
    rows = connection.execute("SELECT name FROM integrations.migrations ORDER BY name").fetchall()
    connection.commit()
    return [name for (name,) in rows]


def test_a_migrated_database_needs_nothing(connection: psycopg.Connection[Any]) -> None:
    """Running again applies nothing and says so."""
    assert names(connection) == STEPS
    assert migrate(connection) == []


def test_an_empty_database_gets_every_step(server: str, database: str) -> None:
    """From nothing, the steps are applied in order and recorded."""
    with connect(database, autocommit=True) as connection:
        connection.execute("DROP SCHEMA integrations CASCADE")
        assert migrate(connection) == STEPS
        assert names(connection) == STEPS


def test_a_step_that_fails_leaves_nothing(steps: Path, connection: psycopg.Connection[Any]) -> None:
    """A step and its record commit together; those before it stay."""
    (steps / "0998_good.sql").write_text("CREATE TABLE integrations.good ()")
    (steps / "0999_bad.sql").write_text("CREATE TABLE integrations.half (); SELECT 1/0;")
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(connection)
    assert names(connection) == [*STEPS, "0998_good"]
    found = connection.execute(
        "SELECT to_regclass('integrations.good')::text, to_regclass('integrations.half')::text"
    )
    assert found.fetchone() == ("integrations.good", None)


def test_a_newer_database_is_refused(connection: psycopg.Connection[Any]) -> None:
    """A database that a later version has migrated is not touched by this one."""
    connection.execute("INSERT INTO integrations.migrations (name) VALUES ('0999_later')")
    connection.commit()
    with pytest.raises(FixConfig, match=r"newer version .* \(0999_later\)\. Update"):
        migrate(connection)


def test_two_at_once_apply_a_step_once(steps: Path, database: str) -> None:
    """Processes that migrate at the same time wait for each other."""
    (steps / "0998_slow.sql").write_text("SELECT pg_sleep(0.1); CREATE TABLE integrations.slow ()")
    applied: list[list[str]] = []

    def work() -> None:
        with connect(database) as connection:
            applied.append(migrate(connection))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(applied) == [[], [], [], ["0998_slow"]]


def test_an_open_transaction_is_refused(connection: psycopg.Connection[Any]) -> None:
    """Inside a transaction a step could not commit with its record."""
    connection.execute("SELECT 1")
    with pytest.raises(ValueError, match="without an open transaction"):
        migrate(connection)


def test_a_role_without_rights_is_told(server: str, database: str) -> None:
    """What is missing is a grant, and the message says which."""
    with connect(database, autocommit=True) as admin:
        admin.execute("DROP SCHEMA integrations CASCADE")
        admin.execute("CREATE ROLE meagre")
        try:
            admin.execute("SET ROLE meagre")
            with pytest.raises(FixConfig, match="Grant it CREATE on the database"):
                migrate(admin)
        finally:
            admin.execute("RESET ROLE")
            admin.execute("DROP ROLE meagre")
