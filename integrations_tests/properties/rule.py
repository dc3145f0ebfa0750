"""The order of statements in a few lines of Python: what `integrations.storage.merge` does in SQL,
so that thousands of histories can be tried against the rule, and the SQL against the rule."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import compress

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
    note: str | None = None
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
        copied = by_key(landing.said).values()
        kept = [self.folded(copies, replay=landing.replay) for copies in copied]
        found = ["duplicate"] * (len(landing.said) - len(kept))
        below = [said for said in kept if self._unseen(said)]
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

    def folded(self, copies: list[Said], *, replay: bool) -> Said:
        """The copy of a key that stays. A note that it keeps it takes from the next copy that has
        one and is not stale itself."""
        first, *others = self._standing(copies)
        giving = [s for s in others if not is_delete(s) and not s.keeps]
        giving = [s for s in giving if not self._stale(s, replay=replay)]
        if not first.keeps or is_delete(first) or not giving:
            return first
        return replace(first, keeps=False, note=giving[0].note)

    def _standing(self, copies: list[Said]) -> list[Said]:
        """First the one that stands last, unless one within the slack of it is of a newer version;
        that one then stands where the last stood."""
        _, _, last = max((self.place(s), s.rank == DELETE, n) for n, s in enumerate(copies))
        top = copies[last]
        near = [
            (said.rank == DELETE) == (top.rank == DELETE) and said.at >= top.at - self.slack
            for said in copies
        ]
        known = all(said.version is not None for said in compress(copies, near))

        def place(n: int) -> tuple[bool, float, float, int, int]:
            version = copies[n].version if known else None
            back = LOWEST if version is None else version
            return near[n], back, copies[n].at, copies[n].rank, n

        first, *others = [copies[n] for n in sorted(range(len(copies)), key=place, reverse=True)]
        return [replace(first, at=top.at), *others]

    def put(self, said: Said, *, replay: bool = False) -> str:
        """Apply one statement; its fate."""
        stored = self.rows.get(said.key)
        dead = is_delete(said)
        if self._stale(said, replay=replay):
            return "stale"
        if self.doubts.get(said.key, (said.at + 1, False))[0] <= said.at:
            self.doubts[said.key] = (said.at, False)
        amount = None if said.amount is None or dead else int(said.amount)
        note, at = None if dead else said.note, said.at
        if stored is not None:
            amount = stored.amount if dead else amount
            was_known = (stored.amount, stored.note) != (None, None)
            note = stored.note if dead or (said.keeps and was_known) else note
            if (said.rank == DELETE) == (stored.rank == DELETE):
                at = max(at, stored.at)
        moment = said.moment if isinstance(said, Statement) else 0.0
        same = stored is not None and self._same(said, stored, (amount, note))
        if not same or self.restamp:
            new = Stored(amount, said.version, at, said.rank, dead, note, said.at, moment)
            self.rows[said.key] = new
        if same:
            return "unchanged"
        return "deleted" if dead else "updated" if stored else "inserted"

    @staticmethod
    def _same(said: Said, stored: Stored, values: tuple[int | None, str | None]) -> bool:
        if said.rank == DELETE:
            return stored.rank == DELETE
        return stored.deleted == said.flagged and (
            said.flagged or (stored.amount, stored.note) == values
        )

    def _stale(self, said: Said, *, replay: bool) -> bool:
        stored = self.rows.get(said.key)
        return stored is not None and (
            not self.wins(said, stored, replay=replay)
            or (self._below_floor(said) and stored.deleted)
        )

    def _unseen(self, said: Said) -> bool:
        """Whether it is from below the floor, about a key never seen."""
        return self._below_floor(said) and said.key not in self.rows

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
