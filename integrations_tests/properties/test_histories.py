"""Histories of a source, told by every lane in any order: nothing regresses, nothing comes back from
the dead, and after a last reading the table is what the source has.

Thousands of them are tried against the rule, and some of them against the database, which must do
as the rule does at each step.
"""

from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

import psycopg
import pytest

from integrations.storage.tables import ensure_leaf
from integrations_tests.properties.rule import DELETE, LOWEST, Landing, Stored, Table
from integrations_tests.properties.sides import empty, land, stored
from integrations_tests.properties.source import (
    REFUSED_BY_BAD,
    SLACK,
    Kind,
    Source,
    badly_mapped,
    replayed,
)
from integrations_tests.storage.loads import SPEC, fates

Connection = psycopg.Connection[Any]
KINDS = [
    Kind("psh"),
    Kind("pseh"),
    Kind("pseh", versions=True),
    Kind("pseh", lag=38, skew=9),
    Kind("pseh", versions=True, mappings=True),
    Kind("pseh", lag=20, skew=18, flags=True, mappings=True),
    Kind("peh", final="windows"),
    Kind("peh", final="windows", versions=True, mappings=True),
    Kind("peh", final="windows", flags=True, versions=True),
]


def told(source: Source, random: Random, *, mappings: bool) -> Iterator[Landing]:
    """What is loaded, and what is replayed in between; now and then by a mapping that refuses, until
    a good one replays everything."""
    landings = source.landings()
    done: list[Landing] = []
    bad = False
    for landing in landings:
        yield badly_mapped(landing) if bad else landing
        done.append(landing)
        if random.random() < 0.3:
            again = replayed(random.choice(done))
            yield badly_mapped(again) if bad else again
        if mappings and random.random() < 0.3:
            bad = not bad
            for each in sorted(done, key=lambda landing: landing.at):
                yield badly_mapped(replayed(each)) if bad else replayed(each)
    yield source.final(landings)


class Watch:
    """Looks at the rows after each load. Nothing regresses: what is shown was never said earlier,
    by more than the slack, than what was shown before. Nothing comes back: once a deletion was
    shown, no state from before it is; nor does one appear that was said before a complete reading
    that lacks it, by more than the slack."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}
        self._dead: dict[str, float] = {}
        self._live: set[str] = set()
        self._floor = LOWEST

    def look(self, rows: dict[str, Stored], *, after: Landing) -> None:
        """Raises AssertionError when the rows are not as promised."""
        for key, row in rows.items():
            last = self._last.get(key, LOWEST)
            assert row.own >= last - SLACK, f"{key} regressed"
            self._last[key] = max(last, row.own)
            dead = self._dead.get(key, LOWEST)
            assert row.deleted or row.moment > dead, f"{key} came back"
            if row.rank == DELETE:
                self._dead[key] = max(dead, row.moment)
            if not row.deleted and key not in self._live:
                assert row.own >= self._floor, f"{key} came back from below the floor"
        self._live = {key for key, row in rows.items() if not row.deleted}
        if after.began:
            self._floor = max(self._floor, after.began[0] - SLACK)


def shown(rows: dict[str, Stored]) -> dict[str, str]:
    return {key: str(row.amount) for key, row in rows.items() if not row.deleted}


def rule_holds(kind: Kind, seed: int) -> None:
    random = Random(seed)
    source = Source(random, kind, keys=3)
    rule, watch = Table(SLACK, restamp=True), Watch()
    for landing in told(source, random, mappings=kind.mappings):
        rule.land(landing)
        watch.look(rule.rows, after=landing)
    assert shown(rule.rows) == source.live()


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_rule(kind: Kind) -> None:
    """Nothing regresses or comes back, and the end is the truth."""
    for seed in range(600):
        rule_holds(kind, seed)


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_rule_at_length(kind: Kind) -> None:
    """The same for many more."""
    for seed in range(50_000):
        rule_holds(kind, seed)


def order_does_not_matter(seed: int) -> None:
    random = Random(seed)
    source = Source(random, Kind("ph"), keys=3)
    landings = source.landings()
    every = [said for landing in landings for said in landing.said]
    said = list({(one.key, one.at): one for one in every}.values())  # of equals the last loaded is
    ends = []
    for _ in range(3):
        random.shuffle(said)
        rule, rest = Table(SLACK, restamp=True), list(said)
        while rest:
            some = random.randint(1, 4)
            rule.land(Landing(tuple(rest[:some])))
            rest = rest[some:]
        ends.append({key: (row.at, row.rank) for key, row in rule.rows.items()})
    assert ends[0] == ends[1] == ends[2]


def test_the_order_of_loads() -> None:
    """Without versions what is shown does not depend on what is loaded first, nor on what is in
    one landing."""
    for seed in range(1_000):
        order_does_not_matter(seed)


def heals(seed: int, *, versions: bool) -> None:
    random = Random(seed)
    source = Source(random, Kind("peh", versions=versions), keys=3)
    landings = sorted(told_once(source.landings()), key=lambda landing: landing.at)
    good, bad = Table(SLACK, restamp=True), Table(SLACK, restamp=True)
    for nth, landing in enumerate(landings):
        good.land(landing)
        bad.land(badly_mapped(landing) if nth % 2 else landing)
    for landing in landings:
        bad.land(badly_mapped(replayed(landing)))
    assert versions or REFUSED_BY_BAD not in shown(bad.rows).values()
    for landing in landings:
        bad.land(replayed(landing))
    assert shown(bad.rows) == shown(good.rows)


def told_once(landings: list[Landing]) -> Iterator[Landing]:
    """Without what was said of a key at the very same time before."""
    known: set[tuple[str, float]] = set()
    for landing in landings:
        said = tuple(one for one in landing.said if (one.key, one.at) not in known)
        known.update((one.key, one.at) for one in said)
        yield replace(landing, said=said)


@pytest.mark.parametrize("versions", [False, True])
def test_a_mapping_is_put_right(versions: bool) -> None:
    """What a bad mapping refuses is withdrawn by its replay, but for a row that keeps a time that
    is not its statement's own; all is there again when a good one has replayed it."""
    for seed in range(1_000):
        heals(seed, versions=versions)


def database_holds(connection: Connection, kind: Kind, seed: int) -> None:
    random = Random(seed)
    source = Source(random, kind, keys=10)
    rule = Table(SLACK, restamp=True)
    empty(connection)
    for nth, landing in enumerate(told(source, random, mappings=kind.mappings)):
        expected = rule.land(landing)
        entry = land(connection, landing, nth=nth, slack=SLACK, restamp=True)
        assert (fates(entry), stored(connection)) == (expected, rule.rows)
    assert shown(stored(connection)) == source.live()


@pytest.fixture
def database(emptied: str) -> str:
    return emptied


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_database(connection: Connection, kind: Kind) -> None:
    """The database does as the rule does, ten keys at a time, and ends with the truth."""
    ensure_leaf(connection, SPEC, connector="shop")
    for seed in range(2):
        database_holds(connection, kind, seed)


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_database_at_length(connection: Connection, kind: Kind) -> None:
    """The same for many more."""
    ensure_leaf(connection, SPEC, connector="shop")
    for seed in range(150):
        database_holds(connection, kind, seed)
