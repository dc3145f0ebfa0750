"""Histories of kills, and how what they leave behind differs from what an undisturbed one leaves."""

import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from integrations_tests.faults import state
from integrations_tests.faults.kinds import ALL, Kind, Source
from integrations_tests.faults.template import Kill, Place, Task, Template

SAME = {
    "integrations.streams": ("first_committed_at",),
    "integrations.positions": ("landing", "run_id", "committed_at"),
    "integrations.quarantine": ("landing", "run_id", "first_at", "last_at", "times"),
}
"""Tables, and columns of them that may differ: a record is refused as often as it is read."""
EXACT = SAME | {
    "integrations.quarantine": ("landing", "run_id", "first_at", "last_at"),
    "integrations.ledger": ("id", "landing", "run_id", "began_at", "ended_at", "seconds",
                            "api_calls"),
}  # fmt: skip
"""The same where nothing is read twice. Who loads what a dead process has landed did not call the
source for it."""


@dataclass(frozen=True)
class Oracle:
    """What a kind leaves behind when nobody disturbs it, and the barriers that it came to."""

    kind: Kind
    place: Place
    met: list[str]


@dataclass(frozen=True)
class Found:
    """What a history was and left: its kills at random and at barriers, how many rows are `lost`,
    `doubled` (made twice by what the ledger says, or made of nothing) and `resurrected`, and all
    else that is not as it should be, in words."""

    random: int
    at_barriers: int
    lost: int
    doubled: int
    resurrected: int
    wrong: list[str]

    @property
    def good(self) -> bool:
        return not (self.lost or self.doubled or self.resurrected or self.wrong)


@dataclass
class Scene:
    """Where the histories of all kinds happen; `new` makes an empty place, or a copy of one."""

    template: Template
    kinds: Mapping[str, Kind]
    source: Source
    copied: Callable[[Place | None], Place]
    places: dict[str, Place] = field(default_factory=dict)
    oracles: dict[str, Oracle] = field(default_factory=dict)

    def prepare(self) -> None:
        """Reads all there is, and lets the source go on."""
        self.source.begins()
        self.places["before"] = place = self.copied(None)
        everything = replace(self.kinds["window"].task, select=ALL)
        self.template.does(place, replace(everything, now=self.source.clock))
        self.source.goes_on()

    def begin(self, kind: Kind) -> Place:
        """A new place as the kind's histories find it."""
        return self.copied(self.after() if kind.begins == "after" else self.places["before"])

    def after(self) -> Place:
        """Where everything was read again, undisturbed."""
        if "after" not in self.places:
            self.places["after"] = place = self.copied(self.places["before"])
            self.template.does(place, replace(self.kinds["window"].task, select=ALL))
        return self.places["after"]

    def oracle(self, name: str) -> Oracle:
        """Made once; it meets every barrier that the kind is said to have, and no other."""
        if name not in self.oracles:
            kind = self.kinds[name]
            place = self.begin(kind)
            met = self.template.does(place, kind.task)
            assert {*kind.barriers} == {*met}
            before = state.rows(self.places[kind.begins])
            assert state.rows(place) != before, "there was something to do"
            self.oracles[name] = Oracle(kind, place, met)
        return self.oracles[name]

    def run(self, name: str, kills: Sequence[Kill], *, resume: Sequence[bool] = ()) -> Found:
        """A history: killed, run again, killed again, and in the end run undisturbed. `resume` says
        of each run after the first whether it is a retry of the one before it."""
        oracle = self.oracle(name)
        place = self.begin(oracle.kind)
        resumed = iter([False, *resume])
        hits: Counter[bool] = Counter()
        for kill in kills:
            task = self._task(oracle, resume=next(resumed, False))
            if self.template.killed(place, task, kill):
                hits[kill.barrier is not None] += 1
        self.template.does(place, self._task(oracle, resume=next(resumed, False)))
        found = compared(place, oracle, kills=hits)
        shutil.rmtree(place.home, ignore_errors=True)
        return found

    def _task(self, oracle: Oracle, *, resume: bool) -> Task:
        return replace(oracle.kind.task, resume=resume)


def compared(place: Place, oracle: Oracle, *, kills: Mapping[bool, int]) -> Found:
    """How a place differs from the oracle's."""
    ours, theirs = state.rows(place), state.rows(oracle.place)
    gone = {key for key, (deleted, _) in theirs.items() if not deleted} - ours.keys()
    common = ours.keys() & theirs.keys()
    buried = {key for key in common if ours[key][0] and not theirs[key][0]}
    made = _inserted(place) - _inserted(oracle.place)
    checks: dict[str, Any] = {
        "rows": [key for key in common if ours[key][1] != theirs[key][1]],
        "effects": _differs(state.effects(place), state.effects(oracle.place)),
        "tables": _tables(place, oracle),
        "unbalanced": state.unbalanced_lines(place),
        "half read": state.half_read(place),
        "broken landings": state.broken_landings(place),
        "broken chains": state.broken_chains(place),
        "left behind": state.left_behind(place),
        "dagster": _differs(state.dagster_green(place), state.dagster_green(oracle.place)),
        "runs": sorted({*state.dagster_runs(place)} - {"SUCCESS", "FAILURE"}),
        "places in pools": state.taken_places(place),
    }
    return Found(
        random=kills[False],
        at_barriers=kills[True],
        lost=len(gone | buried),
        doubled=len(ours.keys() - theirs.keys()) + sum(made.values()),
        resurrected=sum(theirs[key][0] and not ours[key][0] for key in common),
        wrong=[f"{name}: {what}"[:2000] for name, what in checks.items() if what],
    )


def _inserted(place: Place) -> "Counter[str]":
    return Counter({f"{row[0]}/{row[1]}": row[2] for row in state.effects(place)})


def _tables(place: Place, oracle: Oracle) -> list[str]:
    kept = EXACT if oracle.kind.exact else SAME
    ours, theirs = state.tables(place, kept), state.tables(oracle.place, kept)
    return [line for name in kept for line in _differs(ours[name], theirs[name])]


def _differs(ours: list[Any], theirs: list[Any]) -> list[str]:
    more, less = [one for one in ours if one not in theirs], [o for o in theirs if o not in ours]
    counted = [] if len(ours) == len(theirs) else [f"{len(ours)} instead of {len(theirs)}"]
    return counted + [f"+ {one}" for one in more] + [f"- {one}" for one in less]
