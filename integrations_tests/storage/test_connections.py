"""Added connections: the table, and what Dagster is given when the database cannot be asked."""

import logging
import socket
import stat
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from integrations.secrets import Secret
from integrations.settings import Settings
from integrations.storage import connections
from integrations.storage.cluster import Cluster
from integrations.storage.connections import COPY, Added, add, kept, remember, remove, stored
from integrations_tests.conftest import make_settings

EAST = Added("shop", "east", {"start": "2026-01-01", "secrets": {"key": {"env": "EAST_KEY"}}})
WEST = Added("shop", "west", {"start": "2026-02-01"})
NOWHERE = "postgresql://nobody:hush-hush-hush@127.0.0.1:1/none"


def using(tmp_path: Path, url: str | None) -> Settings:
    return make_settings(tmp_path / "home", database_url=Secret(url) if url else None)


@pytest.fixture
def filled(connection: psycopg.Connection[Any]) -> None:
    assert all(add(connection, one) for one in (WEST, EAST))
    connection.commit()


def test_what_is_added_is_there_until_it_is_removed(connection: psycopg.Connection[Any]) -> None:
    """In the order of the names; a name is added once and removed once."""
    assert stored(connection) == []
    assert [add(connection, one) for one in (WEST, EAST, EAST)] == [True, True, False]
    assert stored(connection) == [EAST, WEST]
    assert remove(connection, "shop", "east")
    assert not remove(connection, "shop", "east")
    assert stored(connection) == [WEST]


def test_before_the_table_is_made_nothing_was_added(connection: psycopg.Connection[Any]) -> None:
    """Dagster may load before any command has made our tables."""
    connection.execute("DROP TABLE integrations.connections")
    assert stored(connection) == []


@pytest.mark.usefixtures("filled")
def test_a_copy_is_kept_for_when_the_database_does_not_answer(
    connection: psycopg.Connection[Any],
    tmp_path: Path,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The copy is the owner's alone, holds what the table said last, and says that it was used."""
    monkeypatch.setattr(connections, "PATIENCE_S", 0.3)
    settings = using(tmp_path, database)
    assert kept(settings) == [EAST, WEST]
    assert stat.S_IMODE((settings.home / COPY).stat().st_mode) == 0o600
    assert caplog.records == []
    connection.execute("DELETE FROM integrations.connections WHERE connection = 'east'")
    connection.execute("LOCK TABLE integrations.connections IN ACCESS EXCLUSIVE MODE")
    assert kept(settings) == [EAST, WEST]
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "taken from the last good copy (shop/east, shop/west)" in record.getMessage()
    connection.commit()
    assert kept(settings) == [WEST]
    assert "east" not in (settings.home / COPY).read_text()


@pytest.mark.parametrize(
    ("copy", "found", "said"),
    [
        (None, [], ""),
        ([], [], ""),
        ([WEST], [WEST], "last good copy"),
        ("of another database", [], ""),
        ("{half of a", [], "the copy cannot be read"),
        ('{"database": "127.0.0.1  1 none", "connections": [{"a": 1}]}', [], "cannot be read"),
    ],
)
def test_which_copy_is_believed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, copy: Any, found: list[Added], said: str
) -> None:
    """The last whole one of this very database; none of it is fatal, and no password is told."""
    settings = using(tmp_path, NOWHERE)
    if isinstance(copy, list):
        remember(settings, [EAST])
        remember(settings, copy)
    elif copy == "of another database":
        remember(using(tmp_path, NOWHERE.replace("none", "other")), [EAST])
    elif copy is not None:
        (settings.home / COPY).write_text(copy)
    assert kept(settings) == found
    assert said in caplog.text
    assert bool(caplog.records) is bool(said)
    assert "hush" not in caplog.text + (
        (settings.home / COPY).read_text() if copy is not None else ""
    )


def test_a_server_that_hangs_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the call and never answers: the copy is there in time."""
    monkeypatch.setattr(connections, "PATIENCE_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings = using(tmp_path, f"postgresql://u:p@127.0.0.1:{server.getsockname()[1]}/none")
        remember(settings, [EAST])
        began = time.monotonic()
        assert kept(settings) == [EAST]
        assert time.monotonic() - began < 1


def test_definitions_start_no_server(tmp_path: Path) -> None:
    """Neither in a new home, where nothing is made, nor in one whose server is stopped."""
    settings = using(tmp_path, None)
    assert kept(settings) == []
    assert [path.name for path in settings.home.iterdir()] == [".gitignore"]
    cluster = Cluster.of(settings.home)
    remember(settings, [EAST])
    assert kept(settings) == [EAST]
    assert not cluster.root.exists()


def test_a_copy_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk leaves the old one and no halves; an equal one is not written again."""
    settings = using(tmp_path, NOWHERE)
    remember(settings, [EAST])
    before = (settings.home / COPY).stat()
    remember(settings, [EAST])
    assert (settings.home / COPY).stat() == before

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(connections.os, "fsync", full)
    remember(settings, [WEST])
    assert "No space left on device" in caplog.text
    assert kept(settings) == [EAST]
    assert sorted(path.name for path in settings.home.iterdir()) == [".gitignore", COPY]
