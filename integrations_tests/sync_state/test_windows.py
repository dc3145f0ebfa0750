"""Windows as properties: no moment is lost, none is in two windows, and the overlap is fetched."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from integrations.names import Window
from integrations.sync_state.windows import (
    LENGTH,
    OVERLAP,
    Cadence,
    FullSync,
    WindowSync,
    covered,
    floor,
    rounded_out,
    stretches,
    with_overlap,
)

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
cadences = st.sampled_from(["hourly", "daily"])
anywhere = st.integers(0, 20 * 86_400 * 10**6).map(lambda us: timedelta(microseconds=us))
edges = st.tuples(st.integers(1, 20 * 24), st.integers(-1, 1)).map(
    lambda edge: timedelta(hours=edge[0], microseconds=edge[1])
)
moments = st.one_of(anywhere, edges).map(lambda since: EPOCH + since)
offsets = st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m)))
few = settings(max_examples=60)


def cut(cadence: Cadence, start: datetime, now: datetime) -> list[Window]:
    return list(by_window(cadence).windows(start, now))


def by_window(cadence: Cadence, *, reread: int | None = None) -> WindowSync:
    return WindowSync(type="window", cadence=cadence, column="at", filter="created", reread=reread)


@few
@given(cadences, moments, moments, moments)
def test_every_moment_that_has_passed_is_in_exactly_one_window(
    cadence: Cadence, start: datetime, now: datetime, moment: datetime
) -> None:
    """From the start's window on and up to the last whole one; later moments are in none yet."""
    windows = cut(cadence, start, now)
    holding = [window for window in windows if window.start <= moment < window.end]

    passed = floor(start, cadence) <= moment < floor(now, cadence)
    assert len(holding) == (1 if passed else 0)


@few
@given(cadences, moments, moments)
def test_windows_are_whole_in_order_and_have_passed(
    cadence: Cadence, start: datetime, now: datetime
) -> None:
    """Each is one hour or one day of UTC, begins where the one before it ends, and is over."""
    windows = cut(cadence, start, now)

    assert all(window.end - window.start == LENGTH[cadence] for window in windows)
    assert all(window.start == floor(window.start, cadence) for window in windows)
    assert all(a.end == b.start for a, b in pairwise(windows))
    assert all(window.end <= now for window in windows)


@few
@given(cadences, moments, moments, st.timedeltas(timedelta(0), timedelta(days=3)))
def test_time_only_adds_windows(
    cadence: Cadence, start: datetime, now: datetime, later: timedelta
) -> None:
    """What was a window stays that window: a partition never comes to mean another time."""
    before, after = cut(cadence, start, now), cut(cadence, start, now + later)

    assert after[: len(before)] == before


@few
@given(cadences, moments, moments, offsets)
def test_the_zone_of_start_and_clock_does_not_matter(
    cadence: Cadence, start: datetime, now: datetime, zone: timezone
) -> None:
    """The same moments in another zone give the same windows, in UTC."""
    assert cut(cadence, start.astimezone(zone), now.astimezone(zone)) == cut(cadence, start, now)


@few
@given(cadences, moments, offsets)
def test_floor_is_the_start_of_the_moments_own_window(
    cadence: Cadence, moment: datetime, zone: timezone
) -> None:
    """It lies at most one length before the moment, is its own floor, and is in UTC."""
    start = floor(moment.astimezone(zone), cadence)

    assert timedelta(0) <= moment - start < LENGTH[cadence]
    assert floor(start, cadence) == start
    assert start.utcoffset() == timedelta(0)


@few
@given(cadences, moments, st.integers(-3, 3), st.timedeltas(-2 * OVERLAP, 2 * OVERLAP))
@example("daily", EPOCH, 0, -timedelta(minutes=5))
@example("daily", EPOCH, 0, -timedelta(minutes=5, microseconds=1))
@example("hourly", EPOCH, 1, timedelta(0))
def test_a_pull_covers_five_minutes_before_its_window(
    cadence: Cadence, start: datetime, edge: int, off: timedelta
) -> None:
    """So a record that appears up to five minutes late, across the edge of its window, is fetched
    by the next one; nothing after the window's end is."""
    window = Window(floor(start, cadence), floor(start, cadence) + LENGTH[cadence])
    moment = window.start + edge * LENGTH[cadence] + off

    asked = with_overlap(window)

    inside = window.start - timedelta(minutes=5) <= moment < window.end
    assert (asked.start <= moment < asked.end) == inside


@few
@given(cadences, moments, moments, st.sets(st.integers(0, 400)))
def test_stretches_lose_nothing_and_are_unbroken(
    cadence: Cadence, start: datetime, now: datetime, left_out: set[int]
) -> None:
    """Windows in any order come out in order, each once, cut exactly where one is missing."""
    windows = [w for place, w in enumerate(cut(cadence, start, now)) if place not in left_out]

    found = stretches(windows[::-1])

    assert [window for stretch in found for window in stretch] == windows
    assert all(a.end == b.start for stretch in found for a, b in pairwise(stretch))
    assert all(a[-1].end < b[0].start for a, b in pairwise(found))


@few
@given(cadences, moments, moments)
def test_rounded_out_is_the_smallest_stretch_that_holds_it(
    cadence: Cadence, begin: datetime, end: datetime
) -> None:
    """Nothing asked for is left out, and no window more than needed is added."""
    assume(begin < end)

    found = rounded_out(begin, end, cadence)

    assert found.start <= begin
    assert end <= found.end
    assert begin - found.start < LENGTH[cadence]
    assert found.end - end < LENGTH[cadence]
    assert floor(found.start, cadence) == found.start
    assert floor(found.end, cadence) == found.end


@few
@given(cadences, st.integers(0, 100), st.integers(1, 100))
def test_what_is_whole_already_stays(cadence: Cadence, first: int, count: int) -> None:
    """A range that begins and ends on windows' edges is not widened."""
    begin, end = EPOCH + first * LENGTH[cadence], EPOCH + (first + count) * LENGTH[cadence]

    assert rounded_out(begin, end, cadence) == Window(begin, end)


@pytest.mark.parametrize(
    ("every", "age", "expected"),
    [
        ("daily", None, True),
        ("daily", timedelta(hours=23, minutes=54, seconds=59), False),
        ("daily", timedelta(hours=23, minutes=55), True),
        ("hourly", timedelta(minutes=54, seconds=59), False),
        ("hourly", timedelta(minutes=55), True),
        ("hourly", timedelta(days=40), True),
    ],
)
def test_a_full_stream_is_due_when_it_has_grown_old(
    every: Cadence, age: timedelta | None, expected: bool
) -> None:
    """Never read means due; else its last reading must be one period old, less five minutes: a
    tick comes by the clock, and the last reading began some seconds after its own tick."""
    last = None if age is None else EPOCH - age

    assert FullSync(type="full", every=every).due(last, EPOCH) is expected


DAY_LONG = timedelta(days=1)
DAY = Window(EPOCH, EPOCH + DAY_LONG)


@pytest.mark.parametrize(
    ("pulled", "now", "reread", "expected"),
    [
        # hours after the window's end
        (None, 0, None, False),
        (-0.01, 0, None, False),
        (0, 24, None, True),
        (0, 9_999, None, True),
        (-0.01, 0, 3, False),
        (0, 0, 3, True),
        (0, 23.99, 3, True),  # still the same day
        (0, 24, 3, False),
        (23.99, 24, 3, False),  # once a day, not once in 24 hours
        (24, 47.99, 3, True),
        (71.99, 72, 3, False),  # the last one begins when the days are over
        (72, 72, 3, True),
        (72, 9_999, 3, True),
        (0, 9_999, 3, False),  # also after an outage
        (30, 20, 3, True),  # a clock that was set back
    ],
)
def test_how_long_a_pull_does_for_a_window(
    pulled: float | None, now: float, reread: int | None, expected: bool
) -> None:
    """It has to begin after the window; one that is re-read does for its day, until the last."""
    end = DAY.end
    pulled_at = None if pulled is None else end + timedelta(hours=pulled)

    found = covered(DAY, pulled_at=pulled_at, now=end + timedelta(hours=now), reread=reread)

    assert found is expected


@few
@given(
    cadences,
    st.integers(1, 3),
    st.integers(0, 50),
    st.sets(st.integers(0, 120), max_size=100),
    st.integers(0, 9),
)
def test_a_window_is_read_again_each_day_until_its_days_are_over(
    cadence: Cadence, reread: int, minute: int, missed: set[int], late: int
) -> None:
    """However many ticks are missed: one pull a day from the window's end on, and none after the
    one that began when its days were over."""
    sync, window = by_window(cadence, reread=reread), cut(cadence, EPOCH, EPOCH + DAY_LONG)[0]
    ticks = [EPOCH + timedelta(hours=h, minutes=minute) for h in range(121) if h not in missed]
    reads: list[datetime] = []
    for tick in ticks:
        pulled = {window: reads[-1]} if reads else {}
        if window in sync.due(EPOCH, tick, pulled=pulled):
            reads.append(tick + timedelta(minutes=late))

    over = window.end + timedelta(days=reread)
    days = sorted({tick.date() for tick in ticks if tick >= window.end})
    assert [read.date() for read in reads] == days[: len(reads)]
    assert all(read < over for read in reads[:-1])
    assert len(reads) == len(days) or reads[-1] >= over


@few
@given(cadences, moments, moments, st.sets(st.integers(0, 400)))
def test_what_is_due_is_what_was_not_pulled(
    cadence: Cadence, start: datetime, now: datetime, gaps: set[int]
) -> None:
    """Without re-reading: the windows that nobody pulled, and those whose pull came too early; a
    committed window of other bounds counts for nothing."""
    windows = cut(cadence, start, now)
    pulled = {w: w.end for place, w in enumerate(windows) if place not in gaps}
    early = {w: w.end - timedelta(microseconds=1) for w in windows[:3]}
    other = {Window(w.start, w.end - timedelta(minutes=1)): now for w in windows if w not in pulled}

    found = by_window(cadence).due(start, now, pulled=pulled | early | other)

    assert found == [w for w in windows if w not in pulled or w in early]
