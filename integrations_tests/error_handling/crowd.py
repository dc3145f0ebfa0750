"""Processes under one quota, in a time that is computed: nobody waits, and each run is the same.

A process makes one call after the other; the source counts as its kind does and refuses what is too
much. What happens between a call and its answer is ordered by the moments at which it happens.
"""

import heapq
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

import msgspec

from integrations.error_handling.budget import Grant, Report, State
from integrations.error_handling.guard import Exchange
from integrations.error_handling.limits import Limit
from integrations.error_handling.quota import QuotaGuard
from integrations.errors import QuotaSpent, RetryLater

BEGIN = datetime(2026, 1, 1, 12, 0, 7, 300_000, tzinfo=UTC)


@dataclass
class Clock:
    """Seconds since the beginning."""

    seconds: float = 0.0

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.seconds)


@dataclass
class Source:
    """One that allows `calls` in `per_s` seconds: in windows of its own clock, in any stretch of
    time, or from a bucket that refills. `tell` gives an answer's headers from what is left, in how
    many seconds there is more, and its clock."""

    kind: str
    calls: int
    per_s: float
    tell: Callable[[int, float, datetime], Mapping[str, str]] | None = None
    taken: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    level: float = 0.0
    drained: float = 0.0

    def ask(self, clock: Clock) -> tuple[int, Mapping[str, str]]:
        now = clock.seconds
        left, more_in = self._left(now)
        status = 200 if left >= 1 else 429
        if status == 200:
            self.taken.append(now)
            self.level += 1
            left -= 1
        else:
            self.refused.append(now)
        told = self.tell(int(left), more_in, clock.now()) if self.tell else {}
        return status, told

    def _left(self, now: float) -> tuple[float, float]:
        if self.kind == "bucket":
            self.level = max(0.0, self.level - (now - self.drained) * self.calls / self.per_s)
            self.drained = now
            return self.calls - self.level, self.level * self.per_s / self.calls
        if self.kind == "window":
            begin = now // self.per_s * self.per_s
            return self.calls - sum(1 for at in self.taken if at >= begin), begin + self.per_s - now
        counted = [at for at in self.taken if at > now - self.per_s]
        more_in = counted[0] + self.per_s - now if counted else self.per_s
        return self.calls - len(counted), more_in


class Kept:
    """A budget for all that is kept as text, as a database would, with a clock of its own."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self.text, self.exchanges = clock, b"{}", 0

    @property
    def now(self) -> float:
        return self._clock.seconds + 1_000_000

    def exchange(self, report: Report) -> tuple[Mapping[str, Grant], State, float]:
        self.exchanges += 1
        state = msgspec.json.decode(self.text, type=State)
        grants = state.exchange(report, self.now)
        state.until(self.now)
        self.text = msgspec.json.encode(state)
        return grants, msgspec.json.decode(self.text, type=State), self.now

    def close(self) -> None:
        """Nothing was opened."""


@dataclass
class Process:
    """One that calls for as long as it may; `pause` is what it does between two calls."""

    guard: QuotaGuard
    pause: float = 0.0
    dies_at: float = float("inf")
    inside: AbstractContextManager[None] | None = None
    exchange: Exchange = field(default_factory=lambda: Exchange("GET /things"))
    made: list[float] = field(default_factory=list)


class Crowd:
    """Processes and the source that they call."""

    def __init__(self, source: Source, *, latency_s: float = 0.05, seed: int = 1) -> None:
        self.clock, self.source = Clock(), source
        self.kept = Kept(self.clock)
        self._latency, self._random = latency_s, Random(seed)
        self.processes: list[Process] = []
        self._happens: list[tuple[float, int, Callable[[], None]]] = []

    def join(
        self,
        *limits: Limit,
        backfill: bool = False,
        at: float = 0.0,
        alone: bool = False,
        **other: float,
    ) -> Process:
        """A further process, from a moment on; `alone` it has a budget of its own."""
        number = len(self.processes)
        guard = QuotaGuard(
            limits,
            holder=f"process {number}",
            now=self.clock.now,
            shared=None if alone else self.kept,
            known=at > 0,
            backfill=backfill,
        )
        process = Process(guard, **other)
        self.processes.append(process)
        self._at(at + self._random.random() * 0.01, lambda: self._call(process))
        return process

    def run(self, until: float) -> None:
        while self._happens and self._happens[0][0] <= until:
            self.clock.seconds, _, happen = heapq.heappop(self._happens)
            happen()

    def _at(self, moment: float, happen: Callable[[], None]) -> None:
        heapq.heappush(
            self._happens, (moment, len(self._happens) + self._random.getrandbits(30), happen)
        )

    def _later(self, seconds: float, happen: Callable[[], None]) -> None:
        self._at(self.clock.seconds + seconds, happen)

    def _call(self, process: Process) -> None:
        if self.clock.seconds >= process.dies_at:
            return
        process.exchange = Exchange("GET /things")
        process.inside = process.guard.around(process.exchange)
        try:
            process.inside.__enter__()
        except QuotaSpent as error:
            # A little late, as every sleep is.
            self._later(error.wait_s + self._random.random() * 0.01, lambda: self._call(process))
            return
        self._later(self._travel(), lambda: self._arrive(process))

    def _arrive(self, process: Process) -> None:
        status, headers = self.source.ask(self.clock)
        process.made.append(self.clock.seconds)
        self._later(self._travel(), lambda: self._answered(process, status, headers))

    def _answered(self, process: Process, status: int, headers: Mapping[str, str]) -> None:
        if self.clock.seconds >= process.dies_at:
            return
        process.exchange.status, process.exchange.headers = status, headers
        process.exchange.error = RetryLater("too much") if status == 429 else None
        assert process.inside is not None
        process.inside.__exit__(None, None, None)
        wait = process.pause if status == 200 else 1.0
        self._later(wait, lambda: self._call(process))

    def _travel(self) -> float:
        return self._latency * (0.5 + self._random.random()) / 2
