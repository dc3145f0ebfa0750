"""A day at the auction, read through its connector: what is sold goes, another day's lots stay."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import integrations.connectors
from integrations.connector_template.connector import read_connector
from integrations.connector_template.tracing import trace
from integrations.sandbox.florecom import FlorecomTwin
from integrations.sandbox.server import running
from integrations.storage.database import connect
from integrations.storage.landing import LandingZone
from integrations_tests.conformance.oracles import florecom_vmp as oracle
from integrations_tests.conformance.subject import Case, Subject, difference
from integrations_tests.storage.conftest import shared_database

__all__ = ["shared_database"]

FOLDER = Path(integrations.connectors.__path__[0]) / "florecom_vmp"
MORNING = datetime(2026, 10, 5, 3, tzinfo=UTC)


class Day:
    """The auction's clock, which a test moves; it goes on a little whenever it is read."""

    def __init__(self) -> None:
        self.now = MORNING

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now


@pytest.fixture
def case(shared_database: str, tmp_path: Path) -> Iterator[Case]:
    clock = Day()
    twin = FlorecomTwin(7, clock=lambda: clock.now, per_day=40)
    with running(twin) as url, connect(shared_database) as connection:
        subject = Subject(read_connector(FOLDER), twin, url, oracle, MORNING)
        yield Case(subject, "day", connection, LandingZone(tmp_path.as_uri()), clock)


def live(case: Case, stream: Any) -> dict[str, Any]:
    return {key: row for key, row in case.rows(stream).items() if not row["_deleted_at"]}


def test_what_is_sold_goes_and_another_day_stays(case: Case) -> None:
    """Most of a morning's lots are gone at noon, and their rows deleted, which asks for no accept.
    The next day's reading, which holds none of them, leaves those that were left as they are."""
    (supply, _) = case.subject.streams
    clock: Any = case.clock

    morning = case.sync(supply, None)
    held = case.subject.held(supply, None)
    clock.now = MORNING + timedelta(hours=7)
    noon = case.sync(supply, None)
    left = case.subject.held(supply, None)
    after = live(case, supply)
    clock.now = MORNING + timedelta(days=1)
    tomorrow = case.sync(supply, None)

    gone = min(held.keys() - left.keys() & held.keys())
    told = trace(
        case.own(supply), gone,
        feeds=[], connection=case.connection, zone=case.zone, clock=case.clock,
    )  # fmt: skip
    lives = [(one.how, [load.fate for load in one.loads]) for one in told.statements]

    good = {key for key, row in held.items() if row}
    assert (morning.inserted, morning.absent_deleted) == (len(good), 0)
    assert noon.absent_deleted == len(held.keys() - left.keys()) > len(held) / 2
    assert difference(after, left) == []
    assert tomorrow.absent_deleted == 0
    assert lives == [("pulled", ["inserted"]), ("absent", ["absent_deleted"])]
    assert live(case, supply).keys() > after.keys()


def test_a_purchase_is_one_row_from_preliminary_to_final(case: Case) -> None:
    (_, sold) = case.subject.streams
    clock: Any = case.clock
    clock.now = MORNING + timedelta(hours=4)
    case.sync(sold, None)
    clock.now += timedelta(hours=3)

    entry = case.sync(sold, None)

    assert entry.updated > 0
    assert difference(case.rows(sold), case.subject.held(sold, None)) == []
