"""Another cut of time: only what the ledger proves stays committed, and only that shows green."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.connector_template import loading
from integrations.connector_template.connector import BoundStream, read_connector
from integrations.connector_template.due import due
from integrations.connector_template.repartition import (
    Repartition,
    plan,
    proven,
    repartition,
)
from integrations.errors import FixConfig
from integrations.names import StreamId, Window
from integrations.orchestration import checks, keys
from integrations.orchestration.partitions import partitions
from integrations.orchestration.repartition import show
from integrations.storage import ledger, positions
from integrations.storage.ledger import LedgerEntry
from integrations.storage.positions import Position, Reached
from integrations_tests.connector_template.florist import FLORIST, changed, write
from integrations_tests.connector_template.test_due import bound, landing

NOW = datetime(2026, 1, 5, 3, tzinfo=UTC)
ORDERS = StreamId("florist", "main", "orders")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
Connection = psycopg.Connection[Any]


def day(number: int, hour: int = 0) -> datetime:
    return datetime(2026, 1, number, hour, tzinfo=UTC)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def orders(folder: Path, *, cadence: str = "daily", start: str = "2026-01-01") -> BoundStream:
    """The florist's orders, with the windows that a file gives them."""
    text = changed(
        ("cadence: daily", f"cadence: {cadence}"), ("start: 2026-01-01", f"start: {start}")
    )
    made = read_connector(write(folder / f"{cadence}-{start}" / "florist", text))
    stream: BoundStream = bound(made, "main/orders")
    return stream


def commit(
    connection: Connection,
    stream: BoundStream,
    start: datetime,
    length: timedelta,
    *,
    pulled: datetime = NOW,
    line: str | None = "ok",
) -> None:
    """A window that is committed from a pull that began at `pulled`, and its ledger line."""
    window, name = Window(start, start + length), landing(pulled)
    reached = Reached(window=window, landing=name, run_id="r", said_at=pulled)
    positions.move(connection, stream.id, reached, pin=loading.pin(stream))
    if line:
        entry = LedgerEntry(
            stream=stream.id, cause="sync", run_id="r", began_at=pulled, ended_at=pulled,
            window=window, landing=name, status=line,  # type: ignore[arg-type]  # a literal
        )  # fmt: skip
        ledger.write(connection, entry)
    connection.commit()


def due_windows(stream: BoundStream, connection: Connection) -> list[datetime]:
    found = [one.start for stretch in due(stream, connection, now=NOW) for one in stretch]
    connection.rollback()
    return found


def green(instance: dg.DagsterInstance, stream: BoundStream, key: dg.AssetKey) -> list[str]:
    """The partitions that the UI shows green: by Dagster's cache, as the UI reads it."""
    definition = partitions(stream)
    assert definition is not None
    value = get_and_update_asset_status_cache_value(instance, key, definition)
    if value is None:
        return []
    subset = value.deserialize_materialized_partition_subsets(definition)
    return sorted(subset.get_partition_keys())


def shown_before(instance: dg.DagsterInstance, stream: BoundStream, starts: list[datetime]) -> None:
    """What Dagster knew before: these windows of the old cut are green."""
    definition = partitions(stream)
    assert definition is not None
    for key in keys.trio(stream.id):
        for start in starts:
            event = dg.AssetMaterialization(key, partition=start.strftime(definition.fmt))
            instance.report_runless_asset_event(event)
        assert len(green(instance, stream, key)) == len(starts)


def test_a_day_proves_its_hours(
    connection: Connection, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """From days to hours: not those of a day without a ledger line, nor those that had not passed
    when the day was pulled. One hour that is due shows no day green, and none hides behind one."""
    old, new = orders(tmp_path), orders(tmp_path, cadence="hourly")
    commit(connection, old, day(1), DAY, line="warn")
    commit(connection, old, day(2), DAY, pulled=NOW + timedelta(minutes=1), line=None)
    commit(connection, old, day(3), DAY, pulled=day(3, 12))
    shown_before(instance, old, [day(1), day(2), day(3)])
    with pytest.raises(FixConfig, match=r"integrations repartition florist/main/orders"):
        loading.refuse_changed(new, connection=connection)
    connection.rollback()

    made = cut(connection, new, instance)

    loading.refuse_changed(new, connection=connection)
    expected = [day(1, hour) for hour in range(24)] + [day(3, hour) for hour in range(12)]
    missing = sorted({day(1) + hours * HOUR for hours in range(99)} - set(expected))
    assert due_windows(new, connection) == missing
    assert (made.committed, len(made.proven), made.due) == (3, 36, 63)
    labels = [f"{start:%Y-%m-%d-%H:%M}" for start in expected]
    raw, canonical, table = keys.trio(ORDERS)
    assert green(instance, new, table) == green(instance, new, canonical) == labels
    assert green(instance, new, raw) == [], "no landing is of one of these hours"
    assert judged(instance, labels[0]) == [(True, "ERROR"), (False, "WARN"), (True, "ERROR")]
    assert judged(instance, labels[-1]) == [(True, "ERROR")] * 3


def judged(instance: dg.DagsterInstance, partition: str) -> list[tuple[bool, str]]:
    """What the checks of a partition say: whether they pass, and how grave it would be."""
    _, canonical, table = keys.trio(ORDERS)
    found = []
    for key, name in (
        (canonical, checks.STRUCTURE), (canonical, checks.ERROR_SHARE), (table, checks.BALANCE),
    ):  # fmt: skip
        records = instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(key, name), limit=1_000
        )
        for record in records:
            event = record.event and record.event.dagster_event
            evaluation = event.asset_check_evaluation_data if event else None
            if evaluation and evaluation.partition == partition:
                found.append((evaluation.passed, evaluation.severity.value))
    return found


def cut(connection: Connection, stream: BoundStream, instance: dg.DagsterInstance) -> Repartition:
    made = repartition(
        stream, connection=connection, clock=lambda: NOW, tell=lambda one: show(instance, one)
    )
    assert made is not None
    return made


def test_hours_prove_a_day_when_none_is_missing(
    connection: Connection, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """From hours to days: the second lacks an hour, of the third one was pulled before the day had
    passed, the fourth has but its first hour, which once would have shown all of it green."""
    old, new = orders(tmp_path, cadence="hourly"), orders(tmp_path)
    for number in (1, 2, 3):
        for hour in range(24):
            early = (number, hour) == (3, 7)
            if (number, hour) != (2, 13):
                pulled = day(3, 9) if early else NOW - timedelta(seconds=hour)
                commit(connection, old, day(number, hour), HOUR, pulled=pulled)
    commit(connection, old, day(4), HOUR)
    shown_before(instance, old, [day(1, 0), day(4, 0)])

    made = cut(connection, new, instance)

    assert due_windows(new, connection) == [day(2), day(3), day(4)]
    assert (made.committed, made.due) == (72, 3)
    for key, expected in zip(keys.trio(ORDERS), ([], ["2026-01-01"], ["2026-01-01"]), strict=True):
        assert green(instance, new, key) == expected
    position = positions.committed(connection, ORDERS)["2026-01-01T00-00Z"]
    assert position.pulled_at == NOW - timedelta(seconds=23), "it is as old as its oldest hour"


@pytest.mark.parametrize(
    ("was", "is_", "stay", "due_"),
    [
        ("2026-01-01", "2026-01-03", [3], [4]),
        ("2026-01-03", "2026-01-01", [3], [1, 2, 4]),
        ("2026-01-01", "2025-12-31", [1, 2, 3], [0, 4]),
    ],
)
def test_a_moved_start_keeps_what_there_was(
    connection: Connection, instance: dg.DagsterInstance, tmp_path: Path,
    was: str, is_: str, stay: list[int], due_: list[int],
) -> None:  # fmt: skip
    """A window that both cuts have stays as it is, with its landing; what is new is due."""
    old, new = orders(tmp_path, start=was), orders(tmp_path, start=is_)
    first = datetime.fromisoformat(was).day
    days = list(range(first, 4))
    for number in days:
        commit(connection, old, day(number), DAY)
    before = positions.committed(connection, ORDERS)
    connection.rollback()
    shown_before(instance, old, [day(number) for number in days])

    cut(connection, new, instance)

    assert due_windows(new, connection) == [FIRST + (number - 1) * DAY for number in due_]
    after = positions.committed(connection, ORDERS)
    assert {label: one.landing for label, one in after.items()} == {
        label: one.landing
        for label, one in before.items()
        if one.window and one.window.start.day in stay
    }
    for key in keys.trio(ORDERS):
        assert green(instance, new, key) == [f"2026-01-0{number}" for number in stay]


def test_a_pull_under_way_cannot_commit(connection: Connection, tmp_path: Path) -> None:
    """It was made for windows that are no more, or before the reset."""
    old, new = orders(tmp_path), orders(tmp_path, cadence="hourly")
    commit(connection, old, day(1), DAY)
    repartition(new, connection=connection, clock=lambda: NOW, tell=lambda _: None)
    with pytest.raises(FixConfig, match="its windows are daily"):
        commit(connection, old, day(2), DAY)
    connection.rollback()
    with pytest.raises(Exception, match="from before the stream was reset"):
        commit(connection, new, day(2), HOUR)
    connection.rollback()


def test_what_fails_on_the_way_has_changed_nothing(
    connection: Connection, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """Dagster is told before the commit: while it was not, the stream stays refused, and the
    command can be given again."""
    old, new = orders(tmp_path), orders(tmp_path, cadence="hourly")
    commit(connection, old, day(1), DAY)

    def fail(made: Repartition) -> None:
        show(instance, made)
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        repartition(new, connection=connection, clock=lambda: NOW, tell=fail)
    assert due_windows(old, connection) == [day(2), day(3), day(4)]
    with pytest.raises(FixConfig):
        loading.refuse_changed(new, connection=connection)
    connection.rollback()

    assert len(cut(connection, new, instance).proven) == 24
    assert len(green(instance, new, keys.table(ORDERS))) == 24
    assert plan(new, connection=connection, now=NOW) is None
    connection.rollback()
    unchanged = repartition(new, connection=connection, clock=lambda: NOW, tell=fail)
    assert unchanged is None


def test_a_stream_that_has_windows_no_more_is_due(
    connection: Connection, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """Windows prove nothing of a full reading; nothing of the stream is green."""
    old = orders(tmp_path)
    commit(connection, old, day(1), DAY)
    shown_before(instance, old, [day(1)])
    text = changed(
        ("{type: window, cadence: daily, column: created_at, filter: modified}", "{type: full}"),
        ('{from: "{window.start}", to: "{window.end}"}', "{}"),
    )
    new = bound(read_connector(write(tmp_path / "full" / "florist", text)), "main/orders")

    made = cut(connection, new, instance)

    assert (made.proven, made.due) == ((), 1)
    assert due(new, connection, now=NOW) == [[]]
    connection.rollback()
    assert not any(instance.has_asset_key(key) for key in keys.trio(ORDERS))


def test_another_key_stays_refused(connection: Connection, tmp_path: Path) -> None:
    """A new cut says nothing about what rows are called."""
    commit(connection, orders(tmp_path), day(1), DAY)
    text = changed(
        ("cadence: daily", "cadence: hourly"),
        ("entity: payment\n      key: number", "entity: payment\n      key: id"),
        text=FLORIST,
    )
    new = bound(read_connector(write(tmp_path / "other" / "florist", text)), "main/orders")
    repartition(new, connection=connection, clock=lambda: NOW, tell=lambda _: None)
    with pytest.raises(FixConfig, match="replay --rebuild"):
        loading.refuse_changed(new, connection=connection)
    connection.rollback()


OLD = st.lists(
    st.tuples(st.integers(0, 71), st.integers(0, 80), st.sampled_from(["ok", "warn", None])),
    unique_by=lambda one: one[0],
)


@given(old=OLD, from_=st.sampled_from([1, 24]), to=st.sampled_from([1, 24]))
@settings(max_examples=150)
def test_every_minute_of_a_proven_window_was_loaded(
    old: list[tuple[int, int, str | None]], from_: int, to: int
) -> None:
    """Against the plain rule, hour by hour: each hour of a proven window lies in a window that was
    loaded, by a pull from after the new one's end; and no such window is left out."""
    loaded: dict[int, int] = {}
    committed, statuses = [], {}
    for place, pulled, status in old:
        start = place * from_
        name = f"l{place}"
        window = Window(FIRST + start * HOUR, FIRST + (start + from_) * HOUR)
        at = FIRST + pulled * HOUR
        committed.append(
            Position(
                window=window, landing=name, run_id="r", generation=0, committed_at=NOW, said_at=at
            )
        )
        if status:
            statuses[name] = status
            loaded |= dict.fromkeys(range(start, start + from_), pulled)
    windows = [
        Window(FIRST + start * HOUR, FIRST + (start + to) * HOUR) for start in range(0, 72, to)
    ]

    found = list(proven(windows, committed, statuses=statuses))

    expected = [
        start
        for start in range(0, 72, to)
        if all(loaded.get(hour, -1) >= start + to for hour in range(start, start + to))
    ]
    starts = [one.position.window.start for one in found if one.position.window]
    assert starts == [FIRST + start * HOUR for start in expected]
    for one, start in zip(found, expected, strict=True):
        oldest = min(loaded[hour] for hour in range(start, start + to))
        assert one.position.pulled_at == FIRST + oldest * HOUR
