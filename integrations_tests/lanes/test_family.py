"""A stream and its children: one landing, two tables, and whose word counts when they disagree."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from integrations.connector_template import (
    diffing,
    family,
    previewing,
    pull,
    rebuilding,
    replaying,
    retrying,
    tracing,
)
from integrations.connector_template.connector import BoundStream, read_connector
from integrations.connector_template.run import Run
from integrations.errors import FixConfig
from integrations.names import StreamId
from integrations.secrets import Secret
from integrations.storage import positions, quarantine
from integrations.storage.database import connect
from integrations.storage.landing import LandingZone
from integrations.storage.ledger import Cause, LedgerEntry
from integrations.storage.manifest import Manifest
from integrations.transformation.transform import Transformer
from integrations_tests.lanes.conftest import NOON, Served
from integrations_tests.lanes.lanes import Clock

FILE = """\
type: integrations.orchestration.component.Connector
attributes:
  title: Shop (orders and their lines)
  connections:
    main: {start: 2026-01-01, secrets: {user: {env: SHOP_USER}, word: {env: SHOP_WORD}}}
  auth_handler: {type: basic, username: user, password: word}
  sync_handler:
    transport: {type: rest, base_url: "https://shop.example"}
    streams:
      orders:
        sync: {type: full}
        request: {path: /orders, records: items, paging: {type: single}}
      lines: {of: orders}
  transformer:
    orders: {entity: customer, key: number, deleted: gone, fields: {name: buyer}}
    lines:
      entity: customer
      key: [number, item.sku]
      each: lines
      where: [{from: item.kind, not_in: [gift]}]
      fields: {name: item.name, code: buyer, country: item.country}
  event_handler: none
"""
ABSENCE = ("sync: {type: full}", "sync: {type: full, deletes: absence}")
Line = dict[str, Any]


def line(sku: str, **values: Any) -> Line:
    return {"sku": sku, "name": sku.upper()} | values


def order(number: str, *lines: Line | str, **values: Any) -> dict[str, Any]:
    """An order with these lines, each named by its sku."""
    told = [line(one) if isinstance(one, str) else one for one in lines]
    return {"number": number, "buyer": "Ann", "lines": told} | values


@dataclass
class Shop:
    """An account at a shop, and the verbs on it."""

    orders: BoundStream
    url: str
    connection: psycopg.Connection[Any]
    zone: LandingZone
    clock: Clock
    items: list[dict[str, Any]] = field(default_factory=list)
    runs: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def lines(self) -> BoundStream:
        (child,) = self.orders.children
        return child

    def app(self) -> Starlette:
        async def answer(_: Request) -> JSONResponse:
            return JSONResponse({"items": self.items})

        return Starlette(routes=[Route("/orders", answer)])

    def changed(self, tmp_path: Path, *changes: tuple[str, str]) -> None:
        """From now on with a file in which each text is another."""
        self.orders = stream(tmp_path, self.orders.id.connection, *changes)

    def run(self, cause: Cause = "sync", *, accept: bool = False) -> Run:
        name = f"{self.orders.id.connection}-run{next(self.runs)}"
        return Run(name, name, cause, accept)

    def land(self, *orders: dict[str, Any]) -> Manifest:
        self.items, config = list(orders), self.orders.config
        self.clock.goes(hours=1)
        generation = positions.generation(self.connection, self.orders.id)
        self.connection.rollback()
        with config.sync_handler.transport.open(
            config.auth_handler, {"user": Secret("u"), "word": Secret("w")}, base_url=self.url,
            clock=self.clock, sleep=lambda _: None, random=lambda: 0.5,
        ) as session:  # fmt: skip
            return pull.land(
                self.orders, None, session=session, zone=self.zone, run=self.run(),
                generation=generation, clock=self.clock,
            )  # fmt: skip

    def load(self, manifest: Manifest, *, accept: bool = False) -> list[LedgerEntry]:
        """The ledger lines of a load: the orders' and the lines'."""
        found, entry = family.load(
            self.orders, manifest, connection=self.connection, zone=self.zone,
            run=Run(manifest.run_id, manifest.run_id, "sync", accept), clock=self.clock,
        )  # fmt: skip
        return told(found, entry)

    def sync(self, *orders: dict[str, Any], accept: bool = False) -> LedgerEntry:
        """Lands and loads; gives the ledger line of the lines."""
        return self.load(self.land(*orders), accept=accept)[1]

    def replay(self) -> LedgerEntry:
        landed = replaying.pulled(self.orders, [None], zone=self.zone)
        found, entry = replaying.load_pulled(
            self.orders, landed, connection=self.connection, zone=self.zone,
            run=self.run("replay"), clock=self.clock,
        )  # fmt: skip
        return told(found, entry)[1]

    def refused(self) -> list[quarantine.QuarantinedRecord]:
        found = quarantine.open_records(self.connection, self.lines.id)
        self.connection.rollback()
        return found

    def retry(self) -> LedgerEntry | None:
        return retrying.retry(
            self.lines, self.refused(), connection=self.connection, session=None,
            run=self.run("retry"), clock=self.clock,
        ).entry  # fmt: skip

    def rows(self, stream: str = "lines", *, deleted: bool = False) -> dict[str, str]:
        """The names of the rows that are live, or deleted."""
        found = self.connection.execute(
            "SELECT source_id, name FROM canonical.customer WHERE connector = 'shop'"
            " AND (connection, stream) = (%s, %s) AND (_deleted_at IS NOT NULL) = %s",
            [self.orders.id.connection, stream, deleted],
        ).fetchall()
        self.connection.rollback()
        return dict(found)


def told(found: Any, entry: LedgerEntry | None) -> list[LedgerEntry]:
    assert entry is not None
    return [entry, *(child.entry for child in found.children)]


def stream(folder: Path, account: str, *changes: tuple[str, str]) -> BoundStream:
    """The orders of an account, with the lines."""
    text = FILE
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (folder / "shop").mkdir(exist_ok=True)
    (folder / "shop" / "defs.yaml").write_text(text)
    orders, lines = read_connector(folder / "shop").streams()
    alone = replace(orders, id=StreamId("shop", account, "orders"), children=())
    lines = replace(lines, id=StreamId("shop", account, "lines"), parent=alone)
    return replace(alone, children=(lines,))


@pytest.fixture
def shop(served: Served, account: str, shared_database: str, tmp_path: Path) -> Iterator[Shop]:
    clock = Clock(NOON)
    zone = LandingZone((tmp_path / "raw").as_uri(), clock=clock)
    with connect(shared_database) as connection:
        found = Shop(stream(tmp_path, account), served.url, connection, zone, clock)
        served.stage.on = found.app()
        yield found


def fates(entry: LedgerEntry | None) -> dict[str, int]:
    """What became of units, as far as something did."""
    assert entry is not None
    names = (
        "received", "inserted", "updated", "unchanged", "stale", "duplicate", "filtered",
        "quarantined", "deleted", "absent_deleted",
    )  # fmt: skip
    return {name: getattr(entry, name) for name in names if getattr(entry, name)}


def test_a_landing_fills_both_tables(shop: Shop) -> None:
    """Each has its own ledger line: records are those that were fetched, received are units."""
    orders, lines = shop.load(shop.land(order("1", "a", "b"), order("2"), order("3", "a")))
    assert (orders.records, fates(orders)) == (3, {"received": 3, "inserted": 3})
    assert (lines.records, fates(lines)) == (3, {"received": 4, "inserted": 3, "filtered": 1})
    assert (orders.api_calls, lines.api_calls) == (1, 0)
    assert shop.rows() == {"1/a": "A", "1/b": "B", "3/a": "A"}
    assert shop.rows("orders") == dict.fromkeys("123", "Ann")


@pytest.mark.parametrize(
    ("now", "gone"),
    [
        (order("1", "a"), {"1/b"}),
        (order("1", lines=[]), {"1/a", "1/b"}),
        (order("1", lines=None), {"1/a", "1/b"}),
        (order("1", lines={}), {"1/a", "1/b"}),
        ({"number": "1", "buyer": "Ann"}, set()),  # of its lines it says nothing
        (order("1", lines="none"), set()),  # what it says cannot be read
        (order("1", "a", {"name": "no sku"}), set()),  # who that is nobody knows
        (order("1", "a", line("b", country="?")), set()),  # it is there, and refused
        (order("1", "a", "c", "b"), set()),
    ],
)
def test_a_line_that_its_order_does_not_name_is_gone(
    shop: Shop, now: dict[str, Any], gone: set[str]
) -> None:
    """Where the order says which lines it has; other orders keep theirs."""
    shop.sync(order("1", "a", "b"), order("11", "a"), order("1/b", "b"))
    entry = shop.sync(now, order("1/b", "b"))
    assert entry.absent_deleted == len(gone)
    assert set(shop.rows(deleted=True)) == gone
    assert {"11/a", "1%2Fb/b"} <= shop.rows().keys()


def test_an_order_is_known_by_its_number_whatever_is_in_it(shop: Shop) -> None:
    """Also by one that the parts of a key are joined with."""
    shop.sync(order("1/%", "a/b", "c"), order("1", "%/c"))
    assert shop.sync(order("1/%", "c"), order("1", "%/c")).absent_deleted == 1
    assert set(shop.rows()) == {"1%2F%25/c", "1/%25%2Fc"}


def test_it_comes_back_when_it_is_named_again(shop: Shop) -> None:
    shop.sync(order("1", "a", "b"))
    shop.sync(order("1", "a"))
    assert fates(shop.sync(order("1", "a", "b"))) == {"received": 2, "updated": 1, "unchanged": 1}
    assert shop.rows() == {"1/a": "A", "1/b": "B"}


def test_an_older_word_changes_nothing(shop: Shop) -> None:
    """It brings back no line that is gone, adds none that a newer one does not name, and takes
    none away; an order of which nothing newer is known has its say."""
    older = shop.land(order("1", "a", "b", "z"), order("2", "a"))
    shop.sync(order("1", "a", "c"), order("2", lines=[]))
    orders, lines = shop.load(older)
    assert fates(orders) == {"received": 2, "stale": 2}
    assert fates(lines) == {"received": 4, "stale": 4}
    assert shop.rows() == {"1/a": "A", "1/c": "C"}
    shop.load(shop.land(order("3", "a")))
    assert "3/a" in shop.rows()


def test_an_older_word_about_an_order_that_has_no_row(shop: Shop, tmp_path: Path) -> None:
    """The rows of its lines tell as well that something newer is known."""
    where = "deleted: gone, where: [{from: number, not_in: [x]}]"
    shop.changed(tmp_path, ("deleted: gone", where))
    older = shop.land(order("x", "a", "z"))
    shop.sync(order("x", "a"))
    assert [fates(one) for one in shop.load(older)] == [
        {"received": 1, "filtered": 1}, {"received": 2, "stale": 2},
    ]  # fmt: skip
    assert shop.rows() == {"x/a": "A"}


def test_of_two_copies_in_a_landing_the_last_one_counts(shop: Shop) -> None:
    """Of all its lines, also of those that only the first one names."""
    entry = shop.sync(order("1", "a", "b"), order("1", "b", "c"))
    assert fates(entry) == {"received": 4, "inserted": 2, "duplicate": 2}
    assert shop.rows() == {"1/b": "B", "1/c": "C"}


def test_a_line_that_is_named_twice_is_one(shop: Shop) -> None:
    entry = shop.sync(order("1", "a", line("a", name="again")))
    assert fates(entry) == {"received": 2, "inserted": 1, "duplicate": 1}
    assert shop.rows() == {"1/a": "again"}


def test_an_order_that_is_deleted_takes_its_lines_with_it(shop: Shop) -> None:
    """Those that it still names and those that it does not."""
    shop.sync(order("1", "a", "b"), order("2", "a"))
    entry = shop.sync(order("1", "a", gone=True), {"number": "2", "gone": True})
    assert fates(entry) == {"received": 2, "deleted": 1, "filtered": 1, "absent_deleted": 2}
    assert not shop.rows() | shop.rows("orders")


def test_lines_of_orders_that_a_complete_reading_lacks(shop: Shop, tmp_path: Path) -> None:
    """They go with their orders."""
    shop.changed(tmp_path, ABSENCE)
    shop.sync(*(order(str(n), "a", "b") for n in range(20)))
    orders, lines = shop.load(shop.land(*(order(str(n), "a", "b") for n in range(1, 20))))
    assert (orders.absent_deleted, lines.absent_deleted) == (1, 2)
    assert set(shop.rows(deleted=True)) == {"0/a", "0/b"}
    late = shop.sync(*(order(str(n), "a", "b") for n in range(1, 20)), order("0", "c"))
    assert fates(late) == {"received": 39, "inserted": 1, "unchanged": 38}


def test_too_many_lines_that_are_gone_hold_their_orders_back(shop: Shop, tmp_path: Path) -> None:
    """One order of twenty may be gone; half of all lines may not, unless it is accepted."""
    shop.changed(tmp_path, ABSENCE)
    kept = [order(str(n), "a") for n in range(1, 20)]
    shop.sync(order("0", *(f"s{n}" for n in range(20))), *kept)
    manifest = shop.land(*kept)
    orders, lines = shop.load(manifest)
    assert (orders.status, lines.status) == ("blocked", "blocked")
    assert "held back with" in str(orders.error)
    assert "20 of 39 rows are not at the source any more" in str(lines.error)
    assert (len(shop.rows("orders")), len(shop.rows())) == (20, 39)
    assert [one.absent_deleted for one in shop.load(manifest, accept=True)] == [1, 20]


@pytest.mark.parametrize("accept", [False, True])
def test_too_many_refused_lines_hold_their_orders_back(shop: Shop, accept: bool) -> None:
    """Nothing of either is loaded, and both lines say why."""
    bad = [line(f"b{n}", country="?") for n in range(20)]
    entries = shop.load(shop.land(order("1", "a", *bad)), accept=accept)
    assert [one.status for one in entries] == (["ok", "warn"] if accept else ["blocked"] * 2)
    assert (entries[0].error is None) is accept
    assert bool(shop.rows("orders")) is accept
    assert (len(shop.refused()), positions.at(shop.connection, shop.orders.id) is None) == (
        20,
        not accept,
    )
    shop.connection.rollback()


def test_a_filter_takes_rows_away(shop: Shop, tmp_path: Path) -> None:
    """A key never seen is only counted; one with a row is deleted once, and can come back."""
    gift = line("a", kind="gift")
    assert fates(shop.sync(order("1", gift, "b"))) == {"received": 2, "inserted": 1, "filtered": 1}
    assert fates(shop.sync(order("1", gift, line("b", kind="gift")))) == {
        "received": 2, "filtered": 1, "deleted": 1,
    }  # fmt: skip
    again = shop.sync(order("1", gift, line("b", kind="gift")))
    assert fates(again) == {"received": 2, "filtered": 2}
    assert (shop.rows(), shop.rows(deleted=True)) == ({}, {"1/b": "B"})
    assert fates(shop.sync(order("1", gift, "b"))) == {"received": 2, "filtered": 1, "updated": 1}


def test_a_replay_takes_another_filter_and_another_list(shop: Shop, tmp_path: Path) -> None:
    shop.sync(order("1", "a", line("b", kind="part"), parts=[line("p")]))
    shop.changed(tmp_path, ("not_in: [gift]", "not_in: [gift, part]"))
    assert fates(shop.replay()) == {"received": 2, "unchanged": 1, "deleted": 1}
    assert shop.rows() == {"1/a": "A"}
    shop.changed(tmp_path, ("each: lines", "each: parts"))
    assert fates(shop.replay()) == {"received": 1, "inserted": 1, "absent_deleted": 1}
    shop.changed(tmp_path)
    assert fates(shop.replay()) == {"received": 2, "updated": 2, "absent_deleted": 1}
    assert shop.rows() == {"1/a": "A", "1/b": "B"}


def test_a_replay_says_nothing_of_the_source_of_lines_either(shop: Shop, tmp_path: Path) -> None:
    """Words that a line's mapping does not know are told at each load, and at a load only."""
    kinds = "type: {type: enumeration, from: item.kind, map: {p: person}, other: company}"
    shop.changed(tmp_path, ("country: item.country", kinds))
    manifest = shop.land(order("1", line("a", kind="z")))
    by: Any = {"connection": shop.connection, "zone": shop.zone, "clock": shop.clock}
    found, _ = family.load(shop.orders, manifest, run=shop.run(), **by)
    assert "'z'" in str(found.children[0].found.drift.lines)
    again, _ = replaying.load_pulled(shop.orders, [manifest], run=shop.run("replay"), **by)
    assert not again.children[0].found.drift.lines


def test_a_refused_line_passes_when_its_mapping_is_corrected(shop: Shop, tmp_path: Path) -> None:
    """From what quarantine has kept: all of the order, of which the wrong mapping read less."""
    shop.sync(order("1", "a", line("b", country="Holland", land="NL"), email="ann@x.nl"))
    (entry,) = shop.refused()
    assert (entry.key, shop.rows()) == ("1/b", {"1/a": "A"})
    shop.changed(tmp_path, ("country: item.country", "country: item.land, email: email"))
    assert fates(shop.retry()) == {"received": 1, "inserted": 1}
    assert (shop.refused(), shop.rows()) == ([], {"1/a": "A", "1/b": "B"})
    emails = "SELECT email FROM canonical.customer WHERE connection = %s AND source_id = '1/b'"
    found = shop.connection.execute(emails, [shop.orders.id.connection]).fetchall()
    assert found == [("ann@x.nl",)]


def test_a_whole_order_that_was_refused_is_taken_apart_by_a_retry(
    shop: Shop, tmp_path: Path
) -> None:
    shop.sync(order("1", lines="many", parts=[line("p"), line("q")]), order("2", "a"))
    assert [one.rule for one in shop.refused()] == ["each"]
    shop.changed(tmp_path, ("each: lines", "each: parts"))
    assert fates(shop.retry()) == {"received": 2, "inserted": 2}
    assert shop.rows() == {"1/p": "P", "1/q": "Q", "2/a": "A"}


def test_several_lines_of_an_order_are_retried_one_by_one(shop: Shop, tmp_path: Path) -> None:
    """None of them speaks for the others; of an order that has been said anew all are stale."""
    bad = [line(sku, country="?") for sku in "bc"]
    shop.sync(order("1", "a", *bad), order("2", "a", *bad))
    shop.sync(order("2", "a"))
    shop.changed(tmp_path, ("country: item.country", "country: item.land"))
    assert fates(shop.retry()) == {"received": 4, "inserted": 2, "stale": 2}
    assert set(shop.rows()) == {"1/a", "1/b", "1/c", "2/a"}


def test_another_key_needs_a_rebuild_of_both(shop: Shop, tmp_path: Path) -> None:
    shop.sync(order("1", "a", "b"))
    by_place = "key: [number, {type: integer, from: item_no}]"
    shop.changed(tmp_path, ("key: [number, item.sku]", by_place))
    manifest = shop.land(order("1", "a", "b"))
    with pytest.raises(FixConfig, match=r"lines: its key is .* now"):
        shop.load(manifest)
    made = rebuilding.rebuild(
        shop.orders, [], connection=shop.connection, zone=shop.zone,
        run=shop.run("replay"), clock=shop.clock,
    )  # fmt: skip
    assert fates(made.found.children[0].entry) == {"received": 2, "inserted": 2}
    assert shop.rows() == {"1/0": "A", "1/1": "B"}
    assert fates(shop.load(manifest)[1]) == {"received": 2, "unchanged": 2}


def test_a_preview_shows_lines(shop: Shop) -> None:
    """Each with what it is made of, in its line and in its order; not what is filtered."""
    shop.land(order("1", line("g", kind="gift"), "a", line("b", country="?")))
    transformer = Transformer(shop.lines.mapping)
    for key in (None, "1/a"):
        settings: Any = {"zone": shop.zone, "show_personal": True}
        if key is None:
            found = previewing.preview(shop.lines, transformer, limit=9, **settings)
            assert (found.found.received, found.found.refused, found.found.filtered) == (3, 1, 1)
        else:
            found = previewing.preview_key(shop.lines, key, transformer, **settings)
        (row,) = found.rows
        assert row.key == "1/a"
        shown = {one.column: one.sources for one in row.fields}
        assert shown["name"] == {"item.name": "A"}
        assert shown["code"] == {"buyer": "Ann"}


def test_a_diff_plays_a_replay_of_lines(shop: Shop, tmp_path: Path) -> None:
    """With those that another filter takes away, and nothing of it stays."""
    shop.sync(order("1", "a", line("b", kind="part")))
    shop.changed(tmp_path, ("not_in: [gift]", "not_in: [gift, part]"))
    found = diffing.diff(
        shop.lines, connection=shop.connection, zone=shop.zone,
        run=shop.run("replay"), clock=shop.clock,
    )  # fmt: skip
    assert (found.rows.leave, found.rows.appear, found.rows.changed) == (1, 0, 0)
    assert set(shop.rows()) == {"1/a", "1/b"}


def test_the_life_of_a_line(shop: Shop) -> None:
    """What is landed is found by the line's key, inside of its order."""
    shop.sync(order("1", "a", line("b", country="?")))
    shop.sync(order("1", "a", line("b", country="NL")))
    found = tracing.trace(
        shop.lines, "1/b", feeds=[], connection=shop.connection, zone=shop.zone, clock=shop.clock
    )
    assert [one.loads[0].fate for one in found.statements] == ["quarantined", "inserted"]
    assert not found.differs


@pytest.mark.parametrize("seed", [1, 2])
def test_in_whatever_order_landings_are_loaded(shop: Shop, seed: int) -> None:
    """The lines of an order are those of its newest statement: thirty orders with as many
    histories, of landings that speak of some of them, some twice."""
    random, newest = Random(seed), dict[str, set[str]]()
    landings = []
    for _ in range(5):
        spoken = []
        for number in random.choices([str(n) for n in range(30)], k=25):
            skus = random.sample("abcd", random.randrange(5))
            spoken.append(
                order(number, *skus, **({} if skus else {"lines": random.choice([[], None])}))
            )
            newest[number] = {f"{number}/{sku}" for sku in skus}
        landings.append(shop.land(*spoken))
    for manifest in random.sample(landings + landings[:2], 7):
        _, entry = shop.load(manifest)
        assert entry.balanced().received >= 25
    assert set(shop.rows()) == set().union(*newest.values())
