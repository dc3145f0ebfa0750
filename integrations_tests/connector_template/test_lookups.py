"""Lookups of a connector: what is wrong with them at load, and what a load finds in the database."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from integrations.connector_template import loading, lookups, replaying, retrying
from integrations.connector_template.connector import BoundStream, Connector, read_connector
from integrations.connector_template.run import Run
from integrations.connector_template.tracing import trace
from integrations.errors import FixConfig, StopStream
from integrations.names import StreamId, Window
from integrations.storage import lookups as stored
from integrations.storage import quarantine
from integrations.storage.database import connect
from integrations.storage.landing import LandingZone
from integrations.storage.ledger import LedgerEntry
from integrations.transformation.lookup import Pairs
from integrations_tests.connector_template.florist import STATES, write_looking
from integrations_tests.transformation.things import Thing

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
DAY = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
Change = tuple[str, str]
DESCRIPTION = "{type: lookup, from: buyer, stream: buyers, value: code}"
METHOD = "table: shop.methods, key: code, value: name"


def test_the_florist_looks_up(tmp_path: Path) -> None:
    """The file that the tables below break has no mistake, and says what it needs."""
    orders, buyers = read_connector(write_looking(tmp_path / "florist")).streams()
    assert orders.looks_up == (StreamId("florist", "main", "buyers"),)
    assert [(one.stream, one.table, one.key, one.value) for one in orders.mapping.needs] == [
        ("buyers", None, "source_id", "code"),
        ("buyers", None, "phone", "email"),
        (None, "shop.methods", "code", "name"),
    ]
    assert buyers.mapping.needs == ()


MISTAKES: dict[str, tuple[Change | None, str, list[tuple[int, str]]]] = {
    "an unknown stream": (
        (DESCRIPTION, DESCRIPTION.replace("buyers", "buyer")), STATES,
        [(29, "there is no stream 'buyer' to look up in; there are orders, buyers")],
    ),
    "an unknown column of the entity": (
        (DESCRIPTION, DESCRIPTION.replace("code", "cod")), STATES,
        [(29, "stream 'buyers' fills customer, which has no column 'cod'")],
    ),
    "a column that nothing fills": (
        (DESCRIPTION, DESCRIPTION.replace("code", "gln")), STATES,
        [(29, "no rule of stream 'buyers' fills the column 'gln'")],
    ),
    "a key that is none": (
        (DESCRIPTION, DESCRIPTION.replace("value", "key: blocked, value")), STATES,
        [(29, "`blocked` of buyers is no key: it is true or false")],
    ),
    "a type that does not fit": (
        ("created_at: ordered_at", "created_at: {type: lookup, from: buyer, stream: buyers, value: code}"), STATES,
        [(35, "`created_at` takes a moment in UTC, which the rule lookup does not give")],
    ),
    "a stream that looks itself up": (
        (DESCRIPTION, DESCRIPTION.replace("buyers, value: code", "orders, value: currency")), STATES,
        [(29, "stream 'orders' looks itself up")],
    ),
    "two streams that wait for each other": (
        ("code: code", "code: {type: lookup, from: order, stream: orders, value: currency}"), STATES,
        [
            (29, "stream 'orders' looks itself up, by way of buyers"),
            (32, "stream 'orders' looks itself up, by way of buyers"),
            (39, "stream 'buyers' looks itself up, by way of orders"),
        ],
    ),
    "two tables": (
        (DESCRIPTION, DESCRIPTION.replace("value", "file: a.csv, value")), STATES,
        [(29, "`transformer.orders.fields.description`: a lookup is in one of `file`, `stream` and `table`")],
    ),
    "no table": (
        (DESCRIPTION, "{type: lookup, from: buyer, key: a, value: code}"), STATES,
        [(29, "`transformer.orders.fields.description`: a lookup is in one of `file`, `stream` and `table`")],
    ),
    "a table without key": (
        (METHOD, "table: shop.methods, value: name"), STATES,
        [(34, "`transformer.orders.fields.method`: `key` says which column holds what is looked up")],
    ),
    "a table of ours": (
        (METHOD, METHOD.replace("shop.methods", "integrations.secrets")), STATES,
        [(34, "`transformer.orders.fields.method`: `table` is one of yours, and the schema integrations is not")],
    ),
    "a table that is SQL": (
        (METHOD, METHOD.replace("shop.methods", '"a.b; DROP"')), STATES,
        [(34, "`transformer.orders.fields.method.table`: string should match pattern '^[a-z_][a-z0-9_]*\\.[a-z_][a-z0-9_]*$'")],
    ),
    "a file elsewhere": (
        ("states.csv", "../states.csv"), STATES,
        [(27, "`transformer.orders.fields.status.file`: string should match pattern '^[A-Za-z0-9_][A-Za-z0-9_.-]*\\.csv$'")],
    ),
    "a file that is not there": (
        ("states.csv", "statuses.csv"), STATES,
        [(27, "statuses.csv cannot be read: there is no such file beside this one")],
    ),
    "a file without the column": (
        None, STATES.replace("ours", "yours"),
        [(27, "the first row of states.csv names 'state' and 'ours' not once each")],
    ),
    "a file with a column twice": (
        None, STATES.replace("state,ours", "state,ours,ours").replace(",p", ",x,p").replace(",f", ",x,f"),
        [(27, "the first row of states.csv names 'state' and 'ours' not once each")],
    ),
    "a file that is no table": (
        None, STATES + "a,b,c\n",
        [(27, "states.csv is no CSV: CSV parse error: Expected 2 columns, got 3: a,b,c")],
    ),
    "an empty file": (None, "", [(27, "states.csv is no CSV: Empty CSV file")]),
    "a file with a key twice": (
        None, STATES + "open,paid\n", [(27, "states.csv holds a key more than once: 'open'")],
    ),
    "a word that the column lacks": (
        None, STATES.replace("failed", "gone"),
        [(27, "`status` is one of pending, authorised, paid, failed, cancelled, expired, refunded, disputed; not gone")],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "states", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_shown_with_its_line(
    tmp_path: Path, change: Change | None, states: str, expected: list[tuple[int, str]]
) -> None:
    """In these words, at these lines of the connector's file, and nothing else is said."""
    folder = write_looking(tmp_path / "florist", *([change] if change else []), states=states)
    with pytest.raises(FixConfig) as caught:
        read_connector(folder)
    found = [str(mistake).replace(f"{folder}/", "") for mistake in caught.value.mistakes]
    assert found == [f"defs.yaml:{line}: {message}" for line, message in expected]


@dataclass
class Shop:
    """The florist's connections in a database, each record landed and loaded as if pulled."""

    connector: Connector
    connection: psycopg.Connection[Any]
    zone: LandingZone
    runs: Iterator[int] = field(default_factory=count)

    def stream(self, name: str, account: str = "main") -> BoundStream:
        found = next(one for one in self.connector.streams() if one.id.stream == name)
        return replace(found, id=replace(found.id, connection=account))

    def load(self, name: str, *records: Mapping[str, Any], account: str = "main") -> LedgerEntry:
        """One reading of the stream; a window's is that of `DAY`."""
        stream, number = self.stream(name, account), next(self.runs)
        run_id, at = f"run{number}", NOW + timedelta(minutes=number)
        with self.zone.writer(
            stream.id, window=DAY if name == "orders" else None, run_id=run_id,
            root_run_id=run_id, began_at=at,
        ) as writer:  # fmt: skip
            writer.add(Page([msgspec.json.encode(one) for one in records], at))
            manifest = writer.finish(requests=1)
        run = Run(run_id, run_id, "sync", accept=True)
        _, entry = loading.load(
            stream, manifest,
            connection=self.connection, zone=self.zone, run=run, clock=lambda: at,
        )  # fmt: skip
        assert entry is not None
        return entry

    def delete(self, number: str) -> None:
        """As a tombstone would."""
        self.connection.execute(
            "UPDATE canonical.customer SET _deleted_at = now() WHERE source_id = %s", [number]
        )
        self.connection.commit()

    def orders(self) -> dict[str, tuple[Any, ...]]:
        """Status, description, failure_code and method of each order."""
        found = self.connection.execute(
            "SELECT source_id, status, description, failure_code, method FROM canonical.payment"
        ).fetchall()
        self.connection.rollback()
        return {key: tuple(values) for key, *values in found}


@dataclass(frozen=True)
class Page:
    """A page as transport hands it over."""

    records: list[bytes | msgspec.Raw]
    seen_at: datetime
    number: int = 1
    size: int = 100
    since: datetime | None = None


@pytest.fixture
def shop(connection: psycopg.Connection[Any], tmp_path: Path) -> Shop:
    """With a table of payment methods, and nothing synced."""
    connection.execute("CREATE SCHEMA shop")
    connection.execute("CREATE TABLE shop.methods (code varchar(9), name text)")
    connection.execute("INSERT INTO shop.methods VALUES ('i', 'iDEAL'), ('c', ''), (NULL, 'x')")
    connection.commit()
    connector = read_connector(write_looking(tmp_path / "florist"))
    return Shop(connector, connection, LandingZone((tmp_path / "raw").as_uri()))


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    """To a database of the test's own: entities' tables are made in it."""
    with connect(database) as connection:
        yield connection


def order(number: str, **more: Any) -> dict[str, Any]:
    given = {"total": "1", "currency": "EUR", "state": "open", "ordered_at": "2026-01-01T08:00:00Z"}
    return {"number": number} | given | more


ANNA = {"number": "b1", "code": "A-1", "phone": "31", "email": "a@x.example"}
BOB = {"number": "b2", "code": "B-2", "phone": "32", "email": "b@x.example"}


def test_an_order_is_enriched(shop: Shop) -> None:
    """From a file, a stream by its id and by another column, and a table: what is there, what is
    not, and what says nothing."""
    shop.load("buyers", ANNA, BOB)
    entry = shop.load(
        "orders",
        order("1", buyer="b1", shop={"number": 32}, paid={"by": "i"}),
        order("2", state="done", buyer="b2", shop={"number": 33}, paid={"by": "zz"}),
        order("3", state="lost", paid={"by": "c"}),
        order("4", buyer="b3"),
        order("5", state="what"),
    )
    assert shop.orders() == {
        "1": ("pending", "A-1", "B@X.EXAMPLE", "iDEAL"),
        "2": ("paid", "B-2", "33", None),
        "3": ("failed", None, None, ""),
    }
    assert (entry.inserted, entry.quarantined) == (3, 2)
    refused = quarantine.open_records(shop.connection, shop.stream("orders").id)
    assert {(one.key, one.reason) for one in refused} == {
        ("4", "description: `buyer` ••• is not in the column `source_id` of stream buyers"),
        ("5", "status: `state` 'what' is not in the column `state` of states.csv"),
    }


def test_a_deleted_row_is_not_used(shop: Shop) -> None:
    """Only what the source still has; a retry then looks in what is there by now."""
    shop.load("buyers", ANNA, BOB)
    shop.delete("b2")
    assert shop.load("orders", order("1", buyer="b1"), order("2", buyer="b2")).quarantined == 1
    shop.load("buyers", ANNA, BOB)
    stream = shop.stream("orders")
    waiting = quarantine.open_records(shop.connection, stream.id)
    shop.connection.rollback()
    tried = retrying.retry(
        stream, waiting, connection=shop.connection, session=None,
        run=Run("r", "r", "retry", accept=False), clock=lambda: NOW,
    )  # fmt: skip
    assert tried.passed == ("2",)
    assert {key: values[1] for key, values in shop.orders().items()} == {"1": "A-1", "2": "B-2"}


def test_other_rows_are_never_used(shop: Shop) -> None:
    """Neither those of another connection nor those of another stream of the same entity."""
    shop.load("buyers", BOB, account="other")
    shop.load("buyers", ANNA)
    shop.connection.execute(
        "UPDATE canonical.customer SET stream = 'sellers', source_id = 'b3' WHERE source_id = 'b1'"
    )
    shop.connection.commit()
    shop.load("buyers", ANNA)
    entry = shop.load(
        "orders", order("1", buyer="b1"), order("2", buyer="b2"), order("3", buyer="b3")
    )
    assert (entry.inserted, entry.quarantined) == (1, 2)


def test_rows_stay_as_they_were_loaded(shop: Shop) -> None:
    """What changes in the table reaches an order with a replay; a trace shows what it would be."""
    shop.load("buyers", ANNA)
    shop.load("orders", order("1", buyer="b1"))
    shop.load("buyers", ANNA | {"code": "A-9"})
    assert shop.orders()["1"][1] == "A-1"
    orders, connection, zone = shop.stream("orders"), shop.connection, shop.zone
    traced = trace(
        orders, "1", feeds=[], connection=connection, zone=zone, clock=lambda: NOW
    )  # fmt: skip
    assert traced.differs == {"description": ("A-9", "A-1")}
    _, entry = replaying.load_pulled(
        orders, list(zone.every(orders.id)), connection=connection, zone=zone,
        run=Run("again", "again", "replay", accept=False), clock=lambda: NOW,
    )  # fmt: skip
    assert entry.updated == 1
    assert shop.orders()["1"][1] == "A-9"


def stopped(shop: Shop) -> str:
    """Why an order cannot be loaded."""
    with pytest.raises(StopStream) as caught:
        shop.load("orders", order("1", buyer="b1"))
    shop.connection.rollback()
    return str(caught.value)


def test_what_is_not_synced_yet_stops_the_stream(shop: Shop) -> None:
    """Rather than all of its records being refused, whether there is a table of buyers or not."""
    said = (
        "florist/main/orders: florist/main/buyers has no rows, and values are looked up in it. "
        "Sync `florist/main/buyers` first."
    )
    assert stopped(shop) == said
    shop.load("buyers", ANNA, account="other")
    assert stopped(shop) == said
    assert shop.orders() == {}


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("INSERT INTO shop.methods VALUES ('i', 'x')", "shop.methods holds a key more than once: 'i'"),
        ("DROP TABLE shop.methods", "no table shop.methods to look values up in"),
        ("ALTER TABLE shop.methods RENAME name TO nam", "the table shop.methods has no column 'name' to"),
        (
            "ALTER TABLE shop.methods ALTER name TYPE integer USING 1",
            "the column 'name' of shop.methods is of type integer, not character or",
        ),
    ],
)  # fmt: skip
def test_a_table_of_the_users_that_is_wrong(shop: Shop, statement: Any, said: str) -> None:
    """It is said of the stream, and nothing is loaded."""
    shop.load("buyers", ANNA)
    shop.connection.execute(statement)
    shop.connection.commit()
    assert stopped(shop).startswith(f"florist/main/orders: {said}")


def test_keys_that_stand_twice_are_named(shop: Shop) -> None:
    """Two buyers with one phone: which of them is meant, nobody knows."""
    shop.load("buyers", ANNA, BOB | {"phone": "31"})
    assert "florist/main/buyers holds a key more than once: '31'" in stopped(shop)


def test_no_more_than_fit_in_memory(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table with more rows than may be looked up in is not half used."""
    monkeypatch.setattr(stored, "MOST", 1)
    shop.load("buyers", ANNA, BOB)
    assert "florist/main/buyers has more than 1 rows" in stopped(shop)


VALUES = {
    "whole": ("bigint", "-9223372036854775808"),
    "real": ("double precision", "0.1"),
    "yes": ("boolean", "true"),
    "moment": ("timestamptz", "2026-01-31 12:00:00.123456+02"),
    "day": ("date", "2026-02-28"),
    "money": ("numeric(38, 9)", "12345678901234567890.123456789"),
    "text": ("text", 'é, "q"\n\\.'),
}


def test_every_type_comes_whole(connection: psycopg.Connection[Any]) -> None:
    """Through text and back, whatever the server's way to spell it."""
    columns = ", ".join(f"{name} {type_}" for name, (type_, _) in VALUES.items())
    connection.execute(f"CREATE TEMP TABLE things (k integer, {columns})")
    marks = ", ".join(["%s"] * len(VALUES))
    connection.execute(
        f"INSERT INTO things VALUES (1, {marks})", [value for _, value in VALUES.values()]
    )
    expected = connection.execute(f"SELECT {', '.join(VALUES)} FROM things").fetchone()
    assert expected is not None
    connection.execute("SET datestyle = 'German'; SET extra_float_digits = -5")
    types = {column.name: column.type for column in Thing.columns()}
    for name, value in zip(VALUES, expected, strict=True):
        found = stored.of_table(
            connection, "pg_temp.things", key="k", value=name,
            types=lookups.TAKEN[types[name]],
        )  # fmt: skip
        pairs = Pairs.of(found, types[name])
        assert (pairs.keys.to_pylist(), pairs.values.to_pylist()) == (["1"], [value])
