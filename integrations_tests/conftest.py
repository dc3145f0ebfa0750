"""What the tests share: one real PostgreSQL for the session, a fresh database for each test.

The server is the embedded one, in a home of its own, or the one of `INTEGRATIONS_DATABASE_URL` when
that is set: then a database is made there for each test and dropped after it.
"""

import os
import secrets
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg import sql

from integrations.settings import MARKER, Settings
from integrations.storage.cluster import Cluster
from integrations.storage.database import connect
from integrations.storage.migrations import migrate
from integrations.storage.postgres import database_url, stop
from integrations_tests.needs import (  # noqa: F401  # pytest finds its hooks in a conftest
    pytest_configure,
    pytest_runtest_setup,
    pytest_terminal_summary,
)

# A shell starts what runs behind it with SIGINT ignored, and Dagster gives SIGTERM the meaning of
# SIGINT: no child of a test would then end when it is told to.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A machine that is busy makes no test wrong: examples have no deadline.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

OWN_SERVER = os.environ.get("INTEGRATIONS_DATABASE_URL", "")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on the variables of the person who runs it."""
    for name in list(os.environ):
        if name.startswith(("INTEGRATIONS_", "DAGSTER_", "PG")):
            monkeypatch.delenv(name)


def make_settings(home: Path, **changes: Any) -> Settings:
    """Settings with a home of their own and the embedded database."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    (home / ".gitignore").write_text(MARKER)
    given = {"database_url": None, "landing_url": (home / "raw").as_uri(), "connectors_path": ()}
    return Settings(home=home, **(given | changes))


def remove_server(settings: Settings) -> None:
    """Stop the embedded server of a home and remove its data, which for root lie elsewhere."""
    stop(settings)
    if (settings.home / "postgres.json").exists():
        shutil.rmtree(Cluster.of(settings.home).root, ignore_errors=True)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the session's server: a database in which a test may CREATE DATABASE."""
    if OWN_SERVER:
        yield OWN_SERVER
        return
    settings = make_settings(tmp_path_factory.mktemp("server") / "home")
    url = database_url(settings)
    with connect(url, autocommit=True) as connection:
        # Its data do not outlive the session. Nothing here crashes this server.
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    yield url
    remove_server(settings)


@pytest.fixture(scope="session")
def template(server: str) -> Iterator[str]:
    """The name of a migrated database that others are copied from."""
    name = f"template_{secrets.token_hex(4)}"
    with connect(server, autocommit=True) as admin:
        _execute(admin, "CREATE DATABASE {}", name)
        with connect(url_of(server, name)) as connection:
            migrate(connection)
        yield name
        _execute(admin, "DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture
def database(server: str, template: str) -> Iterator[str]:
    """The URL of a migrated database of this test's own."""
    with own_database(server, template=template) as url:
        yield url


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to the test's own database."""
    with connect(database) as connection:
        yield connection


@contextmanager
def own_database(server: str, *, template: str = "template0") -> Iterator[str]:
    """The URL of a new database on a server, a copy of `template`, dropped at the end."""
    name = f"test_{secrets.token_hex(6)}"
    with connect(server, autocommit=True) as admin:
        _execute(admin, "CREATE DATABASE {} TEMPLATE {} STRATEGY wal_log", name, template)
    yield url_of(server, name)
    with connect(server, autocommit=True) as admin:
        _execute(admin, "DROP DATABASE {} WITH (FORCE)", name)


def url_of(server: str, name: str) -> str:
    """The same server's URL with another database."""
    return urlunsplit(urlsplit(server)._replace(path=f"/{name}"))


def _execute(connection: psycopg.Connection[Any], statement: str, *names: str) -> None:
    identifiers = [sql.Identifier(name) for name in names]
    connection.execute(sql.SQL(statement).format(*identifiers))  # type: ignore[arg-type]  # constants
