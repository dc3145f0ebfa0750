"""What is measured: each mode is a run of ours, and of dlt where it can do the same.

A round goes through the sizes; at each a new warm process fills a new database and runs the other
modes over what is there. So every figure has as many samples as there are rounds, and what is
compared was measured minutes apart at the most.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

from integrations.names import StreamId, Window
from integrations_tests.benchmarks.bench import (
    OURS,
    STREAM,
    Bench,
    Measured,
    Warm,
    Way,
    by_number,
)
from integrations_tests.benchmarks.processes import REPOSITORY
from integrations_tests.benchmarks.records import DAY
from integrations_tests.benchmarks.source import Settings

LOADS = ("fresh", "unchanged", "changed", "replay")
"""The modes that have a slope: what a million records more cost."""
OTHERS = ("nothing", "several", "latency", "stages")
DLT = ("fresh", "unchanged", "changed")
"""What dlt can do too; it keeps no landing that could be replayed."""
START = "start-up"
"""Not a mode: what a process takes until it has imported everything, which each run of a mode is
without."""
UI = "nothing, from the UI"
SLOW_PAGE = 250
"""Records of a page in the mode `latency`, between Stripe's 100 and Sendcloud's 500. With 1,000 the
load, which comes after the pages and is the same however they come, is half of the time."""
WAYS = {
    "one at a time": Way(1, size=SLOW_PAGE),
    "one ahead": Way(size=SLOW_PAGE),
    "4 at once": Way(4, by_number(SLOW_PAGE), SLOW_PAGE),
    "8 at once": Way(8, by_number(SLOW_PAGE), SLOW_PAGE),
}
"""How pages are fetched in the mode `latency`; four at once is what a file gets that says nothing
but `page_number`."""
SLOW_S = 0.05
"""Seconds until a page is answered, in the mode `latency`."""
QUIET = StreamId("quiet", "main", "payments")
HOUR = timedelta(hours=1)
EMPTY = datetime.fromisoformat(DAY).replace(tzinfo=UTC) + timedelta(days=1)
"""From here on the source has no record."""
UI_RUNS = 3


@dataclass(frozen=True)
class Sample:
    """One measured run: which mode, whose, of how many records. `idle_mb` is the memory of the warm
    process before its first run; memory in MB, `peak_mb` of the process and its children."""

    mode: str
    whose: str
    records: int
    round: int
    seconds: float
    client_cpu: float
    postgres_cpu: float = 0.0
    idle_mb: float = 0.0
    peak_mb: float = 0.0
    children_mb: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    stages: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls, mode: str, measured: Measured, warm: Warm, *, records: int, round_: int, whose: str
    ) -> "Sample":
        """A sample of one measured run, or of several at once."""
        run = measured.runs[0]
        return cls(
            mode=mode,
            whose=whose,
            records=records,
            round=round_,
            seconds=measured.seconds,
            client_cpu=measured.client_cpu,
            postgres_cpu=measured.postgres_cpu,
            idle_mb=warm.idle_mb,
            peak_mb=run.cost.peak_mb + run.children_mb,
            children_mb=run.children_mb,
            counts={name: n for name, n in run.counts.items() if isinstance(n, int) and n},
            stages=dict(run.stages),
        )

    @property
    def above_mb(self) -> float:
        """The peak above the idle process."""
        return self.peak_mb - self.idle_mb if self.peak_mb else 0.0


@dataclass(frozen=True)
class Plan:
    """What to measure; `dlt` is the command of dlt's process, empty without dlt."""

    modes: Sequence[str]
    sizes: Sequence[int]
    rounds: int
    dlt: Sequence[str] = ()


def samples(bench: Bench, plan: Plan) -> Iterator[Sample]:
    """Every run of the plan, measured, as it happens."""
    for round_ in range(plan.rounds):
        for size in plan.sizes:
            yield from _loads(bench, plan, size, round_, whose="ours", command=OURS)
            if plan.dlt:
                yield from _loads(bench, plan, size, round_, whose="dlt", command=plan.dlt)
        others = [mode for mode in plan.modes if mode in OTHERS]
        yield from chain.from_iterable(OTHER[mode](bench, plan, round_) for mode in others)


def _loads(
    bench: Bench, plan: Plan, size: int, round_: int, *, whose: str, command: Sequence[str]
) -> Iterator[Sample]:
    """The modes that load a table: `fresh` first, since the others need what it leaves."""
    known = LOADS if whose == "ours" else DLT
    wanted = [mode for mode in known if mode in plan.modes]
    if not wanted:
        return
    with bench.worker(command) as warm, bench.database() as database:
        started = warm.worker
        yield Sample(START, whose, 0, round_, started.start_s, started.start_cpu, 0.0, warm.idle_mb)
        for mode in dict.fromkeys(["fresh", *wanted]):
            # Values that no text of ours takes cannot be loaded by dlt at all: it gets clean ones.
            shown = Settings(size, changed=mode == "changed", clean=whose == "dlt")
            bench.source.set(shown)
            verb = "replay" if mode == "replay" else "sync"
            measured = bench.measured(warm.worker, verb, database=database, stream=STREAM)
            if mode in wanted:
                yield Sample.of(mode, measured, warm, records=size, round_=round_, whose=whose)


def _nothing(bench: Bench, plan: Plan, round_: int) -> Iterator[Sample]:
    """A window of which the source has nothing, in a warm process, and as the UI launches it."""
    from integrations_tests.benchmarks.launching import code_server  # imports all of Dagster

    with bench.worker() as warm, bench.database() as database:
        bench.source.set(Settings(0))
        for hour in range(1, 4):  # the first one makes what a stream has once
            begin = EMPTY + hour * HOUR
            window = [moment.replace(tzinfo=None).isoformat() for moment in (begin, begin + HOUR)]
            measured = bench.measured(
                warm.worker, "sync", database=database, stream=str(QUIET), window=window
            )
        yield Sample.of("nothing", measured, warm, records=0, round_=round_, whose="ours")
    with bench.database() as database:
        environment = bench.environment() | {"INTEGRATIONS_DATABASE_URL": database}
        environment["DAGSTER_HOME"] = str(REPOSITORY)
        log = bench.folder / "ui.log"
        with _printing_to(log), code_server(environment) as server:
            windows = (Window(EMPTY + n * HOUR, EMPTY + (n + 1) * HOUR) for n in range(UI_RUNS))
            cost = [server.run(QUIET, window) for window in windows][-1]
        yield Sample(UI, "ours", 0, round_, cost.seconds, cost.cpu_s)


def _several(bench: Bench, plan: Plan, round_: int) -> Iterator[Sample]:
    """Two connections, each with a process of its own, into one table at the same time."""
    size = min(plan.sizes)
    with bench.worker() as one, bench.worker() as other, bench.database() as database:
        bench.source.set(Settings(size))
        streams = {one.worker: STREAM, other.worker: STREAM.replace("main", "second")}
        jobs = {
            worker: {"verb": "sync", "database": database, "stream": stream}
            for worker, stream in streams.items()
        }
        measured = bench.together(jobs)
        yield Sample.of("several", measured, one, records=2 * size, round_=round_, whose="ours")


def _latency(bench: Bench, plan: Plan, round_: int) -> Iterator[Sample]:
    """A source that takes 50 ms to answer a page, read in each way that we have."""
    size = min(*plan.sizes, 100_000)
    for name, way in WAYS.items():
        with bench.worker(way=way) as warm, bench.database() as database:
            bench.source.set(Settings(size, delay_s=SLOW_S))
            measured = bench.measured(warm.worker, "sync", database=database, stream=STREAM)
            mode = f"50 ms, {name}"
            yield Sample.of(mode, measured, warm, records=size, round_=round_, whose="ours")


def _stages(bench: Bench, plan: Plan, round_: int) -> Iterator[Sample]:
    """A fresh table with a clock at each stage, which costs a little itself; once."""
    if round_:
        return
    size = min(plan.sizes)
    with bench.worker() as warm, bench.database() as database:
        bench.source.set(Settings(size))
        measured = bench.measured(
            warm.worker, "sync", database=database, stream=STREAM, profile=True
        )
        yield Sample.of("stages", measured, warm, records=size, round_=round_, whose="ours")


OTHER: dict[str, Callable[[Bench, Plan, int], Iterator[Sample]]] = {
    "nothing": _nothing,
    "several": _several,
    "latency": _latency,
    "stages": _stages,
}


@contextmanager
def _printing_to(log: Path) -> Iterator[None]:
    """What this process and its children print goes into a file meanwhile."""
    sys.stdout.flush()
    kept = [(number, os.dup(number)) for number in (1, 2)]
    with log.open("ab") as file:
        for number, _ in kept:
            os.dup2(file.fileno(), number)
    try:
        yield
    finally:
        for number, copy in kept:
            os.dup2(copy, number)
            os.close(copy)


def dlt_command(python: str | None) -> Sequence[str]:
    """How dlt's process is started: by the interpreter that is named, else by this one."""
    return (python or sys.executable, "-m", "integrations_tests.benchmarks.dlt_side")
