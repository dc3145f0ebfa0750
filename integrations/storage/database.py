"""The one way to a database connection: what every connection of ours has in common."""

import select
from typing import Any, Protocol

import psycopg

from integrations.errors import FixConfig, RetryLater

_REFUSED = (
    "authentication failed",
    "does not exist",
    "no pg_hba.conf entry",
    "no password supplied",
    "invalid",
)
"""libpq gives no error code for a failed connection; these words mean that waiting is no use."""

AGAIN = "Run it again when the database answers; what is committed is kept."
"""What a person does about a database that is away or busy."""


class HasSocket(Protocol):
    """A connection of any driver."""

    @property
    def closed(self) -> Any: ...
    def fileno(self) -> int: ...


def living(connection: HasSocket) -> bool:
    """Whether a connection that waits is still held by the server. Costs no statement: to one that
    waits, a server speaks only to say goodbye. One that the network lost in silence looks alive."""
    if connection.closed:
        return False
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    return not waiting.poll(0)


def connect(
    url: str, *, autocommit: bool = False, timeout_s: int = 10
) -> psycopg.Connection[tuple[Any, ...]]:
    """A connection whose clock is UTC, made within `timeout_s`; a transaction begins with the first
    statement unless `autocommit`. Use it with `with`: it commits, or rolls back on an exception,
    and closes.

    Raises RetryLater when the database is away, FixConfig when it refuses us for good.
    """
    try:
        connection = psycopg.connect(
            url, autocommit=True, application_name="integrations", connect_timeout=timeout_s
        )
        # Not a start-up option: connection poolers refuse those.
        connection.execute("SET TIME ZONE 'UTC'")
        connection.autocommit = autocommit
        return connection
    except psycopg.OperationalError as error:
        what = " ".join(str(error).split())
        if any(words in what for words in _REFUSED):
            raise FixConfig(
                f"the database refuses the connection: {what}",
                todo="Correct INTEGRATIONS_DATABASE_URL, or what the role may do.",
            ) from error
        raise RetryLater(f"the database cannot be reached: {what}", todo=AGAIN) from error
    except psycopg.ProgrammingError:
        # Not `from` it: libpq quotes a URL that it cannot read, password and all.
        raise FixConfig(
            "the database's URL cannot be read", todo="Correct INTEGRATIONS_DATABASE_URL."
        ) from None
