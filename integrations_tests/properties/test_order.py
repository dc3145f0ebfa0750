"""The order of statements: whatever is said, in whatever order, the table is what a few lines of
Python say it must be, and every load balances."""

from collections.abc import Sequence
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
def statements(draw: st.DrawFn, *, keeping: bool = False) -> Said:
    """Few values and moments, so that they meet, on both sides of the slack; several keys, so that
    one load tries several histories. When `keeping`, half of them leave the note that is there, and
    a key never seen takes theirs."""
    rank = draw(st.sampled_from([0, 0, 1, DELETE]))
    flagged = rank != DELETE and draw(st.sampled_from([False, False, False, True]))
    dead = flagged or rank == DELETE
    keeps = keeping and not dead and draw(st.booleans())
    notes = ["default"] if keeps else ["x", "y", None] if keeping and not dead else [None]
    return Said(
        key=draw(st.sampled_from(KEYS)),
        amount=None if dead else draw(st.sampled_from(["1", "2"])),
        note=draw(st.sampled_from(notes)),
        at=draw(MOMENTS),
        version=draw(st.sampled_from([None, 1, 2])),
        rank=rank,
        flagged=flagged,
        keeps=keeps,
    )


@st.composite
def landings(draw: st.DrawFn, *, keeping: bool = False) -> Landing:
    """Any statements and refusals; a replay, or a complete reading, or neither."""
    kind = draw(st.sampled_from(["replay", "complete", "plain"]))
    began = draw(MOMENTS)
    refused = st.tuples(st.sampled_from(KEYS), MOMENTS)
    return Landing(
        tuple(draw(st.lists(statements(keeping=keeping), max_size=24))),
        tuple(draw(st.lists(refused, max_size=3))),
        began=(began, began) if kind == "complete" else None,
        replay=kind == "replay",
    )


ORDERS = pytest.mark.parametrize(
    ("slack", "restamp"), [(0.0, False), (0.0, True), (60.0, True)], ids=str
)
TRIES = settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    database=None,
)


@ORDERS
@TRIES
@given(history=st.lists(landings(), min_size=1, max_size=5))
def test_the_table_is_what_the_model_says(
    connection: Connection, slack: float, restamp: bool, history: list[Landing]
) -> None:
    """Random landings one after the other: rows, stamps, quarantine and fates are the model's."""
    agree(connection, slack, restamp, history)


@ORDERS
@TRIES
@given(history=st.lists(landings(keeping=True), min_size=1, max_size=5))
def test_a_table_that_keeps_is_what_the_model_says(
    connection: Connection, slack: float, restamp: bool, history: list[Landing]
) -> None:
    """The same where statements leave a value that is stored."""
    agree(connection, slack, restamp, history, keeps=["note"])


def agree(
    connection: Connection,
    slack: float,
    restamp: bool,
    history: list[Landing],
    keeps: Sequence[str] = (),
) -> None:
    ensure_leaf(connection, SPEC, connector="shop")
    empty(connection)
    rule = Table(slack, restamp)
    if not restamp:  # a stream with complete readings takes the newer stamps
        history = [replace(landing, began=None) for landing in history]
    for nth, landing in enumerate(history):
        expected = rule.land(landing)
        entry = land(connection, landing, nth=nth, slack=slack, restamp=restamp, keeps=keeps)
        assert fates(entry) == expected
        assert stored(connection) == rule.rows
