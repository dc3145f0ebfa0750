"""What of a stream, or of a feed, is due."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from integrations.connector_template.connector import Connector, read_connector
from integrations.connector_template.due import due, feed_due
from integrations.connector_template.folders import SHIPPED, read
from integrations.names import StreamId, Window
from integrations.storage import positions
from integrations.storage.positions import Pin, Reached
from integrations_tests.connector_template.florist import FED, changed, write

NOW = datetime(2026, 1, 6, 12, tzinfo=UTC)
NEWS = StreamId("florist", "main", "news")
ORDERS = StreamId("florist", "main", "orders")
DAYS = [
    Window(datetime(2026, 1, day, tzinfo=UTC), datetime(2026, 1, day + 1, tzinfo=UTC))
    for day in range(1, 6)
]


def landing(at: datetime) -> str:
    """What a landing is called whose pull began at that moment."""
    return f"{at:%Y%m%dT%H%M%S.%fZ}-0"


def reach(connection: psycopg.Connection[Any], stream: StreamId, **values: Any) -> None:
    reached = Reached(**{"window": None, "run_id": "r"} | values)
    positions.move(connection, stream, reached, pin=Pin())


@pytest.fixture
def connection(module_connection: psycopg.Connection[Any]) -> Iterator[psycopg.Connection[Any]]:
    """An open transaction, of which nothing stays."""
    yield module_connection
    module_connection.rollback()


def bound(connector: Connector, name: str) -> Any:
    (found,) = [
        one for one in (*connector.streams(), *connector.feeds()) if str(one.id).endswith(name)
    ]
    return found


@pytest.mark.parametrize(("hours", "expected"), [(None, [[]]), (23, []), (25, [[]])])
def test_a_full_stream_is_as_old_as_its_pull(
    connection: psycopg.Connection[Any], hours: int | None, expected: list[Any]
) -> None:
    """A day after it was read it is due, however late that reading was committed."""
    (connector,), _ = read([SHIPPED / "stripe"])
    stream = bound(connector, "sandbox/customers")
    if hours is not None:
        pulled = landing(NOW - timedelta(hours=hours))
        reach(connection, stream.id, landing=pulled)
    assert due(stream, connection, now=NOW) == expected


@pytest.mark.parametrize(
    ("sync", "expected"),
    [
        ("filter: created", [DAYS[2:3], DAYS[4:]]),
        ("filter: created, reread: 1", [DAYS[2:3], DAYS[4:]]),
        ("filter: created, reread: 2", [DAYS[1:3], DAYS[4:]]),
        ("filter: created, reread: 4", [DAYS[0:3], DAYS[4:]]),
    ],
)
def test_windows_are_due_that_nobody_pulled_or_that_change_yet(
    connection: psycopg.Connection[Any], tmp_path: Path, sync: str, expected: list[Any]
) -> None:
    """The third was never pulled, the fifth too early, the fourth today; the first and second by
    whether their days were over when their pull began."""
    text = changed(("filter: created", sync), text=FED)
    stream = bound(read_connector(write(tmp_path / "florist", text)), "main/orders")
    pulls = {
        0: DAYS[3].end,
        1: DAYS[3].end - timedelta(minutes=1),
        3: NOW - timedelta(hours=1),
        4: DAYS[4].end - timedelta(seconds=1),
    }
    for place, pulled in pulls.items():
        reach(connection, stream.id, window=DAYS[place], landing=landing(pulled))

    assert due(stream, connection, now=NOW) == expected


def test_a_window_is_due_again_that_had_passed_by_our_clock_only(
    connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    """By the source's clock its pull began before its end: what came later is not in it."""
    stream = bound(read_connector(write(tmp_path / "florist", FED)), "main/orders")
    by_ours = landing(DAYS[4].end + timedelta(minutes=30))
    early = DAYS[2].end - timedelta(minutes=30)
    for window in DAYS:
        said_at = early if window == DAYS[2] else NOW
        reach(connection, stream.id, window=window, landing=by_ours, said_at=said_at)

    assert due(stream, connection, now=NOW) == [DAYS[2:3]]


@pytest.mark.parametrize(
    ("checked", "expected"),
    [(None, True), (timedelta(minutes=59), True), (timedelta(minutes=30), False)],
)
@pytest.mark.parametrize("reader", [NEWS, ORDERS])
def test_what_is_read_by_cursor_is_due_when_nobody_has_asked(
    connection: psycopg.Connection[Any],
    tmp_path: Path,
    reader: StreamId,
    checked: timedelta | None,
    expected: bool,
) -> None:
    """By when the source last said that nothing follows, however long ago something did."""
    text = changed(
        (
            "{type: window, cadence: daily, column: created_at, filter: created}",
            "{type: cursor, position: seq}",
        ),
        ('{from: "{window.start}", to: "{window.end}"}', '{after: "{position}"}'),
        ("retention_days: 30", "retention_days: 30\n        every: hourly"),
        text=FED,
    )
    connector = read_connector(write(tmp_path / "florist", text))
    asked = NOW - checked if checked else None
    old = landing(NOW - timedelta(days=9))
    reach(connection, reader, landing=old, cursor=(None, "7"), checked_at=asked)

    one = bound(connector, str(reader))

    if reader == NEWS:
        assert feed_due(one, connection, now=NOW) is expected
    else:
        assert due(one, connection, now=NOW) == ([[]] if expected else [])


def test_a_feed_that_was_never_read_is_due(
    connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    """There is no position yet."""
    connector = read_connector(write(tmp_path / "florist", FED))

    assert feed_due(bound(connector, "main/news"), connection, now=NOW)
