"""When a stream that is read by cursor is due, and what may stand as its position."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from integrations.sync_state.ages import AGE, Every, grown_old
from integrations.sync_state.cursors import CursorSync

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("every", "age", "expected"),
    [
        ("hourly", None, True),
        ("5min", timedelta(minutes=4, seconds=29), False),
        ("5min", timedelta(minutes=4, seconds=30), True),
        ("hourly", timedelta(minutes=54, seconds=59), False),
        ("hourly", timedelta(minutes=55), True),
        ("daily", timedelta(hours=23, minutes=54), False),
        ("daily", timedelta(days=30), True),
        ("5min", timedelta(minutes=-10), False),  # a clock that was set back
    ],
)
def test_a_cursor_stream_is_due_when_nobody_has_asked_for_long(
    every: Every, age: timedelta | None, expected: bool
) -> None:
    """Never asked means due; else the last asking must be one period old, less a little."""
    sync = CursorSync(type="cursor", every=every, position="seq")

    assert sync.due(None if age is None else NOW - age, NOW) is expected


@given(st.sampled_from(sorted(AGE)), st.lists(st.floats(0, 20), min_size=20, max_size=20))
def test_readings_that_begin_some_seconds_late_keep_the_rhythm(
    every: Every, delays: list[float]
) -> None:
    """A tick each period finds the reading due each time, however the delays vary."""
    last = None
    for number, delay in enumerate(delays):
        tick = NOW + number * AGE[every]
        assert grown_old(last, every=every, now=tick)
        last = tick + timedelta(seconds=delay)


@pytest.mark.parametrize("place", ["", ".", "a.", ".a", "a..b"])
def test_what_is_no_place_in_a_record(place: str) -> None:
    """A position stands at keys joined by dots."""
    with pytest.raises(ValidationError, match="position"):
        CursorSync(type="cursor", position=place)
