"""Rebuilds: the rows are made again from what they were made from, or stay as they were."""

from collections.abc import Iterator

import pytest

from integrations.connector_template import rebuilding
from integrations.connector_template.rebuilding import Rebuilt
from integrations.errors import FixConfig
from integrations.storage import positions
from integrations_tests.lanes.books import assert_balanced
from integrations_tests.lanes.lanes import Clock, Lanes
from integrations_tests.lanes.life import Life


@pytest.fixture
def thirty(lanes: Lanes, life: Life, clock: Clock) -> Iterator[Lanes]:
    """Thirty customers, read in full."""
    for _ in range(30):
        life.create("customers")
    lanes.sync("customers")
    clock.goes(hours=1)
    yield lanes
    assert_balanced(lanes)


def rebuild(lanes: Lanes, name: str, *, accept: bool = False) -> Rebuilt:
    return rebuilding.rebuild(
        lanes.stream(name),
        [lanes.events],
        connection=lanes.connection,
        zone=lanes.zone,
        run=lanes.run("replay", accept=accept),
        clock=lanes.clock,
    )


def test_of_what_was_committed_only(thirty: Lanes, life: Life) -> None:
    """A reading that was blocked, since it would have deleted too many, is not loaded by the way."""
    for ident in list(life.truth("customers"))[:20]:
        life.delete("customers", ident, event=False)
    assert thirty.sync("customers").status == "blocked"
    assert rebuild(thirty, "customers").entry.inserted == 30
    assert len(thirty.table("customers")) == 30


def test_after_a_reset(thirty: Lanes) -> None:
    """What is due again was committed once: the rows are made from its landings all the same."""
    positions.reset(thirty.connection, thirty.id("customers"), why="a test")
    thirty.connection.commit()
    assert rebuild(thirty, "customers").entry.inserted == 30
    assert len(thirty.table("customers")) == 30


def test_of_what_is_landed_no_more(thirty: Lanes, clock: Clock) -> None:
    """Rows that could not be made again stay, until a person accepts that they are fetched."""
    clock.goes(days=40)
    thirty.zone.prune(thirty.id("customers"), before=clock.now, committed={positions.WHOLE: "3"})
    with pytest.raises(FixConfig, match="1 of its committed pulls are not landed any more"):
        rebuild(thirty, "customers")
    assert len(thirty.table("customers")) == 30
    assert rebuild(thirty, "customers", accept=True).fetch_again == 1
    assert thirty.table("customers") == {}
    assert positions.committed(thirty.connection, thirty.id("customers")) == {}
