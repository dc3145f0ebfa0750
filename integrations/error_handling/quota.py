"""The quota of a connection: a guard that holds requests back before the source refuses them.

What the source tells of its quotas, and what a connector's file declares where it does not, is one
budget for all processes that use the connection. A process leases a little of it at a time, so it
asks for more only now and then, and a connection without quotas asks for nothing at all.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from msgspec.structs import replace as replaced

from integrations.error_handling import costs
from integrations.error_handling.budget import Answer, Ask, Grant, Report, State, Told, Use, called
from integrations.error_handling.guard import Exchange
from integrations.error_handling.limits import Limit
from integrations.error_handling.rate_limits import Heard, heard
from integrations.errors import IntegrationError, QuotaSpent, RetryLater
from integrations.redaction import redact

_log = logging.getLogger(__name__)

AWAY_S = 30.0
"""For so long the budget of all is left alone when it could not be reached."""
_MOST = 256.0
"""The largest lease: what came of its calls is kept until the next one."""
_WORTH_S = 0.001
"""Nobody waits for less."""
_ROUNDS = 3
"""A lease may bring word of quotas that are new here, which then are asked for too."""
_THROTTLED = frozenset({200, 429})
"""Where `Retry-After` is about a quota; with a 503 it is about the source's health."""


class Shared(Protocol):
    """Where the processes that use a connection keep their one budget."""

    def exchange(self, report: Report) -> tuple[Mapping[str, Grant], State, float]:
        """Takes in a report; gives what is granted, and the state after it with the time at which
        it holds. Raises an `IntegrationError` when it is away."""

    def close(self) -> None:
        """Lets go of what reaching it has opened."""


class Local:
    """The budget of one process, where there is none for all."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._state, self._now = State(), now

    def exchange(self, report: Report) -> tuple[Mapping[str, Grant], State, float]:
        """As `Shared`; it is never away."""
        now = self._now()
        return self._state.exchange(report, now), self._state, now

    def close(self) -> None:
        """Nothing was opened."""


@dataclass
class _Lease:
    """What this process has of one quota: `units` between `since` and `until`, the next one not
    before `at`, each further one `every` seconds later; `flying` are under way. None are given out
    before `again`. `want` is how much it asks for: more when that was used up, less when it was not
    in time."""

    units: float = 0.0
    at: float = 0.0
    every: float = 0.0
    since: float = 0.0
    until: float = 0.0
    again: float = 0.0
    flying: float = 0.0
    want: float = 1.0
    probe: bool = False

    def wait(self, need: float, now: float) -> float | None:
        """After how long `need` of it may be used; None: only what is asked for will tell."""
        if now < self.since:  # our clock was set back
            return None
        if self.units >= need and now < self.until:
            wait = self.at - now
            return wait if wait > _WORTH_S else 0.0
        wait = self.again - now
        return wait if wait > _WORTH_S else None

    def ask(self, need: float, now: float, *, backfill: bool) -> Ask:
        """What is asked for in its place."""
        if self.until:
            in_time = now < self.until
            self.want = min(self.want * 2, _MOST) if in_time else max(self.want / 2, 1.0)
        return Ask(need, max(need, self.want), self.flying, backfill)

    def granted(self, grant: Grant, *, asked: float, now: float) -> None:
        """Takes what was granted in its place, somewhen between the moment when it was asked for
        and now."""
        self.units, self.every, self.probe = grant.units, grant.every_s, grant.probe
        self.since, self.at, self.again = asked, now + grant.in_s, now + grant.in_s
        self.until = asked + grant.lasts_s if grant.units else 0.0

    def take(self, need: float) -> None:
        self.units -= need
        self.flying += need
        self.at += self.every * need

    def settle(self, need: float, used: float) -> None:
        self.flying -= need
        self.units += need - used
        self.at += self.every * (used - need)


class QuotaGuard:
    """Holds back what would be beyond a quota of the connection; see `Guard`.

    `limits` are those of the connector's file. Without `shared`, and while that is away, the budget
    is this process's own. `known`: other processes have heard of quotas, and their state is asked
    for before the first call. `now` gives the time, in UTC. Of what is `backfill` a part is kept
    from, for the live sync. To be closed: what it has leased is given back.
    """

    def __init__(
        self,
        limits: Sequence[Limit] = (),
        *,
        holder: str,
        now: Callable[[], datetime],
        shared: Shared | None = None,
        known: bool = False,
        backfill: bool = False,
    ) -> None:
        self._limits, self._holder, self._backfill = limits, holder, backfill
        self._clock, self._shared = now, shared
        self._local = Local(self._now)
        self._unasked = known and shared is not None
        self._lock = threading.Lock()
        self._leases: dict[str, _Lease] = {}
        self._told: dict[str, list[str]] = {}
        self._names: set[str] = set()
        self._costs: dict[str, float] = {}
        self._answers: list[tuple[float, Answer]] = []
        self._uses: list[Use] = []
        self._shut: dict[str, tuple[float, float]] = {}
        self._away = (0.0, 0.0)

    @contextmanager
    def around(self, exchange: Exchange) -> Iterator[None]:
        """Raises `QuotaSpent` on entering, when the call is beyond a quota or not its turn."""
        with self._lock:
            taken = self._taken(exchange.endpoint)
        try:
            yield
        finally:
            with self._lock:
                self._ended(exchange, taken)

    def uses(self) -> Sequence[Use]:
        """What is left of each quota now; what came of this process's calls is reported for it."""
        with self._lock:
            if self._answers:
                self._exchange({})
            return tuple(self._uses)

    def close(self) -> None:
        """Gives back what is leased, and says what was used of it."""
        with self._lock:
            if self._leases or self._answers:
                self._exchange({}, done=True)
            if self._shared is not None:
                self._shared.close()

    def _now(self) -> float:
        return self._clock().timestamp()

    def _taken(self, endpoint: str) -> Mapping[str, float]:
        """What the call may use of each quota: by its name, how much."""
        now = self._now()
        shut = self._shut.get(endpoint, (0.0, 0.0))
        if _within(shut, now):
            raise _spent(endpoint, "what the source has asked for", shut[1] - now)
        if self._unasked:
            self._unasked = False
            self._exchange({})
        for _ in range(_ROUNDS):
            needs = self._needs(endpoint)
            waits = {
                name: self._leases.setdefault(name, _Lease()).wait(need, now)
                for name, need in needs.items()
            }
            lacking = [name for name, wait in waits.items() if wait is None]
            if not lacking:
                break
            self._exchange({name: needs[name] for name in lacking}, endpoint=endpoint)
            now = self._now()
        # What is still not known was forgotten meanwhile: nothing holds the call back.
        name, wait = max(
            ((name, wait or 0.0) for name, wait in waits.items()),
            key=lambda one: one[1],
            default=("", 0.0),
        )
        if wait > 0:
            raise _spent(endpoint, f"the quota of {name}", wait)
        for name, need in needs.items():
            self._leases[name].take(need)
        return needs

    def _needs(self, endpoint: str) -> dict[str, float]:
        """The quotas that a call is under, and how much of each it will use, as far as is known. To
        an endpoint that is new, it may be under any that the source tells of."""
        own = {
            limit.name(endpoint): self._costs.get(endpoint, 1.0) if limit.cost else 1.0
            for limit in self._limits
            if limit.applies(endpoint)
        }
        told = [name for name in self._told.get(endpoint, self._names) if name in self._names]
        return own | dict.fromkeys(told, 1.0)

    def _ended(self, exchange: Exchange, taken: Mapping[str, float]) -> None:
        now, endpoint = self._now(), exchange.endpoint
        sent = exchange.status is not None or exchange.error is not None
        used = dict.fromkeys(taken, 0.0) if not sent else self._used(exchange, taken)
        for name, need in taken.items():
            self._leases[name].settle(need, used[name])
        said = self._said(exchange, now) if sent else []
        for one in said:
            self._heard(one, endpoint)
        if said or any(used.values()):
            self._answers.append((now, Answer(endpoint, used=used, said=said)))
        if any(self._leases[name].probe for name in taken):
            self._exchange({})  # others wait for what it has found out

    def _used(self, exchange: Exchange, taken: Mapping[str, float]) -> dict[str, float]:
        """What a call that was sent has used of each quota."""
        used, endpoint = dict(taken), exchange.endpoint
        for limit in self._limits:
            name = limit.name(endpoint)
            if name not in taken:
                continue
            if limit.errors:
                used[name] = float(exchange.status in limit.errors)
            elif limit.cost and exchange.status == 200:
                failed = exchange.error is not None
                cost = 0.0 if failed else costs.cost(exchange.body, limit.cost)
                used[name] = taken[name] if cost is None else cost
                if not failed:
                    self._costs[endpoint] = min(max(used[name], 1.0), limit.calls)
        return used

    def _said(self, exchange: Exchange, now: float) -> list[Heard]:
        """What an answer says of quotas. `Retry-After` takes precedence over their resets."""
        said = heard(exchange.headers, now=self._clock())
        error = exchange.error
        asked = error.retry_after if isinstance(error, RetryLater) else None
        if not asked or exchange.status not in _THROTTLED:
            return said
        # Of this endpoint alone: others may have quotas of their own.
        self._shut[exchange.endpoint] = (now, now + asked)
        left = costs.remaining(exchange.body) if exchange.status == 200 else None
        if left is not None:
            priced = [limit for limit in self._limits if limit.cost]
            said += [Heard(one.name(exchange.endpoint), asked, left) for one in priced]
        return [replace(one, resets_in=asked) if one.left == 0 else one for one in said]

    def _heard(self, said: Heard, endpoint: str) -> None:
        """Notes here what all will hear of with the next report."""
        name = called(said)
        if not any(name == limit.name(endpoint) for limit in self._limits):
            self._names.add(name)
            names = self._told.setdefault(endpoint, [])
            if name not in names:
                names.append(name)
        lease = self._leases.get(name)
        if lease is not None and said.left is not None:
            lease.units = min(lease.units, said.left)

    def _exchange(
        self, needs: Mapping[str, float], *, endpoint: str = "", done: bool = False
    ) -> None:
        """Reports what came of calls, and asks for more of some quotas."""
        now = self._now()
        asks = {
            name: self._leases[name].ask(need, now, backfill=self._backfill)
            for name, need in needs.items()
        }
        if done:
            asks = {name: Ask(flying=lease.flying) for name, lease in self._leases.items()}
        declared = {
            name: (float(limit.calls), limit.per_s, not limit.errors)
            for limit in self._limits
            if (name := limit.name(endpoint)) in needs
        }
        answers = [replaced(answer, age=max(0.0, now - at)) for at, answer in self._answers]
        report = Report(self._holder, answers, asks, declared, done)
        grants, state, at = self._reached(report, now)
        self._answers.clear()
        for name in asks:
            if name in grants:
                self._leases[name].granted(grants[name], asked=now, now=self._now())
        self._names = {name for name, quota in state.quotas.items() if isinstance(quota, Told)}
        self._told = {endpoint: list(names) for endpoint, names in state.endpoints.items()}
        self._uses = state.uses(at)

    def _reached(self, report: Report, now: float) -> tuple[Mapping[str, Grant], State, float]:
        """The budget of all, or this process's own when that is away."""
        if self._shared is not None and not _within(self._away, now):
            try:
                return self._shared.exchange(report)
            except IntegrationError as error:
                self._away = (now, now + AWAY_S)
                _log.warning(
                    "the quota is this process's own for %.0f s: %s", AWAY_S, redact(str(error))
                )
        return self._local.exchange(report)


def _within(span: tuple[float, float], now: float) -> bool:
    """Whether the span is now; one that begins later is of a clock that was set back."""
    return span[0] <= now < span[1]


def _spent(endpoint: str, what: str, wait: float) -> QuotaSpent:
    return QuotaSpent(
        f"{endpoint or 'the call'} is held back for {wait:.1f} s by {what}", wait_s=wait
    )
