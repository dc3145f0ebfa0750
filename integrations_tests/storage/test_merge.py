"""Order and deletions: the cases that shaped the rule, each by name. What holds of any history is in
`properties/`."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from integrations.names import Window
from integrations.storage import positions, quarantine
from integrations.storage.ledger import LedgerEntry
from integrations.storage.loader import Said as About
from integrations.storage.tables import ensure_leaf
from integrations_tests.storage.loads import (
    DAY,
    SPEC,
    STREAM,
    T0,
    Said,
    fates,
    load,
    refused,
    table,
)

Connection = psycopg.Connection[Any]
SLACK = 60.0
REPLAY = {"cause": "replay"}


@pytest.fixture
def database(emptied: str) -> str:
    return emptied


@pytest.fixture
def connection(connection: Connection) -> Connection:
    """With the leaf of the small entity."""
    ensure_leaf(connection, SPEC, connector="shop")
    return connection


def told(connection: Connection, *said: Said, **options: Any) -> LedgerEntry:
    """Load statements of a stream with two lanes."""
    return load(connection, said, **({"slack_s": SLACK} | options))


def reading(connection: Connection, *said: Said, at: float, **options: Any) -> LedgerEntry:
    """Load a complete reading that began `at` seconds after T0."""
    began = T0 + timedelta(seconds=at)
    options["changes"] = {"window": None, "landing": f"{began:%Y%m%dT%H%M%S.%fZ}-0000"}
    return told(connection, *said, about=About(at=began, complete=True), **options)


def shown(connection: Connection) -> dict[str, int]:
    """The amounts of the rows that are live."""
    return {key: int(row[0]) for key, row in table(connection).items() if not row[-1]}


def tombstone(key: str, at: float) -> Said:
    return Said(key, None, at=at, rank=2)


CHANGED, DELETED = Said("a", "2", at=92.5), tombstone("a", 88)


@pytest.mark.parametrize("landings", [[[DELETED, CHANGED]], [[CHANGED], [DELETED]]])
def test_a_deletion_in_one_landing_with_the_change_before_it(
    connection: Connection, landings: list[list[Said]]
) -> None:
    """The change was told by a node whose clock is ahead. Inside the slack the deletion wins, in
    one landing as in two: folded by time alone it was lost, and no window would have told it."""
    for said in landings:
        told(connection, *said)
    assert shown(connection) == {}
    assert table(connection)["a"][3] == 88


def test_a_newer_version_in_one_landing_with_an_older(connection: Connection) -> None:
    """The newer version stays though it was said earlier, and takes the later time: else a
    deletion from before it could win where the older copy would have stood."""
    told(connection, tombstone("a", 35))
    entry = told(connection, Said("a", "1", at=100, version=1), Said("a", "2", at=50, version=2))
    assert fates(entry) == {"updated": 1, "duplicate": 1}
    assert (shown(connection), table(connection)["a"][2:4]) == ({"a": 2}, (2, 100))


def test_a_deletion_from_before_a_revival(connection: Connection) -> None:
    """Deleted at 272, made anew and changed within a second, by nodes 25 s apart. Each step back is
    within the slack, the replayed deletion is not: it stays stale."""
    told(connection, tombstone("a", 272))
    told(connection, Said("a", "1", at=341, version=3, rank=1))
    told(connection, Said("a", "2", at=316, version=4, rank=1))
    assert fates(told(connection, tombstone("a", 272), changes=REPLAY)) == {"stale": 1}
    assert shown(connection) == {"a": 2}


def test_unchanged_by_a_newer_version_said_earlier(connection: Connection) -> None:
    """The time of a row that is said again does not go back either."""
    told(connection, Said("a", at=100, version=1))
    assert fates(told(connection, Said("a", at=50, version=2))) == {"unchanged": 1}
    assert table(connection)["a"][2:4] == (2, 100)


def test_deleted_by_a_newer_version_said_earlier(connection: Connection) -> None:
    """Nor does the time of a row that a flag deletes."""
    told(connection, Said("a", at=100, version=1))
    told(connection, Said("a", None, at=50, version=2, flagged=True))
    assert table(connection)["a"] == (1, None, 2, 100, 0, True)


def test_a_replay_of_a_row_whose_time_is_not_its_own(connection: Connection) -> None:
    """It refreshes the row: an equal version is the same statement. Loaded otherwise it is stale."""
    told(connection, Said("a", "1", at=100, version=1))
    told(connection, Said("a", "2", at=50, version=2))
    again = Said("a", "3", at=50, version=2)
    assert fates(told(connection, again)) == {"stale": 1}
    assert fates(told(connection, again, changes=REPLAY)) == {"updated": 1}
    assert (shown(connection), table(connection)["a"][3]) == ({"a": 3}, 100)


@pytest.mark.parametrize(
    ("first", "second", "live", "stamps"),
    [
        (Said("a", at=0), Said("a", None, at=1, flagged=True), False, (1, 0)),
        (Said("a", None, at=1, flagged=True), Said("a", at=0), False, (1, 0)),
        (Said("a", None, at=1, flagged=True), Said("a", at=2), True, (2, 0)),
        (tombstone("a", 0), Said("a", None, at=50, rank=1, flagged=True), False, (0, 2)),
        (tombstone("a", 0), Said("a", None, at=61, rank=1, flagged=True), False, (61, 1)),
        (Said("a", None, at=50, rank=1, flagged=True), tombstone("a", 0), False, (0, 2)),
        (Said("a", None, at=61, rank=1, flagged=True), tombstone("a", 0), False, (61, 1)),
        (tombstone("a", 0), Said("a", at=60), False, (0, 2)),
        (tombstone("a", 0), Said("a", at=61), True, (61, 0)),
        (Said("a", at=60), tombstone("a", 0), False, (0, 2)),
        (Said("a", at=61), tombstone("a", 0), True, (61, 0)),
    ],
)  # fmt: skip
def test_flags_and_tombstones(
    connection: Connection, first: Said, second: Said, live: bool, stamps: tuple[float, int]
) -> None:
    """A row deleted by a flag compares as live: the later one wins, and its rank says whose it is.
    A tombstone wins inside the slack."""
    told(connection, first)
    told(connection, second)
    assert (bool(shown(connection)), table(connection)["a"][3:5]) == (live, stamps)


def test_a_flag_on_a_key_never_seen(connection: Connection) -> None:
    """Is kept, without values; said again it is unchanged."""
    stub = Said("a", None, at=1, flagged=True)
    assert fates(told(connection, stub)) == {"deleted": 1}
    assert fates(told(connection, replace(stub, at=2))) == {"unchanged": 1}
    assert table(connection) == {"a": (None, None, None, 2, 0, True)}


def test_absence(connection: Connection) -> None:
    """Who is not in a complete reading, nor among its refused, and was said before it by more than
    the slack is deleted as of its begin; it keeps its values and its version."""
    ten = [Said(f"k{n}", at=0) for n in range(20)]
    told(connection, *ten, Said("gone", "7", at=139, version=4), Said("fresh", at=140))
    told(connection, Said("bad", at=0))
    read = [replace(said, at=210) for said in ten]
    entry = reading(connection, *read, at=200, refused=refused(["bad"], at=211))
    assert (entry.absent_deleted, fates(entry)) == (1, {"unchanged": 20, "quarantined": 1})
    assert table(connection)["gone"] == (7, None, 4, 200, 2, True)
    assert {"fresh", "bad"} < set(shown(connection))
    connection.rollback()
    assert positions.floor(connection, STREAM) == T0 + timedelta(seconds=140)


def test_the_brake(connection: Connection) -> None:
    """More than a tenth of the rows is not deleted without being asked: nothing is loaded, and no
    floor is set; what was refused is in quarantine."""
    told(connection, *[Said(f"{n}") for n in range(20)])
    read = [Said(f"{n}", "2", at=200) for n in range(17)]
    bad = refused(["new"], at=200)
    entry = reading(connection, *read, at=200, refused=bad)
    assert (entry.status, entry.absent_deleted, entry.updated) == ("blocked", 0, 0)
    assert "3 of 20 rows are not at the source any more: more than 10%" in str(entry.error)
    assert set(shown(connection).values()) == {1}
    assert [one.key for one in quarantine.entries(connection)] == ["new"]
    assert positions.floor(connection, STREAM) is None
    connection.rollback()
    entry = reading(connection, *read, at=200, refused=bad, accept=True)
    assert (entry.status, entry.absent_deleted, entry.updated) == ("warn", 3, 17)


@pytest.mark.parametrize(("gone", "status"), [(2, "ok"), (3, "blocked")])
def test_a_tenth_is_not_too_much(connection: Connection, gone: int, status: str) -> None:
    """Just a tenth is deleted."""
    told(connection, *[Said(f"{n}") for n in range(20)])
    entry = reading(connection, *[Said(f"{n}", at=200) for n in range(gone, 20)], at=200)
    assert entry.status == status


def test_absence_among_those_of_a_day(connection: Connection) -> None:
    """A reading speaks only of rows that share a value with it: those of another day stay, and so
    do those of a day of which it holds nothing. Its brake is a share of the rows it speaks of."""
    days = [Said(f"{day}{n}", note=day) for day in ("mon", "tue") for n in range(4)]
    told(connection, *days, Said("none"))
    about = About(at=T0 + timedelta(seconds=200), complete=True, among="note", brake=0.5)

    def read(*keys: str) -> LedgerEntry:
        said = [Said(key, note=key[:3], at=200) for key in keys]
        return told(connection, *said, about=about)

    assert read("tue0").status == "blocked", "three of four are more than half"
    assert read("tue0", "tue1").absent_deleted == 2
    assert set(shown(connection)) == {"mon0", "mon1", "mon2", "mon3", "tue0", "tue1", "none"}
    assert read().absent_deleted == 0, "of no day"


def test_a_reading_among_others_is_no_floor(connection: Connection) -> None:
    """Of the day before it says nothing: what could not be loaded of that is, when it passes."""
    about = About(at=T0 + timedelta(seconds=200), complete=True, among="note")
    changes = {"window": None, "landing": f"{about.at:%Y%m%dT%H%M%S.%fZ}-0000"}
    told(connection, Said("tue0", note="tue", at=200), about=about, changes=changes)

    told(connection, Said("mon0", note="mon", at=5), changes=REPLAY)

    assert set(shown(connection)) == {"tue0", "mon0"}


def test_absence_beside_a_record_without_a_key(connection: Connection) -> None:
    """Nobody knows which record it is: nothing is deleted, no floor is set, the rest is loaded."""
    told(connection, *[Said(f"{n}") for n in range(20)])
    read = [Said(f"{n}", "2", at=200) for n in range(19)]
    entry = reading(connection, *read, at=200, refused=refused(["sha256:ab"], at=200))
    assert (entry.status, entry.absent_deleted, entry.updated) == ("warn", 0, 19)
    assert "1 refused records have no key" in str(entry.error)
    assert positions.floor(connection, STREAM) is None


FLOORS = [
    (Said("new", at=139), {"stale": 1}),
    (Said("new", at=140), {"inserted": 1}),
    (tombstone("new", 0), {"deleted": 1}),
    (Said("new", None, at=0, flagged=True), {"deleted": 1}),
    (Said("gone", at=139), {"stale": 1}),
    (Said("gone", at=261), {"updated": 1}),
    (Said("early", at=139), {"stale": 1}),
    (Said("early", at=140), {"updated": 1}),
    (Said("there", "2", at=150), {"stale": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("said", "fate"), FLOORS)
def test_the_floor(connection: Connection, said: Said, fate: dict[str, int]) -> None:
    """What was said before a complete reading, by more than the slack, of a key that is not there
    is stale, whether the key was never seen, deleted by the reading or before it; within the slack
    the reading may not have known yet. A replay changes nothing about that."""
    told(connection, Said("gone", at=0), tombstone("early", 0))
    reading(connection, Said("there", at=200), at=200, accept=True)
    assert fates(told(connection, said, changes=REPLAY)) == fate


def test_the_floor_of_an_older_reading(connection: Connection) -> None:
    """A reading that is loaded after a later one does not lower the floor."""
    told(connection, Said("there", at=0))
    reading(connection, Said("there", at=500), at=500)
    reading(connection, Said("there", at=200), at=200)
    assert fates(told(connection, Said("new", at=300))) == {"stale": 1}
    assert positions.floor(connection, STREAM) == T0 + timedelta(seconds=440)


def test_a_change_in_the_course_of_a_complete_reading(connection: Connection) -> None:
    """Known limit: the key was changed at 300 and deleted at 400 while a reading from 200 on went
    on, and is not in it. That reading only says "as of 200", so the change, loaded later, shows
    the row; the deletion or the next reading ends that."""
    told(connection, Said("a", at=0))
    reading(connection, at=200, accept=True)
    told(connection, Said("a", "2", at=300, rank=1))
    assert shown(connection) == {"a": 2}
    told(connection, tombstone("a", 400))
    assert shown(connection) == {}


def test_a_revival_within_the_slack(connection: Connection) -> None:
    """Known limit: it is stale whatever comes first, until the source says it once more."""
    for history in ([tombstone("a", 0), Said("a", at=30)], [Said("b", at=30), tombstone("b", 0)]):
        for said in history:
            told(connection, said)
    assert shown(connection) == {}
    told(connection, Said("a", at=61), Said("b", at=61))
    assert shown(connection) == {"a": 1, "b": 1}


def withdrawn(connection: Connection, at: float, *said: Said, **options: Any) -> int:
    """How many rows a replay withdraws whose mapping refuses "a" as of `at`."""
    bad = refused(["a"], at=at)
    return told(connection, *said, refused=bad, changes=REPLAY, **options).withdrawn


def test_a_replay_that_refuses(connection: Connection) -> None:
    """The row goes, keeps the stamps of its statement, and is back when that passes again."""
    told(connection, Said("a", at=100, rank=1))
    assert withdrawn(connection, 100) == 1
    assert table(connection)["a"] == (1, None, None, 100, 1, True)
    assert withdrawn(connection, 100) == 0
    told(connection, Said("a", at=100, rank=1), changes=REPLAY)
    assert (shown(connection), quarantine.entries(connection)) == ({"a": 1}, [])


def test_refused_before_is_not_withdrawn(connection: Connection) -> None:
    """An older row stays beside what is refused again; so it does outside of a replay."""
    told(connection, Said("a", at=0))
    entry = told(connection, refused=refused(["a"], at=0))
    assert (entry.withdrawn, withdrawn(connection, 0)) == (0, 0)
    assert shown(connection) == {"a": 1}


def test_an_older_row_beside_a_newer_refusal(connection: Connection) -> None:
    """It stood on its own statement; when the mapping refuses that too, it goes."""
    told(connection, Said("a", at=0))
    told(connection, refused=refused(["a"], at=100))
    assert withdrawn(connection, 0) == 1


def test_only_the_row_that_was_made_from_it(connection: Connection) -> None:
    """A refused record that the row was not made from withdraws nothing, though it was said later:
    it is of an older version, and was stale."""
    told(connection, Said("a", at=100, version=3))
    told(connection, Said("a", "2", at=130, version=2))
    assert withdrawn(connection, 130) == 0


def test_a_good_copy_in_the_same_landing(connection: Connection) -> None:
    """What passes beside it, said no earlier, keeps the row."""
    told(connection, Said("a", at=100))
    assert withdrawn(connection, 100, Said("a", at=100)) == 0


@pytest.mark.parametrize(("at", "gone"), [(99, 0), (100, 1), (200, 1)])
def test_a_stream_that_is_only_pulled(connection: Connection, at: float, gone: int) -> None:
    """Its rows keep the time of when they were first said so: what is refused later withdraws
    them too, unless it was refused then."""
    load(connection, [Said("a", at=100)])
    load(connection, [Said("a", at=200)])
    replay = REPLAY | {"landing": "20260104T000000.000000Z-0000"}
    entry = load(connection, [], refused=refused(["a"], at=at), changes=replay)
    assert entry.withdrawn == gone


def test_a_later_refusal_keeps_an_older_row(connection: Connection) -> None:
    """On such a stream, what was refused before withdraws nothing by being replayed, nor does
    what was said between."""
    load(connection, [Said("a", at=100)])
    load(connection, [], refused=refused(["a"], at=300))
    for at in (200, 300):
        entry = load(connection, [], refused=refused(["a"], at=at), changes=REPLAY)
        assert entry.withdrawn == 0


def test_the_middle_state_of_an_overlap(connection: Connection) -> None:
    """Known limit of streams that are only pulled: a value changed and changed back, and a pull of
    one window from between, loaded last, shows the middle. Of one window the position tells; with
    newer stamps (`restamp`) the row does."""
    neighbour = {"window": Window(DAY.end, DAY.end + timedelta(days=1))}
    again = {"landing": "20260104T000000.000000Z-0000"}
    for restamp, end in ((True, 1), (False, 2)):
        connection.execute("TRUNCATE canonical.sale, integrations.positions")
        connection.commit()
        load(connection, [Said("a", "1", at=0)], restamp=restamp)
        load(connection, [Said("a", "1", at=9)], restamp=restamp, changes=neighbour)
        load(connection, [Said("a", "2", at=5)], restamp=restamp, changes=again)
        assert shown(connection) == {"a": end}


@pytest.mark.parametrize("restamp", [True, False])
def test_stamps_of_what_is_unchanged(connection: Connection, restamp: bool) -> None:
    """Are renewed only where they are needed; run and time of loading never."""
    load(connection, [Said("a", at=0)], restamp=restamp)
    written = connection.execute("SELECT _run_id, _synced_at FROM canonical.sale").fetchall()
    connection.rollback()
    entry = load(connection, [Said("a", at=9)], restamp=restamp, changes={"run_id": "run2"})
    assert (fates(entry), table(connection)["a"][3]) == ({"unchanged": 1}, 9 if restamp else 0)
    assert (
        connection.execute("SELECT _run_id, _synced_at FROM canonical.sale").fetchall() == written
    )


NOTED, SILENT = Said("a", "1", "x", at=10), Said("a", "2", at=200, keeps=True)
KEPT = [
    ([[NOTED], [SILENT]], "x"),
    ([[NOTED, SILENT]], "x"),
    ([[SILENT, NOTED]], "x"),
    ([[NOTED], [tombstone("a", 100)], [SILENT]], "x"),
    ([[NOTED, tombstone("a", 100), SILENT]], "x"),
    ([[NOTED], [Said("a", None, at=100, flagged=True)], [SILENT]], "x"),
    ([[tombstone("a", 100)], [NOTED, SILENT]], None),
    ([[Said("a", "1", "y", at=100)], [NOTED, SILENT]], "y"),
    ([[NOTED], [Said("a", "1", None, at=100)], [SILENT]], None),
    ([[NOTED, Said("a", "1", None, at=100), SILENT]], None),
    ([[SILENT], [NOTED]], None),
]  # fmt: skip


@pytest.mark.parametrize(("landings", "note"), KEPT)
def test_a_note_that_is_kept(
    connection: Connection, landings: list[list[Said]], note: str | None
) -> None:
    """What was stored stands, in one landing as in several, also over a deletion; a copy that would
    have been stale gives nothing, and a null that was said is what is stored. Known limit: a
    statement that is loaded after a later one which keeps the note is stale, and so is its note."""
    for said in landings:
        told(connection, *said, keeps=["note"])
    assert table(connection)["a"][:2] == (2, note)


def test_the_versions_of_copies_decide_whose_note_is_kept(connection: Connection) -> None:
    """The newest before the one that stays, though it was said earlier."""
    copies = (
        Said("a", "1", "x", at=100, version=1),
        Said("a", "1", "y", at=90, version=2),
        Said("a", "1", at=95, version=3, keeps=True),
    )
    told(connection, *copies, keeps=["note"])
    assert table(connection)["a"][1:4] == ("y", 3, 100)
