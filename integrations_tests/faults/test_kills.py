"""`integrations sync` killed at any moment, then run again: as if nothing had happened."""

from random import Random

import pytest

from integrations_tests.faults import state
from integrations_tests.faults.conftest import Places
from integrations_tests.faults.template import Place, Template

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


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100))
def test_killed_at_random_moments(warm: Template, places: Places, oracle: Place, seed: int) -> None:
    """The same for up to three kills in a row, each at a moment that only the seed knows."""
    random = Random(seed)
    place = places.new()
    for _ in range(random.randint(1, 3)):
        warm.killed_after(place, random.randint(1, EVENTS), random.expovariate(100))
    warm.sync(place)
    assert_as_undisturbed(place, oracle)


def assert_as_undisturbed(place: Place, oracle: Place) -> None:
    """Nothing lost, nothing doubled, nothing left open."""
    assert state.tables(place) == state.tables(oracle)
    assert state.unbalanced(place) == []
    assert state.half_read(place) == []
    assert state.dagster_green(place) == state.dagster_green(oracle)
    assert set(state.dagster_runs(place)) <= {"SUCCESS", "FAILURE"}
    assert state.taken_places(place) == 0
