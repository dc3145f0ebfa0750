"""Feeds that a process drains: how soon a row is there, what Dagster hears, and what stops it."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from integrations.connector_template.connector import BoundFeed
from integrations.connector_template.feed import turn
from integrations.connector_template.run import Run
from integrations.orchestration import drain as drain_module
from integrations.orchestration import keys
from integrations.orchestration.drain import AlreadyDrained, Drain, Drains, Tools, hold
from integrations.orchestration.feed_report import Said
from integrations.orchestration.resources import ConnectionResource, StoreResource, now
from integrations.sandbox.faults import Fault
from integrations.storage.store import open_store
from integrations_tests.conftest import make_settings, remove_server
from integrations_tests.lanes.life import Life
from integrations_tests.orchestration.feeds import EVENTS, events, living

SOON_S = 15.0
EVERY_S = 0.05


@dataclass
class Heard:
    """What a drain says while it runs."""

    reports: list[Said] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def report(self, _: BoundFeed, said: Said) -> None:
        self.reports.append(said)


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """On disk: one in memory belongs to one thread."""
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("instance"))) as instance:
        yield instance


@pytest.fixture
def life(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Life]:
    home = make_settings(tmp_path / "home").home
    monkeypatch.setenv("INTEGRATIONS_HOME", str(home))
    monkeypatch.setenv("INTEGRATIONS_DATABASE_URL", database)
    monkeypatch.setattr(drain_module, "FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(drain_module, "HELD_S", 0.05)
    with living(home) as life:
        yield life


@contextmanager
def draining(
    instance: dg.DagsterInstance, *, every_s: float = EVERY_S
) -> Iterator[tuple[Drain, Heard]]:
    """The sandbox's feed, drained in a thread until the block ends."""
    heard = Heard()
    tools = Tools(StoreResource(), instance, every_s, heard.report, heard.warnings.append)
    with Drains([events()], tools) as drains:
        yield drains.all[0], heard


def until(found: Callable[[], Any]) -> Any:
    """What is found, once it is true."""
    deadline = time.monotonic() + SOON_S
    while not (value := found()):
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.01)
    return value


def rows(query: str) -> list[tuple[Any, ...]]:
    with closing(StoreResource().connect()) as connection:
        return connection.execute(query).fetchall()


def there(table: str = "canonical.customer") -> set[str]:
    if rows(f"SELECT to_regclass('{table}')") == [(None,)]:
        return set()
    return {key for (key,) in rows(f"SELECT source_id FROM {table}")}


def materialized(instance: dg.DagsterInstance) -> list[dg.AssetMaterialization]:
    """What Dagster was told of the feed, the newest first."""
    found = instance.fetch_materializations(keys.feed(EVENTS), limit=10).records
    return [one.asset_materialization for one in found if one.asset_materialization]


def test_what_is_drained_is_told_once(life: Life, instance: dg.DagsterInstance) -> None:
    """Many turns, one materialization with their sums, and every check passed."""
    with draining(instance) as (_, heard):
        for kind in ("customers", "payouts", "charges"):
            ident = life.create(kind)
            table = {"customers": "customer", "payouts": "payout", "charges": "payment"}[kind]
            until(lambda: ident in there(f"canonical.{table}"))  # noqa: B023
    (said,) = heard.reports
    assert (said.total("records"), said.total("inserted"), heard.warnings) == (3, 3, [])
    assert len({entry.landing for entry in said.own}) == 3
    assert {entry.run_id[:6] for entry in said.entries} == {"drain-"}
    told = materialized(instance)[0]
    assert {name: told.metadata[name].value for name in ("events", "inserted")} == {
        "events": 3, "inserted": 3,
    }  # fmt: skip
    checks = [dg.AssetCheckKey(keys.feed(EVENTS), n) for n in ("structure", "balance", "gap")]
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key(checks)
    assert [found[key].status.value for key in checks] == ["SUCCEEDED"] * 3


def test_one_process_drains_a_feed(life: Life, instance: dg.DagsterInstance) -> None:
    """A second one says so and ends; when the first has ended there is room."""
    with closing(StoreResource().connect()) as first:
        hold(first, EVENTS)
        with draining(instance) as (second, heard):
            until(lambda: second.error)
        assert heard.warnings == [
            "stopped: stripe/sandbox/events: another process drains it. One at a time does."
        ]
        with closing(StoreResource().connect()) as other, pytest.raises(AlreadyDrained):
            hold(other, EVENTS)
    with draining(instance) as (third, _):
        ident = life.create("customers")
        until(lambda: ident in there())
        assert third.error is None


def test_it_goes_on_after_a_fault(life: Life, instance: dg.DagsterInstance) -> None:
    """A connection to the database that breaks: said once, in the ledger too, and then all is
    read."""
    kill = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with draining(instance) as (one, heard):
        first = life.create("customers")
        until(lambda: first in there())
        rows(kill)
        second = life.create("customers")
        until(lambda: second in there())
        until(lambda: "stripe/sandbox/events goes on" in heard.warnings)
        assert one.error is None
    failed = rows("SELECT stream, cause FROM integrations.ledger WHERE status = 'failed'")
    assert failed == [("events", "push")]


def test_a_refused_credential_ends_it(life: Life, instance: dg.DagsterInstance) -> None:
    """Sources block who keeps trying."""
    life.faults.append(Fault(status=401, times=99))
    with draining(instance) as (one, heard):
        until(lambda: one.error)
        asked = life.requests
        time.sleep(5 * EVERY_S)
        assert life.requests == asked
    assert "answered 401" in str(one.error)
    assert "stopped: " in heard.warnings[-1]


def test_a_blocked_landing_waits_for_a_person(life: Life, instance: dg.DagsterInstance) -> None:
    """It is not tried again and again, and the check says so; once accepted, all goes on."""
    bad = [life.create("customers", name=7) for _ in range(25)]
    good = life.create("customers")
    with draining(instance) as (one, _):
        until(lambda: one.held)
        time.sleep(5 * EVERY_S)
        assert rows("SELECT count(*) FROM integrations.ledger WHERE stream = 'events'") == [(1,)]
        key = dg.AssetCheckKey(keys.feed(EVENTS), "error_share")
        check = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
        assert check.status.value == "FAILED"
        accept()
        later = life.create("customers")
        until(lambda: later in there())
        assert not one.held
    assert good in there()
    assert not there() & set(bad)


def accept() -> None:
    """One turn that loads the good records, as a run with `accept` takes."""
    feed, store = events(), StoreResource()
    source = ConnectionResource.of("stripe", "sandbox", feed.config)
    with closing(store.connect()) as connection, source.session(connection) as session:
        run = Run("person", "person", "sync", accept=True)
        turn(feed, connection=connection, zone=store.zone(), session=session, run=run, clock=now)


def test_it_stops_while_it_waits_for_a_source(life: Life, instance: dg.DagsterInstance) -> None:
    """A source that asks for patience does not keep the process from ending."""
    life.faults.append(Fault(status=503, times=99, headers={"Retry-After": "300"}))
    with draining(instance):
        until(lambda: life.requests)
        began = time.monotonic()
    assert time.monotonic() - began < 5


@dataclass
class Measured:
    """How long it took from each event until another connection saw its row, in seconds."""

    seconds: list[float]

    def quantile(self, share: float) -> float:
        return sorted(self.seconds)[min(len(self.seconds) - 1, int(share * len(self.seconds)))]

    def __str__(self) -> str:
        p50, p95, most = self.quantile(0.5), self.quantile(0.95), max(self.seconds)
        return f"{len(self.seconds)} events: p50 {p50:.3f} s, p95 {p95:.3f} s, max {most:.3f} s"


def measured(life: Life, instance: dg.DagsterInstance, *, count: int, apart_s: float) -> Measured:
    """Events of customers (the event counts) and charges (a hint: the key is fetched), at random
    moments, each timed until a connection of its own sees the row."""
    rng = random.Random(7)
    began: dict[str, float] = {}
    seen: dict[str, float] = {}
    over = threading.Event()

    def watch() -> None:
        """Asks for what is not seen yet, by its key, every 10 ms."""
        query = (
            "SELECT source_id FROM canonical.customer WHERE source_id = ANY(%(keys)s)"
            " UNION ALL SELECT source_id FROM canonical.payment WHERE source_id = ANY(%(keys)s)"
        )
        with closing(StoreResource().connect()) as connection:
            connection.autocommit = True
            while not over.wait(0.01):
                waiting = [key for key in list(began) if key not in seen]
                for (key,) in connection.execute(query, {"keys": waiting}) if waiting else ():
                    seen[key] = time.monotonic()

    with draining(instance, every_s=0.5):
        for kind, table in (("customers", "customer"), ("charges", "payment")):
            first = life.create(kind)
            until(lambda: first in there(f"canonical.{table}"))  # noqa: B023
        watcher = threading.Thread(target=watch)
        watcher.start()
        for number in range(count):
            time.sleep(rng.uniform(0, 2 * apart_s))
            # Before the source has it: what a request in flight may take is counted too.
            at = time.monotonic()
            began[life.create("charges" if number % 2 else "customers")] = at
        until(lambda: began.keys() <= seen.keys())
        over.set()
        watcher.join()
    return Measured([seen[key] - at for key, at in began.items()])


def test_an_event_is_in_its_table_within_a_second(life: Life, instance: dg.DagsterInstance) -> None:
    """From the change at the source to a row that others see, most of it the wait for a turn."""
    found = measured(life, instance, count=20, apart_s=0.1)
    print(found)
    assert found.quantile(0.95) < 1.0, found


@pytest.mark.long
def test_the_same_with_a_server_that_syncs_to_disk(
    instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the embedded server as users have it: fsync on."""
    settings = make_settings(tmp_path / "home")
    monkeypatch.setenv("INTEGRATIONS_HOME", str(settings.home))
    try:
        with living(settings.home) as life, closing(open_store(settings)) as connection:
            assert connection.execute("SHOW fsync").fetchone() == ("on",)
            found = measured(life, instance, count=150, apart_s=0.3)
            print(found)
            assert found.quantile(0.95) < 1.0, found
    finally:
        remove_server(settings)
