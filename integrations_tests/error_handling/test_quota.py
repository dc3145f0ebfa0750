"""A quota is kept to and used up, by all processes together: in a time that is computed."""

from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import pairwise

import pytest

from integrations.error_handling.limits import Limit
from integrations_tests.error_handling.crowd import Crowd, Process, Source

CALLS, MINUTE = 100, 60.0
PROCESSES = 16
DECLARED = Limit(calls=CALLS, per_s=MINUTE)

Tell = Callable[[int, float, datetime], Mapping[str, str]]


def three(form: Callable[[float, datetime], str]) -> Tell:
    """Three headers, with a reset of this form."""
    return lambda left, more_in, now: {
        "X-RateLimit-Limit": str(CALLS),
        "X-RateLimit-Remaining": str(left),
        "X-RateLimit-Reset": form(more_in, now),
        "Date": f"{now:%a, %d %b %Y %H:%M:%S} GMT",
    }


TOLD: dict[str, Tell | None] = {
    "declared": None,
    "seconds, rounded down": three(lambda more_in, now: str(int(more_in))),
    "seconds, rounded up": three(lambda more_in, now: str(int(more_in) + 1)),
    "milliseconds since 1970": three(
        lambda more_in, now: str(int((now.timestamp() + more_in) * 1000))
    ),
    "the draft's": lambda left, more_in, now: {
        "RateLimit-Policy": f'"all";q={CALLS};w={MINUTE:g}',
        "RateLimit": f'"all";r={left};t={int(more_in)}',
    },
}


def crowd(kind: str, tell: Tell | None, *, calls: int = CALLS) -> Crowd:
    """Sixteen processes that have just begun, and a source of a kind."""
    found = Crowd(Source(kind, calls, MINUTE, tell))
    for _ in range(PROCESSES):
        found.join(*([] if tell else [DECLARED]))
    return found


def used(made: list[float], *, begin: float = 0.0) -> int:
    """How many of the calls were made in the minute from then on."""
    return sum(1 for at in made if begin <= at < begin + MINUTE)


@pytest.mark.parametrize("told", TOLD)
@pytest.mark.parametrize("kind", ["window", "sliding", "bucket"])
def test_sixteen_processes_use_a_quota_up_and_no_more(kind: str, told: str) -> None:
    """Of 100 calls a minute at least 95 are made, in each minute, and none is refused: whatever
    the source counts by, and however it tells."""
    many = crowd(kind, TOLD[told])
    many.run(3 * MINUTE)
    assert many.source.refused == []
    minutes = [used(many.source.taken, begin=begin) for begin in (0, MINUTE, 2 * MINUTE)]
    assert min(minutes) >= 95


def test_what_is_scarce_is_spread() -> None:
    """Half of a window goes as fast as it can; the rest does not come in a second, but is still
    made before its end."""
    many = crowd("window", TOLD["milliseconds since 1970"])
    many.run(MINUTE - 0.01)
    assert len(many.source.taken) == CALLS
    assert many.source.taken[CALLS // 2 - PROCESSES] < 3
    late = many.source.taken[CALLS // 2 + PROCESSES :]
    gaps = [after - before for before, after in pairwise(late)]
    assert (min(gaps) > 0.2, max(gaps) < 3, late[-1] > 45) == (True, True, True)


def test_a_few_calls_are_not_slowed_down() -> None:
    """Who needs less than half of a window waits for nothing."""
    one = Crowd(Source("window", CALLS, MINUTE, TOLD["seconds, rounded down"]), latency_s=0.05)
    process = one.join()
    one.run(2.0)
    assert len(process.made) >= 35


def test_it_is_asked_for_now_and_then() -> None:
    """A twentieth of a window at a time, not call by call, as long as it is plenty."""
    one = Crowd(Source("window", 10_000, MINUTE))
    one.join(Limit(calls=10_000, per_s=MINUTE))
    one.run(30.0)
    assert len(one.source.taken) > 500
    assert one.kept.exchanges <= 12


def test_without_quotas_nothing_is_asked_for() -> None:
    """Neither at the first call nor later."""
    one = Crowd(Source("window", 10**9, MINUTE))
    process = one.join()
    one.run(10.0)
    process.guard.close()
    assert (len(process.made) > 100, one.kept.exchanges) == (True, 0)


def test_what_a_dead_process_had_comes_back() -> None:
    """Its lease counts as used until the window is over; then all of it is there again."""
    many = crowd("sliding", None)
    for process in many.processes[1:]:
        process.dies_at = 0.4
    many.run(4 * MINUTE)
    assert many.source.refused == []
    first, *_, last = (used(many.source.taken, begin=begin) for begin in (0, 60, 120, 180))
    assert (first >= 50, last >= 95) == (True, True)


def test_a_dead_probe_holds_nobody_up_for_long() -> None:
    """The one call after a window's end that all others wait for is never answered."""
    two = Crowd(Source("window", CALLS, MINUTE, TOLD["milliseconds since 1970"]))
    dying, other = two.join(), two.join()
    two.run(50.0)
    dying.dies_at = MINUTE + 0.06
    two.run(2 * MINUTE - 0.1)
    assert two.source.refused == []
    assert used(other.made, begin=MINUTE) >= 90


def live_beside(*, backfills: int) -> tuple[Process, Crowd]:
    """A live sync that begins when backfills have had all that they get."""
    many = Crowd(Source("sliding", CALLS, MINUTE))
    for _ in range(backfills):
        many.join(DECLARED, backfill=True)
    live = many.join(DECLARED, at=55.0)
    many.run(59.0)
    return live, many


def test_a_backfill_leaves_a_fifth_to_the_live_sync() -> None:
    """However many calls it has to make, and without being refused."""
    live, many = live_beside(backfills=8)
    assert sum(len(one.made) for one in many.processes if one is not live) == 80
    assert len(live.made) >= 10
    many.run(5 * MINUTE)
    assert many.source.refused == []


def test_a_process_that_is_done_gives_back_what_it_has() -> None:
    """What it did not use is there for others, at once."""
    many = Crowd(Source("window", CALLS, MINUTE))
    first = many.join(DECLARED, dies_at=0.5)
    many.run(0.6)
    made = len(first.made)
    first.guard.close()
    second = many.join(DECLARED, at=1.0)
    many.run(59.0)
    assert made + len(second.made) == CALLS


def test_each_process_keeps_to_it_alone_where_there_is_no_budget_for_all() -> None:
    """What one cannot know of others, the source tells it: but for the last call of a window, at
    which both may come at once, nothing is refused."""
    many = Crowd(Source("window", CALLS, MINUTE, TOLD["milliseconds since 1970"]))
    for _ in range(2):
        many.join(alone=True)
    many.run(3 * MINUTE)
    assert (len(many.source.refused) <= 3, many.kept.exchanges) == (True, 0)
    assert used(many.source.taken, begin=MINUTE) >= 95
