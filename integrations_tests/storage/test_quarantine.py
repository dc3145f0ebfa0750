"""The quarantine: one entry a key, closed by a later success, with the bytes as they came."""

from datetime import timedelta
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from integrations.names import StreamId
from integrations.storage import quarantine
from integrations.storage.loader import Said as About
from integrations.storage.quarantine import REFUSED
from integrations.storage.tables import ensure_leaf
from integrations_tests.storage.loads import LANDING, SPEC, STREAM, T0, Said, load, refused

OTHER = StreamId("shop", "main", "other")
Connection = psycopg.Connection[Any]


@pytest.fixture
def database(emptied: str) -> str:
    return emptied


@pytest.fixture
def connection(connection: Connection) -> Connection:
    """With the leaf of the small entity."""
    ensure_leaf(connection, SPEC, connector="shop")
    return connection


def open_keys(connection: Connection) -> dict[str, int]:
    """Keys of open entries, and how often each was refused."""
    found = quarantine.entries(connection)
    connection.rollback()
    return {entry.key: entry.times for entry in found}


def test_what_an_entry_says(connection: Connection) -> None:
    """Field, rule, reason, bytes, landing and run of the record."""
    load(connection, [], refused=refused(["bad"]))
    entry = quarantine.show(connection, STREAM, key="bad")
    assert entry is not None
    assert (entry.kind, entry.field, entry.rule, entry.reason) == (
        "data", "amount", "decimal", "no number",
    )  # fmt: skip
    assert (entry.raw, entry.landing, entry.run_id) == (b'{"id":"bad"}', LANDING, "run1")
    assert (entry.times, entry.closed_at, entry.first_at) == (1, None, entry.last_at)


def test_refused_again_is_the_same_entry(connection: Connection) -> None:
    """The entry counts, keeps when it was first seen and has the newest reason."""
    load(connection, [], refused=refused(["bad"]))
    first = quarantine.entries(connection)[0]
    connection.rollback()
    load(connection, [], refused=refused(["bad"], reason="still none"))
    (again,) = quarantine.entries(connection)
    assert (again.times, again.reason, again.first_at) == (2, "still none", first.first_at)
    assert again.last_at > first.last_at


def test_a_success_closes_it(connection: Connection) -> None:
    """Of its own key, stream and connection only; being refused again opens it anew."""
    load(connection, [], refused=refused(["bad", "worse"]))
    load(connection, [Said("bad"), Said("other")])
    assert open_keys(connection) == {"worse": 1}
    closed = quarantine.show(connection, STREAM, key="bad")
    connection.rollback()
    assert closed is not None
    assert closed.closed_at is not None
    load(connection, [], refused=refused(["bad"]))
    assert open_keys(connection) == {"worse": 1, "bad": 1}


def test_an_unchanged_row_closes_it_too(connection: Connection) -> None:
    """The record is well again, even if the table holds just that already."""
    load(connection, [Said("a")])
    load(connection, [], refused=refused(["a"]))
    load(connection, [Said("a", at=9)])
    assert open_keys(connection) == {}


def test_a_stale_success_does_not(connection: Connection) -> None:
    """What the source said before is no news about the record."""
    load(connection, [Said("a", at=9)])
    load(connection, [], refused=refused(["a"], at=10))
    load(connection, [Said("a", at=1)])
    assert open_keys(connection) == {"a": 1}


@pytest.mark.parametrize(("good", "times"), [(4, {"a": 1}), (5, {}), (6, {})])
def test_good_and_bad_in_one_landing(
    connection: Connection, good: float, times: dict[str, int]
) -> None:
    """A good copy closes the entry of a bad one unless it is older; each counts for itself."""
    bad = refused(["a", "a"], at=5)
    entry = load(connection, [Said("a", at=good), Said("a")], refused=bad)
    assert (entry.inserted, entry.duplicate, entry.quarantined) == (1, 1, 2)
    assert open_keys(connection) == times


@pytest.mark.parametrize(
    "before",
    [
        [[Said("a", at=9)]],
        [[Said("a")], refused(["a"], at=1), [Said("a", at=9)]],
        [refused(["a"], at=1), [Said("a", at=2)], [Said("a", at=9)]],
        [refused(["a"], at=9, reason="newer")],
    ],
    ids=["a newer row", "a newer success", "a second success", "a newer refusal"],
)
def test_an_old_refusal_is_no_news(
    connection: Connection, before: list[list[Said] | pa.Table]
) -> None:
    """A pull that was late neither opens an entry that a newer success closed, also where that
    left the row as it was, nor speaks over a newer refusal."""
    for each in before:
        rows, bad = (each, None) if isinstance(each, list) else ([], each)
        load(connection, rows, refused=bad)
    was = quarantine.entries(connection, closed=True)
    connection.rollback()
    entry = load(connection, [], refused=refused(["a"], at=5))
    assert entry.quarantined == 1
    assert quarantine.entries(connection, closed=True) == was


def test_any_bytes_and_any_text(connection: Connection) -> None:
    """Whatever the record holds, its entry can be written and gives the bytes back."""
    raw = bytes(range(256))
    record = {
        "key": "k\x00" + "x" * 3000,
        "field": None,
        "rule": None,
        "reason": "holds \x00 and \\ and \n\\.\n",
        "record": raw,
        "kind": "data",
        "seen_at": T0,
    }
    load(connection, [], refused=pa.Table.from_pylist([record], schema=REFUSED))
    (listed,) = quarantine.entries(connection)
    entry = quarantine.show(connection, STREAM, key=listed.key)
    assert entry is not None
    assert (entry.raw, entry.reason) == (raw, "holds \\u0000 and \\ and \n\\.\n")
    assert entry.key.startswith("sha256:")


@pytest.mark.parametrize(
    ("selection", "found"),
    [
        ({}, 2),
        ({"streams": [OTHER, STREAM]}, 2),
        ({"streams": [OTHER]}, 0),
        ({"streams": []}, 0),
        ({"closed": True}, 3),
        ({"limit": 1}, 1),
    ],
)
def test_selection(connection: Connection, selection: dict[str, Any], found: int) -> None:
    """Entries of some streams or of all; closed ones when asked for."""
    load(connection, [], refused=refused(["a", "b", "c"]))
    load(connection, [Said("a")])
    assert len(quarantine.entries(connection, **selection)) == found
    assert quarantine.show(connection, OTHER, key="a") is None


def discarded(connection: Connection, *keys: str) -> list[str]:
    """Discard, and commit."""
    found = quarantine.discard(connection, STREAM, keys=keys)
    connection.commit()
    return found


def test_discard(connection: Connection) -> None:
    """Closes what is open, of these keys and this stream; the bytes stay to be looked at."""
    load(connection, [], refused=refused(["a", "b", "c"]))
    load(connection, [Said("c")])
    assert quarantine.discard(connection, OTHER, keys=["a"]) == []
    assert discarded(connection, "c", "a", "never") == ["a"]
    assert open_keys(connection) == {"b": 1}
    resolutions = {one.key: one.resolution for one in quarantine.entries(connection, closed=True)}
    assert resolutions == {"a": "discarded", "b": None, "c": "passed"}
    entry = quarantine.show(connection, STREAM, key="a")
    assert entry is not None
    assert entry.raw == b'{"id":"a"}'


def test_discarded_bytes_open_nothing(connection: Connection) -> None:
    """The same bytes again are counted and leave the entry closed; others open it."""
    load(connection, [], refused=refused(["a"]))
    discarded(connection, "a")
    assert load(connection, [], refused=refused(["a"], at=5)).quarantined == 1
    assert open_keys(connection) == {}
    load(connection, [], refused=refused(["a"], at=6, record=b'{"id":"a","amount":"x"}'))
    assert open_keys(connection) == {"a": 1}
    load(connection, [Said("a", at=7)])
    entry = quarantine.show(connection, STREAM, key="a")
    assert entry is not None
    assert entry.resolution == "passed"


def test_a_discarded_key_that_passes(connection: Connection) -> None:
    """Stays discarded: a person closed it."""
    load(connection, [], refused=refused(["a"]))
    discarded(connection, "a")
    load(connection, [Said("a", at=5)])
    entry = quarantine.show(connection, STREAM, key="a")
    assert entry is not None
    assert entry.resolution == "discarded"


@pytest.mark.parametrize(
    ("selection", "found"),
    [
        ({}, ["old", "data", "new"]),
        ({"keys": ["new", "none"]}, ["new"]),
        ({"keys": []}, []),
        ({"kind": "data"}, ["old", "data"]),
        ({"limit": 1}, ["old"]),
        ({"besides": "run1"}, []),
        ({"besides": "another"}, ["old", "data", "new"]),
    ],
)
def test_records_to_try_again(
    connection: Connection, selection: dict[str, Any], found: list[str]
) -> None:
    """Open entries of a stream with their bytes, the oldest statement first."""
    load(connection, [], refused=refused(["new"], at=9, kind="transient"))
    load(connection, [], refused=refused(["data", "closed"], at=5))
    load(connection, [], refused=refused(["old"], at=1))
    load(connection, [Said("closed", at=6)])
    records = quarantine.open_records(connection, STREAM, **selection)
    assert [one.key for one in records] == found
    assert all(one.raw == b'{"id":"%s"}' % one.key.encode() for one in records)
    assert quarantine.open_records(connection, OTHER) == []
    assert quarantine.open_keys(connection, STREAM) == {"old", "data", "new"}
    assert quarantine.open_keys(connection, OTHER) == set()


@pytest.mark.parametrize(
    ("times", "minutes", "due"),
    [(1, 0.9, 0), (1, 1.1, 1), (2, 1.9, 0), (2, 2.1, 1), (5, 15, 0), (5, 17, 1), (6, 9999, 0)],
)
def test_transient_records_wait(
    connection: Connection, times: int, minutes: float, due: int
) -> None:
    """They are tried again after a minute, then after twice as long each time, five times; asked
    for without their kind they are all there."""
    for _ in range(times):
        load(connection, [], refused=refused(["a"], kind="transient"))
    connection.execute(
        "UPDATE integrations.quarantine SET last_at = now() - %s", [timedelta(minutes=minutes)]
    )
    assert len(quarantine.open_records(connection, STREAM, kind="transient")) == due
    assert len(quarantine.open_records(connection, STREAM)) == 1


def test_what_said_it(connection: Connection) -> None:
    """An entry names the feed that brought it, also when it is refused again without one."""
    load(connection, [], refused=refused(["a"]), about=About(feed="events"))
    assert [one.feed for one in quarantine.entries(connection)] == ["events"]
    connection.rollback()
    load(connection, [], refused=refused(["a"], at=5))
    assert [one.feed for one in quarantine.entries(connection)] == ["events"]


@pytest.mark.parametrize(
    "gone", [Said("a", None, at=5, rank=2), Said("a", None, at=5, flagged=True)]
)
def test_a_deletion_closes_it(connection: Connection, gone: Said) -> None:
    """What is deleted at the source need not pass any more."""
    load(connection, [], refused=refused(["a"]))
    load(connection, [gone])
    assert open_keys(connection) == {}
