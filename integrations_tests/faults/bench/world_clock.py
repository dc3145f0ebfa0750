"""Our clock, an hour off, and changing between two syncs."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any

from integrations_tests.faults.bench import proxy
from integrations_tests.faults.bench.cases import Case, Fate, Kind, Plant
from integrations_tests.faults.bench.rig import LISTS, Ran, Rig
from integrations_tests.faults.bench.world_acts import Act, worst

HOUR_S = 3600.0
A_WHILE = timedelta(minutes=20)

NOT_YET: Mapping[Kind, Fate] = {
    "window": "healed", "full": "healed", "cursor": "recovered", "feed": "recovered",
}  # fmt: skip
LATER = (
    "By our clock the day has not passed, or no day since the last reading, so"
    " nothing is due: the first sync after that brings it."
)
AGAIN: Mapping[Kind, Fate] = {
    "window": "recovered", "full": "healed", "cursor": "healed", "feed": "recovered",
}  # fmt: skip
EARLY = (
    "A window that was read before its end by the source's clock, which its answers' dates tell, is"
    " due again when it has passed, with or without a feed. A full list is read once a day, this"
    " cursor once an hour, and what came after a reading comes with the next one."
)
BLIND = (
    "Without dates our clock is all there is, and by it the window was read after its end: what came"
    " later on that day is brought by the feed, where there is none by `sync --full`."
)


def off(seconds: float) -> Plant:
    """Our clock is ahead of the source's by so much."""

    @contextmanager
    def held(rig: Rig) -> Iterator[None]:
        rig.clock.off(seconds)
        try:
            yield
        finally:
            rig.clock.off(0.0)

    return held


def jumping(*offs: float) -> Act:
    """Two days, each synced by a clock that is off by another amount."""

    def act(rig: Rig) -> Ran:
        ran = []
        for seconds in offs:
            if ran:
                rig.goes_on()
            rig.clock.off(seconds)
            ran.append(rig.sync())
        return worst(ran)

    return act


def around_midnight(*, then_off: float) -> Act:
    """Synced when the day has ended by our clock only; something still happens on that day, and
    when it has ended by the source's clock too all is synced once more."""

    def act(rig: Rig) -> Ran:
        midnight = (rig.clock.true() + timedelta(days=1)).replace(hour=0, minute=0)
        rig.clock.set(midnight - A_WHILE)
        early = rig.sync()
        rig.source.later()
        rig.clock.set(midnight + A_WHILE)
        rig.clock.off(then_off)
        return worst([early, rig.sync()])

    return act


@contextmanager
def ahead_of_who_tells_no_time(rig: Rig) -> Iterator[None]:
    """The same of a source whose answers have no date."""
    dateless = proxy.changed(lambda answer: answer.header("Date", None))
    with off(HOUR_S)(rig), rig.proxy.planted(dateless, path=LISTS[rig.kind]):
        yield


def case(name: str, plant: Callable[[Rig], AbstractContextManager[object]], **given: Any) -> Case:
    return Case(name=name, group="clock", plant=plant, **{"expect": "recovered"} | given)


CASES = (
    case("an hour ahead", off(HOUR_S)),
    case("an hour behind", off(-HOUR_S), expect=NOT_YET, why=LATER),
    case("ahead, then behind", off(0.0), act=jumping(HOUR_S, -HOUR_S), expect=NOT_YET, why=LATER),
    case("behind, then ahead", off(0.0), act=jumping(-HOUR_S, HOUR_S)),
    case("a day that has ended by our clock only", off(HOUR_S), act=around_midnight(then_off=HOUR_S), expect=AGAIN, why=EARLY),
    case("a day that has ended by our clock only, which is then set right", off(HOUR_S), act=around_midnight(then_off=0.0), expect=AGAIN, why=EARLY),
    case("a day that has ended by our clock only, of a source that tells no time", ahead_of_who_tells_no_time, act=around_midnight(then_off=HOUR_S), kinds=("window",), expect="healed", why=BLIND),
)  # fmt: skip
