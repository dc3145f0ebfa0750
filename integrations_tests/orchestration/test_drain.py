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
import psycopg
import pytest

from integrations.connector_template.connector import BoundFeed
from integrations.connector_template.feed import turn
from integrations.connector_template.run import Run
from integrations.orchestration import drain as drain_module
from integrations.orchestration import feed_report, keys
from integrations.orchestration.drain import AlreadyDrained, Drain, Drains, Tools, hold
from integrations.orchestration.feed_report import Said
from integrations.orchestration.resources import ConnectionResource, StoreResource, now
from integrations.sandbox.faults import Fault
from integrations.storage.ledger import LedgerEntry
from integrations.storage.positions import Position
from integrations.storage.store import open_store
from integrations_tests.conftest import make_settings, remove_server
from integrations_tests.lanes.life import Life
from integrations_tests.orchestration.feeds import EVENTS, events, living

SOON_S = 15.0
EVERY_S = 0.05
KILL = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


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
    with draining(instance) as (one, heard):
        first = life.create("customers")
        until(lambda: first in there())
        rows(KILL)
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
        until(lambda: heard.warnings and heard.warnings[-1].startswith("stopped: "))
        assert life.requests == 1
    assert "answered 401" in str(one.error)
    assert "stopped: " in heard.warnings[-1]
    status, words = structure(instance)
    assert status == "FAILED"
    assert "answered 401" in words


def structure(instance: dg.DagsterInstance) -> tuple[str, str]:
    """What Dagster knows last of the feed's structure check: its status, and why."""
    key = dg.AssetCheckKey(keys.feed(EVENTS), "structure")
    log = instance.event_log_storage
    found = log.get_latest_asset_check_execution_by_key([key]).get(key)
    if found is None or found.event is None:
        return "", ""
    said = found.event.dagster_event
    assert said is not None
    return found.status.value, str(said.asset_check_evaluation_data.description)


def test_a_failure_is_red_until_it_goes_on(
    life: Life, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster hears of it while it lasts, once a minute at the most, and then that it is over."""
    asked: list[Said] = []
    tell = feed_report.tell_without_run

    def telling(instance: dg.DagsterInstance, said: Said, *rest: Any, **more: Any) -> None:
        asked.append(said)
        tell(instance, said, *rest, **more)

    monkeypatch.setattr(feed_report, "tell_without_run", telling)
    life.faults.append(Fault(rewrite=lambda _: b'{"data": 7}', times=99))
    with draining(instance) as (one, heard):
        until(lambda: structure(instance)[0] == "FAILED")
        tried = life.requests
        until(lambda: life.requests > tried + 1)
        assert len(asked) == 1
        life.faults.clear()
        ident = life.create("customers")
        until(lambda: ident in there())
        until(lambda: f"{EVENTS} goes on" in heard.warnings)
        assert one.error is None
    assert structure(instance)[0] == "SUCCEEDED"


def test_a_stretch_with_a_failed_line_is_red() -> None:
    """Whoever reports it; a broken balance is said as such."""
    line = LedgerEntry(
        stream=EVENTS, cause="push", run_id="r", began_at=now(), status="failed", error="away"
    )
    said = Said(EVENTS, [line])
    found = {one.check_name: one.passed for one in feed_report.evaluations(said)}
    assert [name for name, passed in found.items() if not passed] == ["structure"]
    broken = feed_report.evaluations(said, broken={"balance": "2 received"})
    assert [one.check_name for one in broken if not one.passed] == ["balance"]


def test_what_it_held_it_waits_for(life: Life, instance: dg.DagsterInstance) -> None:
    """After a reconnect the server may think that the lost connection lives and holds the feed."""
    with draining(instance) as (one, heard):
        first = life.create("customers")
        until(lambda: first in there())
        with closing(StoreResource().connect()) as other:
            until(lambda: taken(other))
            until(lambda: any("another process drains it" in said for said in heard.warnings))
        second = life.create("customers")
        until(lambda: second in there())
        assert one.error is None


def taken(other: psycopg.Connection[Any]) -> bool:
    """Whether this connection has the feed now; else all others are broken."""
    try:
        hold(other, EVENTS)
    except AlreadyDrained:
        other.execute(KILL)
        other.commit()
        return False
    return True


def test_a_blocked_landing_waits_for_a_person(
    life: Life, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not tried again and again, and the check says so; once accepted, all goes on."""
    bad = [life.create("customers", name=7) for _ in range(25)]
    good = life.create("customers")
    with draining(instance) as (one, _):
        until(lambda: one.held)
        looks = counted(monkeypatch)
        until(lambda: len(looks) > 5)
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


def counted(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Grows by one each time a drain looks whether a person has decided."""
    looks: list[object] = []
    real = drain_module._place

    def look(position: Position | None) -> object:
        looks.append(position)
        return real(position)

    monkeypatch.setattr(drain_module, "_place", look)
    return looks


def test_who_decides_while_it_is_told_is_not_missed(
    life: Life, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the landing was blocked at is the turn's own position, not one that came later."""
    for _ in range(25):
        life.create("customers", name=7)
    good = life.create("customers")
    tell, accepted = Drain._tell, threading.Event()

    def deciding(self: Drain, connection: psycopg.Connection[Any]) -> None:
        if self.held and not accepted.is_set():
            accepted.set()
            accept()
        tell(self, connection)

    monkeypatch.setattr(Drain, "_tell", deciding)
    with draining(instance) as (one, _):
        until(lambda: good in there())
        later = life.create("customers")
        until(lambda: later in there())
        until(lambda: not one.held)


def test_it_is_not_held_once_it_is_tried_again(
    life: Life, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that breaks while a person is waited for: what was decided by then counts."""
    for _ in range(25):
        life.create("customers", name=7)
    good = life.create("customers")
    wait, broken = Drain._wait, threading.Event()

    def breaking(self: Drain, seconds: float) -> None:
        if self.held and not broken.is_set():
            broken.set()
            accept()
            raise psycopg.OperationalError("the connection is lost")
        wait(self, seconds)

    monkeypatch.setattr(Drain, "_wait", breaking)
    with draining(instance) as (one, heard):
        until(lambda: f"{EVENTS} goes on" in heard.warnings)
        until(lambda: good in there())
        assert not one.held


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
    """From the change at the source to a row that others see, most of it the wait for a turn. Of
    half of them: the long form holds 95 % to it, on a machine that does nothing else."""
    found = measured(life, instance, count=20, apart_s=0.1)
    print(found)
    assert found.quantile(0.5) < 1.0, found


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
