"""The order of statements: whatever is said, in whatever order, the table is what a few lines of
Python say it must be, and every load balances."""

from dataclasses import replace
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrations.storage.tables import ensure_leaf
from integrations_tests.properties.rule import DELETE, Landing, Table
from integrations_tests.properties.sides import empty, land, stored
from integrations_tests.storage.loads import SPEC, Said, fates

Connection = psycopg.Connection[Any]
MOMENTS = st.sampled_from([0.0, 30, 60, 90, 91, 120, 150, 151, 300])
KEYS = "abcdefgh"


@st.composite
def statements(draw: st.DrawFn) -> Said:
    """Few values and moments, so that they meet, on both sides of the slack; several keys, so that
    one load tries several histories."""
    rank = draw(st.sampled_from([0, 0, 1, DELETE]))
    flagged = rank != DELETE and draw(st.sampled_from([False, False, False, True]))
    return Said(
        key=draw(st.sampled_from(KEYS)),
        amount=None if flagged or rank == DELETE else draw(st.sampled_from(["1", "2"])),
        at=draw(MOMENTS),
        version=draw(st.sampled_from([None, 1, 2])),
        rank=rank,
        flagged=flagged,
    )


@st.composite
def landings(draw: st.DrawFn) -> Landing:
    """Any statements and refusals; a replay, or a complete reading, or neither."""
    kind = draw(st.sampled_from(["replay", "complete", "plain"]))
    began = draw(MOMENTS)
    refused = st.tuples(st.sampled_from(KEYS), MOMENTS)
    return Landing(
        tuple(draw(st.lists(statements(), max_size=24))),
        tuple(draw(st.lists(refused, max_size=3))),
        began=(began, began) if kind == "complete" else None,
        replay=kind == "replay",
    )


@pytest.mark.parametrize(("slack", "restamp"), [(0.0, False), (0.0, True), (60.0, True)], ids=str)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    database=None,
)
@given(history=st.lists(landings(), min_size=1, max_size=5))
def test_the_table_is_what_the_model_says(
    connection: Connection, slack: float, restamp: bool, history: list[Landing]
) -> None:
    """Random landings one after the other: rows, stamps, quarantine and fates are the model's."""
    ensure_leaf(connection, SPEC, connector="shop")
    empty(connection)
    rule = Table(slack, restamp)
    if not restamp:  # a stream with complete readings takes the newer stamps
        history = [replace(landing, began=None) for landing in history]
    for nth, landing in enumerate(history):
        expected = rule.land(landing)
        assert fates(land(connection, landing, nth=nth, slack=slack, restamp=restamp)) == expected
        assert stored(connection) == rule.rows
