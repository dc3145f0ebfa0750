"""Of what a run is told that it refused too much, and how often."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from integrations.connector_template.connector import read_connector
from integrations.connector_template.folders import SHIPPED
from integrations.error_handling.alert import Alert
from integrations.names import StreamId
from integrations.orchestration import alerts, keys
from integrations.storage.ledger import LedgerEntry

CHARGES = StreamId("stripe", "sandbox", "charges")
CUSTOMERS = StreamId("stripe", "sandbox", "customers")


@pytest.mark.parametrize(
    ("alert", "refused", "received", "expected"),
    [
        ({}, 20, 399, True),
        ({}, 20, 400, False),  # just its share
        ({}, 19, 19, False),  # too few to say anything
        ({"count": 1}, 1, 19, True),
        ({"count": 1}, 1, 20, False),
        ({"share": 0, "count": 100}, 100, 10**6, True),
        ({"share": 0, "count": 100}, 99, 99, False),
        ({"count": 1}, 0, 0, False),
    ],
)
def test_what_is_too_much(
    alert: dict[str, Any], refused: int, received: int, expected: bool
) -> None:
    """By the share and by the count, each of which a file may leave to the other."""
    assert Alert(**alert).exceeded(refused, received=received) == expected


def line(refused: int, received: int, *, of: StreamId = CHARGES, **more: Any) -> LedgerEntry:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    values: dict[str, Any] = {"landing": "one", "cause": "sync", **more}
    return LedgerEntry(
        stream=of, run_id="r", began_at=at, quarantined=refused, received=received, **values
    )


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([line(9, 100)] * 3, [(CHARGES, 27, 300)]),
        ([line(9, 100), line(30, 40, status="blocked")], [(CHARGES, 39, 140)]),
        ([line(9, 100), line(11, 900)], []),
        ([line(30, 30, cause="retry", landing=None)], []),
        ([line(30, 30, cause="retry")], [(CHARGES, 30, 30)]),
        ([line(30, 30), line(20, 20, of=CUSTOMERS)], [(CHARGES, 30, 30), (CUSTOMERS, 20, 20)]),
        ([line(30, 30, of=replace(CHARGES, stream="others"))], []),
        ([], []),
    ],
    ids=[
        "windows add up", "one is blocked", "little of much", "tried by the way", "a run continued",
        "two streams", "of another", "nothing",
    ],
)  # fmt: skip
def test_each_stream_is_told_of_once(
    lines: list[LedgerEntry], expected: list[tuple[StreamId, int, int]]
) -> None:
    """With its numbers, and in words."""
    bound = read_connector(SHIPPED / "stripe").streams()
    streams = [one for one in bound if one.id in (CHARGES, CUSTOMERS)]
    events: list[Any] = []
    words: list[str] = []
    alerts.tell([*streams, *streams], lines, sink=events.append, error=words.append)
    told = [
        (event.asset_key, event.metadata["refused"].value, event.metadata["received"].value)
        for event in events
    ]
    assert told == [(keys.table(stream), *counts) for stream, *counts in expected]
    assert [event.metadata["severity"].value for event in events] == ["ERROR"] * len(expected)
    assert [event.description for event in events] == words
