"""A backfill of sixty windows by four workers, beside the live feed: it ends as one clean reading does,
and nobody waits for anybody for ever.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from integrations.names import Window
from integrations.sandbox.stripe_names import DAY
from integrations_tests.lanes.books import assert_balanced, differences
from integrations_tests.lanes.conftest import NOON, Served
from integrations_tests.lanes.crew import Account, Crew, Job, RunningClock, crew
from integrations_tests.lanes.life import Life

WINDOWS = 60
PER_DAY = 6
WORKERS = 4
MIDNIGHT = int(NOON.timestamp()) // DAY * DAY


@dataclass(frozen=True)
class Backfill:
    """An account whose last sixty days are still to be read."""

    life: Life
    account: Account
    clock: RunningClock
    crew: Crew


@pytest.fixture
def backfill(
    served: Served, account: str, shared_database: str, tmp_path: Path
) -> Iterator[Backfill]:
    """Half of the charges lie in the overlap of two windows, so that these meet at the same rows."""
    clock = RunningClock(NOON)
    served.stage.on = life = Life(clock=clock.true)
    for number in range((WINDOWS - 1) * PER_DAY):
        day, nth = divmod(number, PER_DAY)
        ago = day * DAY + (nth * 100 if nth % 2 else nth * DAY // PER_DAY)
        life.create("charges", created=MIDNIGHT - 1 - ago, event=False)
    given = Account(
        account, served.url, dict(life.secrets), shared_database,
        tmp_path.as_uri(), clock, NOON - timedelta(days=WINDOWS - 1),
    )  # fmt: skip
    with crew(given) as workers:
        yield Backfill(life, given, clock, workers)


def ends_like_a_clean_reading(backfill: Backfill, seed: int) -> None:
    life, account, random = backfill.life, backfill.account, Random(seed)
    with account.lanes("end") as lanes:
        lanes.turn()
        windows = lanes.windows("charges")
        assert len(windows) == WINDOWS
        for at, window in enumerate(windows):
            backfill.crew.give(Job("sync", "charges", (window,)), most=WORKERS + 1)
            life.live(random, 1, kinds=["charges"], deletes=(), back_s=WINDOWS * DAY)
            backfill.clock.put_on(seconds=0.2)
            if at % 5 == 0:
                life.delete("charges", random.choice([*life.truth("charges")]))
                backfill.crew.give(Job("turn"), most=WORKERS + 1)
        backfill.crew.finish()
        backfill.clock.put_on(minutes=2)
        lanes.turn()
        found = lanes.table("charges")
        assert differences(lanes, life, "charges") == {}
        assert_balanced(lanes)
        ok = lanes.fetch(
            'SELECT count(DISTINCT "window") FROM integrations.ledger WHERE connection = %s'
            " AND stream = 'charges' AND cause = 'sync' AND status = 'ok'",
            account.name,
        )
    assert ok == [(WINDOWS,)]
    with replace(account, name=f"{account.name}_clean").lanes("clean") as clean:
        clean.sync("charges", Window(NOON - timedelta(days=365), windows[-1].end))
        assert clean.table("charges") == found


def test_beside_the_feed(backfill: Backfill) -> None:
    """Same rows, same values."""
    ends_like_a_clean_reading(backfill, 0)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 51))
def test_beside_the_feed_at_length(backfill: Backfill, seed: int) -> None:
    """The same again and again: no deadlock."""
    ends_like_a_clean_reading(backfill, seed)
