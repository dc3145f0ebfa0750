"""What a run's resources give to the layers below."""

from typing import Any

import psycopg
import pytest

from integrations.errors import CircuitOpen, RetryLater
from integrations.orchestration.resources import ConnectionResource
from integrations.transport import Ask
from integrations.transport.rest_request import RestRequest
from integrations_tests.transport.conftest import Say, Web, web

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
