"""What a sync in this process makes of its runs: outcomes, and an interruption that is one."""

import os
import signal
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest

from integrations.connector_template.connector import BoundStream
from integrations.names import StreamId, Window
from integrations.orchestration import sync
from integrations.orchestration.resources import StoreResource
from integrations.orchestration.sync import Outcome, Planned, Wanted, plan
from integrations.sandbox.faults import Fault
from integrations.storage import positions
from integrations.storage.positions import Pin, Reached
from integrations_tests.orchestration.conftest import CHARGES, CUSTOMERS, Floor
from integrations_tests.orchestration.feeds import EVENTS, events, living

DAYS = [
    Window(datetime(2026, 10, day, tzinfo=UTC), datetime(2026, 10, day + 1, tzinfo=UTC))
    for day in (2, 3, 4)
]
Streams = Mapping[StreamId, BoundStream]


def execute(floor: Floor, planned: Planned) -> Outcome:
    return sync.execute(planned, floor.definitions, floor.instance, on_window=lambda _: None)


@pytest.mark.parametrize("told", [True, False])
def test_a_blocked_run_may_fail_besides(
    floor: Floor, streams: Streams, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    """The ledger's line says that it was blocked; what else went wrong is an error of its own."""
    spoilt = Fault(times=99, rewrite=lambda b: b.replace(b'"name":"', b'"name":7,"was":"'))
    floor.twin.faults.append(spoilt)
    store = floor.instance.event_log_storage.store_event

    def failing(entry: dg.EventLogEntry) -> Any:
        event = entry.dagster_event
        if not told and event is not None and event.event_type_value == "ASSET_CHECK_EVALUATION":
            raise OSError("no space left")
        return store(entry)

    monkeypatch.setattr(floor.instance.event_log_storage, "store_event", failing)
    outcome = execute(floor, Planned(streams[CUSTOMERS], [[]]))
    assert [entry.status for entry in outcome.entries] == ["blocked"]
    assert outcome.status == ("blocked" if told else "failed")
    assert ["no space left" in error for error in outcome.errors] == [True] * (not told)


def test_what_was_not_tried_is_said(floor: Floor, streams: Streams) -> None:
    """The ledger has lines of what was tried only."""
    floor.twin.faults.append(Fault(after=1, status=401))
    outcome = execute(floor, Planned(streams[CHARGES], [DAYS]))
    refused, left = outcome.errors
    assert "answered 401" in refused
    assert left == "1 windows were not tried"
    assert outcome.status == "failed"


def test_a_feed_counts_each_event_once(floor: Floor) -> None:
    """Its own line has the events, its streams' lines have what became of them: their sum is
    balanced."""
    with living(floor.home) as life:
        for kind in ("customers", "customers", "charges"):
            life.create(kind)
        outcome = execute(floor, Planned(events(), [[]]))
    assert (outcome.status, outcome.errors) == ("ok", [])
    assert [str(entry.stream) for entry in outcome.entries] == [
        "stripe/sandbox/events", "stripe/sandbox/charges", "stripe/sandbox/customers"
    ]  # fmt: skip
    assert {name: outcome.total(name) for name in ("records", "received", "inserted")} == {
        "records": 3, "received": 3, "inserted": 3,
    }  # fmt: skip
    assert outcome.total("api_calls") == 2  # the list, and the charge by its key


@pytest.mark.parametrize(
    ("wanted", "stretches"),
    [
        (Wanted(), [[]]),
        (Wanted(full=True), [[]]),
        (Wanted(begin=DAYS[0].start), []),
        (Wanted(end=DAYS[0].start), []),
    ],
)
def test_a_feed_is_planned_by_its_age(
    floor: Floor, wanted: Wanted, stretches: list[list[Window]]
) -> None:
    """It has no windows that could be asked for; once it was read it is planned only in full."""
    at = datetime(2026, 10, 12, tzinfo=UTC)
    (planned,) = plan([events()], wanted, StoreResource(), now=at)
    assert (planned.stretches, planned.windowed) == (stretches, False)
    with closing(floor.connect()) as connection:
        positions.move(
            connection, EVENTS, Reached(landing=None, run_id="r", checked_at=at), pin=Pin()
        )
        connection.commit()
    (planned,) = plan([events()], wanted, StoreResource(), now=at)
    assert planned.stretches == (stretches if wanted.full else [])


def test_an_interruption_ends_the_sync(floor: Floor, streams: Streams) -> None:
    """Ctrl-C is no failure of one stream, after which the next would begin; commits are kept."""
    planned = Planned(streams[CHARGES], [DAYS])

    def interrupt(_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        sync.execute(planned, floor.definitions, floor.instance, on_window=interrupt)
    assert floor.rows("SELECT status FROM integrations.ledger") == [("ok",)]
