"""Where a feed begins, and begins anew: what changed before it is not lost, or is named."""

from datetime import timedelta

import pytest

from integrations.connector_template.due import due
from integrations.connector_template.feed import Turn
from integrations.storage import positions
from integrations_tests.lanes import barriers
from integrations_tests.lanes.barriers import Interrupted
from integrations_tests.lanes.conftest import NOON
from integrations_tests.lanes.feeding import assert_fresh, fates
from integrations_tests.lanes.lanes import Clock, Lanes
from integrations_tests.lanes.life import Life


def test_a_gap(begun: Lanes, life: Life, clock: Clock) -> None:
    """Who was away for longer than the source keeps its events is told so; all that the feed speaks
    of is due again, and the feed goes on."""
    old = life.create("charges", created=int((NOON - timedelta(days=1)).timestamp()))
    begun.turn()
    windows = begun.windows("charges")[:-1]
    for window in windows:
        begun.sync("charges", window)
    begun.sync("customers")
    now = clock.goes(days=3)
    fresh = {"charges", "customers"}
    waiting = {name: due(begun.stream(name), begun.connection, now=now) for name in fresh}
    assert waiting["charges"][0][0] not in windows[:2]
    life.change("charges", old, amount=123)
    now = clock.goes(days=31)
    found = begun.turn()
    assert found.gap is not None
    assert found.gap.startswith("gap: nothing was read of stripe/")
    assert found.loaded == []
    assert begun.turn().gap is None, "it is told once"
    (stretch,) = due(begun.stream("charges"), begun.connection, now=now)
    assert stretch[: len(windows)] == windows
    assert due(begun.stream("customers"), begun.connection, now=now) == [[]]
    reset = positions.last_reset(begun.connection, begun.id("charges"))
    assert reset is not None
    assert reset.why == found.gap
    begun.connection.rollback()
    life.create("customers")
    for window in windows:
        begun.sync("charges", window)
    assert fates(begun.turn())["customers"] == {"inserted": 1}
    assert_fresh(begun, life, "charges", "customers")


def test_what_was_landed_before_a_gap_does_not_count(
    begun: Lanes, life: Life, clock: Clock
) -> None:
    """Events that were landed and not loaded are of an earlier generation: they would chain."""
    life.create("customers")
    with barriers.at("feed_landed", barriers.interrupt), pytest.raises(Interrupted):
        begun.turn()
    clock.goes(days=31)
    assert begun.turn().gap is not None
    assert begun.turn() == Turn()
    assert begun.table("customers") == {}


def test_a_feed_that_is_first_read_after_its_streams(
    lanes: Lanes, life: Life, clock: Clock
) -> None:
    """It begins with the oldest pull: what changed since then is not lost."""
    ident = life.create("charges", created=int((NOON - timedelta(days=1)).timestamp()))
    clock.goes(hours=1)
    for window in lanes.windows("charges"):
        lanes.sync("charges", window)
    clock.goes(hours=1)
    life.change("charges", ident, amount=321)
    clock.goes(hours=1)
    lanes.sync("customers")
    assert lanes.turn().loaded
    assert_fresh(lanes, life, "charges", "customers")


def test_a_feed_that_is_first_read_after_a_landing(lanes: Lanes, life: Life, clock: Clock) -> None:
    """Also what was landed and is loaded later: the window is committed with it, and stays so."""
    ident = life.create("charges", created=int((NOON - timedelta(days=1)).timestamp()))
    stream, window, run = lanes.stream("charges"), lanes.windows("charges")[1], lanes.run()
    clock.goes(hours=1)
    landed = lanes.land(stream, window, run)
    clock.goes(minutes=10)
    life.change("charges", ident, amount=321)
    clock.goes(minutes=10)
    lanes.sync("customers")
    clock.goes(hours=3)
    lanes.turn()
    lanes.load(stream, landed, run)
    assert_fresh(lanes, life, "charges")


@pytest.mark.parametrize("off_s", [7_200, -7_200])
def test_a_first_turn_while_our_clock_is_off(
    lanes: Lanes, life: Life, clock: Clock, off_s: int
) -> None:
    """Where the feed begins is told by the source's clock, and not by ours."""
    true = lanes.clock
    lanes.clock = lambda: true() + timedelta(seconds=off_s)
    lanes.turn()
    clock.goes(minutes=10)
    life.create("charges")
    lanes.turn()
    assert_fresh(lanes, life, "charges")
