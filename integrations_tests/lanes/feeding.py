"""What tests of the feed look at: its position, its lines, and what differs from the source."""

from integrations.connector_template.feed import Turn
from integrations.storage import positions
from integrations.storage.ledger import FATES, LedgerEntry
from integrations.storage.positions import Position
from integrations_tests.lanes.books import differences
from integrations_tests.lanes.lanes import Lanes
from integrations_tests.lanes.life import Life


def position(lanes: Lanes, name: str = "events") -> Position:
    found = positions.at(lanes.connection, lanes.id(name))
    lanes.connection.rollback()
    assert found is not None
    return found


def lines(turn: Turn) -> dict[str, LedgerEntry]:
    """The lines of the one landing of a turn, by stream."""
    (loaded,) = turn.loaded
    return {entry.stream.stream: entry for entry in loaded.entries}


def fates(turn: Turn) -> dict[str, dict[str, int]]:
    """What became of the events of a turn, by stream; without zeros."""
    return {
        name: {fate: count for fate in FATES if (count := getattr(entry, fate))}
        for name, entry in lines(turn).items()
    }


def assert_fresh(lanes: Lanes, life: Life, *names: str) -> None:
    stale = {name: differences(lanes, life, name) for name in names}
    assert not any(stale.values()), stale
