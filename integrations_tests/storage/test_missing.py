"""What becomes of a value that the source does not give: every pair of policies, from the bytes of
a record to the row in Postgres, inserted and updated.

XML and CSV come as JSON with text values, as their decoders render them: in XML an element that is
missing is an absent key, `xsi:nil` is null, an empty element is ""; in CSV a column that is not in
the header is an absent key and an empty cell is "", so there is no null of its own.
"""

from datetime import timedelta
from itertools import product
from typing import Any, get_args

import msgspec
import psycopg
import pyarrow as pa
import pytest

from integrations.canonical.entity import Entity, Money, Text, column
from integrations.storage import quarantine
from integrations.storage.ledger import LedgerEntry
from integrations.storage.loader import Load
from integrations.storage.tables import ensure_leaf
from integrations.transformation.mapping import BoundMapping, StreamMapping
from integrations.transformation.missing import Policy
from integrations.transformation.refusals import SCHEMA
from integrations.transformation.transform import Transformed, Transformer
from integrations_tests.storage.loads import PIN, STREAM, T0, draft, fates

Connection = psycopg.Connection[Any]
POLICIES = get_args(Policy)
STATES = ("null", "absent", "empty", "present")
DEFAULT, STORED, GIVEN = "by default", "stored", "given"
Rows = dict[str, str | None]
"""By key, what is in the column."""


class Parcel(Entity):
    """A parcel."""

    note: Text = column("What is decided about.", nullable=True)
    label: Text = column("The same, required.")
    weight: Money = column("Beside it.")


RENDERED: dict[str, dict[str, Any]] = {
    "json": {
        "null": {"body": {"note": None}, "weight": 1.5},
        "absent": {"body": {}, "weight": 1.5},
        "empty": {"body": {"note": ""}, "weight": 1.5},
        "present": {"body": {"note": GIVEN}, "weight": 1.5},
    },
    "xml": {
        "null": {"body": {"note": None}, "weight": "1.5"},
        "absent": {"weight": "1.5"},  # the element around it is missing too
        "empty": {"body": {"note": ""}, "weight": "1.5"},
        "present": {"body": {"note": GIVEN}, "weight": "1.5"},
    },
    "csv": {
        "absent": {"weight": "1.5"},
        "empty": {"note": "", "weight": "1.5"},
        "present": {"note": GIVEN, "weight": "1.5"},
    },
}
"""How each form says each state of the field."""
REASONS = {
    "null": "`{}` null gives null, which `when_null: reject` refuses",
    "absent": "`{}` absent, which `when_absent: reject` refuses",
}


@pytest.fixture
def database(emptied: str) -> str:
    return emptied


@pytest.fixture
def connection(connection: Connection) -> Connection:
    ensure_leaf(connection, Parcel.table(), connector="shop")
    return connection


def mapping(target: str, path: str, **missing: Any) -> BoundMapping:
    """A mapping that decides about the column `target`; a default that no policy takes is none."""
    if {"keep", "default"}.isdisjoint(missing.values()):
        missing.pop("default", None)
    fields = {"label": {"type": "constant", "value": "x"}, "weight": "weight", target: path}
    values = {"entity": "parcel", "key": "id", "fields": fields, "missing": {target: missing}}
    return StreamMapping.model_validate(values).bind(Parcel)


def run(bound: BoundMapping, records: list[dict[str, Any]], *, at: int) -> Transformed:
    raw = pa.array(map(msgspec.json.encode, records), pa.binary())
    return Transformer(bound).run(raw, seen_at=T0 + timedelta(seconds=at))


def load(
    connection: Connection, bound: BoundMapping, records: list[dict[str, Any]], *, at: int
) -> LedgerEntry:
    """Records as a landing of their own, said `at` seconds after T0."""
    return loaded(connection, bound, run(bound, records, at=at), at=at)


def load_gone(connection: Connection, bound: BoundMapping, keys: list[str], *, at: int) -> None:
    """Tombstones likewise."""
    rows = Transformer(bound).tombstones(keys, seen_at=T0 + timedelta(seconds=at))
    loaded(connection, bound, Transformed(rows, SCHEMA.empty_table(), len(keys)), at=at)


def loaded(
    connection: Connection, bound: BoundMapping, done: Transformed, *, at: int
) -> LedgerEntry:
    with Load.open(connection, Parcel.table(), STREAM, keeps=bound.keeps) as opened:
        opened.stage(done.rows, refused=done.refused, received=done.received)
        line = draft(done.received, landing=f"20260103T0000{at:02}.000000Z-0000")
        return opened.commit(line, pin=PIN, accept=True)


def stored(connection: Connection, target: str = "note") -> Rows:
    found = connection.execute(f"SELECT source_id, {target} FROM canonical.parcel").fetchall()
    connection.rollback()
    return dict(found)


def refused(connection: Connection) -> dict[str, str]:
    """By key, why it could not pass."""
    found = {one.key: one.reason for one in quarantine.entries(connection)}
    connection.rollback()
    return found


def expected(policy: str, key: str, before: Rows) -> Rows:
    """The row of a key of which the source does not give the field."""
    return {
        "keep": {key: before.get(key, DEFAULT)},
        "clear": {key: None},
        "default": {key: DEFAULT},
        "reject": {key: before[key]} if key in before else {},
    }[policy]


@pytest.mark.parametrize("form", RENDERED)
@pytest.mark.parametrize(("null", "absent"), list(product(POLICIES, POLICIES)))
def test_the_table(connection: Connection, form: str, null: str, absent: str) -> None:
    """A blank string and a value are stored as they are; null and absent go their own ways, when
    the row is made and when it is there: what is kept survives, and in a new row is the default."""
    path = "note" if form == "csv" else "body.note"
    bound = mapping("note", path, when_null=null, when_absent=absent, default=DEFAULT)
    given = RENDERED[form]
    whole = {"body": {"note": STORED}, "note": STORED, "weight": "1"}
    load(connection, bound, [{"id": f"old {state}", **whole} for state in given], at=1)
    before = stored(connection)
    assert set(before.values()) == {STORED}
    keys = [f"{age} {state}" for age, state in product(("old", "new"), given)]
    load(connection, bound, [{"id": key, **given[key.split()[1]]} for key in keys], at=2)
    wanted: Rows = {}
    for key in keys:
        state = key.split()[1]
        policy = {"null": null, "absent": absent}.get(state)
        value = {"empty": "", "present": GIVEN}.get(state)
        wanted |= expected(policy, key, before) if policy else {key: value}
    assert stored(connection) == wanted
    rejecting = {s for s, policy in (("null", null), ("absent", absent)) if policy == "reject"}
    assert refused(connection) == {
        key: f"note: {REASONS[state].format(path)}"
        for key, state in product(keys, rejecting & given.keys())
        if key.endswith(state)
    }


@pytest.mark.parametrize("absent", ["keep", "default", "reject"])
def test_a_required_column(connection: Connection, absent: str) -> None:
    """It has no null, so it is kept or has its default; a key that was only known as deleted has
    nothing to keep."""
    bound = mapping("label", "label", when_absent=absent, default=DEFAULT)
    load(connection, bound, [{"id": "old", "label": STORED, "weight": 1}], at=1)
    load_gone(connection, bound, ["gone"], at=1)
    records = [{"id": key, "weight": 2} for key in ("old", "new", "gone")]
    load(connection, bound, records, at=2)
    wanted = {
        "keep": {"old": STORED, "new": DEFAULT, "gone": DEFAULT},
        "default": {"old": DEFAULT, "new": DEFAULT, "gone": DEFAULT},
        "reject": {"old": STORED, "gone": None},
    }
    assert stored(connection, "label") == wanted[absent]


def test_kept_without_a_default(connection: Connection) -> None:
    """A new row has null, which then is what is stored."""
    bound = mapping("note", "note", when_null="clear", when_absent="keep")
    for at in (1, 2):
        load(connection, bound, [{"id": "a", "weight": at}], at=at)
        assert stored(connection) == {"a": None}


def test_nothing_but_a_kept_value_is_unchanged(connection: Connection) -> None:
    """What stands is compared, and not what was said."""
    bound = mapping("note", "note", when_absent="keep", default=DEFAULT)
    load(connection, bound, [{"id": "a", "note": STORED, "weight": 1}], at=1)
    assert fates(load(connection, bound, [{"id": "a", "weight": 1}], at=2)) == {"unchanged": 1}
    assert fates(load(connection, bound, [{"id": "a", "weight": 2}], at=3)) == {"updated": 1}
    assert stored(connection) == {"a": STORED}


def test_cleared_by_null_and_then_kept(connection: Connection) -> None:
    """The null that the source said stands: a default is for keys never seen."""
    bound = mapping("note", "note", when_null="clear", when_absent="keep", default=DEFAULT)
    for at, said in enumerate(({"note": STORED}, {"note": None}, {}), start=1):
        load(connection, bound, [{"id": "a", "weight": at, **said}], at=at)
    assert stored(connection) == {"a": None}


def test_copies_of_a_key_in_one_landing(connection: Connection) -> None:
    """The last takes from the one before it what it does not say itself."""
    bound = mapping("note", "note", when_absent="keep")
    bodies = ({"note": "first"}, {"note": "second"}, {}, {})
    copies = [{"id": "a", "weight": n, **body} for n, body in enumerate(bodies)]
    assert fates(load(connection, bound, copies, at=1)) == {"inserted": 1, "duplicate": 3}
    assert stored(connection) == {"a": "second"}


def test_marks_that_a_load_does_not_know_of(connection: Connection) -> None:
    """Staged without them, what is not said would wipe what is stored: the load is refused."""
    done = run(mapping("note", "note", when_absent="keep"), [{"id": "a", "weight": 1}], at=1)
    with (
        pytest.raises(ValueError, match="was not told of \\['_keep_note'\\]"),
        Load.open(connection, Parcel.table(), STREAM) as opened,
    ):
        opened.stage(done.rows, received=1)
