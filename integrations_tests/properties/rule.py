"""The order of statements in a few lines of Python: what `integrations.storage.merge` does in SQL,
so that thousands of histories can be tried against the rule, and the SQL against the rule."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from integrations_tests.storage.loads import Said

DELETE = 2
LOWEST = float("-inf")


@dataclass(frozen=True)
class Statement(Said):
    """What was said, and the source's state of which moment it tells: a stamp is such a moment by
    some clock."""

    moment: float = 0.0


@dataclass(frozen=True)
class Landing:
    """What one load brings, said at `at`: statements, `refused` keys with their stamps, and when a
    complete reading `began` (by the source's clock, and in truth)."""

    said: tuple[Said, ...]
    refused: tuple[tuple[str, float], ...] = ()
    began: tuple[float, float] | None = None
    replay: bool = False
    at: float = 0.0


@dataclass(frozen=True)
class Stored:
    """A row: the values of the last live statement, the stamps of the last one applied. `own` is
    when that one was said itself, `moment` what it tells the state of."""

    amount: int | None
    version: int | None
    at: float
    rank: int
    deleted: bool
    own: float = field(default=0.0, compare=False)
    moment: float = field(default=0.0, compare=False)


def is_delete(said: Said) -> bool:
    return said.rank == DELETE or said.flagged


@dataclass
class Table:
    """A table that obeys the rule."""

    slack: float
    restamp: bool
    rows: dict[str, Stored] = field(default_factory=dict)
    floor: float = LOWEST
    doubts: dict[str, tuple[float, bool]] = field(default_factory=dict)
    """The quarantine: when what an entry stands by was said, and whether the entry is open."""

    def place(self, it: Said | Stored) -> float:
        """Where it stands in time: a delete by the slack later, since it wins inside it."""
        return it.at + (self.slack if it.rank == DELETE else 0)

    def wins(self, said: Said, stored: Stored, *, replay: bool = False) -> bool:
        """Whether a statement is applied over a row."""
        dead = said.rank == DELETE
        if dead != (stored.rank == DELETE):
            ahead = self.place(said) - self.place(stored)
            return ahead >= 0 if dead else ahead > 0
        if abs(said.at - stored.at) > self.slack:
            return said.at > stored.at
        if said.version is None or stored.version is None:
            return (said.at, said.rank) >= (stored.at, stored.rank)
        if replay and self.slack and said.version == stored.version:
            return True
        return (said.version, said.at, said.rank) >= (stored.version, stored.at, stored.rank)

    def land(self, landing: Landing) -> dict[str, int]:
        """Load a landing; the fates that are not zero."""
        kept = [self.folded(copies) for copies in by_key(landing.said).values()]
        found = ["duplicate"] * (len(landing.said) - len(kept))
        below = [s for s in kept if self._below_floor(s) and s.key not in self.rows]
        kept = [said for said in kept if said not in below]
        found += ["stale"] * len(below) + ["quarantined"] * len(landing.refused)
        refused: dict[str, float] = {}
        for key, at in landing.refused:
            refused[key] = max(at, refused.get(key, at))
        if landing.replay:
            self._withdraw(refused, {said.key: said.at for said in kept})
        for key, at in refused.items():
            self._doubt(key, at)
        found += [self.put(said, replay=landing.replay) for said in kept]
        if landing.began is not None:
            self._absent(*landing.began, refused)
        return {fate: found.count(fate) for fate in set(found)}

    def folded(self, copies: list[Said]) -> Said:
        """Of the copies of a key the one that stands last, unless one within the slack of it is
        of a newer version; that one then stands where the last stood."""
        _, _, last = max((self.place(s), s.rank == DELETE, n) for n, s in enumerate(copies))
        top = copies[last]
        near = [
            (said, n)
            for n, said in enumerate(copies)
            if (said.rank == DELETE) == (top.rank == DELETE) and said.at >= top.at - self.slack
        ]
        known = all(said.version is not None for said, _ in near)
        of = max(near, key=lambda c: (c[0].version or 0 if known else 0, c[0].at, c[0].rank, c[1]))
        return replace(of[0], at=top.at)

    def put(self, said: Said, *, replay: bool = False) -> str:
        """Apply one statement; its fate."""
        stored = self.rows.get(said.key)
        dead = is_delete(said)
        if stored is not None and (
            not self.wins(said, stored, replay=replay)
            or (self._below_floor(said) and stored.deleted)
        ):
            return "stale"
        if self.doubts.get(said.key, (said.at + 1, False))[0] <= said.at:
            self.doubts[said.key] = (said.at, False)
        amount = None if said.amount is None or dead else int(said.amount)
        at = said.at
        if stored is not None:
            amount = stored.amount if dead else amount
            if (said.rank == DELETE) == (stored.rank == DELETE):
                at = max(at, stored.at)
        moment = said.moment if isinstance(said, Statement) else 0.0
        same = stored is not None and self._same(said, stored, amount)
        if not same or self.restamp:
            new = Stored(amount, said.version, at, said.rank, dead, said.at, moment)
            self.rows[said.key] = new
        if same:
            return "unchanged"
        return "deleted" if dead else "updated" if stored else "inserted"

    @staticmethod
    def _same(said: Said, stored: Stored, amount: int | None) -> bool:
        if said.rank == DELETE:
            return stored.rank == DELETE
        return stored.deleted == said.flagged and (said.flagged or stored.amount == amount)

    def _below_floor(self, said: Said) -> bool:
        return not is_delete(said) and said.at < self.floor

    def _withdraw(self, refused: Mapping[str, float], staged: Mapping[str, float]) -> None:
        """A row that was made from what a replay refuses, and did not refuse before, goes."""
        for key, at in refused.items():
            row = self.rows.get(key)
            doubt, is_open = self.doubts.get(key, (LOWEST, False))
            if row is None or row.deleted or staged.get(key, LOWEST) >= at:
                continue
            mine = row.at == at if self.restamp else row.at <= at
            before = (is_open and doubt == at) or (doubt > at and not self.restamp)
            if mine and not before:
                self.rows[key] = replace(row, deleted=True, at=at)

    def _doubt(self, key: str, at: float) -> None:
        row = self.rows.get(key)
        if (row is None or row.at <= at) and self.doubts.get(key, (LOWEST, True))[0] <= at:
            self.doubts[key] = (at, True)

    def _absent(self, began: float, moment: float, refused: Iterable[str]) -> None:
        """Who is older than a complete reading and not in it is deleted."""
        self.floor = max(self.floor, began - self.slack)
        for key, row in self.rows.items():
            if not row.deleted and row.at < began - self.slack and key not in refused:
                gone = replace(row, deleted=True, at=began, rank=DELETE)
                self.rows[key] = replace(gone, own=began, moment=moment)


def by_key(statements: Iterable[Said]) -> dict[str, list[Said]]:
    found: dict[str, list[Said]] = {}
    for said in statements:
        found.setdefault(said.key, []).append(said)
    return found
