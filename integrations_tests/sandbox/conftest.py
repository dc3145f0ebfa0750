"""A small twin of Stripe on a real socket, with a clock that tests may move."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from integrations.sandbox.server import running
from integrations.sandbox.stripe import EPOCH, StripeTwin
from integrations.sandbox.stripe_facts import Facts

NOON = EPOCH + timedelta(days=20, hours=12)
SEED = 7
PER_DAY = 60


class MovableClock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(scope="package")
def shared_clock() -> MovableClock:
    return MovableClock()


@pytest.fixture(scope="package")
def shared_twin(shared_clock: MovableClock) -> StripeTwin:
    return StripeTwin(SEED, clock=shared_clock, per_day=PER_DAY)


@pytest.fixture(scope="package")
def url(shared_twin: StripeTwin) -> Iterator[str]:
    """Where the twin serves; starting a server costs a quarter of a second, so there is one."""
    with running(shared_twin) as address:
        yield address


@pytest.fixture
def clock(shared_clock: MovableClock) -> Iterator[MovableClock]:
    """The twin's clock, at noon again after each test."""
    yield shared_clock
    shared_clock.now = NOON


@pytest.fixture
def twin(shared_twin: StripeTwin) -> Iterator[StripeTwin]:
    """Twenty days of sixty charges; the faults of a test do not outlive it."""
    yield shared_twin
    shared_twin.faults.clear()


@pytest.fixture
def client(twin: StripeTwin, url: str) -> Iterator[httpx.Client]:
    """Let in with the right key."""
    headers = {"authorization": f"Bearer {twin.secrets['api_key']}"}
    with httpx.Client(base_url=url, headers=headers) as opened:
        yield opened


def every(client: httpx.Client, kind: str, **params: Any) -> list[dict[str, Any]]:
    """All objects of a list, paged through as its contract says."""
    found: list[dict[str, Any]] = []
    while True:
        after = {"starting_after": found[-1]["id"]} if found else {}
        answer = client.get(f"/v1/{kind}", params={"limit": 100, **params, **after})
        assert answer.status_code == 200, answer.text
        found += answer.json()["data"]
        if not answer.json()["has_more"]:
            return found


def epoch_s(moment: datetime) -> int:
    return int(moment.astimezone(UTC).timestamp())


def kinds() -> tuple[str, ...]:
    return tuple(Facts.__dataclass_fields__)
