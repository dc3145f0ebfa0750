"""When an endpoint is left alone, and when it is asked again: what a circuit becomes of what.

Pure: a circuit and the time go in, another one comes out. Whoever shares circuits with other
processes, or has none to share them with, goes by the same rules.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from integrations.storage.circuits import SLOT_S, Circuit

Counts = Mapping[int, tuple[int, int]]
"""Calls and failures by the number of their `SLOT_S` seconds since 1970."""


class Breaker(BaseModel):
    """Leaves an endpoint alone when, over `window_s`, `share` of at least `calls` calls failed, the
    first of them at least `lasting_s` before the last; times in seconds.

    It cools down for `cool_s`; then one call of all processes tries it. If that fails too it cools
    down twice as long, up to `cool_most_s`.

    The defaults leave the one retry its first seven tries, which take a minute on average and by
    `lasting_s` never less than a half: a source that restarts is waited for, and the many calls
    that fail together in one second without a network shut nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: float = Field(default=0.5, gt=0, le=1)
    calls: int = Field(default=8, ge=1)
    window_s: float = Field(default=300.0, ge=SLOT_S, le=3600)
    lasting_s: float = Field(default=30.0, ge=0)
    cool_s: float = Field(default=60.0, gt=0)
    cool_most_s: float = Field(default=3600.0, gt=0, le=86_400)

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        if self.lasting_s >= self.window_s:
            raise ValueError("lasting_s should be shorter than window_s, or nothing lasts so long")
        if self.cool_most_s < self.cool_s:
            raise ValueError("cool_most_s should be cool_s or more")
        return self

    def recent(self, counts: Counts, now: datetime) -> Counts:
        """Those of the window that ends now."""
        oldest = slot(now - timedelta(seconds=self.window_s))
        return {at: count for at, count in counts.items() if at > oldest}

    def troubled(self, circuit: Circuit, now: datetime) -> bool:
        """Whether nobody may ask, or a call has failed of late."""
        recent = self.recent(circuit.counts, now)
        return circuit.until is not None or any(failures for _, failures in recent.values())

    def told(self, circuit: Circuit, counts: Counts, now: datetime, *, why: str = "") -> Circuit:
        """After more calls; `why` is the last of their failures. None is shut by what was well."""
        if circuit.until is not None:
            return circuit  # they were on their way when it was shut
        recent = self.recent(added(circuit.counts, counts), now)
        why = why or circuit.why
        if any(failures for _, failures in counts.values()) and self._ill(recent):
            return self._shut(now, self.cool_s, why)
        return replace(circuit, counts=recent, why=why)

    def claimed(self, circuit: Circuit, now: datetime, *, claim_s: float) -> Circuit:
        """With a call under way that tries the endpoint, `claim_s` seconds at the most; the same
        circuit where that call is not to be made."""
        claimed = circuit.probe_until is not None and now < circuit.probe_until
        if circuit.until is None or now < circuit.until or claimed:
            return circuit
        return replace(circuit, probe_until=now + timedelta(seconds=claim_s))

    def answered(
        self, circuit: Circuit, probe: datetime, now: datetime, *, well: bool | None, why: str = ""
    ) -> Circuit:
        """After the call that had until `probe`: None is for one that was not made in the end. That
        it was well counts also from one that came late, that it was not from nobody else's."""
        if circuit.until is None:
            return circuit
        if well:
            return Circuit()
        if circuit.probe_until != probe:
            return circuit
        if well is None:
            return replace(circuit, probe_until=None)
        return self._shut(now, min(2 * circuit.cool_s, self.cool_most_s), why or circuit.why)

    def _ill(self, counts: Counts) -> bool:
        calls = sum(calls for calls, _ in counts.values())
        failed = {at: failures for at, (_, failures) in counts.items() if failures}
        if calls < self.calls or sum(failed.values()) < self.share * calls:
            return False
        return SLOT_S * (max(failed) - min(failed)) >= self.lasting_s

    def _shut(self, now: datetime, cool_s: float, why: str) -> Circuit:
        return Circuit(until=now + timedelta(seconds=cool_s), cool_s=cool_s, why=why)


def slot(moment: datetime) -> int:
    """The number of a moment's seconds, as calls are counted by."""
    return int(moment.timestamp() // SLOT_S)


def added(one: Counts, other: Counts) -> Counts:
    """The counts of both, in the order of their time."""
    found = dict(one)
    for at, (calls, failures) in other.items():
        before = found.get(at, (0, 0))
        found[at] = before[0] + calls, before[1] + failures
    return dict(sorted(found.items()))
