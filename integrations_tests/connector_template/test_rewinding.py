"""Positions by hand: what is due after them, and that nothing of before can commit any more."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from integrations.connector_template import loading, rewinding
from integrations.connector_template.connector import Connector, read_connector
from integrations.connector_template.due import due, feed_due
from integrations.connector_template.feed import MARGIN, _begun
from integrations.connector_template.run import Run
from integrations.errors import FixConfig, StopStream
from integrations.names import StreamId
from integrations.storage import positions
from integrations.storage.positions import Pin, Reached
from integrations_tests.connector_template.florist import FED, changed, write
from integrations_tests.connector_template.test_due import DAYS, NOW, bound, landing

Connection = psycopg.Connection[Any]
NEWS, ORDERS, BUYERS, CHANGES = (
    StreamId("florist", "main", name) for name in ("news", "orders", "buyers", "changes")
)
CURSOR = (
    ("      buyers:\n        sync: {type: full}", """\
      changes:
        sync: {type: cursor, position: seq}
        request:
          path: /changes
          params: {after: "{position}", from: "{since}"}
          records: items
          paging: {type: next_url, next: next}
      buyers:
        sync: {type: full}"""),
    ("    buyers:\n      entity: customer", """\
    changes:
      entity: customer
      key: number
      fields: {name: name, email: email}
    buyers:
      entity: customer"""),
)  # fmt: skip


@pytest.fixture
def connector(tmp_path: Path) -> Connector:
    """A florist with a stream of each kind, and a feed."""
    return read_connector(write(tmp_path / "florist", changed(*CURSOR, text=FED)))


def reach(connection: Connection, connector: Connector, stream: StreamId, **values: Any) -> None:
    """Commits a position, as a load does."""
    reader = bound(connector, str(stream))
    pin = Pin() if stream == NEWS else loading.pin(reader)
    reached = Reached(**{"landing": landing(NOW), "run_id": "r"} | values)
    positions.move(connection, stream, reached, pin=pin)
    connection.commit()


def rewind(connection: Connection, reader: Any, to: datetime | None = None) -> None:
    rewinding.rewind(reader, to=to, connection=connection, run_id="me", clock=lambda: NOW)


def starts(connection: Connection, stream: Any) -> list[int]:
    """The days of January that are due."""
    found = [one.start.day for stretch in due(stream, connection, now=NOW) for one in stretch]
    connection.rollback()
    return found


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        (None, [1, 2, 3, 4, 5]),
        (datetime(2026, 1, 4, tzinfo=UTC), [4, 5]),
        (datetime(2026, 1, 4, 1, tzinfo=UTC), [4, 5]),
        (datetime(2026, 1, 3, 23, tzinfo=UTC), [3, 4, 5]),
        (datetime(2025, 1, 1, tzinfo=UTC), [1, 2, 3, 4, 5]),
        (NOW, []),
    ],
)
def test_windows_that_end_after_it_are_due(
    connection: Connection, connector: Connector, to: datetime | None, expected: list[int]
) -> None:
    """The others stay committed; a pull of any of them that is under way cannot commit."""
    orders = bound(connector, str(ORDERS))
    for window in DAYS:
        reach(connection, connector, ORDERS, window=window)
    assert starts(connection, orders) == []

    rewind(connection, orders, to)

    assert starts(connection, orders) == expected
    reset = positions.last_reset(connection, ORDERS)
    assert reset is not None
    assert reset.why == f"rewound to {f'{to:%Y-%m-%d %H:%M} UTC' if to else 'its start'} by hand"
    with pytest.raises(StopStream, match="before the stream was reset"):
        reach(connection, connector, ORDERS, window=DAYS[0])
    connection.rollback()
    rewind(connection, orders, to)
    assert starts(connection, orders) == expected, "twice is as once"


def test_a_full_stream_is_due_and_keeps_its_floor(
    connection: Connection, connector: Connector
) -> None:
    """A floor is about rows, which stay."""
    buyers = bound(connector, str(BUYERS))
    floor = NOW - timedelta(hours=1)
    reach(connection, connector, BUYERS, floor_at=floor)
    assert due(buyers, connection, now=NOW) == []
    connection.rollback()

    rewind(connection, buyers)

    assert due(buyers, connection, now=NOW) == [[]]
    assert positions.floor(connection, BUYERS) == floor
    connection.rollback()


@pytest.mark.parametrize("to", [None, NOW - timedelta(days=2)])
def test_a_cursor_goes_back(
    connection: Connection, connector: Connector, to: datetime | None
) -> None:
    """To no position at all, or to none but a moment to read from."""
    changes = bound(connector, str(CHANGES))
    reach(connection, connector, CHANGES, cursor=(None, "7"), checked_at=NOW)

    rewind(connection, changes, to)

    position = positions.at(connection, CHANGES)
    if to is None:
        assert position is None
    else:
        assert position is not None
        assert (position.cursor, position.landing) == (None, None)
        assert (position.checked_at, position.run_id) == (to, "me")
    assert due(changes, connection, now=NOW) == [[]]
    connection.rollback()
    generation = positions.generation(connection, CHANGES)
    reach(connection, connector, CHANGES, cursor=(None, "8"), generation=generation)


@pytest.mark.parametrize("to", [None, NOW - timedelta(days=2)])
def test_a_feed_goes_back_as_far_as_its_source_keeps(
    connection: Connection, connector: Connector, to: datetime | None
) -> None:
    """It is due, reads from there on, and an hour later that is still no gap."""
    news = bound(connector, str(NEWS))
    reach(connection, connector, NEWS, cursor=(None, "evt_7"), checked_at=NOW)

    rewind(connection, news, to)

    assert feed_due(news, connection, now=NOW)
    connection.rollback()
    later = NOW + timedelta(hours=1) - MARGIN
    position, gap = _begun(
        news, connection=connection, run=Run("r", "r", "sync"), clock=lambda: later
    )
    assert (position.cursor, gap) == (None, None)
    assert position.checked_at == (to or NOW - timedelta(days=30) + timedelta(hours=1))


@pytest.mark.parametrize(
    ("name", "to", "said"),
    [
        (
            NEWS,
            NOW - timedelta(days=30),
            "its source keeps events for 30 days: nothing from before",
        ),
        (NEWS, NOW + timedelta(1), "2026-01-07 12:00 UTC is still to come"),
        (ORDERS, NOW + timedelta(1), "is still to come"),
        (BUYERS, NOW - timedelta(1), "it is read in full, and knows no time to go back to"),
    ],
)
def test_where_nothing_can_go_back_to(
    connection: Connection, connector: Connector, name: StreamId, to: datetime, said: str
) -> None:
    """Refused with words, and nothing is changed."""
    reach(connection, connector, name, cursor=(None, "7") if name == NEWS else None)
    with pytest.raises(FixConfig, match=said):
        rewind(connection, bound(connector, str(name)), to)
    assert positions.last_reset(connection, name) is None
    connection.rollback()


def test_a_cursor_without_since_has_no_time_to_go_back_to(
    connection: Connection, tmp_path: Path
) -> None:
    """It can only begin anew."""
    since = ('{after: "{position}", from: "{since}"}', '{after: "{position}"}')
    text = changed(*CURSOR, since, text=FED)
    connector = read_connector(write(tmp_path / "other" / "florist", text))
    with pytest.raises(FixConfig, match=r"its request has no \{since\}.*without --to"):
        rewind(connection, bound(connector, str(CHANGES)), NOW - timedelta(days=1))


@pytest.mark.parametrize("name", [NEWS, CHANGES])
@pytest.mark.parametrize("committed", [True, False])
def test_a_position_is_set(
    connection: Connection, connector: Connector, name: StreamId, committed: bool
) -> None:
    """It is gone on from there, in a new generation; a feed still knows when it was last heard, for
    a source that does not know the position."""
    heard = NOW - timedelta(days=3)
    if committed:
        reach(connection, connector, name, cursor=(None, "7"), checked_at=heard)

    rewinding.set_to(
        bound(connector, str(name)), "99", connection=connection, run_id="me", clock=lambda: NOW
    )

    position = positions.at(connection, name)
    assert position is not None
    assert (position.cursor, position.landing, position.run_id) == ("99", None, "me")
    assert position.checked_at == (heard if committed and name == NEWS else None)
    assert position.generation == int(committed)
    connection.rollback()
    if committed:
        with pytest.raises(StopStream, match="before the stream was reset"):
            reach(connection, connector, name, cursor=("7", "8"))
        connection.rollback()
    reach(connection, connector, name, cursor=("99", "100"), generation=int(committed))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (ORDERS, "7", "it is not read by cursor"),
        (BUYERS, "7", "it is not read by cursor"),
        (NEWS, "", "'' is no position"),
        (CHANGES, " ", "' ' is no position"),
        (CHANGES, "7\n", "is no position"),
    ],
)
def test_what_cannot_be_set(
    connection: Connection, connector: Connector, name: StreamId, value: str, said: str
) -> None:
    """Only what is read by cursor, and only to something."""
    with pytest.raises(FixConfig, match=said):
        rewinding.set_to(
            bound(connector, str(name)), value, connection=connection, run_id="me",
            clock=lambda: NOW,
        )  # fmt: skip


def test_a_changed_file_is_refused_first(connection: Connection, tmp_path: Path) -> None:
    """What would be due then is another question."""
    before = read_connector(write(tmp_path / "a" / "florist", FED))
    after = read_connector(
        write(tmp_path / "b" / "florist", changed(("cadence: daily", "cadence: hourly"), text=FED))
    )
    reach(connection, before, ORDERS, window=DAYS[0])
    with pytest.raises(FixConfig, match="integrations repartition"):
        rewind(connection, bound(after, str(ORDERS)))
    assert positions.last_reset(connection, ORDERS) is None
    connection.rollback()
