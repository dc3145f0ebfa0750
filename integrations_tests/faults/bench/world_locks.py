"""What others do inside the database while a load runs: locks, conflicts, and ended statements."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import psycopg

from integrations_tests.faults.bench.cases import Case, Fate, Kind
from integrations_tests.faults.bench.rig import SELECT, Rig
from integrations_tests.faults.bench.world_acts import at, beside, nothing, said, tables

LOCK_WAIT: Mapping[str, object] = {"integrations.storage.transaction:_LOCK_WAIT": "300ms"}
"""What is fifteen minutes in the product."""
IDLE_MS = 1500
"""More than a busy machine takes between two statements of a load."""
FAILS = "the database fails"
_OTHERS = "datname = current_database() AND pid <> pg_backend_pid()"
TERMINATE = f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {_OTHERS}"
WAITS = f"SELECT pid FROM pg_stat_activity WHERE {_OTHERS} AND wait_event_type = 'Lock'"
SOON_S = 20.0


@dataclass
class Other:
    """Somebody else in the same database, who has a transaction open."""

    connection: psycopg.Connection[Any]
    threads: list[threading.Thread] = field(default_factory=list)

    def does(self, statement: str, *values: object) -> None:
        self.connection.execute(statement, values)

    def later(self, work: Any, *given: object) -> None:
        """What takes until the sync goes on."""
        thread = threading.Thread(target=work, args=given, daemon=True)
        self.threads.append(thread)
        thread.start()


_OTHER: dict[str, Other] = {}
"""By database, for as long as a case runs."""


@contextmanager
def other(rig: Rig) -> Iterator[None]:
    """Somebody else is there; what he holds is free at the end."""
    rig.patches |= LOCK_WAIT
    with beside(rig, autocommit=False) as connection:
        _OTHER[rig.database] = here = Other(connection)
        try:
            yield
        finally:
            for thread in here.threads:
                thread.join(SOON_S)
            connection.rollback()
            del _OTHER[rig.database]


@contextmanager
def patient(rig: Rig) -> Iterator[None]:
    """The same, where our own waiting has no end."""
    with other(rig):
        rig.patches.clear()
        yield


@contextmanager
def setting(rig: Rig, name: str, value: object) -> Iterator[None]:
    """The database's default of a setting, for who connects from now on."""
    database = urlsplit(rig.database).path[1:]
    said(rig, f"ALTER DATABASE {database} SET {name} = '{value}'")
    try:
        yield
    finally:
        said(rig, f"ALTER DATABASE {database} RESET {name}")


@contextmanager
def ends_idlers(rig: Rig) -> Iterator[None]:
    with setting(rig, "idle_in_transaction_session_timeout", f"{IDLE_MS}ms"):
        yield


@contextmanager
def serializable(rig: Rig) -> Iterator[None]:
    with setting(rig, "default_transaction_isolation", "serializable"):
        yield


def terminated(rig: Rig) -> None:
    said(rig, TERMINATE)


def idles(rig: Rig) -> None:
    time.sleep(2 * IDLE_MS / 1000)


def tables_locked(rig: Rig) -> None:
    _OTHER[rig.database].does(f"LOCK TABLE {', '.join(tables(rig))} IN ACCESS EXCLUSIVE MODE")


def books_locked(rig: Rig) -> None:
    """What a load comes to last, and has not touched before."""
    _OTHER[rig.database].does("LOCK TABLE integrations.ledger IN ACCESS EXCLUSIVE MODE")


def tables_locked_a_while(rig: Rig) -> None:
    """Until the load has waited for it."""
    here = _OTHER[rig.database]
    tables_locked(rig)
    here.later(lambda: (_waiting(rig), here.connection.rollback()))


def waits_and_is_cancelled(rig: Rig) -> None:
    """A person cancels the statement that waits for a lock."""
    here = _OTHER[rig.database]
    books_locked(rig)

    def cancels() -> None:
        said(rig, f"SELECT pg_cancel_backend({_waiting(rig)})")
        here.connection.rollback()

    here.later(cancels)


def _waiting(rig: Rig) -> int | None:
    """The backend that waits for a lock, as soon as there is one."""
    until = time.monotonic() + SOON_S
    with beside(rig) as connection:
        while time.monotonic() < until:
            if found := connection.execute(WAITS).fetchone():
                return int(found[0])
            time.sleep(0.01)
    return None


def deadlocked(rig: Rig) -> None:
    """He holds what the load needs next, and waits for what it holds; he has the patience."""
    here = _OTHER[rig.database]
    here.does("SET LOCAL deadlock_timeout = '60s'")
    books_locked(rig)

    def wants() -> None:
        with suppress(psycopg.Error):
            here.does(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", f"load {_loaded(rig)}"
            )
        here.connection.rollback()

    here.later(wants)
    assert _waiting(rig), "he waits for the load's lock"


def _loaded(rig: Rig) -> str:
    """A stream whose load runs."""
    return (
        str(rig.streams[min(rig.source.truth())].id) if rig.kind == "feed" else SELECT[rig.kind][0]
    )


def conflicting(rig: Rig) -> None:
    """Another transaction changes what the load has read and is about to write."""
    with beside(rig) as connection:
        connection.execute("SET default_transaction_isolation = 'serializable'")
        connection.execute(
            "INSERT INTO integrations.positions SELECT p.* FROM (SELECT * FROM integrations.positions) p"
            ' ON CONFLICT (connector, connection, stream, slice, "window")'
            " DO UPDATE SET run_id = EXCLUDED.run_id"
        )
        for name in tables(rig):
            connection.execute(f"UPDATE {name} SET _run_id = 'another'")


def ended_at(
    barrier: str, expect: Fate | Mapping[Kind, Fate], *, nth: int = 1, **given: Any
) -> Case:
    return Case(
        name=f"connections ended at {barrier}", group="inside the database", plant=nothing,
        act=at(barrier, terminated, nth=nth), expect=expect, quoted=FAILS, **given,
    )  # fmt: skip


STREAMS: tuple[Kind, ...] = ("window", "full", "cursor")
BUT_FEED: Mapping[Kind, Fate] = dict.fromkeys(STREAMS, "recovered") | {"feed": "red"}


def case(name: str, **given: Any) -> Case:
    return Case(name=name, group="inside the database", **given)


CASES = (
    ended_at("fetched", BUT_FEED),
    ended_at("staging", "red"),
    ended_at("staged", "red"),
    ended_at("merging", "red"),
    ended_at("merged", "red"),
    ended_at("committing", "red"),
    ended_at("committed", BUT_FEED),
    ended_at("reporting", "recovered", nth=2, kinds=STREAMS),
    case("ended as idle in a transaction", plant=ends_idlers, act=at("staged", idles), expect="red", quoted="the database fails: terminating connection due to idle-in-transaction timeout"),
    case("a lock for a while", plant=patient, act=at("landed", tables_locked_a_while), expect="recovered"),
    case("a lock for longer than we wait", plant=other, act=at("landed", tables_locked), expect="red", quoted="lock timeout"),
    case("a statement cancelled", plant=patient, act=at("merging", waits_and_is_cancelled), expect="red", quoted="canceling statement due to user request"),
    case("a deadlock", plant=patient, act=at("merging", deadlocked), expect="red", quoted="deadlock detected"),
    case("a serialization failure", plant=serializable, act=at("merging", conflicting), expect="red", quoted="could not serialize"),
)  # fmt: skip
