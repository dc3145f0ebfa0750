"""The arithmetic of quotas: what is left of each, and who may have how much of it and when.

Pure: it is given the time, in seconds of one clock, and its state goes into JSON and back. The same
state serves one process, or all that share it in turn. Nothing is used that is not leased before,
so the sum over all holders is never beyond the limit; a lease is short, and what a dead holder had
counts as used until the window is over.

What is plenty is given as it is asked for. Once it is scarce it is spread over what is left of its
window, each lease with turns of its own: requests slow down before the limit, not after a refusal.
"""

import math
from collections.abc import Mapping, Sequence

import msgspec

from integrations.error_handling.rate_limits import Heard

SHARE = 20
"""A lease is at most this part of a whole window: 16 processes then leave none without."""
SCARCE = 0.5
"""What is less than this share of a window is scarce: it is spread, in leases of a hundredth."""
_FINE = 100
_TAIL = 0.2
"""The share of a window at its end into which nothing is spread: calls are late, never early."""
RESERVE = 0.2
"""The share that is only for the live sync: a backfill must leave it alone."""
_GRAINS = 100
"""Into so many parts of a window the times of what was used are rounded, up."""


class Ask(msgspec.Struct, frozen=True):
    """What a holder wants of one quota: without `need` it can do nothing. Of what it had, `flying`
    is under way."""

    need: float = 1.0
    want: float = 1.0
    flying: float = 0.0
    backfill: bool = False


class Grant(msgspec.Struct, frozen=True):
    """So many units, the first after `in_s` seconds and each next one `every_s` later, to be used
    within `lasts_s`; with `units` 0, after how long to ask again."""

    units: float
    in_s: float
    every_s: float = 0.0
    lasts_s: float = 0.0
    probe: bool = False
    """Whether others wait for what its answer says."""


class Lease(msgspec.Struct):
    """What a holder may use until a moment."""

    units: float
    until: float
    probe: bool = False


class Use(msgspec.Struct, frozen=True):
    """How much of a quota is left, as far as is known; `renews_in` is when there will be more."""

    name: str
    units: float
    per_s: float
    left: float
    renews_in: float

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.left:.0f} of {self.units:.0f} left, more in {self.renews_in:.0f} s"
        )


class Quota(msgspec.Struct):
    """One quota: `units` in `per_s` seconds. Where it is `spread`, `turns` are when the next one
    is: of the live sync, and of backfills."""

    units: float
    per_s: float
    spread: bool = True
    leases: dict[str, Lease] = {}
    turns: list[float] = msgspec.field(default_factory=lambda: [0.0, 0.0])

    def lease(self, holder: str, ask: Ask, now: float) -> Grant:
        """What the holder gets, in place of what it had."""
        self._forget(now)
        self._keep(holder, ask.flying, now)
        kept = math.floor(self.units * RESERVE) if ask.backfill and not self._unknown(now) else 0
        free, whole = self._free(now, ask.need) - kept, self.units - kept
        if free < ask.need:
            return Grant(0.0, self._wait(now, ask.need - free))
        units = min(max(ask.need, min(ask.want, math.ceil(whole / SHARE))), free)
        start, every = now, 0.0
        if self.spread and free < whole * SCARCE and not self._unknown(now):
            units = max(ask.need, min(units, math.ceil(whole / _FINE)))
            end = max(now, now + self._renews_in(now) - self.per_s * _TAIL)
            start = min(max(now, self.turns[ask.backfill]), end)
            every = (end - start) / free
            self.turns[ask.backfill] = start + every * units
        until = start + every * units + self._life
        probe = self._unknown(now)
        self.leases[holder] = Lease(units + ask.flying, until, probe)
        return Grant(units, start - now, every, until - now, probe)

    def settle(self, holder: str, used: float, at: float) -> None:
        """A call of the holder's ended at a moment, and has used so much of its lease."""
        lease = self.leases.get(holder)
        if lease is not None:
            lease.units -= used
            if lease.units <= 0:
                del self.leases[holder]

    def release(self, holder: str, ask: Ask, now: float) -> None:
        """The holder is done, but for what is under way."""
        self._keep(holder, ask.flying, now)

    def _keep(self, holder: str, flying: float, now: float) -> None:
        """Leaves a holder only what is under way."""
        had = self.leases.pop(holder, None)
        if flying:
            self.leases[holder] = Lease(flying, now + self._life, bool(had and had.probe))

    def use(self, name: str, now: float) -> Use | None:
        """What is known of it now; None for nothing."""
        self._forget(now)
        if self._unknown(now):
            return None
        left = max(0.0, self._free(now, 0.0) + self._leased)
        return Use(name, self.units, self.per_s, left, self._renews_in(now))

    def ends_at(self, now: float) -> float:
        """From when on it says nothing any more."""
        return max((lease.until + self.per_s for lease in self.leases.values()), default=0.0)

    @property
    def _life(self) -> float:
        """How long a lease may be used: long enough for a call, short beside the window."""
        return min(max(self.per_s / 4, 1.0), 30.0)

    @property
    def _leased(self) -> float:
        return sum(lease.units for lease in self.leases.values())

    @property
    def _soon(self) -> float:
        """When to ask again for what others hold, or are about to find out."""
        return min(max(self.per_s / 50, 0.02), 1.0)

    def _forget(self, now: float) -> None:
        raise NotImplementedError

    def _unknown(self, now: float) -> bool:
        """Whether nobody knows what is left."""
        raise NotImplementedError

    def _free(self, now: float, need: float) -> float:
        raise NotImplementedError

    def _renews_in(self, now: float) -> float:
        raise NotImplementedError

    def _wait(self, now: float, lacking: float) -> float:
        """After how long so much more may be free."""
        raise NotImplementedError


class Sliding(Quota, tag="sliding"):
    """One that the source does not tell of: in any stretch of `per_s` seconds, wherever it begins,
    at most `units` are used. So it holds for windows of any kind, and for buckets that refill."""

    spent: list[tuple[float, float]] = []
    """Until when so many units count, ascending."""
    line: dict[str, float] = {}
    """When those ask again who got nothing: each for what comes back after that of the others."""

    def lease(self, holder: str, ask: Ask, now: float) -> Grant:
        """As of any quota."""
        self.line = {who: at for who, at in self.line.items() if at > now and who != holder}
        grant = Quota.lease(self, holder, ask, now)
        if not grant.units:
            self.line[holder] = now + grant.in_s
        return grant

    def settle(self, holder: str, used: float, at: float) -> None:
        """As of any quota. The source has counted the call by its answer, if not before."""
        Quota.settle(self, holder, used, at)
        if used:
            self._spend(used, at + self.per_s)

    def hear(self, said: Heard, at: float) -> None:
        """What an answer said is left; where that is less, others have used what is lacking."""
        self._forget(at)
        if said.left is not None and (lacking := self._free(at, 0.0) - said.left) > 0:
            self._spend(lacking, at + said.resets_in)

    def _spend(self, units: float, until: float) -> None:
        grain = self.per_s / _GRAINS
        until = math.ceil(until / grain) * grain
        counts = dict(self.spent)
        counts[until] = counts.get(until, 0.0) + units
        self.spent = sorted(counts.items())

    def ends_at(self, now: float) -> float:
        """As of any quota."""
        return max([Quota.ends_at(self, now), *(until for until, _ in self.spent)])

    def _forget(self, now: float) -> None:
        self.spent = [one for one in self.spent if one[0] > now]
        dead = [who for who, lease in self.leases.items() if lease.until + self.per_s <= now]
        for who in dead:
            del self.leases[who]

    def _unknown(self, now: float) -> bool:
        return False

    def _free(self, now: float, need: float) -> float:
        return self.units - self._leased - sum(units for _, units in self.spent)

    def _renews_in(self, now: float) -> float:
        return self.spent[0][0] - now if self.spent else self.per_s

    def _wait(self, now: float, lacking: float) -> float:
        lacking += len(self.line)
        for until, units in self.spent:
            lacking -= units
            if lacking <= 0:
                return until - now
        return self._soon


class Told(Quota, tag="told"):
    """One that the source tells of: `left` until `ends`, less what was used since it said so.

    When its window is over nobody knows what the next one is like: it may be whole, or may only
    have moved on. Then one call goes first, alone, and its answer tells.
    """

    left: float = 0.0
    ends: float = 0.0

    def hear(self, said: Heard, at: float) -> None:
        """What an answer said that came at a moment. Of several answers of one window, which come
        in any order, the least counts."""
        if said.limit is not None:
            self.units = said.limit
        ends = at + said.resets_in
        # Resets jitter: they are rounded, and answers travel. Those of another window are far off.
        off = max(self.per_s / 2, 1.5)
        if at >= self.ends or ends > self.ends + off:
            left = self.units if said.left is None else said.left
            self.left, self.ends = left, ends
            self.per_s = said.window_s or max(self.per_s, said.resets_in)
            self.leases = {
                who: Lease(lease.units, lease.until) for who, lease in self.leases.items()
            }
        elif ends >= self.ends - off or said.left == 0:
            self.left = min(self.left, self.left if said.left is None else said.left)
            self.ends = ends if said.left == 0 else max(self.ends, ends)
        self.units = max(self.units, self.left)

    def unheard(self, used: float, at: float) -> None:
        """An answer that came at a moment said nothing of it."""
        if at >= self.ends:  # presumed
            self.left, self.ends = self.units, at + self.per_s
        self.left -= used

    def ends_at(self, now: float) -> float:
        """As of any quota; while calls are made one of them soon tells more."""
        return max(Quota.ends_at(self, now), self.ends + self.per_s)

    def _forget(self, now: float) -> None:
        if now >= self.ends:
            dead = [who for who, lease in self.leases.items() if lease.until <= now]
            for who in dead:
                del self.leases[who]

    def _unknown(self, now: float) -> bool:
        return now >= self.ends

    def _free(self, now: float, need: float) -> float:
        if self._unknown(now):
            return 0.0 if any(lease.probe for lease in self.leases.values()) else need
        return self.left - self._leased

    def _renews_in(self, now: float) -> float:
        return max(self.ends - now, 0.0)

    def _wait(self, now: float, lacking: float) -> float:
        others = 0.0 if self._unknown(now) else self._leased
        soon = self._unknown(now) or lacking <= others
        return self._soon if soon else self._renews_in(now)


class Answer(msgspec.Struct, frozen=True):
    """What came of one call, `age` seconds before it is reported: what it used of each quota, and
    what the source said."""

    endpoint: str
    age: float = 0.0
    used: Mapping[str, float] = {}
    said: Sequence[Heard] = ()


class Report(msgspec.Struct, frozen=True):
    """What a holder tells and asks: `declared` are units and seconds of quotas of its file, and
    whether they are spread. With `done` it gives back what it has. `waited` are the seconds that
    the report itself was on its way."""

    holder: str
    answers: Sequence[Answer] = ()
    asks: Mapping[str, Ask] = {}
    declared: Mapping[str, tuple[float, float, bool]] = {}
    done: bool = False
    waited: float = 0.0


class State(msgspec.Struct):
    """All quotas of a connection. `endpoints` are the quotas that answers of each told of: a call
    to one that is new may be under any of them."""

    quotas: dict[str, Sliding | Told] = {}
    endpoints: dict[str, list[str]] = {}

    def exchange(self, report: Report, now: float) -> dict[str, Grant]:
        """Takes in what a holder tells, and gives it what it asks for. A quota that is not known
        any more is left out: nothing holds the call back."""
        for name, (units, per_s, spread) in report.declared.items():
            if name not in self.quotas:
                self.quotas[name] = Sliding(units, per_s, spread=spread)
        for answer in report.answers:
            self._hear(report.holder, answer, now - answer.age - report.waited)
        if report.done:
            for name, quota in self.quotas.items():
                quota.release(report.holder, report.asks.get(name, Ask()), now)
            return {}
        asked = {name: ask for name, ask in report.asks.items() if name in self.quotas}
        return {
            name: self.quotas[name].lease(report.holder, ask, now) for name, ask in asked.items()
        }

    def uses(self, now: float) -> list[Use]:
        """What is known of each quota."""
        found = (quota.use(name, now) for name, quota in sorted(self.quotas.items()))
        return [use for use in found if use is not None]

    def until(self, now: float) -> float:
        """From when on nothing of it matters; forgets what does not matter already."""
        ends = {name: quota.ends_at(now) for name, quota in self.quotas.items()}
        for name in [name for name, end in ends.items() if end <= now]:
            del self.quotas[name]
        self.endpoints = {
            endpoint: kept
            for endpoint, names in self.endpoints.items()
            if (kept := [name for name in names if name in self.quotas])
        }
        return max(ends.values(), default=now)

    def _hear(self, holder: str, answer: Answer, at: float) -> None:
        for said in answer.said:
            name = called(said)
            quota = self.quotas.get(name)
            if quota is None:
                quota = self.quotas[name] = Told(said.limit or said.left or 1.0, said.resets_in)
            quota.hear(said, at)
            names = self.endpoints.setdefault(answer.endpoint, [])
            if isinstance(quota, Told) and name not in names:
                names.append(name)
        spoken = {called(said) for said in answer.said}
        for name, used in answer.used.items():
            if (quota := self.quotas.get(name)) is None:
                continue
            quota.settle(holder, used, at)
            if isinstance(quota, Told) and name not in spoken and used:
                quota.unheard(used, at)


def called(said: Heard) -> str:
    """What a quota that a source tells of is called: those of different limits are different."""
    return said.name if said.limit is None else f"{said.name} {said.limit:g}"
