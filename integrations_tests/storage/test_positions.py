"""Positions: what is committed, and a file that may not change its windows or its keys."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from integrations.errors import FixConfig, StopStream
from integrations.names import StreamId, Window
from integrations.storage import positions
from integrations.storage.manifest import began_at
from integrations.storage.positions import Pin, Reached

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


def move(
    connection: Connection,
    window: Window | None,
    landing: str,
    *,
    pin: Pin = PIN,
    **changes: Any,
) -> None:
    reached = Reached(window=window, landing=landing, run_id="r", **changes)
    positions.move(connection, STREAM, reached, pin=pin)


@pytest.mark.parametrize(
    "changed", [Pin(), Pin(cadence="hourly", starts_at=PIN.starts_at), Pin(cadence="daily")]
)
def test_windows_are_pinned(connection: Connection, changed: Pin) -> None:
    """Cadence and start are those of the first commit; anything else is refused."""
    positions.refuse_changed(connection, STREAM, pin=changed)
    move(connection, DAYS[0], "20260105T000000.000000Z-1")
    with pytest.raises(FixConfig, match="were daily from 2026-01-01T00:00:00"):
        move(connection, DAYS[1], "20260105T000000.000000Z-2", pin=changed)
    with pytest.raises(FixConfig, match=r"Put the file back, or run `integrations repartition"):
        positions.refuse_changed(connection, STREAM, pin=changed)


def test_keys_are_pinned(connection: Connection) -> None:
    """What a source id is made of is that of the first commit that said it."""
    move(connection, DAYS[0], "20260105T000000.000000Z-1")  # of a version that did not say it
    keyed = replace(PIN, key='["id"]')
    move(connection, DAYS[1], "20260105T000000.000000Z-2", pin=keyed)
    with pytest.raises(FixConfig, match=r'key is \["number"\] now, and was \["id"\].*--rebuild'):
        move(connection, DAYS[1], "20260105T0001-3", pin=replace(PIN, key='["number"]'))
    assert positions.pinned(connection, STREAM) == keyed


def test_committed(connection: Connection) -> None:
    """A window has a position by its start and its end; when it was pulled says the source's
    clock, and the landing's id where the source has none."""
    move(connection, DAYS[0], "20260102T000000.000000Z-1")
    move(connection, DAYS[1], "20260102T235959.999999Z-1", said_at=DAYS[1].end)
    found = positions.committed(connection, STREAM)
    assert found[DAYS[0].label].window == DAYS[0]
    assert [one.pulled_at for one in found.values()] == [DAYS[0].end, DAYS[1].end]
    shorter = Window(DAYS[0].start, DAYS[0].end - timedelta(hours=1))
    assert positions.at(connection, STREAM, window=DAYS[0]) == found[DAYS[0].label]
    assert positions.at(connection, STREAM, window=shorter) is None


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
    move(connection, DAYS[0], "20260105T000000.000000Z-1", floor_at=DAYS[0].start)
    assert positions.reset(connection, STREAM, why="a gap") == 1
    assert positions.committed(connection, STREAM) == {}
    assert positions.floor(connection, STREAM) == DAYS[0].start
    with pytest.raises(StopStream, match="before the stream was reset"):
        move(connection, DAYS[0], "20260106T000000.000000Z-1", generation=0)
    move(connection, DAYS[0], "20260101T000000.000000Z-1", generation=1)
    assert list(positions.committed(connection, STREAM)) == [DAYS[0].label]
    reset = positions.last_reset(connection, STREAM)
    assert reset is not None
    assert reset.why == "a gap"


def test_nothing_to_reset(connection: Connection) -> None:
    """A stream that was never committed is not pinned by a reset."""
    assert positions.reset(connection, STREAM, why="a gap") == 0
    assert positions.pinned(connection, STREAM) is None


def test_a_cursor_moves_from_where_it_stands(connection: Connection) -> None:
    """Only a landing that goes on from the position moves it; a second one finds it moved."""
    first = (None, "7")
    move(connection, None, "20260105T000000.000000Z-1", pin=Pin(), cursor=first)
    with pytest.raises(StopStream, match="moved the position meanwhile"):
        move(connection, None, "20260105T000000.000000Z-2", pin=Pin(), cursor=first)
    move(connection, None, "20260104T000000.000000Z-3", pin=Pin(), cursor=("7", "9"))
    positions.checked(connection, STREAM, at=DAYS[2].end, generation=0)
    positions.checked(connection, STREAM, at=DAYS[1].end, generation=0)
    later = DAYS[2].end + timedelta(days=1)
    positions.checked(connection, STREAM, at=later, generation=1)  # who read before a reset
    found = positions.at(connection, STREAM)
    assert found is not None
    assert (found.cursor, found.checked_at) == ("9", DAYS[2].end)


def test_the_source_says_which_pull_is_newer(connection: Connection) -> None:
    """A landing that our clock, set back, calls older is newer where the source says so."""
    move(connection, DAYS[0], "20260105T000000.000000Z-1", said_at=DAYS[1].start)
    later = Reached(
        window=DAYS[0], landing="20260104T000000.000000Z-1", run_id="r", said_at=DAYS[1].end
    )
    assert not positions.outdated(connection, STREAM, later)
    assert positions.outdated(connection, STREAM, replace(later, said_at=DAYS[0].start))
    positions.move(connection, STREAM, later, pin=PIN)
    assert positions.committed(connection, STREAM)[DAYS[0].label].said_at == DAYS[1].end
