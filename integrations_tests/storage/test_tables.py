"""Canonical tables: made, widened, and refused when the model turned into something else."""

import threading
from typing import Any

import psycopg
import pytest

from integrations.canonical.entity import Entity, Integer, Money, Text, column
from integrations.errors import FixConfig, RetryLater
from integrations.storage.database import connect
from integrations.storage.tables import Column, TableSpec, ensure_leaf
from integrations_tests.storage.loads import SPEC, Said, load, table

Connection = psycopg.Connection[Any]


@pytest.fixture
def database(emptied: str) -> str:
    return emptied


def query(connection: Connection, statement: str) -> list[tuple[Any, ...]]:
    rows = connection.execute(statement).fetchall()
    connection.rollback()
    return rows


def test_made_once(connection: Connection) -> None:
    """The second call finds nothing to do."""
    assert ensure_leaf(connection, SPEC, connector="shop")
    assert not ensure_leaf(connection, SPEC, connector="shop")


def test_leaf_is_a_partition_with_the_key(connection: Connection) -> None:
    """Rows of a connector are in its leaf, are seen through the parent, and cannot be another's."""
    ensure_leaf(connection, SPEC, connector="shop")
    ensure_leaf(connection, SPEC, connector="till")
    load(connection, [Said("a")])
    assert query(connection, "SELECT tableoid::regclass::text FROM canonical.sale") == [
        ("canonical.sale__shop",)
    ]
    with pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(
            "INSERT INTO canonical.sale__till (connector, connection, stream, source_id, amount,"
            " _seen_at, _rank, _synced_at, _run_id) VALUES ('shop', 'm', 's', 'x', 1, now(), 0,"
            " now(), 'r')"
        )


def test_live_view_and_comments(connection: Connection) -> None:
    """The view leaves deleted rows out; the model's descriptions are the columns' comments."""
    ensure_leaf(connection, SPEC, connector="shop")
    load(connection, [Said("a"), Said("b", amount=None, rank=2)])
    assert query(connection, "SELECT source_id FROM canonical.sale_live") == [("a",)]
    assert query(connection, "SELECT col_description('canonical.sale__shop'::regclass, 5)") == [
        ("Euros",)
    ]


def test_widening_keeps_old_rows(connection: Connection) -> None:
    """A new required column leaves rows from before it null, refuses new nulls, and is in the view
    and in leaves made later."""
    ensure_leaf(connection, SPEC, connector="shop")
    load(connection, [Said("old")])
    wider = TableSpec(
        "sale", (*SPEC.columns, Column("currency", "text", required=True, comment="ISO 4217"))
    )
    assert ensure_leaf(connection, wider, connector="shop")
    assert not ensure_leaf(connection, wider, connector="shop")
    assert ensure_leaf(connection, wider, connector="till")
    assert query(connection, "SELECT source_id, currency FROM canonical.sale_live") == [
        ("old", None)
    ]
    for leaf in ("shop", "till"):
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(
                "INSERT INTO canonical.sale (connector, connection, stream, source_id, amount,"
                " _seen_at, _rank, _synced_at, _run_id)"
                " VALUES (%s, 'm', 's', 'x', 1, now(), 0, now(), 'r')",
                [leaf],
            )
        connection.rollback()


def test_a_model_may_ask_for_less(connection: Connection) -> None:
    """A column that is no longer required, or no longer there, takes null from then on."""
    ensure_leaf(connection, SPEC, connector="shop")
    looser = TableSpec("sale", (Column("amount", "numeric"), *SPEC.columns[1:]))
    assert ensure_leaf(connection, looser, connector="shop")
    load(connection, [Said("a", amount=None)])
    assert table(connection)["a"][0] is None


def test_another_type_is_refused(connection: Connection) -> None:
    """A column whose type changed is named, with both types."""
    ensure_leaf(connection, SPEC, connector="shop")
    other = TableSpec("sale", (Column("amount", "text"), *SPEC.columns[1:]))
    with pytest.raises(FixConfig, match="column amount is numeric, not text") as caught:
        ensure_leaf(connection, other, connector="shop")
    assert "Give the column a new name, or change the table by hand." in str(caught.value)
    assert not ensure_leaf(connection, SPEC, connector="shop")


def model(name: str, **columns: Any) -> type[Entity]:
    """A user's model as it is at one time."""
    given = {key: column(f"{key}.", nullable=True) for key in columns}
    return type(name, (Entity,), {"__annotations__": columns, "__doc__": "Hats.", **given})


def test_a_users_model_grows_and_shrinks(connection: Connection) -> None:
    """A new column is added; one that the model has no more is left alone, with its values, and is
    in the live view; a column that comes back as another type is refused."""
    ensure_leaf(connection, model("Hat", size=Integer, colour=Text).table(), connector="shop")
    connection.execute(
        "INSERT INTO canonical.hat VALUES ('shop', 'm', 's', 'x', 7, 'red', 1, now(), 0, now(), 'r')"
    )
    connection.commit()

    assert ensure_leaf(
        connection, model("Hat", price=Money, size=Integer).table(), connector="shop"
    )

    found = query(connection, "SELECT size, colour, price FROM canonical.hat_live")
    assert found == [(7, "red", None)]
    with pytest.raises(FixConfig, match="column colour is text, not bigint"):
        ensure_leaf(connection, model("Hat", colour=Integer).table(), connector="shop")


def test_the_comment_says_key_and_version(connection: Connection) -> None:
    """Whoever looks at the table sees what its rows are told apart by."""
    ensure_leaf(connection, model("Hat", size=Integer).table(), connector="shop")
    (said,) = query(connection, "SELECT obj_description('canonical.hat'::regclass, 'pg_class')")
    assert said == ("Hats. Key: the source's id. Version 1.",)


def test_every_type_round_trips(connection: Connection) -> None:
    """The catalogue's names of types are ours, so that the second call has nothing to do."""
    kinds = ("text", "bigint", "numeric", "double precision", "boolean", "timestamptz", "date")
    names = (*kinds, "jsonb", "bytea")
    spec = TableSpec("order", tuple(Column(f"c{n}", kind) for n, kind in enumerate(names)))  # type: ignore[arg-type]  # literals
    assert ensure_leaf(connection, spec, connector="shop")
    assert not ensure_leaf(connection, spec, connector="shop")


def test_a_table_in_the_way(connection: Connection) -> None:
    """A table of the leaf's name that is no partition is left alone."""
    connection.execute("CREATE TABLE canonical.sale__shop (x int)")
    connection.commit()
    with pytest.raises(FixConfig, match="is no part of sale"):
        ensure_leaf(connection, SPEC, connector="shop")


def test_widening_does_not_wait_for_ever(
    connection: Connection, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table that a reader holds is widened later: others do not queue up behind us."""
    monkeypatch.setattr("integrations.storage.tables._WAIT", "50ms")
    ensure_leaf(connection, SPEC, connector="shop")
    wider = TableSpec("sale", (*SPEC.columns, Column("more", "text")))
    with connect(database) as reader:
        reader.execute("SELECT * FROM canonical.sale")
        with pytest.raises(RetryLater, match="is in use"):
            ensure_leaf(connection, wider, connector="shop")
    assert ensure_leaf(connection, wider, connector="shop")


def test_two_processes_at_once(connection: Connection, database: str) -> None:
    """Two that make the same tables at the same time both succeed."""
    errors: list[Exception] = []

    def make() -> None:
        try:
            with connect(database) as own:
                ensure_leaf(own, SPEC, connector="shop")
        except Exception as error:  # noqa: BLE001  # whatever it is, the test shows it
            errors.append(error)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert not ensure_leaf(connection, SPEC, connector="shop")


@pytest.mark.parametrize(
    ("entity", "columns"),
    [
        ("a__b", ["x"]),
        ("sale_live", ["x"]),
        ("Sale", ["x"]),
        ("sale", ["_seen_at"]),
        ("sale", ["source_id"]),
        ("sale", ["x" * 51]),
        ("sale", ["x", "x"]),
        ("sale", []),
    ],
)
def test_names_that_collide(entity: str, columns: list[str]) -> None:
    """Names that would collide with ours, or be cut off by Postgres, are refused."""
    with pytest.raises(ValueError, match=r"cannot be|twice|no columns"):
        TableSpec(entity, tuple(Column(name, "text") for name in columns))


def test_restamped_rows_have_room(connection: Connection) -> None:
    """A leaf whose rows take new stamps leaves half of its pages free, also one that was made
    before; another one does not."""
    options = "SELECT reloptions FROM pg_class WHERE oid = 'canonical.sale__shop'::regclass"
    assert ensure_leaf(connection, SPEC, connector="shop")
    assert connection.execute(options).fetchone() == (None,)
    connection.rollback()
    assert ensure_leaf(connection, SPEC, connector="shop", restamped=True)
    assert not ensure_leaf(connection, SPEC, connector="shop", restamped=True)
    assert not ensure_leaf(connection, SPEC, connector="shop")
    assert connection.execute(options).fetchone() == (["fillfactor=50"],)
