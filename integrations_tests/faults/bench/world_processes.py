"""Processes beside each other, and a laptop whose lid is closed."""

import signal
import time
from datetime import timedelta
from typing import Any

from integrations_tests.faults.bench import proxy
from integrations_tests.faults.bench.cases import Case, Kind, NotMet, Plant
from integrations_tests.faults.bench.launched import LAUNCHED
from integrations_tests.faults.bench.rig import LISTS, SELECT, Ran, Rig
from integrations_tests.faults.bench.world_acts import Act, Deed, at, nothing, worst

LID_S = 0.6
"""Longer than the bench's source is waited for: a connection in use has then timed out."""
AWAY = timedelta(minutes=20)
"""What it stands for: the clock goes on by so much."""


def both_at_once(rig: Rig) -> Ran:
    """Two syncs of the stream, begun together."""
    started = [rig.begin(), rig.begin()]
    return worst([one.wait() for one in started])


def one_stands_at(barrier: str) -> Act:
    """A second sync goes all the way while the first one stands still there."""

    def act(rig: Rig) -> Ran:
        first = rig.begin(at=(barrier, 1))
        if not first.stopped():
            raise NotMet(f"the first sync never came to {barrier}")
        second = rig.sync()
        first.signal(signal.SIGCONT)
        return worst([first.wait(), second])

    return act


def second_waits_at(barrier: str) -> Act:
    """A second sync begins while the first one stands still with its locks, and both end."""

    def act(rig: Rig) -> Ran:
        first = rig.begin(at=(barrier, 1))
        if not first.stopped():
            raise NotMet(f"the first sync never came to {barrier}")
        second = rig.begin()
        time.sleep(LID_S)
        first.signal(signal.SIGCONT)
        return worst([first.wait(), second.wait()])

    return act


def while_a_run_stands_at(barrier: str) -> Act:
    """A whole sync while a run of `integrations up` of the same stream stands still there."""

    def act(rig: Rig) -> Ran:
        run = rig.command(LAUNCHED, *SELECT[rig.kind], at=(barrier, 1))
        if not run.stopped():
            raise NotMet(f"the run never came to {barrier}: {run.wait()}")
        synced = rig.sync()
        run.signal(signal.SIGCONT)
        return worst([run.wait(), synced])

    return act


def beside_a_drain(rig: Rig) -> Ran:
    """A whole sync while a process that drains the feed stands still in a turn; that one goes on
    with turns after it."""
    drain = rig.command("drain", "--every", "0.05", *SELECT[rig.kind], at=("fetched", 1))
    if not drain.stopped():
        raise NotMet(f"the drain never read a page: {drain.wait()}")
    synced = rig.sync()
    drain.signal(signal.SIGCONT)
    time.sleep(LID_S)
    drain.signal(signal.SIGTERM)
    return worst([drain.wait(), synced])


def beside_the_feed(rig: Rig) -> Ran:
    """The stream, and the other lane of the same account."""
    started = [rig.begin(), rig.begin("stripe/main")]
    return worst([one.wait() for one in started])


def lid_closed(rig: Rig) -> None:
    """Our process stands still already; meanwhile time goes on."""
    rig.clock.set(rig.clock.true() + AWAY)
    time.sleep(LID_S)


def hung_up(rig: Rig) -> Any:
    """The source ends a connection that was silent for minutes."""
    return rig.proxy.planted(proxy.hang_up, path=LISTS[rig.kind], after=1, times=1)


def lid(
    name: str, barrier: str, *, plant: Plant = nothing, deed: Deed = lid_closed, nth: int = 1
) -> Case:
    return case(f"lid closed {name}", act=at(barrier, deed, nth=nth), plant=plant)


def case(name: str, *, act: Act, plant: Plant = nothing, **given: Any) -> Case:
    return Case(
        name=name, group="processes", plant=plant, act=act, **{"expect": "recovered"} | given
    )


STRIPE: tuple[Kind, ...] = tuple(kind for kind, names in SELECT.items() if "stripe" in names[0])

CASES = (
    case("two syncs at once", act=both_at_once),
    case("a whole sync while one reads a page", act=one_stands_at("fetched")),
    case("a whole sync while one has landed", act=one_stands_at("landed")),
    case("a second sync waits for a load", act=second_waits_at("merging")),
    case("a sync beside a run of `up` that reads a page", act=while_a_run_stands_at("fetched")),
    case(
        "a sync beside a run of `up` that has landed",
        act=while_a_run_stands_at("landed"),
        kinds=("window", "feed"),
    ),
    case("a sync beside `drain`", act=beside_a_drain, kinds=("feed",)),
    case("a sync beside all of its account", act=beside_the_feed, kinds=STRIPE),
    lid("while a page is read", "fetched", plant=hung_up),
    lid("in the middle of a load", "merging"),
    lid("while Dagster is told", "committed"),
)
