"""One database for a module's tests, with nothing committed at the start of each."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from integrations.storage.database import connect
from integrations_tests.conftest import own_database


@pytest.fixture(scope="module")
def module_connection(server: str, template: str) -> Iterator[psycopg.Connection[Any]]:
    """To a database of the module's own."""
    with own_database(server, template=template) as url, connect(url) as connection:
        yield connection


@pytest.fixture
def connection(module_connection: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """Idle, with nothing committed."""
    module_connection.execute(
        "TRUNCATE integrations.streams, integrations.positions, integrations.ledger"
    )
    module_connection.commit()
    return module_connection
