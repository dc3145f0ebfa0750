"""A source with a truth over time, and what each lane says about it: pulls, complete readings,
feeds, hints and replays, by clocks that are wrong and replicas that lag, in any order."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from integrations_tests.properties.rule import DELETE, Landing, Statement

SLACK = 60.0
HELD_S = 2.0
"""How far the held offset of our own clock may be from the source's."""
REFUSED_BY_BAD = "3"
"""The amount that the bad mapping refuses."""


@dataclass(frozen=True)
class Kind:
    """What a source and its lanes are like. Twice `skew` (of its nodes' clocks, each way) and
    `HELD_S` and once `lag` (of its replicas) are within the slack. `final` is how all is read at
    the end; by windows a deletion shows only where it is told: by tombstone, or by flag."""

    lanes: str
    versions: bool = False
    flags: bool = False
    skew: float = 28.0
    lag: float = 0.0
    final: str = "snapshot"
    mappings: bool = False

    def __str__(self) -> str:
        words = [self.lanes, self.final, f"lag{self.lag:g}"]
        return "-".join(words + [w for w in ("versions", "flags", "mappings") if getattr(self, w)])


@dataclass(frozen=True)
class Change:
    """From `moment` on a key has this amount, or is deleted (None)."""

    moment: float
    amount: str | None


class Source:
    """Some keys, each with a history of its own: made, changed, deleted, revived, several times
    within a second or within the slack or far apart."""

    def __init__(self, random: Random, kind: Kind, *, keys: int) -> None:
        self._random, self._kind = random, kind
        self.truth = {chr(ord("a") + n): self._history() for n in range(keys)}
        self.end = max(changes[-1].moment for changes in self.truth.values())

    def landings(self) -> list[Landing]:
        """What a few readings and a feed bring, in an order of chance, with copies."""
        lanes: dict[str, Callable[[], Iterable[Landing]]]
        lanes = {"p": self._pull, "s": self._snapshot, "e": self._feed, "h": self._hints}
        found = [
            landing
            for lane in self._random.choices(self._kind.lanes, k=self._random.randint(1, 5))
            for landing in lanes[lane]()
        ]
        if self._kind.final == "windows" and not self._kind.flags:
            found += self._feed(deletions=True)
        found = [landing for landing in found if landing.said or landing.began]
        found += self._random.choices(found, k=self._random.randint(0, 2)) if found else []
        self._random.shuffle(found)
        return found

    def final(self, landings: Sequence[Landing]) -> Landing:
        """Everything read once more, later than all of that by more than the slack."""
        said_at = [said.at for landing in landings for said in landing.said]
        said_at += [landing.began[0] for landing in landings if landing.began]
        at = max([*said_at, self.end]) + SLACK + 1
        said = [self._read(key, moment=at, error=1.0) for key in self.truth]
        began = (at, at) if self._kind.final == "snapshot" else None
        return Landing(tuple(s for s in said if s), began=began, at=at)

    def live(self) -> dict[str, str]:
        """What there is at the end."""
        found = {key: changes[-1].amount for key, changes in self.truth.items()}
        return {key: amount for key, amount in found.items() if amount is not None}

    def _history(self) -> list[Change]:
        random, changes = self._random, list[Change]()
        moment = random.choice([0.0, 10.0, 50.0, 100.0])
        for _ in range(random.randint(1, 6)):
            alive = bool(changes and changes[-1].amount)
            amount = None if alive and random.random() < 0.3 else random.choice("123")
            changes.append(Change(moment, amount))
            moment += random.choice([0.25, 0.25, 0.5, 1, 5, 20, 40, 59, 61, 90, 120, 300])
        return changes

    def _error(self, *, ours: bool) -> float:
        """What a stamp is off: by the clock of the node that answers, and where the stamp is ours
        by what the held offset is off."""
        spread = int(4 * (self._kind.skew + (HELD_S if ours else 0)))
        return self._random.choice([-spread, 0, spread, self._random.randint(-spread, spread)]) / 4

    def _lag(self) -> float:
        return self._random.choice([0.0, self._kind.lag])

    def _moment(self) -> float:
        return self._random.randint(-40, int(4 * self.end) + 800) / 4

    def _read(self, key: str, *, moment: float, error: float, rank: int = 0) -> Statement | None:
        """What the source says of a key when it is read: nothing where it has none."""
        past = [change for change in self.truth[key] if change.moment <= moment]
        if not past or (past[-1].amount is None and not self._kind.flags):
            return None
        amount, version = past[-1].amount, len(past) if self._kind.versions else None
        # A stub of what is deleted has a flag and a key, and nothing more.
        return Statement(
            key, amount, at=moment + error, rank=rank, moment=moment, flagged=amount is None,
            version=version if amount else None,
        )  # fmt: skip

    def _pull(self) -> Iterator[Landing]:
        """Some keys, as the source has them; windows overlap."""
        moment, error, lag = self._moment(), self._error(ours=True), self._lag()
        keys = self._random.sample(sorted(self.truth), self._random.randint(1, len(self.truth)))
        said = [self._read(key, moment=moment - lag, error=error + lag) for key in keys]
        yield Landing(tuple(s for s in said if s), at=moment + error)

    def _snapshot(self) -> Iterator[Landing]:
        """Every key, one after the other, while the source goes on."""
        moment = first = self._moment()
        said, lag, error = [], self._lag(), self._error(ours=True)
        began = moment + error
        for key in sorted(self.truth):
            said.append(self._read(key, moment=moment - lag, error=error + lag))
            moment += self._random.choice([0.0, 0.25, 1, 30, 100])
            lag, error = self._lag(), self._error(ours=True)
        yield Landing(tuple(s for s in said if s), began=(began, first - lag), at=began)

    def _feed(self, *, deletions: bool = False) -> list[Landing]:
        """Events with the state at their creation, or only the deletions; some times are cut to
        whole seconds."""
        random = self._random
        events = [
            self._event(key, nth)
            for key, changes in self.truth.items()
            for nth, change in enumerate(changes)
            if (change.amount is None if deletions else random.random() < 0.5)
        ]
        random.shuffle(events)
        found = []
        while events:
            some = random.randint(1, 6)
            read = max(event.moment for event in events[:some]) + random.choice([0.0, 30, 300])
            found.append(Landing(tuple(events[:some]), at=read + self._error(ours=True)))
            events = events[some:]
        return found

    def _event(self, key: str, nth: int) -> Statement:
        change = self.truth[key][nth]
        at = change.moment + self._error(ours=False)
        at = float(at // 1) if self._random.random() < 0.5 else at
        stub = change.amount is None and self._kind.flags
        return Statement(
            key, change.amount, at=at, moment=change.moment, flagged=stub,
            rank=DELETE if change.amount is None and not stub else 1,
            version=nth + 1 if self._kind.versions and change.amount else None,
        )  # fmt: skip

    def _hints(self) -> list[Landing]:
        """Keys fetched one by one after a change; who is not there is deleted."""
        found = []
        for key, changes in self.truth.items():
            moment = self._random.choice(changes).moment + self._random.choice([0.25, 1, 30, 100])
            error, lag = self._error(ours=True), self._lag()
            said = self._read(key, moment=moment - lag, error=error + lag, rank=1)
            gone = Statement(key, None, at=moment + error, rank=DELETE, moment=moment - lag)
            found.append(Landing((said or gone,), at=moment + error))
        return found


def replayed(landing: Landing) -> Landing:
    """The same once more from raw: a replay looks for no deletions."""
    return replace(landing, began=None, replay=True)


def badly_mapped(landing: Landing) -> Landing:
    """The same, by a mapping that refuses some of it."""
    bad = [s for s in landing.said if s.amount == REFUSED_BY_BAD]
    refused = tuple((said.key, said.at) for said in bad)
    return replace(landing, said=tuple(s for s in landing.said if s not in bad), refused=refused)
