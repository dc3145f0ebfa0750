"""A source lives, and whatever reads it does so in any order, at the same time, and is killed: in the
end the tables are what the source has.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain
from pathlib import Path
from random import Random

import pytest

from integrations.connector_template.due import due
from integrations.names import Window
from integrations.sandbox.stripe_names import DAY
from integrations_tests.lanes.books import (
    Chronicle,
    assert_balanced,
    assert_counted,
    assert_never_regressed,
    differences,
    watch,
)
from integrations_tests.lanes.conftest import NOON, Served
from integrations_tests.lanes.crew import Account, Crew, Job, RunningClock, crew
from integrations_tests.lanes.lanes import Lanes

ROUNDS = 2
AT_ONCE = 3
EVENTS_OF_A_JOB = 16
"""About as many audit events has a job."""
WINDOWED, FULL = ("charges", "refunds"), ("customers", "payouts")
MOST, ALL = ("charges", "customers"), (*WINDOWED, *FULL)
CLOCKS_S = (0.0, 0.0, 90.0, -1.5, 3_600.0, -7_200.0)
"""By what our clock may be off; the source's never is."""
LAST = "committing"
"""Where a process dies with the most to lose."""
TOLERANCE_S = 5.0
"""What the source's clock is believed by may be off by so much, and the truth is not."""


@dataclass
class History:
    """One seed's life and work."""

    seed: int
    kinds: tuple[str, ...]
    life: Chronicle
    clock: RunningClock
    lanes: Lanes
    crew: Crew
    steps: int = 0
    revived: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.skewed = self.seed % 3 == 2

    def run(self) -> None:
        """The source lives, and the crew works."""
        for _ in range(ROUNDS):
            if self.skewed:
                self.clock.off(self.random.choice(CLOCKS_S))
            for _ in range(self.random.randint(5, 8)):
                self._live(self.random.randint(0, 5))
                self.crew.give(self._job(), most=AT_ONCE)
                self.clock.put_on(seconds=self.random.choice([0, 0.2, 0.7]))
            self.crew.finish()
            # Nobody asks anything of the source while its clock leaps.
            self.clock.put_on(seconds=self.random.choice([0, 5, 70, 4_000, 40_000, 130_000]))

    def _live(self, steps: int) -> None:
        """Things happen, each with an event but for what a full reading puts right."""
        done = self.life.live(
            self.random, steps, kinds=self.kinds, deletes=self.kinds, back_s=3 * DAY
        )
        with self.life.quiet():
            done += self.life.live(
                self.random, self.random.randint(0, 1), kinds=["customers"], deletes=["customers"]
            )
        self.revived |= {ident for verb, _, ident in done if verb == "revive"}
        self.steps += len(done)

    def _job(self) -> Job:
        random = self.random
        self.steps += 1
        kill_at = random.randint(1, EVENTS_OF_A_JOB) if random.random() < 0.25 else None
        verb = random.choices(["turn", "sync", "land", "load", "replay"], [7, 8, 1, 2, 2])[0]
        if verb == "turn":
            return Job(verb, kill_at=kill_at)
        stream = random.choice(self.kinds)
        return Job(verb, stream, self._windows(stream), kill_at)

    def _windows(self, stream: str) -> tuple[Window | None, ...]:
        if stream in FULL:
            return (None,)
        windows = self.lanes.windows(stream)
        return tuple(self.random.sample(windows, min(len(windows), self.random.randint(1, 2))))

    def catch_up(self) -> None:
        """What a schedule does a day later: no window that is green is pulled again. Everything
        dies once with its rows made and not committed, and has something to lose then."""
        self._last_words()
        self.clock.put_on(days=1)
        self._dies(Job("turn", kill_at=LAST))
        self.lanes.turn()
        for name in self.kinds:
            for window in self._due(name):
                self._dies(Job("sync", name, (window,), LAST))
            for window in self._due(name):
                self.lanes.sync(name, window, accept=True)

    def _last_words(self) -> None:
        """Changes that only events tell of, and objects that only windows and full readings do."""
        for ident in sorted(self.life.truth("charges")):
            self.life.change("charges", ident, description="Laatste woord")
        with self.life.quiet():
            for name in self.kinds:
                self.life.create(name)

    def _dies(self, job: Job) -> None:
        killed = self.crew.killed
        self.crew.give(job, most=1)
        self.crew.finish()
        assert self.crew.killed == killed + 1, job

    def _due(self, name: str) -> list[Window | None]:
        """What is due of a stream: windows, or the whole of it once."""
        stretches = due(self.lanes.stream(name), self.lanes.connection, now=self.clock())
        self.lanes.connection.rollback()
        return [*chain.from_iterable(stretches)] if name in WINDOWED else [None for _ in stretches]

    def read_all(self) -> None:
        """Everything once more."""
        self.clock.put_on(minutes=10)
        for name in self.kinds:
            for window in self.lanes.windows(name) if name in WINDOWED else [None]:
                self.lanes.sync(name, window, accept=True)

    def replay_all(self) -> None:
        for name in self.kinds:
            self.lanes.replay(name, self.lanes.windows(name) if name in WINDOWED else [None])

    def differences(self) -> dict[str, dict[str, set[str]]]:
        found = {name: differences(self.lanes, self.life, name) for name in self.kinds}
        return {name: each for name, each in found.items() if each}

    def caught_up(self) -> dict[str, dict[str, set[str]]]:
        """What differs although everything is green, but for what is not promised: a revival
        within the slack of the deletion, of a record that nothing reads again."""
        found = self.differences()
        for name in WINDOWED:
            for keys in found.get(name, {}).values():
                keys.difference_update(self.revived)
        return {name: each for name, each in found.items() if any(each.values())}


@pytest.fixture
def history(
    request: pytest.FixtureRequest, served: Served, shared_database: str, tmp_path: Path
) -> Iterator[History]:
    """The history of a seed, with a few objects that exist before anybody looks: no event tells of
    them, only a window or a full reading."""
    seed, kinds = request.param
    clock = RunningClock(NOON)
    served.stage.on = life = Chronicle(clock=clock.true)
    account = Account(
        f"oracle{seed}", served.url, dict(life.secrets), shared_database,
        tmp_path.as_uri(), clock, NOON - timedelta(days=2),
    )  # fmt: skip
    with life.quiet():
        life.live(Random(-seed), 30, kinds=kinds, deletes=kinds, back_s=2 * DAY)
    with account.lanes("end") as lanes, crew(account) as workers:
        for name in kinds:
            watch(lanes, name)
        yield History(seed, kinds, life, clock, lanes, workers)


def ends_at_the_truth(history: History) -> None:
    """Runs it and asks for everything that must hold then; prints what it was."""
    history.run()
    history.clock.off(0)
    history.catch_up()
    if not history.skewed:
        assert history.caught_up() == {}
    history.read_all()
    assert history.differences() == {}
    history.replay_all()
    assert history.differences() == {}
    for name in history.kinds:
        assert_counted(history.lanes, name)
        within = history.lanes.stream(name).order.slack_s + TOLERANCE_S
        assert_never_regressed(history.lanes, history.life, name, within_s=within)
    assert_balanced(history.lanes)
    rows = sum(len(history.lanes.rows(name)) for name in history.kinds)
    print(
        f"seed {history.seed}: {history.steps} steps, {history.crew.killed} kills, {rows} rows,"
        " 0 lost, 0 doubled, 0 resurrected"
    )


@pytest.mark.parametrize(
    "history", [(seed, MOST) for seed in range(5)], indirect=True, ids=lambda one: str(one[0])
)
def test_in_any_order(history: History) -> None:
    """Windows, events, full readings and replays at the same time, with kills."""
    ends_at_the_truth(history)


@pytest.mark.long
@pytest.mark.parametrize(
    "history",
    [(seed, ALL if seed % 4 == 0 else MOST) for seed in range(5, 205)],
    indirect=True,
    ids=lambda one: str(one[0]),
)
def test_in_any_order_at_length(history: History) -> None:
    """The same for many more, some with all that has events."""
    ends_at_the_truth(history)
