"""One server for all sources of a session, and one database: each test has an account of its own."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from integrations.connector_template.feed import Turn
from integrations.sandbox.server import running
from integrations.storage.database import connect
from integrations.storage.landing import LandingZone
from integrations_tests.lanes.books import assert_balanced
from integrations_tests.lanes.lanes import Clock, Lanes
from integrations_tests.lanes.life import Life
from integrations_tests.storage.conftest import shared_database  # noqa: F401  # a fixture

NOON = datetime(2026, 10, 20, 12, tzinfo=UTC)
_NUMBERS = count(1)


class Stage:
    """An app that is whatever is on."""

    def __init__(self) -> None:
        self.on: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.on(scope, receive, send)


@dataclass(frozen=True)
class Served:
    """A stage and its address."""

    stage: Stage
    url: str


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    """Starting a server costs a quarter of a second, so there is one."""
    stage = Stage()
    with running(stage) as url:
        yield Served(stage, url)


@pytest.fixture
def account() -> str:
    """A name for a connection that no other test has."""
    return f"life{next(_NUMBERS)}"


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


@pytest.fixture
def life(served: Served, clock: Clock) -> Life:
    """A source in which nothing has happened yet."""
    served.stage.on = life = Life(clock=clock)
    return life


@pytest.fixture
def lanes(
    life: Life,
    served: Served,
    clock: Clock,
    account: str,
    shared_database: str,  # noqa: F811
    tmp_path: Path,
) -> Iterator[Lanes]:
    """An account at it, of which nothing is read yet; it begins two days ago."""
    start = clock() - timedelta(days=2)
    zone = LandingZone(tmp_path.as_uri(), clock=clock)
    with connect(shared_database) as connection:
        yield Lanes(served.url, life.secrets, account, connection, zone, clock, start)


@pytest.fixture
def begun(lanes: Lanes, clock: Clock) -> Iterator[Lanes]:
    """The feed was read ten minutes ago, when nothing had happened; in the end all adds up."""
    assert lanes.turn() == Turn()
    clock.goes(minutes=10)
    yield lanes
    assert_balanced(lanes)
