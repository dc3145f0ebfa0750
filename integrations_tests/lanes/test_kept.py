"""A value that the source stops giving, where the mapping says that it is kept: it survives every
way that a record can come."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from integrations.commands.trace import Telling
from integrations.connector_template import rebuilding, retrying
from integrations.connector_template.connector import Connector, read_connector
from integrations.connector_template.folders import SHIPPED
from integrations.storage import quarantine
from integrations.storage.ledger import LedgerEntry
from integrations_tests.lanes.lanes import Clock, Lanes
from integrations_tests.lanes.life import Life
from integrations_tests.lanes.test_trace import traced

KEEPING = "phone: {when_null: clear, when_absent: keep}"
STRICT = "name: {when_null: reject}"
MAPPED = "      entity: customer\n      key: id\n"


def connector(folder: Path, *decisions: str) -> Connector:
    """Stripe's, with these decisions about customers."""
    shutil.copytree(SHIPPED / "stripe", folder / "stripe")
    file = folder / "stripe" / "defs.yaml"
    text = file.read_text()
    assert text.count(MAPPED) == 1
    missing = f"      missing: {{{', '.join(decisions)}}}\n"
    file.write_text(text.replace(MAPPED, MAPPED + missing))
    return read_connector(folder / "stripe")


@pytest.fixture
def keeping(begun: Lanes, tmp_path: Path) -> Lanes:
    """An account whose customers keep a phone number that is not said again."""
    begun.connector = connector(tmp_path / "keeping", KEEPING)
    return begun


def shown(lanes: Lanes, ident: str) -> tuple[Any, Any] | None:
    """Name and phone, of a row that is live."""
    row = lanes.table("customers").get(ident)
    return row and (row["name"], row["phone"])


def said(lanes: Lanes, clock: Clock) -> None:
    """Reads the feed a while later, and goes on to a time that nobody could confuse with it."""
    clock.goes(minutes=10)
    lanes.turn()
    clock.goes(minutes=10)


def silent(lanes: Lanes, life: Life, clock: Clock) -> str:
    """A customer with a phone number, of which the source then says another name and no number."""
    ident = life.create("customers", name="A", phone="+31 1")
    lanes.sync("customers")
    assert shown(lanes, ident) == ("A", "+31 1")
    life.change("customers", ident, name="B", without=["phone"])
    said(lanes, clock)
    return ident


def test_in_both_lanes(keeping: Lanes, life: Life, clock: Clock) -> None:
    """An event writes over the rest, a reading finds nothing changed; null clears it."""
    ident = silent(keeping, life, clock)
    assert shown(keeping, ident) == ("B", "+31 1")
    assert keeping.sync("customers").unchanged == 1
    assert shown(keeping, ident) == ("B", "+31 1")
    life.change("customers", ident, phone=None)
    said(keeping, clock)
    assert shown(keeping, ident) == ("B", None)


def test_over_a_deletion(keeping: Lanes, life: Life, clock: Clock) -> None:
    """A revived row has the value that was stored."""
    ident = silent(keeping, life, clock)
    life.delete("customers", ident)
    said(keeping, clock)
    assert shown(keeping, ident) is None
    life.revive("customers", ident, name="C")
    said(keeping, clock)
    assert shown(keeping, ident) == ("C", "+31 1")


def test_out_of_quarantine(keeping: Lanes, life: Life, clock: Clock, tmp_path: Path) -> None:
    """A record that was refused and passes later keeps it too."""
    ident = silent(keeping, life, clock)
    relaxed = keeping.connector
    keeping.connector = connector(tmp_path / "strict", KEEPING, STRICT)
    life.change("customers", ident, name=None)
    said(keeping, clock)
    (entry,) = quarantine.open_records(keeping.connection, keeping.id("customers"))
    assert entry.reason == "name: `name` null gives null, which `when_null: reject` refuses"
    assert shown(keeping, ident) == ("B", "+31 1")
    keeping.connector = relaxed
    done = retrying.retry(
        keeping.stream("customers"), [entry],
        connection=keeping.connection, session=None, run=keeping.run("retry"), clock=clock,
    )  # fmt: skip
    assert done.passed == (ident,)
    assert shown(keeping, ident) == (None, "+31 1")


def test_said_again_from_raw(keeping: Lanes, life: Life, clock: Clock) -> None:
    """A replay changes nothing, and a rebuild makes the same rows again."""
    ident = silent(keeping, life, clock)
    other = silent(keeping, life, clock)
    life.change("customers", other, phone="+31 2")
    said(keeping, clock)
    life.change("customers", other, name="C", without=["phone"])
    said(keeping, clock)
    wanted = {ident: ("B", "+31 1"), other: ("C", "+31 2")}
    assert {key: shown(keeping, key) for key in wanted} == wanted
    keeping.replay("customers")
    assert {key: shown(keeping, key) for key in wanted} == wanted
    rebuild(keeping)
    assert {key: shown(keeping, key) for key in wanted} == wanted


def rebuild(lanes: Lanes) -> LedgerEntry:
    return rebuilding.rebuild(
        lanes.stream("customers"), [lanes.events],
        connection=lanes.connection, zone=lanes.zone, run=lanes.run("replay"), clock=lanes.clock,
    ).entry  # fmt: skip


def test_said_by_a_reading_that_another_has_replaced(
    keeping: Lanes, life: Life, clock: Clock
) -> None:
    """A rebuild takes the value from it, and brings nobody back whom only it knows."""
    ident = life.create("customers", event=False, name="A", phone="+31 1")
    others = [life.create("customers", event=False) for _ in range(20)]
    keeping.sync("customers")
    clock.goes(hours=1)
    life.change("customers", ident, event=False, name="B", without=["phone"])
    life.delete("customers", others[0], event=False)
    keeping.sync("customers")
    before = keeping.table("customers")
    assert (before[ident]["name"], before[ident]["phone"], len(before)) == ("B", "+31 1", 20)
    entry = rebuild(keeping)
    assert (entry.inserted, entry.duplicate, entry.stale) == (20, 20, 1)
    assert keeping.table("customers") == before
    assert {rank for (rank,) in keeping.fetch("SELECT _rank FROM canonical.customer")} <= {0, 1, 2}


def test_in_its_trace(keeping: Lanes, life: Life, clock: Clock) -> None:
    """The loads, played again, give the row; what was not said is not told as a change."""
    ident = silent(keeping, life, clock)
    found = traced(keeping, "customers", ident)
    assert (found.played, found.differs) == (True, {})
    told = Telling(keeping.stream("customers"), show_personal=True)
    statements = [one for one in told.objects(found) if one["kind"] == "statement"]
    assert statements[-1]["changes"] == {"name": {"old": "A", "new": "B"}}
