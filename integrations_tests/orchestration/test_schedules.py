"""What a schedule's tick asks for, and when schedules run."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from integrations.connector_template import loading
from integrations.connector_template.connector import BoundStream
from integrations.names import StreamId, Window
from integrations.orchestration import keys
from integrations.orchestration.partitions import RANGE_END, RANGE_START
from integrations.orchestration.resources import StoreResource, now
from integrations.orchestration.schedules import (
    MOST_RUNS,
    STREAM_TAG,
    feed_schedule,
    stream_schedule,
)
from integrations.storage import positions
from integrations.storage.circuits import Circuit, Circuits
from integrations.storage.ledger import LedgerEntry, Status, write
from integrations.storage.positions import Pin, Reached
from integrations_tests.conftest import make_settings
from integrations_tests.orchestration.conftest import CHARGES, CUSTOMERS, Floor
from integrations_tests.orchestration.feeds import EVENTS, events

AT = datetime(2026, 10, 12, 8, 39, tzinfo=UTC)
DAY = timedelta(days=1)
Streams = Mapping[StreamId, BoundStream]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the morning of 12 October 2026: eleven windows have passed since the sandbox's start."""
    monkeypatch.setattr("integrations.orchestration.schedules.now", lambda: AT)


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """A schedule finds its instance by reference, which one in memory has not."""
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("instance"))) as instance:
        yield instance


@pytest.fixture
def floor(floor: Floor, on_disk: dg.DagsterInstance) -> Iterator[Floor]:
    yield replace(floor, instance=on_disk)
    for run in on_disk.get_runs():
        on_disk.delete_run(run.run_id)


def tick(floor: Floor, stream: StreamId) -> dg.SkipReason | list[dg.RunRequest]:
    """What a tick of the stream's schedule gives, as the daemon evaluates it."""
    context = dg.build_schedule_context(
        instance=floor.instance,
        resources={keys.STORE: StoreResource()},
        scheduled_execution_time=AT,
        repository_def=floor.definitions.get_repository_def(),
    )
    schedule = floor.definitions.resolve_schedule_def(keys.schedule(stream))
    data = schedule.evaluate_tick(context)
    return list(data.run_requests or ()) or dg.SkipReason(data.skip_message)


def commit(floor: Floor, stream: BoundStream, *days: int) -> None:
    """Commits the windows of these days of October, as pulls made when they had passed."""
    with closing(floor.connect()) as connection:
        for day in days:
            start = datetime(2026, 10, day, tzinfo=UTC)
            landing = f"{start + DAY:%Y%m%dT%H%M%S.%fZ}-0"
            reached = Reached(window=Window(start, start + DAY), landing=landing, run_id="r")
            positions.move(connection, stream.id, reached, pin=loading.pin(stream))
        connection.commit()


def ranges(requested: dg.SkipReason | list[dg.RunRequest]) -> list[tuple[str, str]]:
    assert isinstance(requested, list)
    return [(request.tags[RANGE_START], request.tags[RANGE_END]) for request in requested]


@pytest.mark.usefixtures("clock")
def test_all_that_is_due_is_one_run(floor: Floor) -> None:
    """Nothing loaded yet: one run over every window that has passed, of this stream's assets."""
    found = tick(floor, CHARGES)
    assert ranges(found) == [("2026-10-01", "2026-10-11")]
    assert isinstance(found, list)
    assert found[0].asset_selection == keys.trio(CHARGES)
    assert found[0].tags[STREAM_TAG] == "stripe/sandbox/charges"
    assert found[0].run_key == "stripe/sandbox/charges:2026-10-01T00-00Z:2026-10-12T08:39"


@pytest.mark.usefixtures("clock")
def test_holes_are_found_after_an_outage(floor: Floor, streams: Streams) -> None:
    """Each unbroken stretch is a run, the newest first, and at most MOST_RUNS at once."""
    commit(floor, streams[CHARGES], 3, 4, 9)
    assert ranges(tick(floor, CHARGES)) == [
        ("2026-10-10", "2026-10-11"),
        ("2026-10-05", "2026-10-08"),
        ("2026-10-01", "2026-10-02"),
    ]
    commit(floor, streams[CHARGES], 1, 6, 8, 10)
    assert ranges(tick(floor, CHARGES)) == [
        (f"2026-10-{day:02}", f"2026-10-{day:02}") for day in (11, 7, 5, 2)
    ]
    assert MOST_RUNS >= 4


@pytest.mark.usefixtures("clock")
def test_nothing_due_is_skipped(floor: Floor, streams: Streams) -> None:
    """When every passed window is loaded the tick says so, and requests nothing."""
    commit(floor, streams[CHARGES], *range(1, 12))
    assert tick(floor, CHARGES) == dg.SkipReason("nothing of stripe/sandbox/charges is due")


def test_a_full_stream_is_due_once_a_day(floor: Floor, streams: Streams) -> None:
    """It is requested without partitions, and not again until its last reading is a day old."""
    found = tick(floor, CUSTOMERS)
    assert isinstance(found, list)
    assert [request.tags.get(STREAM_TAG) for request in found] == ["stripe/sandbox/customers"]
    assert RANGE_START not in found[0].tags
    with closing(floor.connect()) as connection:
        pin = loading.pin(streams[CUSTOMERS])
        landing = f"{now():%Y%m%dT%H%M%S.%fZ}-0"
        positions.move(connection, CUSTOMERS, Reached(landing=landing, run_id="r"), pin=pin)
        connection.commit()
    assert tick(floor, CUSTOMERS) == dg.SkipReason("nothing of stripe/sandbox/customers is due")


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    ("job", "assets", "status", "skipped"),
    [
        ("__ASSET_JOB", keys.trio(CHARGES), dg.DagsterRunStatus.STARTED, True),
        ("__ASSET_JOB", keys.trio(CHARGES), dg.DagsterRunStatus.NOT_STARTED, True),
        ("__ASSET_JOB", keys.trio(CHARGES), dg.DagsterRunStatus.CANCELING, True),
        ("stripe__sandbox__sync", None, dg.DagsterRunStatus.STARTING, True),
        ("__ASSET_JOB", keys.trio(CHARGES), dg.DagsterRunStatus.FAILURE, False),
        ("__ASSET_JOB", keys.trio(CUSTOMERS), dg.DagsterRunStatus.STARTED, False),
        ("stripe__main__sync", None, dg.DagsterRunStatus.STARTED, False),
    ],
)
def test_a_stream_that_is_being_synced_is_skipped(
    floor: Floor,
    job: str,
    assets: list[dg.AssetKey] | None,
    status: dg.DagsterRunStatus,
    skipped: bool,
) -> None:
    """Whoever started the run: a schedule, a backfill or a person. Other streams do not matter."""
    selection = frozenset(assets) if assets else None
    create_run_for_test(floor.instance, job, status=status, asset_selection=selection)
    found = tick(floor, CHARGES)
    expected = dg.SkipReason("stripe/sandbox/charges is still being synced")
    assert (found == expected) == skipped


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    ("minutes", "due"), [(None, True), (0, False), (4, False), (5, True), (600, True)]
)
def test_a_feed_is_due_by_its_position(floor: Floor, minutes: int | None, due: bool) -> None:
    """One run of its one asset when its source was not heard for five minutes: never while a
    process drains it, which is heard all the time."""
    if minutes is not None:
        with closing(floor.connect()) as connection:
            heard = AT - timedelta(minutes=minutes)
            reached = Reached(landing=None, run_id="r", checked_at=heard)
            positions.move(connection, EVENTS, reached, pin=Pin())
            connection.commit()
    found = tick(floor, EVENTS)
    if not due:
        assert found == dg.SkipReason("stripe/sandbox/events was read less than 5min ago")
        return
    assert isinstance(found, list)
    (request,) = found
    assert request.asset_selection == [keys.feed(EVENTS)]
    assert request.run_key == "stripe/sandbox/events:-:2026-10-12T08:39"
    assert request.tags[STREAM_TAG] == "stripe/sandbox/events"


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    ("assets", "skipped"), [([keys.feed(EVENTS)], True), (keys.trio(CHARGES), False)]
)
def test_a_feed_that_is_being_read_is_skipped(
    floor: Floor, assets: list[dg.AssetKey], skipped: bool
) -> None:
    """A run of another asset of the connection does not matter."""
    create_run_for_test(
        floor.instance,
        "__ASSET_JOB",
        status=dg.DagsterRunStatus.STARTED,
        asset_selection=frozenset(assets),
    )
    expected = dg.SkipReason("stripe/sandbox/events is still being synced")
    assert (tick(floor, EVENTS) == expected) == skipped


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    ("reader", "status", "minutes", "rests"),
    [
        (EVENTS, "failed", 59, True),
        (EVENTS, "blocked", 1, True),
        (EVENTS, "failed", 60, False),
        (EVENTS, "warn", 1, False),
        (CHARGES, "failed", 1, False),
    ],
)
def test_what_failed_is_left_alone_for_an_hour(
    floor: Floor, reader: StreamId, status: Status, minutes: int, rests: bool
) -> None:
    """Where it would be tried every five minutes: no red run each time."""
    at = AT - timedelta(minutes=minutes)
    with closing(floor.connect()) as connection:
        for word in ("ok", status):
            entry = LedgerEntry(
                stream=reader, cause="sync", run_id="r", began_at=at, ended_at=at,
                status=word, error="it is broken" if word == status else None,
            )  # fmt: skip
            write(connection, entry)
        connection.commit()
    found = tick(floor, reader)
    again = f"{at + timedelta(hours=1):%H:%M} UTC, or when you run it"
    said = dg.SkipReason(f"{reader}: {status}, it is broken; tried again at {again}")
    assert (found == said) == rests
    assert isinstance(found, list) != rests


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(("cools", "rests"), [(10, 10), (0, 0), (-10, 60)])
def test_what_a_breaker_leaves_alone_is_tried_when_that_has_cooled_down(
    floor: Floor, cools: int, rests: int
) -> None:
    """The breaker knows better than an hour: while it cools down, no run fails for nothing. What
    failed after that for another reason, a secret that is not there, is left alone for the hour."""
    with closing(floor.connect()) as connection:
        entry = LedgerEntry(
            stream=EVENTS, cause="sync", run_id="r", began_at=AT, ended_at=AT,
            status="failed", error="it is down",
        )  # fmt: skip
        write(connection, entry)
        connection.commit()
        until = AT + timedelta(minutes=cools)
        with closing(Circuits(connection, "stripe", "sandbox")) as circuits:
            circuits.change("GET /v1/events", lambda *_: Circuit(until=until, cool_s=60))
    found = tick(floor, EVENTS)
    again = f"tried again at {AT + timedelta(minutes=rests):%H:%M} UTC, or when you run it"
    assert (found == dg.SkipReason(f"{EVENTS}: failed, it is down; {again}")) == bool(rests)
    assert isinstance(found, list) != bool(rests)


@pytest.mark.usefixtures("floor")
def test_feeds_tick_every_five_minutes() -> None:
    """Not all in the same minute; one whose file says hourly ticks once an hour."""
    feed = events()
    many = [replace(feed, id=StreamId(f"shop{n}", "main", "events")) for n in range(30)]
    crons = {str(feed_schedule(one).cron_schedule) for one in many}
    assert crons == {f"{minute}-59/5 * * * *" for minute in range(5)}
    hourly = replace(feed, feed=feed.feed.model_copy(update={"every": "hourly"}))
    assert str(feed_schedule(hourly).cron_schedule).split()[1:] == ["*"] * 4
    assert "/" not in str(feed_schedule(hourly).cron_schedule)


def test_minutes_are_spread_over_the_hour(
    streams: Streams, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred streams do not tick in one minute, and each keeps its own."""
    home = make_settings(tmp_path_factory.mktemp("spread") / "home").home
    monkeypatch.setenv("INTEGRATIONS_HOME", str(home))
    many = [
        stream_schedule(replace(streams[CHARGES], id=StreamId(f"shop{n}", "main", "orders")))
        for n in range(100)
    ]
    crons = Counter(str(schedule.cron_schedule) for schedule in many)
    assert all(cron.endswith(" * * * *") and 0 <= int(cron.split()[0]) < 60 for cron in crons)
    assert len(crons) > 40
    assert max(crons.values()) <= 6


@pytest.mark.parametrize(
    ("stream", "serving", "key", "expected"),
    [
        (CHARGES, True, False, dg.DefaultScheduleStatus.RUNNING),
        (CHARGES, False, True, dg.DefaultScheduleStatus.STOPPED),
        (StreamId("stripe", "main", "charges"), True, True, dg.DefaultScheduleStatus.RUNNING),
        (StreamId("stripe", "main", "charges"), True, False, dg.DefaultScheduleStatus.STOPPED),
    ],
)
def test_schedules_run_where_a_run_could_log_in(
    floor: Floor,
    streams: Streams,
    stream: StreamId,
    serving: bool,
    key: bool,
    expected: dg.DefaultScheduleStatus,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A real connection's where its secrets are set, the sandbox's where its twin serves."""
    if not serving:
        (floor.home / "sandbox.json").unlink()
    if key:
        monkeypatch.setenv("STRIPE_API_KEY", "sk_test_0123456789")
    else:
        monkeypatch.delenv("STRIPE_API_KEY", raising=False)
    assert stream_schedule(streams[stream]).default_status == expected
