"""Kept values: whatever is said in whatever order, what a source does not say wipes nothing, and a
landing does to them what its statements would do one by one."""

from random import Random

from integrations_tests.properties.rule import DELETE, Landing, Stored, Table, by_key, is_delete
from integrations_tests.storage.loads import Said

KEYS = "abc"


def said(random: Random, at: float, *, versions: bool, deletions: bool = True) -> Said:
    """A statement of a pull or a feed: half of the live ones keep the note."""
    key, rank = random.choice(KEYS), random.choice([0, 1])
    dead = deletions and random.random() < 0.2
    if dead:
        return Said(key, None, at=at, rank=random.choice([rank, DELETE]), flagged=True)
    keeps, version = random.random() < 0.5, int(at) if versions else None
    note = "default" if keeps else random.choice("xyz")
    amount = random.choice("12")
    return Said(key, amount, note=note, at=at, rank=rank, keeps=keeps, version=version)


def told(random: Random, *, versions: bool) -> list[Said]:
    """Statements at moments of their own, in the order in which they were said."""
    moments = sorted(random.sample(range(1, 60), random.randint(1, 8)))
    return [said(random, float(at), versions=versions) for at in moments]


def live(rows: dict[str, Stored]) -> dict[str, tuple[int | None, str | None, float]]:
    """What is shown: of a deleted row the values are nobody's business."""
    return {key: (r.amount, r.note, r.at) for key, r in rows.items() if not r.deleted}


def test_a_landing_does_what_its_statements_would_do_one_by_one() -> None:
    """Over whatever was there before: a value is taken from a copy that would have been applied,
    and not from one that would have been stale."""
    for seed in range(1_000):
        random = Random(seed)
        versions = bool(seed % 2)
        before = told(random, versions=versions)
        landing = told(random, versions=versions)
        at_once, one_by_one = Table(0, restamp=True), Table(0, restamp=True)
        for table in (at_once, one_by_one):
            for each in before:
                table.land(Landing((each,)))
        for each in landing:
            one_by_one.land(Landing((each,)))
        at_once.land(Landing(tuple(random.sample(landing, len(landing)))))
        assert live(at_once.rows) == live(one_by_one.rows), seed


def test_what_is_not_said_wipes_nothing() -> None:
    """A note changes only in a landing that says one, or that says the first of the key."""
    for seed in range(1_000):
        random = Random(seed)
        table, statements = Table(random.choice([0.0, 20.0]), restamp=True), list[Said]()
        for _ in range(4):
            statements += told(random, versions=bool(seed % 2))
        random.shuffle(statements)
        while statements:
            landing, statements = statements[:3], statements[3:]
            was = dict(table.rows)
            table.land(Landing(tuple(landing)))
            for key, copies in by_key(landing).items():
                silent = all(is_delete(one) or one.keeps for one in copies)
                if silent and key in was and was[key].amount is not None:
                    assert table.rows[key].note == was[key].note, seed
