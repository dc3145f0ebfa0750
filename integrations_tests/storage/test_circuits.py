"""The circuits as all processes share them: kept whole, and changed in turn."""

import threading
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from integrations.storage.circuits import Circuit, Circuits, forget, known
from integrations.storage.database import connect

AT = datetime(2026, 1, 1, 3, 0, 0, 123457, tzinfo=UTC)
WHOLE = Circuit({7: (3, 1), 9: (1, 1)}, AT, 60.5, AT + timedelta(seconds=1), "it answered 503")


def test_what_is_kept_is_what_it_was(connection: psycopg.Connection[Any]) -> None:
    """To the microsecond: the end of a claim is how a process knows its own."""
    with closing(Circuits(connection, "shop", "main")) as circuits:
        assert circuits.known().circuits == {}
        assert circuits.change("GET /things", lambda *_: WHOLE)[:2] == (Circuit(), WHOLE)
        assert circuits.change("GET /things", lambda one, _: replace(one, why=""))[0] == WHOLE
        assert circuits.known().circuits == {"GET /things": replace(WHOLE, why="")}
    assert known(connection, "shop", "other").circuits == {}


def test_processes_take_turns(database: str, connection: psycopg.Connection[Any]) -> None:
    """Of those that see a circuit at the same time none overwrites what another has changed."""

    def one_more(circuit: Circuit, _: datetime) -> Circuit:
        calls, failures = circuit.counts.get(1, (0, 0))
        return replace(circuit, counts={1: (calls + 1, failures)})

    def work() -> None:
        with connect(database) as beside, closing(Circuits(beside, "shop", "main")) as circuits:
            for _ in range(20):
                circuits.change("GET /things", one_more)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = known(connection, "shop", "main").circuits["GET /things"]
    assert found.counts == {1: (80, 0)}


def test_a_change_that_fails_changes_nothing(connection: psycopg.Connection[Any]) -> None:
    """And who comes next is not kept waiting."""
    with closing(Circuits(connection, "shop", "main")) as circuits:
        with pytest.raises(ZeroDivisionError):
            circuits.change("GET /things", lambda *_: 1 / 0)  # type: ignore[arg-type,return-value]
        assert circuits.change("GET /things", lambda *_: WHOLE)[0] == Circuit()


def test_a_connection_that_the_server_ended_is_made_anew(
    connection: psycopg.Connection[Any],
) -> None:
    """A restart of the database costs nothing."""
    with closing(Circuits(connection, "shop", "main")) as circuits:
        circuits.known()
        assert circuits._own is not None
        pid = circuits._own.info.backend_pid
        connection.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        assert circuits.known().circuits == {}


def test_its_patience_stays_its_own(connection: psycopg.Connection[Any]) -> None:
    """What is set for the session outlives us behind a connection pooler: a load that has the server
    process next would be cut off. Each statement is waited for for two seconds all the same."""
    with closing(Circuits(connection, "shop", "main")) as circuits:
        circuits.known()
        circuits.change("GET /things", lambda *_: WHOLE)
        assert circuits._own is not None
        said = circuits._own.execute("SHOW statement_timeout").fetchone()
        assert said == connection.execute("SHOW statement_timeout").fetchone()
        connection.execute("LOCK TABLE integrations.circuits")
        for ask in (circuits.known, lambda: circuits.change("GET /things", lambda *_: WHOLE)):
            with pytest.raises(psycopg.errors.QueryCanceled):
                ask()
        connection.rollback()
        assert circuits.known().circuits == {"GET /things": WHOLE}


def test_a_person_opens_them(connection: psycopg.Connection[Any]) -> None:
    """Those of one connection, with all that was counted; told are those that were shut."""
    for name in ("main", "other"):
        with closing(Circuits(connection, "shop", name)) as circuits:
            circuits.change("GET /things", lambda *_: WHOLE)
            circuits.change("GET /else", lambda one, _: replace(one, counts={1: (1, 1)}))
    assert forget(connection, "shop", "main") == ["GET /things"]
    connection.commit()
    assert known(connection, "shop", "main").circuits == {}
    assert set(known(connection, "shop", "other").circuits) == {"GET /things", "GET /else"}
