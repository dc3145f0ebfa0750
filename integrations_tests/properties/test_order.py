"""The order of statements: whatever is said, in whatever order, the table is what a few lines of
Python say it must be, and every load balances."""

from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrations.storage.tables import ensure_leaf
from integrations_tests.storage.loads import SPEC, Said, fates, load, table

Connection = psycopg.Connection[Any]
DELETE = 2


@dataclass(frozen=True)
class Stored:
    """A row: the values of the last live statement, the stamps of the last one applied."""

    amount: int | None
    version: int | None
    at: float
    rank: int
    deleted: bool


def wins(said: Said, stored: Stored, slack: float) -> bool:
    """Whether a statement is applied over a row."""
    if said.at > stored.at + slack:
        return True
    if said.at < stored.at - slack:
        return False
    if (said.rank == DELETE) != (stored.rank == DELETE):
        return said.rank == DELETE
    if said.version is None or stored.version is None:
        return (said.at, said.rank) >= (stored.at, stored.rank)
    return (said.version, said.at, said.rank) >= (stored.version, stored.at, stored.rank)


def put(rows: dict[str, Stored], said: Said, slack: float) -> str:
    """Apply one statement to the model; its fate."""
    stored = rows.get(said.key)
    amount = None if said.amount is None else int(said.amount)
    dead = said.rank == DELETE
    if stored is None:
        rows[said.key] = Stored(amount, said.version, said.at, said.rank, dead)
        return "deleted" if dead else "inserted"
    if not wins(said, stored, slack):
        return "stale"
    if dead:
        amount = stored.amount
    new = Stored(amount, said.version, said.at, said.rank, dead)
    same = stored.rank == DELETE if dead else (stored.amount, stored.deleted) == (amount, False)
    if not same or slack:  # a pull-only stream keeps the older stamps of what is unchanged
        rows[said.key] = new
    return "unchanged" if same else "deleted" if dead else "updated"


def land(rows: dict[str, Stored], landing: list[Said], slack: float) -> dict[str, int]:
    """Fold a landing's copies and apply what is left; the fates that are not zero."""
    kept: dict[str, Said] = {}
    for said in landing:
        was = kept.get(said.key)
        if was is None or place(said) >= place(was):
            kept[said.key] = said
    found = ["duplicate"] * (len(landing) - len(kept))
    found += [put(rows, said, slack) for said in kept.values()]
    return {fate: found.count(fate) for fate in set(found)}


def place(said: Said) -> tuple[float, float, int]:
    version = float("-inf") if said.version is None else said.version
    return said.at, version, said.rank


@st.composite
def statements(draw: st.DrawFn) -> Said:
    """Few values and moments, so that they meet, on both sides of the slack; several keys, so that
    one load tries several histories."""
    rank = draw(st.sampled_from([0, 0, 1, DELETE]))
    return Said(
        key=draw(st.sampled_from("abcdefgh")),
        amount=None if rank == DELETE else draw(st.sampled_from(["1", "2"])),
        at=draw(st.sampled_from([0, 30, 60, 90, 91, 120, 150, 151, 300])),
        version=draw(st.sampled_from([None, 1, 2])),
        rank=rank,
    )


@pytest.mark.parametrize("slack", [0.0, 60.0])
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    database=None,
)
@given(history=st.lists(st.lists(statements(), max_size=24), min_size=1, max_size=5))
def test_the_table_is_what_the_model_says(
    connection: Connection, slack: float, history: list[list[Said]]
) -> None:
    """Random landings one after the other: rows, stamps and fates are the model's."""
    ensure_leaf(connection, SPEC, connector="shop")
    connection.execute("TRUNCATE canonical.sale")
    connection.commit()
    rows: dict[str, Stored] = {}
    for landing in history:
        expected = land(rows, landing, slack)
        assert fates(load(connection, landing, slack_s=slack)) == expected
        found = {
            key: Stored(amount if amount is None else int(amount), version, at, rank, deleted)
            for key, (amount, _, version, at, rank, deleted) in table(connection).items()
        }
        assert found == rows
