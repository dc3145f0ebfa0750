"""The one retry: how long to wait before a call that may succeed later is made again."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field

from integrations.errors import CircuitOpen, QuotaSpent, RetryLater

T = TypeVar("T")


@dataclass
class Waited:
    """The seconds that the calls of one pull have waited so far, between all of their attempts,
    of our own accord: not what the source has asked for."""

    seconds: float = 0.0


_LEAST = 0.05
"""The least share of a ceiling that is waited: chance alone could make a busy loop."""
_ON_TOP = 0.25
"""The share of what a source asks for that is the least ceiling of what comes on top: else a crowd
that is told the same minute would come back within the first step's second."""


class Retry(BaseModel):
    """Waits a random part of 1, 2, 4 … 300 s between attempts, and `budget_s` in all; in seconds.

    So callers who failed together do not come back together ("full jitter",
    aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter). What a source asks for is
    waited in full, and the random part on top, for it tells the same to all of them.

    The calls of one pull share its budget, so a window whose every page fails ends all the same.
    What the source asks for counts for its call alone: one that says again and again how long it is
    busy is read on for as long as it answers in between. So does, apart from all else, what a call
    waits that a quota holds back: it was not made, so that is no attempt and no failure. The
    default budget is three of the longest waits: what is down for longer is for the next scheduled
    run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    budget_s: float = Field(default=900.0, ge=0)
    first_s: float = Field(default=1.0, gt=0)
    ceiling_s: float = Field(default=300.0, gt=0)

    def run(
        self,
        call: Callable[[], T],
        *,
        sleep: Callable[[float], None],
        random: Callable[[], float],
        on_retry: Callable[[RetryLater, float], None] | None = None,
        waited: Waited | None = None,
    ) -> T:
        """What `call` returns, made again for as long as it raises `RetryLater` and time is left.

        `random` gives a number in [0, 1). `on_retry` hears the error and the seconds before each
        wait; `waited` is what the pull has spent before, and is kept up to date. A `retry_after`
        that the budget cannot pay ends it at once, and so does a `CircuitOpen`. The last
        `RetryLater` is raised with the number of attempts.
        """
        waited, here = waited or Waited(), 0.0
        attempted = self._in_turn(call, sleep, on_retry)
        for attempt in itertools.count(1):
            try:
                return attempted()
            except (QuotaSpent, CircuitOpen):
                raise  # that is for longer than is worth a process that waits
            except RetryLater as error:
                wait, asked = self._wait(error, attempt, random), self._asked(error)
                spent = max(here, waited.seconds) if asked is None else here
                if spent + (wait if asked is None else asked) > self.budget_s:
                    raise self._spent(error, attempt, spent) from error
                if on_retry is not None:
                    on_retry(error, wait)
            sleep(wait)
            here += wait
            if asked is None:
                waited.seconds += wait
        raise AssertionError("unreachable: the attempts are endless")

    def _in_turn(
        self,
        call: Callable[[], T],
        sleep: Callable[[float], None],
        on_retry: Callable[[RetryLater, float], None] | None,
    ) -> Callable[[], T]:
        """The call, which waits for its turn under a quota: in all of its attempts together for as
        long as the budget, whatever else is waited."""
        held = 0.0

        def attempted() -> T:
            nonlocal held
            while True:
                try:
                    return call()
                except QuotaSpent as error:
                    if held + error.wait_s > self.budget_s:
                        raise self._never(error, held) from error
                    wait = error.wait_s
                    held += wait
                    if on_retry is not None:
                        on_retry(error, wait)
                sleep(wait)

        return attempted

    def _never(self, error: QuotaSpent, held: float) -> QuotaSpent:
        more = f" after {held:.0f} s in which it was" if held else ""
        return QuotaSpent(
            f"{error.what}{more}, and a pull waits {self.budget_s:.0f} s for that",
            wait_s=error.wait_s,
            where=error.where,
            todo=error.todo or f"Run it again in {error.wait_s:.0f} s.",
        )

    def _asked(self, error: RetryLater) -> float | None:
        """How long the source says to wait. `Retry-After: 0` is common and says nothing."""
        asked = error.retry_after
        return asked if asked is not None and asked >= self.first_s else None

    def _wait(self, error: RetryLater, attempt: int, random: Callable[[], float]) -> float:
        asked = error.retry_after or 0.0
        # 2**60 s is beyond any ceiling, and the power stays small whatever the attempts.
        step = self.first_s * 2.0 ** min(attempt - 1, 60)
        ceiling = min(self.ceiling_s, max(step, asked * _ON_TOP))
        return asked + ceiling * (_LEAST + (1 - _LEAST) * random())

    def _spent(self, error: RetryLater, attempts: int, waited: float) -> RetryLater:
        tries = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        asked = error.retry_after
        why = f"; it asks for {asked:.0f} s, more than is left" if asked and asked > 0 else ""
        return RetryLater(
            f"{error.what} (gave up after {tries}: {waited:.0f} s were waited, of "
            f"{self.budget_s:.0f} s for the pull{why})",
            where=error.where,
            todo=error.todo or "Run it again later.",
            retry_after=asked,
        )
