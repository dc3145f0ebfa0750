"""Dagster's connections, when the database goes away: restarted, out of connections, or for good.

Left to themselves, dagster-postgres uses a kept connection that the server has closed, and waits
some ten seconds at every call while no new one can be made: a run that fails makes a dozen calls.
"""

import time
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import DisconnectionError

from integrations.errors import RetryLater
from integrations.storage.database import AGAIN, living

PATIENCE_S = 10.0
"""A restart takes a second or two, a recovery after a crash some more."""
_PAUSE_S = 0.2


class Patience:
    """Waits for a database that is away, but only once: from its first refusal on."""

    def __init__(self) -> None:
        self._since = self._last = float("-inf")

    def watch(self, engine: Engine) -> None:
        """Has the engine make and take its connections so. They raise RetryLater at the end."""
        event.listen(engine, "do_connect", self._connected)
        event.listen(engine, "checkout", _living)

    def _connected(self, dialect: Any, record: object, words: Any, named: Any) -> Any:
        while True:
            try:
                made = dialect.connect(*words, **named)
            except dialect.loaded_dbapi.OperationalError as error:
                now = time.monotonic()
                if now > self._last + PATIENCE_S:  # it has answered since, or nobody asked
                    self._since = now
                self._last = now
                if now > self._since + PATIENCE_S:
                    what = " ".join(str(error).split())
                    # No error of SQLAlchemy's: those are what dagster-postgres waits after.
                    raise RetryLater(
                        f"the database cannot be reached: {what}", todo=AGAIN
                    ) from None
                time.sleep(_PAUSE_S)
            else:
                self._since = self._last = float("-inf")
                return made


def _living(connection: Any, record: object, proxy: object) -> None:
    """Has the pool take another connection where the server has closed the kept one."""
    if not living(connection):
        raise DisconnectionError
