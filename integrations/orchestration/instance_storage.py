"""Dagster's own storage, found with nothing set.

`dagster.yaml` names these classes. An environment variable in that file which is not set would kill
`dagster dev`, so they take no configuration: they find the home and the database as the rest of the
program does. Runs and events are in schema `dagster` of the same database, logs under the home.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

from dagster._config import UserConfigSchema
from dagster._core.execution.compute_logs import redirect_to_file
from dagster._core.storage.compute_log_manager import CapturedLogContext, ComputeIOType
from dagster._core.storage.local_compute_log_manager import (
    IO_TYPE_EXTENSION,
    LocalComputeLogManager,
)
from dagster._core.storage.root import LocalArtifactStorage
from dagster._serdes import ConfigurableClassData
from dagster._utils import ensure_file, touch_file
from dagster_postgres import DagsterPostgresStorage
from sqlalchemy.engine import make_url

from integrations.orchestration.pool_limits import EventLog
from integrations.orchestration.reconnecting import Patience
from integrations.settings import Settings
from integrations.storage import locks
from integrations.storage.database import connect
from integrations.storage.postgres import database_url

_RECYCLE_S = 3600
_MARKS = 4
_TABLES = """SELECT count(*) FROM pg_tables WHERE schemaname = 'dagster'
             AND tablename IN ('runs', 'instance_info', 'event_logs', 'jobs')"""
"""The tables by which Dagster sees whether it has made its own."""
_MORE_CONNECTIONS = 20
"""Beyond the one that is kept: the daemon's threads use several at a time."""


def dagster_url(url: str) -> str:
    """The URL as dagster-postgres needs it: its driver is psycopg2, its schema `dagster`.

    Its commits do not wait for the disk. Dagster writes a dozen per window; a power failure may
    cost the last half second of its events, and never a row, a position or a ledger line of ours.
    """
    given = make_url(url)
    options = given.query.get("options", "")
    ours = f"{options if isinstance(options, str) else ' '.join(options)} -csearch_path=dagster"
    ours += " -csynchronous_commit=off"
    return (
        given.set(drivername="postgresql+psycopg2")
        .update_query_dict({"options": ours.strip()})
        .render_as_string(hide_password=False)
    )


class Storage(DagsterPostgresStorage):
    """Runs, events and schedules of Dagster in schema `dagster` of this installation's database.

    Raises FixConfig and RetryLater as `database_url` does.
    """

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        url = database_url(Settings.find(create=True))
        with connect(url, autocommit=True) as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", [locks.DAGSTER])  # until it is closed
            found = connection.execute("SELECT to_regnamespace('dagster') IS NOT NULL")
            if found.fetchone() != (True,):  # asked first: it may have been made for a lesser role
                connection.execute("CREATE SCHEMA dagster")
            (tables,) = connection.execute(_TABLES).fetchone() or (0,)
            super().__init__(
                postgres_url=dagster_url(url),
                # Else each of three storages lists all tables, in every process.
                should_autocreate_tables=tables < _MARKS,
                inst_data=inst_data,
            )
        self._event_log_storage = EventLog(dagster_url(url), should_autocreate_tables=False)
        patience = Patience()
        for storage in (self._run_storage, self._event_log_storage, self._schedule_storage):
            # Keeps a connection, where dagster-postgres opens one for every statement: a third of
            # a run's CPU time. No statement timeout (0); the webserver sets its own.
            storage.optimize_for_webserver(
                statement_timeout=0, pool_recycle=_RECYCLE_S, max_overflow=_MORE_CONNECTIONS
            )
            patience.watch(storage._engine)

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        return cls(inst_data=inst_data)


class ComputeLogs(LocalComputeLogManager):
    """What steps print, under the home."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        home = Settings.find(create=True).home
        super().__init__(base_dir=str(home / "logs"), inst_data=inst_data)

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Iterator[CapturedLogContext]:
        """Redirects both streams into the step's files.

        Dagster's own also shows them on the terminal: by four processes for each step, two of them
        Pythons, which cost more than a small window does.
        """
        out, err = (
            self.get_captured_local_path(log_key, IO_TYPE_EXTENSION[kind])
            for kind in (ComputeIOType.STDOUT, ComputeIOType.STDERR)
        )
        ensure_file(out)
        with redirect_to_file(sys.stdout, out), redirect_to_file(sys.stderr, err):
            yield CapturedLogContext(log_key)
        touch_file(self.get_captured_local_path(log_key, "complete"))  # the UI: no more comes

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        return cls(inst_data=inst_data)


class Artifacts(LocalArtifactStorage):
    """What else Dagster keeps in files, under the home."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        home = Settings.find(create=True).home
        super().__init__(base_dir=str(home / "dagster"), inst_data=inst_data)

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        return cls(inst_data=inst_data)
