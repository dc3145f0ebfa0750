"""Connections that were added by command: a table, and a copy of it for when the database is away.

Dagster loads its definitions in many processes, and none of them may wait for long or fail because
the database does: they take what `kept` gives within two seconds.
"""

import json
import logging
import os
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.json import Jsonb

from integrations.errors import IntegrationError
from integrations.settings import Settings
from integrations.storage.cluster import Cluster
from integrations.storage.database import connect

COPY = "connections.json"
"""In the home: what the table last said."""
PATIENCE_S = 2.0
"""For the database, in all: name look-up, log-in and query."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, order=True)
class Added:
    """A connection that was added: `config` is the JSON of its part of a connector's file."""

    connector: str
    connection: str
    config: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.connector}/{self.connection}"


def stored(connection: psycopg.Connection[Any]) -> list[Added]:
    """All that were added, in the order of their names; none before the table is made."""
    if connection.execute("SELECT to_regclass('integrations.connections')").fetchone() == (None,):
        return []
    found = connection.execute(
        "SELECT connector, connection, config FROM integrations.connections ORDER BY 1, 2"
    )
    return [Added(*row) for row in found]


def add(connection: psycopg.Connection[Any], added: Added) -> bool:
    """Adds it, within whatever transaction is open; False where there is one of that name."""
    done = connection.execute(
        "INSERT INTO integrations.connections (connector, connection, config)"
        " VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        [added.connector, added.connection, Jsonb(dict(added.config))],
    )
    return done.rowcount == 1


def remove(connection: psycopg.Connection[Any], connector: str, name: str) -> bool:
    """Removes it and leaves its data; whether it was there."""
    done = connection.execute(
        "DELETE FROM integrations.connections WHERE (connector, connection) = (%s, %s)",
        [connector, name],
    )
    return done.rowcount == 1


def kept(settings: Settings) -> list[Added]:
    """What the table says, or what it said last where it cannot be asked within `PATIENCE_S`.

    Starts no server: an embedded one that does not run is away like any other. Never raises for a
    database or a copy that cannot be read; it says so in the log.
    """
    try:
        found = _asked(settings)
    except (IntegrationError, psycopg.Error, TimeoutError) as error:
        return _last_known(settings, error)
    remember(settings, found)
    return found


def remember(settings: Settings, found: Sequence[Added]) -> None:
    """Keeps a copy in the home, 0600, whole or not at all; nothing is written where it is equal."""
    file = settings.home / COPY
    text = json.dumps({"database": _name(settings), "connections": [asdict(one) for one in found]})
    try:
        if not file.exists() and not found:
            return
        if not file.exists() or file.read_text() != text:
            _write(file, text)
    except (OSError, ValueError) as error:
        _log.warning("no copy of the connections is kept in %s: %s", file, error)


def _asked(settings: Settings) -> list[Added]:
    """In a thread, since neither a name look-up nor a server that hangs knows our patience."""
    url = _url(settings)
    if url is None:
        return []
    answers: list[list[Added] | Exception] = []

    def ask() -> None:
        try:
            with closing(connect(url, autocommit=True)) as connection:
                answers.append(stored(connection))
        except Exception as error:  # noqa: BLE001  # raised by whoever waits for the answer
            answers.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    if not answers:
        raise TimeoutError(f"no answer within {PATIENCE_S:g} s")
    if isinstance(answers[0], Exception):
        raise answers[0]
    return answers[0]


def _url(settings: Settings) -> str | None:
    """The database's URL; None where there has never been one, so that nothing can be in it."""
    if settings.database_url is not None:
        return settings.database_url.reveal()
    if not (settings.home / "postgres.json").exists():
        return None
    return Cluster.of(settings.home).url()


def _last_known(settings: Settings, why: Exception) -> list[Added]:
    try:
        said = json.loads((settings.home / COPY).read_text())
        if said["database"] != _name(settings):
            return []
        found = [Added(**one) for one in said["connections"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError) as error:
        _log.warning("added connections are not known: %s; the copy cannot be read: %s", why, error)
        return []
    if found:
        names = ", ".join(map(str, found))
        _log.warning("added connections are taken from the last good copy (%s): %s", names, why)
    return found


def _name(settings: Settings) -> str:
    """Which database a copy is of, without who logs in there: another's is not believed."""
    if settings.database_url is None:
        return "embedded"
    try:
        said = conninfo_to_dict(settings.database_url.reveal())
    except psycopg.ProgrammingError:
        return "unreadable"
    return " ".join(str(said.get(part, "")) for part in ("host", "hostaddr", "port", "dbname"))


def _write(file: Path, text: str) -> None:
    with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False) as half:  # 0600
        try:
            half.write(text)
            half.flush()
            os.fsync(half.fileno())
            Path(half.name).replace(file)
        except BaseException:
            Path(half.name).unlink(missing_ok=True)
            raise
