"""Two connections of one connector share nothing but the table, and one goes without the other."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from click.testing import CliRunner
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)

from integrations.cli import main
from integrations.connector_template.folders import SHIPPED
from integrations.names import StreamId
from integrations.orchestration import keys
from integrations.orchestration.busy import runs_of, runs_of_connection
from integrations.orchestration.code_location import build
from integrations.orchestration.connections import forget
from integrations.orchestration.runs import PROCESS, worker_tags
from integrations.sandbox.server import running
from integrations.sandbox.stripe import EPOCH, StripeTwin
from integrations.storage import connections
from integrations.storage.connections import Added
from integrations.storage.database import connect
from integrations.storage.landing import LandingZone
from integrations_tests.conftest import make_settings
from integrations_tests.orchestration.conftest import Floor, failure

REPOSITORY = Path(__file__).parents[2]
EAST, WEST = ("stripe", "east"), ("stripe", "west")
STREAMS = ("charges", "customers")
DAYS = ("2026-10-01", "2026-10-05")
CANONICAL = ("canonical.payment", "canonical.customer")
REMEMBERED = [f"integrations.{name}" for name in ("streams", "positions", "ledger", "quarantine")]
TABLES = [*CANONICAL, *REMEMBERED]
Status = dg.DagsterRunStatus


@dataclass(frozen=True)
class Two:
    """Two accounts at one twin, which therefore give the same ids."""

    floor: Floor
    added: list[Added]

    def sync(self, account: tuple[str, str]) -> list[dg.ExecuteInProcessResult]:
        """One run a stream: five days of charges, and the customers."""
        found = [StreamId(*account, stream) for stream in STREAMS]
        return [
            self.floor.run(*keys.trio(found[0]), days=DAYS),
            self.floor.run(*keys.trio(found[1])),
        ]

    def rows(self, account: tuple[str, str]) -> dict[str, list[tuple[Any, ...]]]:
        """All that the database has of an account, table by table."""
        with closing(connect(self.floor.database)) as connection:
            return {table: _of(connection, table, account) for table in TABLES}

    def landings(self, account: tuple[str, str]) -> list[Path]:
        return sorted(self.floor.home.joinpath("raw", *account).rglob("*.*"))


def _of(
    connection: psycopg.Connection[Any], table: str, account: tuple[str, str]
) -> list[tuple[Any, ...]]:
    query = f"SELECT * FROM {table} WHERE (connector, connection) = (%s, %s) ORDER BY 1, 2, 3, 4, 5"
    return connection.execute(query, account).fetchall()


@pytest.fixture
def two(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Two]:
    """Both read one twin, each with a secret of its own."""
    home = make_settings(tmp_path / "home").home
    monkeypatch.setenv("INTEGRATIONS_HOME", str(home))
    monkeypatch.setenv("INTEGRATIONS_DATABASE_URL", database)
    twin = StripeTwin(7, clock=lambda: EPOCH + timedelta(days=5), per_day=80)
    with running(twin) as url, dg.DagsterInstance.ephemeral() as instance:
        added = []
        for name in ("east", "west"):
            monkeypatch.setenv(f"{name.upper()}_KEY", twin.secrets["api_key"])
            secrets = {"api_key": {"env": f"{name.upper()}_KEY"}}
            config = {"start": "2026-10-01", "base_url": url, "secrets": secrets}
            added.append(Added("stripe", name, config))
        with closing(connect(database)) as connection:
            assert all(connections.add(connection, one) for one in added)
            connection.commit()
        definitions = build([SHIPPED / "stripe"], added=added)
        yield Two(Floor(definitions, instance, twin, database, home), added)


def test_a_second_connection_shares_nothing_but_the_table(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same records, read for two accounts: each has its rows, quarantine, positions, ledger and
    landings. What one loads, loses or is refused does not touch the other."""
    assert all(result.success for result in two.sync(EAST))
    assert two.rows(WEST) == {table: [] for table in TABLES}
    east = two.rows(EAST)
    assert all(east.values()), "each table has something of it, the quarantine too"
    landed = two.landings(EAST)

    monkeypatch.setenv("WEST_KEY", "sk_test_wrong_0123456789")
    wrong = two.sync(WEST)[0]
    assert not wrong.success
    assert "401" in failure(wrong)
    monkeypatch.setenv("WEST_KEY", two.floor.twin.secrets["api_key"])
    assert all(result.success for result in two.sync(WEST))

    assert two.rows(EAST) == east
    assert two.landings(EAST) == landed
    west = two.rows(WEST)
    for table in CANONICAL:
        ids = [{row[:1] + row[2:4] for row in rows[table]} for rows in (east, west)]
        assert ids[0] == ids[1], "one table, and the same ids in it twice"
        assert {row[1] for row in west[table]} == {"west"}
    assert len(two.landings(WEST)) >= len(landed)

    _remove(two, "stripe/west")

    assert two.rows(WEST) == {table: [] for table in TABLES}
    assert two.landings(WEST) == []
    assert two.rows(EAST) == east
    assert two.landings(EAST) == landed


def _remove(two: Two, name: str) -> None:
    done = CliRunner().invoke(main, ["connections", "remove", name, "--with-data", "--yes"])
    assert done.exit_code == 0, done.output
    assert f"Removed {name} with all its data.\n  canonical.customer: " in done.stdout


def test_added_again_it_starts_from_nothing(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a removal with its data nothing is known of it: what is due is all, and what was
    landed does not load."""
    monkeypatch.chdir(REPOSITORY)
    two.sync(EAST)
    first = two.rows(EAST)
    _remove(two, "stripe/east")
    with closing(connect(two.floor.database)) as connection:
        connections.add(connection, two.added[0])
        connection.commit()
    charges = StreamId(*EAST, "charges")
    zone = LandingZone((two.floor.home / "raw").as_uri())
    assert zone.newest(StreamId(*EAST, "customers"), window=None) is None
    replay = two.floor.run(*keys.trio(charges)[1:], days=DAYS)
    assert "there is no landing" in failure(replay)
    two.sync(EAST)
    again = two.rows(EAST)
    for table in CANONICAL:
        assert [row[:4] for row in again[table]] == [row[:4] for row in first[table]]
    assert {row[0] for row in again["integrations.streams"]} == {"stripe"}


def test_the_command_line_syncs_what_was_added(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it does what stands in a file: the command's own definitions know of it."""
    monkeypatch.chdir(REPOSITORY)
    done = CliRunner().invoke(main, ["sync", "stripe/east/customers", "--json"])
    assert done.exit_code == 0, done.output
    found = two.floor.rows("SELECT connection, count(*) FROM canonical.customer GROUP BY 1")
    assert found == [("east", json.loads(done.stdout)["inserted"])]


def test_what_dagster_calls_them_differs(two: Two) -> None:
    """Assets, steps, jobs, schedules, resources and pools: no name of one is a name of the other,
    and none differs in more than the connection."""
    names = [_names(two.floor.definitions, name) for name in ("east", "west")]
    assert all(map(len, names))
    assert not names[0] & names[1]
    assert {name.replace("east", "west") for name in names[0]} == names[1]
    kinds = {name.partition(":")[0] for name in names[0]}
    assert kinds == {"asset", "step", "pool", "resource", "job", "schedule"}


def _names(definitions: dg.Definitions, connection: str) -> set[str]:
    repository = definitions.get_repository_def()
    found = {f"asset:{key.to_user_string()}" for key in definitions.resolve_all_asset_keys()}
    for assets in repository.assets_defs_by_key.values():
        if assets.is_executable:
            found |= {f"step:{assets.op.name}", f"pool:{assets.op.pool}"}
    found |= {f"resource:{name}" for name in repository.get_top_level_resources()}
    found |= {f"job:{name}" for name in repository.job_names}
    found |= {f"schedule:{schedule.name}" for schedule in repository.schedule_defs}
    return {name for name in found if connection in name}


QUEUED = {
    "status": Status.QUEUED,
    "remote_job_origin": RemoteJobOrigin(
        RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("integrations"), "repository"), "job"
    ),
}
ONE, OTHER = (keys.table(StreamId(*account, "charges")) for account in (EAST, WEST))


@pytest.mark.parametrize(
    ("run", "counts"),
    [
        ({"status": Status.STARTED, "asset_selection": {ONE}}, True),
        (QUEUED | {"asset_selection": {ONE, OTHER}}, True),
        (QUEUED | {"asset_selection": {OTHER}}, False),
        ({"status": Status.STARTED, "job_name": "stripe__east__sync"}, True),
        ({"status": Status.STARTED, "job_name": "__ASSET_JOB"}, True),
        ({"status": Status.STARTED, "job_name": "__ASSET_JOB", "asset_selection": {OTHER}}, False),
        ({"status": Status.SUCCESS, "asset_selection": {ONE}}, False),
        ({"status": Status.STARTED, "asset_selection": {OTHER}}, False),
        ({"status": Status.CANCELING, "asset_selection": {ONE}}, True),
        ({"status": Status.STARTED, "job_name": "stripe__west__sync"}, False),
    ],
)
def test_which_runs_are_of_a_connection(run: dict[str, Any], counts: bool) -> None:
    """Those that work on it, or wait to: chosen by asset, by its job, or as one of all."""
    with dg.DagsterInstance.ephemeral() as instance:
        given = instance.add_run(dg.DagsterRun(**({"job_name": "job"} | run)))
        expected = [given.run_id] if counts else []
        assert runs_of_connection(instance, *EAST) == expected
        assert runs_of(instance, StreamId(*EAST, "charges")) == expected


def test_a_run_whose_process_died_is_ended_first() -> None:
    """It would keep a connection for ever."""
    with dg.DagsterInstance.ephemeral() as instance:
        dead = worker_tags("r") | {PROCESS: "1-1 r"}
        run = dg.DagsterRun("job", "r", status=Status.STARTED, asset_selection={ONE}, tags=dead)
        instance.add_run(run)
        assert runs_of_connection(instance, *EAST) == []


def test_what_was_green_is_forgotten() -> None:
    """Of one connection: the other keeps its history."""
    with dg.DagsterInstance.ephemeral() as instance:
        for key in (ONE, OTHER):
            instance.report_runless_asset_event(dg.AssetMaterialization(key))
        forget(instance, *EAST)
        assert [instance.has_asset_key(key) for key in (ONE, OTHER)] == [False, True]
        forget(instance, *EAST)
