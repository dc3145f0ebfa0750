"""Loading: all of a landing or nothing of it, and every unit with one fate."""

import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from integrations.errors import FixConfig, LedgerUnbalanced, RetryLater, StopStream
from integrations.names import Window
from integrations.storage import loader, positions, quarantine
from integrations.storage.database import connect
from integrations.storage.loader import Load
from integrations.storage.merge import Merge
from integrations.storage.positions import Pin
from integrations.storage.tables import Column, TableSpec, ensure_leaf
from integrations_tests.storage.loads import (
    DAY,
    LANDING,
    PIN,
    SPEC,
    STREAM,
    Said,
    draft,
    fates,
    load,
    refused,
    rows,
    table,
)

Connection = psycopg.Connection[Any]
HOUR = 3600.0


@pytest.fixture
def database(emptied: str) -> str:
    return emptied


@pytest.fixture
def connection(connection: Connection) -> Connection:
    """With the leaf of the small entity."""
    ensure_leaf(connection, SPEC, connector="shop")
    return connection


def attempt(
    connection: Connection,
    said: list[Said],
    *,
    bad: pa.Table | None = None,
    received: int,
    records: int,
) -> None:
    """Load with counts of the test's own."""
    with Load.open(connection, SPEC, STREAM) as opened:
        opened.stage(rows(said), refused=bad, received=received)
        opened.commit(draft(records), pin=PIN)


def stage_only(connection: Connection, *, before: Callable[[], object] = lambda: None) -> None:
    """A load that forgets to commit; `before` happens ahead of its staging."""
    with Load.open(connection, SPEC, STREAM) as opened:
        before()
        opened.stage(rows([Said("a")]), refused=refused(["b"]), received=2)


def counts(connection: Connection) -> dict[str, int]:
    """How many rows each of the tables of a load has."""
    names = ("canonical.sale", "integrations.ledger", "integrations.positions",
             "integrations.streams", "integrations.quarantine")  # fmt: skip
    found = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone() for name in names}
    connection.rollback()
    return {name.partition(".")[2]: row[0] for name, row in found.items() if row}


def test_fresh_then_again(connection: Connection) -> None:
    """A window twice: the second time nothing is written, and the ledger says so."""
    first = load(connection, [Said("a"), Said("b")])
    written = connection.execute("SELECT xmin, ctid, * FROM canonical.sale").fetchall()
    connection.rollback()
    again = load(connection, [Said("a", at=HOUR), Said("b", at=HOUR)])
    assert (fates(first), fates(again)) == ({"inserted": 2}, {"unchanged": 2})
    assert connection.execute("SELECT xmin, ctid, * FROM canonical.sale").fetchall() == written


def test_every_fate_at_once(connection: Connection) -> None:
    """One landing with all that a load gives; they add up to what was received."""
    load(connection, [Said("same"), Said("moved"), Said("ahead", at=HOUR), Said("gone")])
    with Load.open(connection, SPEC, STREAM) as opened:
        at = 2.0
        said = [Said("same", at=at), Said("moved", "2", at=at), Said("ahead", "0", at=at)]
        said += [Said("new", at=at), Said("new", at=at), Said("gone", None, at=at, rank=2)]
        opened.stage(rows(said), refused=refused(["bad"]), received=7)
        entry = opened.commit(draft(7), pin=PIN)
    assert fates(entry) == {
        "inserted": 1, "updated": 1, "unchanged": 1, "stale": 1, "duplicate": 1,
        "quarantined": 1, "deleted": 1,
    }  # fmt: skip
    assert entry.received == 7
    one = (Decimal(1), None, None)
    assert table(connection) == {
        "same": (*one, 0, 0, False),
        "moved": (Decimal(2), None, None, 2, 0, False),
        "ahead": (*one, HOUR, 0, False),
        "gone": (*one, 2, 2, True),
        "new": (*one, 2, 0, False),
    }


def test_copies_are_folded_across_batches(connection: Connection) -> None:
    """Of the copies of a key the one said last stays, of equals the one staged last."""
    with Load.open(connection, SPEC, STREAM) as opened:
        opened.stage(rows([Said("a", "1", at=5), Said("b", "1")]), received=2)
        opened.stage(rows([Said("a", "2", at=4), Said("b", "2"), Said("c")]), received=3)
        opened.stage(rows([Said("d", "1", version=2), Said("d", "2", version=1)]), received=2)
        entry = opened.commit(draft(7), pin=PIN)
    assert fates(entry) == {"inserted": 4, "duplicate": 3}
    amounts = {key: row[0] for key, row in table(connection).items()}
    assert amounts == {"a": 1, "b": 2, "c": 1, "d": 1}


EXACT: dict[str, tuple[pa.DataType, list[Any]]] = {
    "text": (
        pa.string(),
        [
            "",
            "NULL",
            "\\N",
            "\\.",
            "x\n\\.\ny",
            "\n\\.\n",
            'a "b", c',
            "\r\n",
            " x ",
            "é😀",
            "\t\\",
            None,
        ],
    ),
    "bigint": (pa.int64(), [0, -(2**63), 2**63 - 1, None]),
    "numeric": (
        pa.decimal128(38, 9),
        [Decimal("0.1"), Decimal("-0.000000001"), Decimal(0), Decimal("9" * 29 + ".999999999")],
    ),
    "double precision": (pa.float64(), [0.1, 1e300, 5e-324, float("inf"), -0.0, None]),
    "boolean": (pa.bool_(), [True, False, None]),
    "timestamptz": (
        pa.timestamp("us", "UTC"),
        [datetime(1969, 12, 31, 23, 59, 59, 999999, UTC), datetime(9999, 12, 31, tzinfo=UTC)],
    ),
    "date": (pa.date32(), [date(1, 1, 1), date(9999, 12, 31), None]),
    "jsonb": (pa.string(), ['{"a": "b\\n\\"c\\""}', "[]", "null", '""', None]),
    "bytea": (pa.binary(), [b"", b"\x00\xff\\x", None]),
}


@pytest.mark.parametrize("kind", EXACT)
def test_values_arrive_exactly(connection: Connection, kind: str) -> None:
    """Every type through COPY: no digit, byte or empty text is lost."""
    arrow, values = EXACT[kind]
    spec = TableSpec("thing", (Column("value", kind),))  # type: ignore[arg-type]  # its literals
    ensure_leaf(connection, spec, connector="shop")
    said = rows([Said(f"{n:02}") for n in range(len(values))])
    thing = said.drop(["amount", "note", "paid_at"])
    thing = thing.append_column("value", pa.array(values, arrow))
    with Load.open(connection, spec, STREAM) as opened:
        opened.stage(thing, received=len(values))
        opened.commit(draft(len(values)), pin=PIN)
    read = "value::text" if kind == "jsonb" else "value"
    found = connection.execute(f"SELECT {read} FROM canonical.thing ORDER BY source_id").fetchall()
    assert [value for (value,) in found] == values


def test_dictionary_columns(connection: Connection) -> None:
    """A column that Arrow holds as a dictionary is text like any other."""
    said = rows([Said("a", note="x"), Said("b", note=None)])
    place = said.schema.get_field_index("note")
    said = said.set_column(place, "note", said.column("note").dictionary_encode())
    with Load.open(connection, SPEC, STREAM) as opened:
        opened.stage(said, received=2)
        opened.commit(draft(2), pin=PIN)
    assert [row[1] for row in table(connection).values()] == ["x", None]


def test_times_are_utc_whatever_the_session(connection: Connection) -> None:
    """A session in another zone changes no moment."""
    connection.execute("SET TIME ZONE 'America/New_York'")
    connection.commit()
    load(connection, [Said("a", at=1)])
    assert table(connection)["a"][3] == 1


@pytest.mark.parametrize(
    ("received", "records", "message"),
    [(3, 3, "3 received, but 2 inserted"), (2, 3, "3 records fetched, 2 transformed")],
)
def test_counts_that_disagree(
    connection: Connection, received: int, records: int, message: str
) -> None:
    """A load whose counts do not add up commits nothing at all."""
    with pytest.raises(LedgerUnbalanced, match=message):
        attempt(connection, [Said("a"), Said("b")], received=received, records=records)
    assert set(counts(connection).values()) == {0}


@pytest.mark.parametrize("step", ["fold", "update", "insert", "bury"])
def test_each_count_is_its_own(
    connection: Connection, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that loses its rows is noticed: no count is worked out from the others."""
    load(connection, [Said("old")])
    said = [Said("old", "2", at=1), Said("new"), Said("new"), Said("gone", None, rank=2)]
    monkeypatch.setattr(Merge, step, lambda self, **options: 0)
    with pytest.raises((LedgerUnbalanced, StopStream)):
        load(connection, said)
    assert counts(connection)["ledger"] == 1


@pytest.mark.parametrize(
    ("good", "bad", "accept", "status"),
    [
        (99, 1, False, "ok"),
        (98, 2, False, "warn"),
        (95, 5, False, "warn"),
        (1, 19, False, "warn"),
        (379, 20, False, "blocked"),
        (380, 20, False, "warn"),
        (379, 20, True, "warn"),
        (0, 0, False, "ok"),
    ],
)
def test_share_of_refused(
    connection: Connection, good: int, bad: int, accept: bool, status: str
) -> None:
    """Up to 1 % passes, up to 5 % warns, more of at least 20 blocks, unless it is accepted."""
    said = [Said(f"g{n}") for n in range(good)]
    entry = load(connection, said, refused=refused([f"b{n}" for n in range(bad)]), accept=accept)
    assert (entry.status, entry.quarantined) == (status, bad)
    blocked = status == "blocked"
    assert counts(connection) == {
        "sale": 0 if blocked else good,
        "ledger": 1,
        "positions": 0 if blocked else 1,
        "streams": 0 if blocked else 1,
        "quarantine": bad,
    }


def test_blocked_keeps_the_first_entries(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A blocked load keeps so many entries, and counts the others."""
    monkeypatch.setattr(loader, "KEPT_OF_BLOCKED", 5)
    entry = load(connection, [], refused=refused([f"{n:02}" for n in range(30, 0, -1)]))
    assert (entry.status, entry.quarantined) == ("blocked", 30)
    kept = connection.execute("SELECT key FROM integrations.quarantine ORDER BY key DESC")
    assert [key for (key,) in kept] == ["30", "29", "28", "27", "26"]


def test_blocked_must_balance_too(connection: Connection) -> None:
    """What a blocked load staged is counted as well."""
    bad = refused(["x"] * 30)
    with pytest.raises(LedgerUnbalanced, match="32 received, but 1 inserted, 30 quarantined"):
        attempt(connection, [Said("a")], bad=bad, received=32, records=32)


def test_an_error_rolls_everything_back(connection: Connection) -> None:
    """Whatever goes wrong between staging and commit, nothing is left, and the next load works."""
    with pytest.raises(RuntimeError, match="left without commit"):
        stage_only(connection)
    said = [Said(f"k{number}") for number in range(200)]
    with pytest.raises(StopStream):
        load(connection, [*said, Said("b", amount=None)], refused=refused(["b"]))
    assert set(counts(connection).values()) == {0}
    assert fates(load(connection, [Said("a")])) == {"inserted": 1}


def test_the_database_refuses_a_value(connection: Connection) -> None:
    """The error says what kind and which column, and nothing of the row: it may be personal."""
    said = [Said("a", amount=None, note="Jane Doe")]
    with pytest.raises(StopStream, match=r"CheckViolation \(23514 .*amount_required\)") as caught:
        load(connection, said)
    assert caught.value.__cause__ is None
    assert "Jane" not in str(caught.value)


def test_the_database_refuses_a_value_in_its_own_words(connection: Connection) -> None:
    """What Postgres says of a value may quote it: only its kind is told."""
    with (
        pytest.raises(StopStream, match=r"InvalidTextRepresentation \(22P02 \)") as caught,
        Load.open(connection, SPEC, STREAM),
    ):
        connection.execute("SELECT 'Jane Doe'::numeric")
    assert "Jane" not in str(caught.value)


def test_a_leaf_that_is_behind(connection: Connection) -> None:
    """A model that is wider than the table is a matter of set-up."""
    wider = TableSpec("sale", (*SPEC.columns, Column("more", "text")))
    with (
        pytest.raises(FixConfig, match="not as the model has it"),
        Load.open(connection, wider, STREAM),
    ):
        pass


def test_the_database_goes_away(connection: Connection, database: str) -> None:
    """A connection that dies in a load is a passing fault."""
    pid = connection.info.backend_pid
    with (
        connect(database, autocommit=True) as other,
        pytest.raises(RetryLater, match="the database fails"),
    ):
        stage_only(
            connection, before=lambda: other.execute("SELECT pg_terminate_backend(%s)", [pid])
        )


def test_loads_of_a_stream_wait_for_each_other(connection: Connection, database: str) -> None:
    """Two loads of the same keys in opposite order neither deadlock nor lose a row."""
    entries: list[dict[str, int]] = []

    def run(first: int) -> None:
        said = [Said(f"{n:03}", str(first), at=first) for n in range(300)]
        with connect(database) as own:
            entries.append(fates(load(own, said if first else said[::-1])))

    threads = [threading.Thread(target=run, args=[n]) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(entries) == 3
    assert {row[0] for row in table(connection).values()} == {2}


def test_what_the_ledger_line_says(connection: Connection) -> None:
    """The line in the database is the one that commit gives back."""
    clock = iter([draft(0).began_at + timedelta(seconds=90)])
    with Load.open(connection, SPEC, STREAM, clock=lambda: next(clock)) as opened:
        opened.stage(rows([Said("a")]), received=1)
        entry = opened.commit(draft(1, in_window=1, api_calls=3, bytes=70), pin=PIN)
    assert (entry.status, entry.seconds, entry.inserted) == ("ok", 90, 1)
    line = connection.execute(
        'SELECT connector, connection, stream, "window", landing, cause, status, received,'
        " inserted, in_window, api_calls, bytes, seconds FROM integrations.ledger"
    ).fetchone()
    assert line == (
        "shop", "main", "sales", "2026-01-01T00-00Z", LANDING, "sync", "ok", 1, 1, 1, 3, 70, 90,
    )  # fmt: skip


def test_a_replay_leaves_the_position(connection: Connection) -> None:
    """A replay loads and has its line, but the position stays."""
    load(connection, [Said("a")])
    before = positions.committed(connection, STREAM)
    connection.rollback()
    later = "20260104T000000.000000Z-0000"
    load(connection, [Said("a", "2")], changes={"cause": "replay", "landing": later})
    assert positions.committed(connection, STREAM) == before
    assert before[DAY.label].landing == LANDING


@pytest.mark.parametrize("cause", ["sync", "replay"])
@pytest.mark.parametrize("window", [DAY, None])
def test_an_older_pull_that_loads_last(
    connection: Connection, window: Window | None, cause: str
) -> None:
    """It changes nothing, though the newer pull left the rows' older stamps where it found them
    as they were: all its rows are stale. Loading the newer one again does what it did."""
    pin = PIN if window else Pin()
    older, newer = (f"2026010{day}T000000.000000Z-0000" for day in (4, 5))
    plain: dict[str, Any] = {"window": window}
    load(connection, [Said("a")], changes=plain, pin=pin)
    load(connection, [Said("a", at=9)], changes=plain | {"landing": newer}, pin=pin)
    late = plain | {"landing": older, "cause": cause}
    said = [Said("a", "2", at=5), Said("a", "3", at=6), Said("b", at=5)]
    entry = load(connection, said, refused=refused(["c"]), changes=late, pin=pin)
    assert fates(entry) == {"stale": 3, "quarantined": 1}
    assert list(table(connection)) == ["a"]
    assert quarantine.entries(connection) == []
    (position,) = positions.committed(connection, STREAM).values()
    assert position.landing == newer
    connection.rollback()
    again = plain | {"landing": newer, "cause": "replay"}
    assert fates(load(connection, [Said("a", "4", at=9)], changes=again, pin=pin)) == {"updated": 1}


def test_an_older_pull_of_another_window(connection: Connection) -> None:
    """A neighbour that was committed from a later pull, or the same start with another length,
    makes nothing stale."""
    next_day = Window(DAY.end, DAY.end + timedelta(days=1))
    morning = Window(DAY.start, DAY.start + timedelta(hours=12))
    for window in (next_day, morning):
        later = {"landing": "20260109T000000.000000Z-0000", "window": window}
        load(connection, [Said(str(window))], changes=later)
    assert fates(load(connection, [Said("a")])) == {"inserted": 1}


def test_only_an_idle_connection(connection: Connection) -> None:
    """A load inside somebody else's transaction could not promise to be one."""
    connection.execute("SELECT 1")
    with pytest.raises(ValueError, match="open transaction"), Load.open(connection, SPEC, STREAM):
        pass


def test_deleted_by_a_mapping(connection: Connection) -> None:
    """A row that a mapping deleted keeps its statement's stamps: what was said later revives it,
    a tombstone makes it the source's."""
    load(connection, [Said("a"), Said("b"), Said("c", at=9)])
    connection.execute("UPDATE canonical.sale SET _deleted_at = now()")
    connection.commit()
    entry = load(connection, [Said("a"), Said("b", None, rank=2), Said("c")])
    assert fates(entry) == {"updated": 1, "deleted": 1, "stale": 1}
    assert {key: row[4:] for key, row in table(connection).items()} == {
        "a": (0, False), "b": (2, True), "c": (0, True),
    }  # fmt: skip


def test_repeated_records(connection: Connection) -> None:
    """What the reader knows to be said twice is a duplicate beside the folded copies, also where
    the load is blocked or outdated."""
    newer = {"landing": "20260105T000000.000000Z-0000"}
    for bad, changes, expected in (
        (0, newer, {"inserted": 2, "duplicate": 4}),
        (0, {}, {"stale": 3, "duplicate": 3}),
        (30, newer, {"quarantined": 30}),
    ):
        units = 6 + bad
        with Load.open(connection, SPEC, STREAM) as opened:
            said = rows([Said("a"), Said("b"), Said("b")])
            rejected = refused([f"{n}" for n in range(bad)])
            opened.stage(said, refused=rejected, received=units, repeated=3)
            assert fates(opened.commit(draft(units, **changes), pin=PIN)) == expected


def test_rows_that_tell_for_themselves(connection: Connection) -> None:
    """Where rows take newer stamps, an older pull that loads last is compared row by row: what it
    alone has said is loaded."""
    newer = {"landing": "20260105T000000.000000Z-0000"}
    load(connection, [Said("a", at=9)], restamp=True, changes=newer)
    entry = load(connection, [Said("a", "2", at=5), Said("b", at=5)], restamp=True)
    assert fates(entry) == {"stale": 1, "inserted": 1}
    (position,) = positions.committed(connection, STREAM).values()
    assert position.landing == newer["landing"]


def test_many_rows_into_a_table_that_is_not_analyzed(connection: Connection) -> None:
    """The planner knows nothing of a leaf just filled and of what is staged; it must not compare
    every row with every other (20 s for these)."""
    connection.execute("SET statement_timeout = '5s'")
    connection.commit()
    load(connection, [Said(f"a{n}") for n in range(20_000)])
    entry = load(connection, [Said(f"b{n}") for n in range(20_000)], changes={"landing": "9"})
    assert entry.inserted == 20_000
