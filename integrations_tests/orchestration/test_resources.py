"""What a run's resources give to the layers below."""

from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from integrations.errors import CircuitOpen, RetryLater
from integrations.orchestration.resources import ConnectionResource
from integrations.storage.circuits import Circuit, Circuits
from integrations.transport import Ask
from integrations.transport.one_request import Detail
from integrations.transport.rest_request import RestRequest
from integrations_tests.transport.conftest import Call, Say, Web, web

__all__ = ["web"]

BUSY = Say(status=503)
LIST = RestRequest.model_validate({"path": "/things", "paging": {"type": "single"}})


def resource(web: Web, **transport: object) -> ConnectionResource:
    return ConnectionResource(
        connector="shop",
        connection="main",
        base_url=web.url,
        auth_handler={"type": "none"},
        transport={"type": "rest", "base_url": web.url, **transport},
    )


def test_two_runs_do_not_come_back_together(web: Web) -> None:
    """Two runs that fail together wait differently, each within its ceilings: the chance that
    their sessions are given is a real one."""
    web.answers = [BUSY]
    account = resource(web, retry={"budget_s": 60})
    waited: list[list[float]] = [[], []]
    for waits in waited:
        with account.open(sleep=waits.append) as session, pytest.raises(RetryLater):
            list(session.pages(LIST, ask=Ask()))
    one, other = waited
    shared = set(one) & set(other)
    assert (len(one) >= 5, shared) == (True, set())
    for waits in waited:
        assert all(2**n / 20 <= wait <= 2**n for n, wait in enumerate(waits))


def test_a_pull_ends_with_the_breaker(web: Web, connection: psycopg.Connection[Any]) -> None:
    """It does not wait for the rest of its quarter of an hour, and the next run makes no call."""
    web.answers = [BUSY]
    account = resource(web, breaker={"calls": 3, "lasting_s": 0})
    for calls in (3, 0):
        waits: list[float] = []
        web.calls.clear()
        with (
            account.session(connection, sleep=waits.append) as session,
            pytest.raises(CircuitOpen, match="GET /things failed again and again"),
        ):
            list(session.pages(LIST, ask=Ask()))
        assert (len(web.calls), len(waits)) == (calls, max(calls - 1, 0))
        assert sum(waits) <= 3


@pytest.mark.parametrize("well", [True, False])
def test_a_pull_waits_for_its_own_call_that_tries(
    web: Web, connection: psycopg.Connection[Any], well: bool
) -> None:
    """Its others were begun ahead: they go on where that is answered, and are not made where it is
    not."""
    details: list[str] = []

    def answer(call: Call) -> Say:
        if call.path == "/things":
            return Say([{"id": number} for number in range(9)])
        details.append(call.path)
        return Say({"id": 1}) if well else BUSY

    web.route = answer
    cooled = Circuit(until=datetime(2026, 1, 1, tzinfo=UTC), cool_s=60, why="it was down")
    with closing(Circuits(connection, "shop", "main")) as circuits:
        circuits.change("GET /things/{key}", lambda *_: cooled)
    request = LIST.model_copy(update={"detail": Detail(path="/things/{key}")})
    with resource(web).session(connection) as session:
        if well:
            assert [len(page.records) for page in session.pages(request, ask=Ask())] == [9]
        else:
            with pytest.raises(CircuitOpen, match="left alone until"):
                list(session.pages(request, ask=Ask()))
    assert len(details) == (9 if well else 1)
