"""What a single call of a guarded connection uses, is told and waits for."""

from contextlib import suppress

import msgspec
import pytest

from integrations.error_handling.guard import Exchange
from integrations.error_handling.limits import Limit
from integrations.error_handling.quota import QuotaGuard
from integrations.error_handling.retry import Retry
from integrations.errors import IntegrationError, QuotaSpent, RetryLater, StopStream
from integrations.transport.ahead import Ahead
from integrations_tests.error_handling.crowd import Clock, Kept

THINGS = "GET /things"


class One:
    """One process, alone or `beside` another one, at a time that only the test moves."""

    def __init__(self, *limits: Limit, beside: "One | None" = None) -> None:
        self.clock = beside.clock if beside else Clock()
        self.kept = beside.kept if beside else Kept(self.clock)
        self.guard = QuotaGuard(
            limits, holder=f"{id(self)}", now=self.clock.now, shared=self.kept, known=True
        )

    def call(
        self,
        endpoint: str = THINGS,
        *,
        status: int | None = 200,
        error: IntegrationError | None = None,
        body: object = None,
        **headers: str,
    ) -> None:
        exchange = Exchange(endpoint)
        with self.guard.around(exchange):
            exchange.status, exchange.error = status, error
            exchange.headers = {name.replace("_", "-"): value for name, value in headers.items()}
            exchange.body = b"" if body is None else msgspec.json.encode(body)

    def waits(self, endpoint: str = THINGS) -> float:
        """How long a call is held back; 0 for not at all, and then it is not made."""
        try:
            self.call(endpoint, status=None)
        except QuotaSpent as error:
            return error.wait_s
        return 0.0

    def left(self) -> dict[str, float]:
        return {use.name: use.left for use in self.guard.uses()}


LIMITS = [
    (Limit(calls=9, per_s=6), THINGS, "9 calls in 6 s"),
    (Limit(calls=9, per_s=6, method="GET"), THINGS, "9 calls in 6 s of GET"),
    (Limit(calls=9, per_s=6, method="POST"), THINGS, None),
    (Limit(calls=9, per_s=6, method="POST"), "data.orders", "9 calls in 6 s of POST"),
    (Limit(calls=9, per_s=6, endpoint="/things"), THINGS, "9 calls in 6 s of /things"),
    (Limit(calls=9, per_s=6, endpoint="/things"), "GET /things/{key}", "9 calls in 6 s of /things"),
    (Limit(calls=9, per_s=6, endpoint="/things"), "GET /thingsome", None),
    (Limit(calls=9, per_s=6, each_endpoint=True), THINGS, f"9 calls in 6 s of {THINGS}"),
    (Limit(calls=9, per_s=0.5, errors=(404,)), THINGS, "9 errors in 0.5 s"),
]


@pytest.mark.parametrize(("limit", "endpoint", "name"), LIMITS)
def test_which_calls_a_limit_is_for(limit: Limit, endpoint: str, name: str | None) -> None:
    """By method, by path and what is below it, all together or each for itself."""
    assert (limit.name(endpoint) if limit.applies(endpoint) else None) == name


def test_a_limit_of_errors_counts_errors_alone() -> None:
    """As many calls as one likes; but no further one when so many have failed, until they count no
    more. Other endpoints go on."""
    one = One(Limit(calls=3, per_s=3600, errors=(404,), each_endpoint=True))
    for _ in range(50):
        one.call()
    for _ in range(3):
        assert one.waits() == 0
        one.call(status=404, error=StopStream("not there"))
        one.clock.seconds += 600
    assert one.waits() == pytest.approx(3600 - 1800, abs=40)
    assert one.waits("GET /others") == 0


def test_a_limit_of_cost_counts_what_answers_say() -> None:
    """A call is held back when what its like have cost is not there."""
    one = One(Limit(calls=1000, per_s=60, cost="complexity"))
    for _ in range(9):
        one.clock.seconds += one.waits("data.orders")
        one.call("data.orders", body={"data": {"orders": {"complexity": 101}}})
    assert one.clock.seconds < 60
    assert one.left() == {"1000 credits in 60 s": pytest.approx(91)}
    assert one.waits("data.orders") > 0
    assert one.waits("data.shipments") < 60


def test_a_throttle_inside_a_200_says_what_is_left() -> None:
    """Others use the credits too: what is lacking counts for as long as the source says."""
    one = One(Limit(calls=4004, per_s=67, cost="complexity"))
    errors = [{"code": 30, "required_credits": 200, "remaining_credits": 7}]
    error = RetryLater("throttled", retry_after=10.0)
    one.call("data.orders", error=error, body={"errors": errors})
    assert one.left() == {"4004 credits in 67 s": pytest.approx(7, abs=1)}
    assert one.waits("data.orders") == 10
    one.clock.seconds += 11
    assert one.waits("data.orders") == 0


RESET = {"X_RateLimit_Limit": "9", "X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "50.5"}


@pytest.mark.parametrize(
    ("status", "asked", "waits"),
    [
        (200, None, 50.5),  # the last one that was allowed
        (429, None, 50.5),
        (429, 7.0, 7.0),
        (429, 99.0, 99.0),
        (503, 7.0, 50.5),  # about the source's health, which is not looked after here
    ],
)
def test_retry_after_takes_precedence(status: int, asked: float | None, waits: float) -> None:
    """Over the reset of the same answer, whichever is longer."""
    one = One()
    error = RetryLater("busy", retry_after=asked) if status != 200 else None
    one.call(status=status, error=error, **RESET)
    assert one.waits() == waits
    one.clock.seconds += waits + 0.01
    assert one.waits() == 0


def test_an_endpoint_that_is_new_may_be_under_any_quota_that_was_told() -> None:
    """Until its own answers say otherwise."""
    one = One()
    one.call(**RESET)
    assert one.waits("GET /others") == 50.5
    one = One()
    one.call("GET /others", **(RESET | {"X_RateLimit_Limit": "5", "X_RateLimit_Remaining": "5"}))
    one.call(**RESET)
    assert (one.waits("GET /others"), one.waits()) == (0.0, 50.5)


def test_what_the_first_call_of_a_window_is_told_all_know_at_once() -> None:
    """Until then they are held back; whatever that process does next."""
    one = One()
    one.call(**RESET)
    one.guard.uses()
    other = One(beside=one)
    one.clock.seconds += 51
    exchange = Exchange(THINGS)
    with one.guard.around(exchange):
        exchange.status = 200
        exchange.headers = {"X-RateLimit-Limit": "9", "X-RateLimit-Remaining": "8"}
        exchange.headers |= {"X-RateLimit-Reset": "60.5"}
        assert 0 < other.waits() <= 1
    one.clock.seconds += 1.1
    assert other.waits() == 0


def test_a_clock_that_is_set_back_holds_nothing_back_for_long() -> None:
    """What was granted by the old time is asked for anew."""
    one = One(Limit(calls=100, per_s=60))
    one.clock.seconds = 7200
    one.call(status=429, error=RetryLater("busy", retry_after=30.0))
    one.clock.seconds = 0
    assert one.waits() <= 60


def test_what_was_not_sent_uses_nothing() -> None:
    """A guard behind this one held it back."""
    one = One(Limit(calls=100, per_s=60))
    for _ in range(200):
        one.call(status=None)
    assert one.left() == {"100 calls in 60 s": 100}


class Turns:
    """A call that is held back for these seconds in turn, or fails so, and is then made."""

    def __init__(self, *waits: float | IntegrationError) -> None:
        self.waits, self.slept, self.told = list(waits), list[float](), list[float]()

    def __call__(self) -> str:
        if not self.waits:
            return "made"
        wait = self.waits.pop(0)
        raise wait if isinstance(wait, IntegrationError) else QuotaSpent("held back", wait_s=wait)

    def run(self, retry: Retry) -> str:
        return retry.run(
            self,
            sleep=self.slept.append,
            random=lambda: 1.0,
            on_retry=lambda _, wait: self.told.append(wait),
        )


def test_a_turn_is_waited_for_exactly_and_is_no_attempt() -> None:
    """However short it is; and what else is waited for begins with its first step after it."""
    call = Turns(0.02, 0.3, 0.3, RetryLater("busy"), 5.0, RetryLater("busy"))
    assert call.run(Retry(budget_s=6)) == "made"
    assert call.slept == [0.02, 0.3, 0.3, 1, 5.0, 2]


def test_a_call_waits_for_its_turns_as_long_as_a_pull_has_patience() -> None:
    """In many slices or in one; then it says what it waits for, and until when."""
    call = Turns(*[60.0] * 20)
    with pytest.raises(QuotaSpent, match="held back after 900 s in which it was, and a pull wa"):
        call.run(Retry(budget_s=900))
    assert len(call.slept) == 15
    with pytest.raises(QuotaSpent, match="Run it again in 3600 s") as caught:
        Turns(3600.0).run(Retry(budget_s=900))
    assert caught.value.retry_after == 3600


def test_a_call_that_was_held_back_ahead_is_made_when_it_is_wanted() -> None:
    """What it would have had to wait then, nobody waits now."""
    call = Turns(99.0)
    ahead = Ahead[str](2)
    ahead.put(call)
    ahead.start()
    with suppress(IndexError):
        assert ahead.take()() == "made"
