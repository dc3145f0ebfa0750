"""One database for all tests of loading, emptied before each: making one anew for each of a hundred
tests takes longer than the tests."""

import secrets
from collections.abc import Iterator

import pytest

from integrations.storage.database import connect
from integrations_tests.conftest import url_of


@pytest.fixture(scope="session")
def shared_database(server: str, template: str) -> Iterator[str]:
    """The URL of a migrated database that lives as long as the session."""
    name = f"shared_{secrets.token_hex(6)}"
    with connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield url_of(server, name)
    with connect(server, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def emptied(shared_database: str) -> str:
    """That database, as it is after the migrations."""
    with connect(shared_database) as connection:
        connection.execute("DROP SCHEMA canonical CASCADE")
        connection.execute("CREATE SCHEMA canonical")
        connection.execute(
            "TRUNCATE integrations.streams, integrations.positions, integrations.ledger,"
            " integrations.quarantine, integrations.files RESTART IDENTITY"
        )
    return shared_database
