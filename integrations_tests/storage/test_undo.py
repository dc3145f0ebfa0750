"""Soft deletes taken back: just those of one run, of rows that nothing has touched since."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest

from integrations.monitoring.ledger import of_runs
from integrations.storage import positions, undo
from integrations.storage.ledger import LedgerEntry
from integrations.storage.loader import Said as About
from integrations.storage.positions import Pin
from integrations.storage.tables import ensure_leaf
from integrations.storage.undo import Deletion
from integrations_tests.storage.loads import SPEC, STREAM, T0, Said, load, table

Connection = psycopg.Connection[Any]


@pytest.fixture
def database(emptied: str) -> str:
    return emptied


@pytest.fixture
def connection(connection: Connection) -> Connection:
    """With the leaf of the small entity."""
    ensure_leaf(connection, SPEC, connector="shop")
    return connection


def say(connection: Connection, *said: Said, run: str, reading: float | None = None) -> LedgerEntry:
    """A landing of a stream that is read in full; as a complete one it began at `reading`."""
    at = None if reading is None else T0 + timedelta(seconds=reading)
    return load(
        connection, said, restamp=True, accept=True, pin=Pin(),
        changes={"window": None, "run_id": run},
        about=About(at=at, complete=reading is not None),
    )  # fmt: skip


def undelete(connection: Connection, run: str) -> LedgerEntry | None:
    return undo.undelete(connection, SPEC, STREAM, deleted_by=run, run_id="undo", clock=lambda: T0)


def deletions(connection: Connection) -> list[Deletion]:
    found = undo.deletions(connection, SPEC, STREAM)
    connection.rollback()
    return found


@pytest.fixture
def gone(connection: Connection) -> Connection:
    """Of five rows a reading at 100 lacks `a` and `b`; then `c` and a key never seen are said to be
    deleted, `d` is flagged, and `b` is there again. `e` lives on."""
    say(connection, *(Said(key, amount=f"{n}", at=0) for n, key in enumerate("abcde")), run="first")
    say(connection, *(Said(key, amount="9", at=100) for key in "cde"), run="reading", reading=100)
    say(
        connection, Said("c", None, at=200, rank=2), Said("z", None, at=205, rank=2),
        Said("d", None, at=200, flagged=True), Said("b", "5", at=200), run="feed",
    )  # fmt: skip
    return connection


def test_the_runs_that_deleted_are_listed(gone: Connection) -> None:
    """With what is still theirs and what of it has its values; a mapping's deletes are not there."""
    after = {seconds: T0 + timedelta(seconds=seconds) for seconds in (100, 200, 205)}
    assert deletions(gone) == [
        Deletion(run_id="feed", rows=2, whole=1, absent=0, first_at=after[200], last_at=after[205]),
        Deletion(
            run_id="reading", rows=1, whole=1, absent=1, first_at=after[100], last_at=after[100]
        ),
    ]


def test_rows_come_back_as_they_were(gone: Connection) -> None:
    """Those of the run alone, live, with the time of their delete; the floor goes, and the ledger
    has a line that balances."""
    before = table(gone)
    assert positions.floor(gone, STREAM) == T0 + timedelta(seconds=100)
    gone.rollback()

    line = undelete(gone, "reading")

    assert line is not None
    assert (line.cause, line.received, line.updated) == ("reconcile", 1, 1)
    assert table(gone) == before | {"a": (0, None, None, 100.0, 0, False)}
    assert positions.floor(gone, STREAM) is None
    (written,) = of_runs(gone, ["undo"])
    assert written.balanced().updated == 1
    gone.rollback()
    assert undelete(gone, "reading") is None, "there is nothing left of it"


def test_a_tombstone_is_taken_back_too(gone: Connection) -> None:
    """But for a key of which nothing else was ever said: it has no values."""
    assert undelete(gone, "feed") is not None
    found = table(gone)
    assert found["c"] == (9, None, None, 200.0, 0, False)
    assert {key for key, row in found.items() if row[-1]} == {"a", "d", "z"}


@pytest.mark.parametrize(
    ("said", "reading", "live"),
    [
        ([], 300, False),
        ([Said("a", "7", at=300)], 300, True),
        ([Said("a", None, at=150, rank=2)], None, False),
        ([Said("a", "7", at=50)], None, True),
    ],
)
def test_what_the_source_says_later_stands(
    gone: Connection, said: list[Said], reading: float | None, live: bool
) -> None:
    """A next full reading that still lacks the row deletes it again, and so does a tombstone; what
    is older than its delete does not change it."""
    undelete(gone, "reading")
    say(gone, *said, run="later", reading=reading)
    assert table(gone)["a"][-1] is not live
