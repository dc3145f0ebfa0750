"""Positions: what is committed, what is due, and a file that may not change its windows."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from integrations.errors import FixConfig, StopStream
from integrations.names import StreamId, Window
from integrations.storage import positions
from integrations.storage.landing import began_at
from integrations.storage.positions import Pin

Connection = psycopg.Connection[Any]
STREAM = StreamId("shop", "main", "sales")
PIN = Pin(cadence="daily", starts_at=datetime(2026, 1, 1, tzinfo=UTC))
DAYS = [
    Window(start, start + timedelta(days=1))
    for start in (datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3))
]


@pytest.fixture
def database(emptied: str) -> str:
    return emptied


def move(connection: Connection, window: Window | None, landing: str, **changes: Any) -> None:
    given: dict[str, Any] = {"pin": PIN, "run_id": "r"} | changes
    positions.move(connection, STREAM, window=window, landing=landing, **given)


@pytest.mark.parametrize(
    "changed", [Pin(), Pin(cadence="hourly", starts_at=PIN.starts_at), Pin(cadence="daily")]
)
def test_windows_are_pinned(connection: Connection, changed: Pin) -> None:
    """Cadence and start are those of the first commit; anything else is refused."""
    positions.refuse_changed(connection, STREAM, pin=changed)
    move(connection, DAYS[0], "20260105T000000.000000Z-1")
    with pytest.raises(FixConfig, match="were daily from 2026-01-01T00:00:00"):
        move(connection, DAYS[1], "20260105T000000.000000Z-2", pin=changed)
    with pytest.raises(FixConfig, match=r"shop/main/sales.*commit\. Put the file back\.$"):
        positions.refuse_changed(connection, STREAM, pin=changed)


def test_committed_and_due(connection: Connection) -> None:
    """Due is what was never committed, or was pulled before its window had passed, or is the
    same start with another length."""
    move(connection, DAYS[0], "20260102T000000.000000Z-1")
    move(connection, DAYS[1], "20260102T235959.999999Z-1")
    found = positions.committed(connection, STREAM)
    assert found[DAYS[0].label].window == DAYS[0]
    assert found[DAYS[0].label].pulled_at == DAYS[0].end
    assert positions.due(DAYS, positions=found) == DAYS[1:]
    shorter = Window(DAYS[0].start, DAYS[0].end - timedelta(hours=1))
    assert positions.due([shorter], positions=found) == [shorter]


def test_full_streams_have_one_position(connection: Connection) -> None:
    """A stream without windows moves the same position each time."""
    move(connection, None, "20260102T000000.000000Z-1", pin=Pin())
    move(connection, None, "20260103T000000.000000Z-1", pin=Pin())
    (found,) = positions.committed(connection, STREAM).items()
    assert (found[0], found[1].window) == ("-", None)
    assert began_at(found[1].landing) == datetime(2026, 1, 3, tzinfo=UTC)


def test_an_older_landing_does_not_move_back(connection: Connection) -> None:
    """Of two pulls of a window the later one stands, whichever commits last."""
    move(connection, DAYS[0], "20260105T000000.000000Z-1")
    move(connection, DAYS[0], "20260104T000000.000000Z-1")
    found = positions.committed(connection, STREAM)[DAYS[0].label]
    assert found.landing == "20260105T000000.000000Z-1"


def test_a_landing_from_before_a_reset(connection: Connection) -> None:
    """A landing of another generation cannot be committed."""
    move(connection, DAYS[0], "20260105T000000.000000Z-1", generation=1)
    with pytest.raises(StopStream, match="before the stream was reset"):
        move(connection, DAYS[0], "20260106T000000.000000Z-1", generation=0)
