"""The one retry: what it waits, when it stops, and what it says then."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from random import Random

import pytest

from integrations.error_handling.retry import Retry, Waited
from integrations.errors import CircuitOpen, FixConfig, RetryLater, StopConnection, StopStream


class Failing:
    """A call that fails with these errors in turn and then returns "done"; keeps the waits."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0
        self.waits: list[float] = []

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"

    def run(self, retry: Retry, random: Callable[[], float] = lambda: 1.0) -> str:
        return retry.run(self, sleep=self.waits.append, random=random)


def busy(times: int, retry_after: float | None = None) -> list[Exception]:
    return [RetryLater("busy", retry_after=retry_after) for _ in range(times)]


def test_a_call_that_succeeds_is_made_once() -> None:
    """No wait, no second call."""
    call = Failing()
    assert call.run(Retry()) == "done"
    assert (call.calls, call.waits) == (1, [])


def test_the_ceilings_double_up_to_300_seconds() -> None:
    """With the jitter at its top the waits are the ceilings themselves."""
    call = Failing(*busy(12))
    assert call.run(Retry(budget_s=10_000)) == "done"
    assert call.waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


@pytest.mark.parametrize("random", [0.0, 0.25, 0.5, 0.999])
def test_the_jitter_stays_inside_the_ceiling(random: float) -> None:
    """A wait is any part of its ceiling, but for a little that keeps it from being none."""
    call = Failing(*busy(11))
    call.run(Retry(budget_s=10_000), random=lambda: random)
    ceilings = [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert call.waits == [pytest.approx(each * (0.05 + 0.95 * random)) for each in ceilings]


def test_other_figures_scale_it() -> None:
    """`first_s` and `ceiling_s` are what they say."""
    call = Failing(*busy(4))
    call.run(Retry(first_s=0.1, ceiling_s=0.3))
    assert call.waits == [pytest.approx(wait) for wait in (0.1, 0.2, 0.3, 0.3)]


@pytest.mark.parametrize(
    ("asked", "random", "expected"),
    [
        (7.0, 0.0, 7.0 + 0.05 * 7 / 4),
        (7.0, 1.0, 7.0 + 7 / 4),
        (7.0, 0.5, 7.0 + 0.525 * 7 / 4),
        (1.0, 1.0, 1.0 + 1.0),  # of the step, where that is more than a quarter
        (450.0, 1.0, 450.0 + 450 / 4),  # beyond the ceiling, within the budget
        (850.0, 1.0, 850.0 + 850 / 4),  # what comes on top is not the source's doing
        (0.0, 0.0, 0.05),  # else a server that says 0 would be called in a busy loop
        (0.2, 1.0, 0.2 + 1.0),
    ],
)
def test_retry_after_is_a_floor(asked: float, random: float, expected: float) -> None:
    """A random part comes on top: the source tells the same to all."""
    call = Failing(*busy(1, retry_after=asked))
    call.run(Retry(), random=lambda: random)
    assert call.waits == [pytest.approx(expected)]


def test_what_comes_on_top_has_a_ceiling_too() -> None:
    """As all waits have."""
    call = Failing(*busy(1, retry_after=4_000.0))
    call.run(Retry(budget_s=4_000))
    assert call.waits == [4_300]


def test_retry_after_does_not_disturb_the_steps() -> None:
    """The next wait without one is that of its attempt; what comes on top grows with them."""
    call = Failing(*busy(3), *busy(1, retry_after=3.0), *busy(1))
    call.run(Retry())
    assert call.waits == [1, 2, 4, 3 + 8, 16]


def test_a_retry_after_beyond_the_budget_ends_it_at_once() -> None:
    """Nobody waits a day in a run; the error keeps what was asked for."""
    call = Failing(*busy(1, retry_after=86_400.0))
    with pytest.raises(RetryLater, match=r"gave up after 1 attempt:.*asks for 86400 s") as caught:
        call.run(Retry())
    assert (call.calls, call.waits) == (1, [])
    assert caught.value.retry_after == 86_400.0


def test_the_budget_bounds_the_sum_of_the_waits() -> None:
    """The last error is raised, with its place and the number of attempts."""
    call = Failing(*[RetryLater(f"busy {n}", where="stripe/main/charges") for n in range(99)])
    with pytest.raises(RetryLater) as caught:
        call.run(Retry(budget_s=20))
    assert call.waits == [1, 2, 4, 8]
    assert str(caught.value) == (
        "stripe/main/charges: busy 4 (gave up after 5 attempts: 15 s were waited, of 20 s for the pull). "
        "Run it again later."
    )
    assert isinstance(caught.value.__cause__, RetryLater)


def test_the_default_budget_is_a_quarter_of_an_hour() -> None:
    """1 + 2 + … + 256 + 300 s fit; a further 300 s do not."""
    call = Failing(*busy(99))
    with pytest.raises(RetryLater):
        call.run(Retry())
    assert (len(call.waits), sum(call.waits)) == (10, 811)


def test_no_budget_means_no_second_attempt() -> None:
    """A budget of 0 turns it off."""
    call = Failing(*busy(1))
    with pytest.raises(RetryLater):
        call.run(Retry(budget_s=0))
    assert call.calls == 1


@pytest.mark.parametrize(
    "error",
    [
        StopStream("x"),
        StopConnection("x"),
        FixConfig("x"),
        CircuitOpen("x", until=datetime.now(UTC)),
        ValueError(),
        KeyboardInterrupt(),
    ],
)
def test_only_retry_later_is_retried(error: BaseException) -> None:
    """Every other error passes at once, the same object, and so does that nobody may ask."""
    call = Failing(error)  # type: ignore[arg-type]
    with pytest.raises(type(error)) as caught:
        call.run(Retry())
    assert caught.value is error
    assert (call.calls, call.waits) == (1, [])


def test_each_wait_is_told_before_it_begins() -> None:
    """`on_retry` hears the error and the seconds, and nothing of the last failure."""
    told: list[tuple[str, float]] = []
    call = Failing(*busy(9))
    with pytest.raises(RetryLater):
        Retry(budget_s=3).run(
            call,
            sleep=lambda wait: told.append(("slept", wait)),
            random=lambda: 1.0,
            on_retry=lambda error, wait: told.append((error.what, wait)),
        )
    assert told == [("busy", 1), ("slept", 1), ("busy", 2), ("slept", 2)]


def test_the_calls_of_a_pull_share_its_budget() -> None:
    """A window of many pages that each fail a little ends like one that fails once for long."""
    retry, waited = Retry(budget_s=5), Waited()
    waits: list[float] = []
    for number in range(1, 8):
        call = Failing(*busy(1))
        if number == 6:
            with pytest.raises(RetryLater, match=r"1 attempt: 5 s were waited, of 5 s"):
                retry.run(call, sleep=waits.append, random=lambda: 1.0, waited=waited)
            break
        retry.run(call, sleep=waits.append, random=lambda: 1.0, waited=waited)
    assert waits == [1, 1, 1, 1, 1]


def test_a_source_that_says_how_long_it_is_busy_is_read_on() -> None:
    """A long list under a quota would never be read to its end: each page is answered at last."""
    retry, waited = Retry(budget_s=100), Waited()
    waits: list[float] = []
    for _ in range(50):
        call = Failing(*busy(1, retry_after=60))
        assert retry.run(call, sleep=waits.append, random=lambda: 1.0, waited=waited) == "done"
    assert (waits, waited.seconds) == ([60 + 15] * 50, 0.0)
    with pytest.raises(RetryLater, match="2 attempts: 75 s were waited"):
        retry.run(
            Failing(*busy(9, retry_after=60)),
            sleep=waits.append,
            random=lambda: 1.0,
            waited=waited,
        )


OUTAGE_S = 30.0
WORKERS = 50


def calls_after(outage_s: float, random: Callable[[], float], *, told: bool) -> Counter[int]:
    """How many calls come in each second after an outage, of workers that it hit all at once;
    `told` says to each of them when it is over."""

    def worker() -> Iterator[float]:
        """When one calls, which comes out before it is waited for."""
        calls: list[float] = []
        now = 0.0

        def call() -> None:
            if now < outage_s:
                raise RetryLater("busy", retry_after=outage_s - now if told else None)

        def sleep(seconds: float) -> None:
            nonlocal now
            now += seconds
            calls.append(now)

        Retry().run(call, sleep=sleep, random=random)
        yield from calls

    calls = heapq.merge(*(worker() for _ in range(WORKERS)))
    return Counter(int(at) for at in calls if at >= outage_s)


@pytest.mark.parametrize("told", [False, True], ids=["in silence", "told when"])
def test_workers_who_failed_together_do_not_come_back_together(*, told: bool) -> None:
    """The peak of calls a second after an outage is at most a third of what it is without jitter."""
    without = max(calls_after(OUTAGE_S, lambda: 1.0, told=told).values())
    assert without == WORKERS
    for seed in range(20):
        jittered = calls_after(OUTAGE_S, Random(seed).random, told=told)
        assert sum(jittered.values()) == WORKERS
        assert max(jittered.values()) * 3 <= without
