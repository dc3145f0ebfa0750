"""The one budget of all processes that use a connection, kept in the database."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import msgspec
import psycopg
from msgspec.structs import replace

from integrations.error_handling.budget import Grant, Report, State, Use
from integrations.errors import RetryLater
from integrations.redaction import scrub
from integrations.storage import quotas
from integrations.storage.database import AGAIN

_STATE = msgspec.json.Decoder(State)


class SharedBudget:
    """The budget of a connection of ours; connects when it is first asked, with a database
    connection of its own."""

    def __init__(
        self, connect: Callable[[], psycopg.Connection[Any]], *, connector: str, connection: str
    ) -> None:
        self._connect, self._connector, self._name = connect, connector, connection
        self._database: psycopg.Connection[Any] | None = None

    def exchange(self, report: Report) -> tuple[Mapping[str, Grant], State, float]:
        """Takes in a report; gives what is granted, and the state after it with its time.

        Raises `RetryLater` when the database is away, `FixConfig` as `connect` does.
        """

        def how(
            text: str, now: float
        ) -> tuple[str, float, tuple[Mapping[str, Grant], State, float]]:
            state = _read(text)
            waited = time.monotonic() - began
            grants = state.exchange(replace(report, waited=waited), now)
            until = state.until(now)
            return msgspec.json.encode(state).decode(), until, (grants, state, now)

        began = time.monotonic()
        try:
            if self._database is None:
                self._database = self._connect()
                quotas.prepare(self._database)
            return quotas.change(self._database, self._connector, self._name, how)
        except psycopg.Error as error:
            self.close()
            scrub(error)
            raise RetryLater(f"the database keeps no quotas now: {error}", todo=AGAIN) from error

    def close(self) -> None:
        """Closes the database connection; the next exchange opens another one."""
        database, self._database = self._database, None
        if database is not None:
            with suppress(psycopg.Error):
                database.close()


def uses(connection: psycopg.Connection[Any], connector: str, name: str) -> list[Use]:
    """What is known of the quotas of a connection of ours, as of now."""
    found = quotas.read(connection, connector, name)
    return [] if found is None else _read(found[0]).uses(found[1])


def _read(text: str) -> State:
    """The state; a new one where another version of ours has written what is not understood."""
    try:
        return _STATE.decode(text)
    except msgspec.ValidationError:
        return State()
