"""The shipped Stripe connector in Dagster, with a small twin and a database of each test's own."""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest

from integrations.connector_template.connector import BoundStream
from integrations.connector_template.folders import SHIPPED, read
from integrations.names import StreamId
from integrations.orchestration import keys
from integrations.orchestration.code_location import build
from integrations.orchestration.partitions import RANGE_END, RANGE_START
from integrations.processes import named
from integrations.sandbox.address import FILE
from integrations.sandbox.server import running
from integrations.sandbox.stripe import EPOCH, StripeTwin
from integrations.storage.database import connect
from integrations_tests.conftest import make_settings

CHARGES = StreamId("stripe", "sandbox", "charges")
CUSTOMERS = StreamId("stripe", "sandbox", "customers")
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture(scope="package")
def definitions() -> dg.Definitions:
    """What the code location holds when only Stripe is shipped."""
    return build([SHIPPED / "stripe"])


@pytest.fixture(scope="package")
def streams() -> dict[StreamId, BoundStream]:
    (connector,), broken = read([SHIPPED / "stripe"])
    assert not broken
    return {stream.id: stream for stream in connector.streams()}


@pytest.fixture(scope="package")
def shared_twin() -> Iterator[tuple[StripeTwin, str]]:
    """Five charges a day, one page a window, and a clock that stands still."""
    twin = StripeTwin(7, clock=lambda: EPOCH + timedelta(days=10), per_day=5, bad_charges=())
    with running(twin) as url:
        yield twin, url


@dataclass
class Floor:
    """Where a test runs Dagster: its definitions, an instance, a twin, a database and a home."""

    definitions: dg.Definitions
    instance: dg.DagsterInstance
    twin: StripeTwin
    database: str
    home: Path

    def run(
        self,
        *assets: dg.AssetKey,
        days: tuple[str, str] | None = None,
        definitions: dg.Definitions | None = None,
        tags: Mapping[str, str] | None = None,
        **config: Any,
    ) -> dg.ExecuteInProcessResult:
        """One run over these assets, of the first to the last of `days`; `config` is that of the
        step that makes the first of them."""
        definitions = definitions or self.definitions
        job = definitions.resolve_implicit_global_asset_job_def()
        step = {}
        if config:
            maker = definitions.resolve_asset_graph().get(assets[0]).assets_def
            step = {"ops": {maker.op.name: {"config": config}}}
        return job.execute_in_process(
            instance=self.instance,
            asset_selection=list(assets),
            tags={**(tags or {}), **({RANGE_START: days[0], RANGE_END: days[1]} if days else {})},
            run_config=QUIET | step,
            raise_on_error=False,
        )

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What a query of the test's database gives."""
        with closing(connect(self.database)) as connection:
            return connection.execute(query).fetchall()  # type: ignore[arg-type]  # constants

    def count(self, stream: StreamId) -> int:
        """How many rows a stream has in its entity's table, which need not be there yet."""
        table = {"charges": "canonical.payment", "customers": "canonical.customer"}[stream.stream]
        if self.rows(f"SELECT to_regclass('{table}')") == [(None,)]:
            return 0
        return int(
            self.rows(f"SELECT count(*) FROM {table} WHERE stream = '{stream.stream}'")[0][0]
        )

    def connect(self) -> psycopg.Connection[Any]:
        return connect(self.database)


@pytest.fixture
def floor(
    definitions: dg.Definitions,
    shared_twin: tuple[StripeTwin, str],
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Floor]:
    """Everything of a test's own but the twin; a test's faults do not outlive it."""
    twin, url = shared_twin
    home = make_settings(tmp_path / "home").home
    served = {"stripe": {"url": url, "secrets": dict(twin.secrets)}, **named()}
    (home / FILE).write_text(json.dumps(served))
    monkeypatch.setenv("INTEGRATIONS_HOME", str(home))
    monkeypatch.setenv("INTEGRATIONS_DATABASE_URL", database)
    with dg.DagsterInstance.ephemeral() as instance:
        yield Floor(definitions, instance, twin, database, home)
    twin.faults.clear()


def failure(result: dg.ExecuteInProcessResult) -> str:
    """What the one step that failed says of it, as the UI shows it; or the run, where none did."""
    steps = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    runs = [event.job_failure_data for event in result.all_events if event.is_job_failure]
    (failed,) = steps or runs
    error = failed.error
    if error is None:
        return str(result.all_events[-1].message)
    # Dagster wraps what the asset raised.
    return (error.cause or error).message


def charges() -> list[dg.AssetKey]:
    return keys.trio(CHARGES)
