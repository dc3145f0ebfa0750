"""Commands and runs killed at any moment, then run again: as if nothing had happened.

The long form kills each kind of reading at every barrier there is and at moments that only a seed
knows, and says at its end how often:

    uv run pytest -m long --dist load integrations_tests/faults/test_kills.py
"""

import re
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

import integrations
from integrations.storage.database import connect
from integrations.storage.landing import LandingZone
from integrations_tests.faults import kinds, state
from integrations_tests.faults.conftest import Places
from integrations_tests.faults.histories import Found, Scene
from integrations_tests.faults.template import EPOCH, Kill, Place, Template
from integrations_tests.lanes.lanes import Lanes, mapped

Record = Callable[[str, object], None]
KINDS = kinds.kinds(Path(), Path())

HISTORIES = [
    [("landing", 1, (0, 0)), ("fetched", 3, (1, 1))],
    [("fetched", 2, (0, 0)), ("merged", 2, (2, 1))],
    [("before_manifest", 1, (0, 0)), ("committed", 1, (1, 1))],
    [("landed", 1, (1, 0)), ("reporting", 2, (1, 1))],  # loaded, and Dagster does not know it
    [("reporting", 1, (1, 0)), ("fetched", 5, (2, 2))],  # then in the stream that is read in full
    [("staging", 1, (1, 0)), ("committing", 2, (2, 1))],
    [("transforming", 1, (1, 0)), ("committed", 3, (3, 3))],
    [("staged", 1, (1, 0)), ("merging", 3, (3, 2))],
    [("merging", 1, (1, 0)), ("reporting", 18, (3, 3))],  # the very last
]
"""Where the first process is killed, and where the second, that repairs it: the event's name, its
number, and how many of the three windows are landed and how many committed at that moment."""

EVENTS = 60
"""About as many audit events has a whole sync."""

SAMPLE = {
    "cursor": [Kill("merged", 2), Kill("before_manifest", 1)],
    "feed": [Kill("committing", 1), Kill("merged", 4)],
    "replay": [Kill("merged", 2), Kill("committing", 4)],
    "backfill": [Kill("committed", 2), Kill("committed", 2)],
}
"""By kind: where it is killed, once, again, and again."""
SEEDS = 22
LONGEST_S = 1.0
"""What an undisturbed child takes, about, from its beginning."""


@pytest.fixture(scope="module")
def oracle(warm: Template, places: Places) -> Place:
    """What the same sync leaves behind when nobody disturbs it."""
    place = places.new()
    warm.sync(place)
    assert state.windows(place) == (3, 3)
    assert all(state.tables(place).values()), "each table has something to compare"
    return place


@pytest.mark.parametrize("kills", HISTORIES, ids=lambda kills: "-then-".join(k[0] for k in kills))
def test_killed_and_run_again(
    warm: Template, places: Places, oracle: Place, kills: list[tuple[str, int, tuple[int, int]]]
) -> None:
    """What is there after a kill is all of a step or nothing of it; the next sync brings
    everything to where an undisturbed one brings it, in Dagster too."""
    place = places.new()
    for barrier, nth, left in kills:
        warm.killed_at(place, barrier, nth)
        assert state.windows(place) == left
    warm.sync(place)
    assert_as_undisturbed(place, oracle)
    assert state.dagster_runs(place).count("FAILURE") == len(kills)


def test_undisturbed_the_tables_are_what_the_source_has(scene: Scene) -> None:
    """What killed histories are compared with is right itself."""
    place, life = scene.after(), scene.source.life
    with connect(place.database) as connection:
        zone = LandingZone((place.home / "raw").as_uri())
        lanes = Lanes("", {}, "sandbox", connection, zone, lambda: kinds.NOW, EPOCH)
        for name in kinds.STREAMS:
            there = life.truth(name)
            good = {key: one for key, one in there.items() if one.get("currency") != kinds.BAD}
            assert lanes.table(name) == mapped(lanes.stream(name), good)
            assert (len(good) < len(there)) == (name == "charges")


@pytest.mark.parametrize("name", SAMPLE)
def test_each_kind_is_killed_and_run_again(
    scene: Scene, name: str, record_property: Record
) -> None:
    """Where a kill costs most: before and after what was read is committed."""
    found = scene.run(name, SAMPLE[name], resume=[name == "backfill"])
    record(record_property, name, found)
    assert found.good, found
    assert found.at_barriers == len(SAMPLE[name])


def test_every_barrier_is_known() -> None:
    """What the code calls a barrier is met by some kind; what each kind meets its oracle checks."""
    texts = [file.read_text() for file in Path(integrations.__file__).parent.rglob("*.py")]
    named = {
        name for text in texts for name in re.findall(r"sys\.audit\(\"integrations\.(\w+)", text)
    }
    calls = sum(text.count("sys.audit(") for text in texts)
    assert calls == sum(len(re.findall(r"sys\.audit\(\"integrations\.\w+\",", t)) for t in texts)
    assert named == {barrier for kind in KINDS.values() for barrier in kind.barriers}


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "barrier"), [(name, one) for name, kind in KINDS.items() for one in kind.barriers]
)
def test_killed_at_each_barrier(
    scene: Scene, name: str, barrier: str, record_property: Record
) -> None:
    """Where it comes there last, then where it comes there first, twice."""
    last = scene.oracle(name).met.count(barrier)
    kills = [Kill(barrier, last), Kill(barrier, 1), Kill(barrier, 1)]
    found = scene.run(name, kills, resume=[False, True, False])
    record(record_property, name, found)
    assert found.good, found
    assert found.at_barriers >= 1


@pytest.mark.long
@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("name", KINDS)
def test_each_kind_is_killed_at_random_moments(
    scene: Scene, name: str, seed: int, record_property: Record
) -> None:
    """Up to four kills in a row: so long after some event, or after the beginning."""
    random = Random(f"{name} {seed}")
    events = len(scene.oracle(name).met)
    kills = [at_random(random, events) for _ in range(random.randint(2, 4))]
    found = scene.run(name, kills, resume=[random.random() < 0.5 for _ in kills])
    record(record_property, name, found)
    assert found.good, found


def at_random(random: Random, events: int) -> Kill:
    if random.random() < 0.3:
        return Kill(None, 0, random.uniform(0, LONGEST_S))
    return Kill(None, random.randint(1, events), random.expovariate(100))


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20))
def test_killed_at_random_moments(
    warm: Template, places: Places, oracle: Place, seed: int, record_property: Record
) -> None:
    """A first sync, of windows and in full, by up to three kills in a row."""
    random = Random(seed)
    place = places.new()
    hits = [
        warm.killed_after(place, random.randint(1, EVENTS), random.expovariate(100))
        for _ in range(random.randint(1, 3))
    ]
    warm.sync(place)
    record_property("kills", {"kind": "a first sync", "counts": {"at random": sum(hits)}})
    assert_as_undisturbed(place, oracle)


def record(record_property: Record, name: str, found: Found) -> None:
    """For the table at the end."""
    counts = {
        "at random": found.random,
        "at barriers": found.at_barriers,
        "lost": found.lost,
        "doubled": found.doubled,
        "resurrected": found.resurrected,
    }
    record_property("kills", {"kind": name, "counts": counts})


def assert_as_undisturbed(place: Place, oracle: Place) -> None:
    """Nothing lost, nothing doubled, nothing left open."""
    assert state.tables(place) == state.tables(oracle)
    assert state.unbalanced(place) == []
    assert state.half_read(place) == []
    assert state.dagster_green(place) == state.dagster_green(oracle)
    assert set(state.dagster_runs(place)) <= {"SUCCESS", "FAILURE"}
    assert state.taken_places(place) == 0
