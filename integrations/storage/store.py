"""The store, ready for use: the database that the settings name, with our tables in it."""

from typing import Any

import psycopg

from integrations.settings import Settings
from integrations.storage.database import connect
from integrations.storage.migrations import migrate
from integrations.storage.postgres import database_url


def open_store(settings: Settings) -> psycopg.Connection[tuple[Any, ...]]:
    """A connection to the migrated database; starts the embedded server where none is named.

    Raises FixConfig and RetryLater as `database_url`, `connect` and `migrate` do.
    """
    connection = connect(database_url(settings))
    migrate(connection)
    return connection
