"""What a sync costs that finds nothing new: most runs of an hourly stream are such ones.

In a warm process, so that its imports are paid: a window of which the source has nothing, and one
that is committed, read again, whose records are all there. And as the UI launches it, where a
process is started for the run: one window, twice. `python -m integrations_tests.benchmarks.empty`.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from integrations.names import StreamId, Window
from integrations_tests.benchmarks.bench import STREAM, WARMING, Bench, Measured, benched
from integrations_tests.benchmarks.launching import code_server
from integrations_tests.benchmarks.processes import REPOSITORY
from integrations_tests.benchmarks.records import DAY
from integrations_tests.benchmarks.source import Settings

RECORDS = 100
"""What the committed window holds: what an hour of a small shop does."""
RUNS = 4
QUIET = StreamId("quiet", "main", "payments")
"""The hourly stream of the benchmark's connectors."""
AFTER = datetime.fromisoformat(DAY).replace(tzinfo=UTC) + timedelta(days=1, hours=1)
"""From here on the source has nothing."""
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Empty:
    """The cheapest of some runs: CPU-seconds of ours, and of PostgreSQL where that was measured."""

    what: str
    client_cpu: float
    postgres_cpu: float | None = None

    def __str__(self) -> str:
        own = f"{self.client_cpu:6.2f} CPU-s"
        return f"{self.what:32}{own}" + (
            "" if self.postgres_cpu is None else f"   PostgreSQL {self.postgres_cpu:.2f}"
        )


def measure(bench: Bench, *, runs: int = RUNS, profile: Path | None = None) -> Iterator[Empty]:
    """The figures in a warm process, then as launched; `profile` is a folder for what cProfile says
    of a further run of each kind."""
    with bench.worker() as warm, bench.database() as database:
        bench.source.set(Settings(RECORDS))
        job = {"database": database, "stream": STREAM}
        bench.measured(warm.worker, "sync", **job)
        found = [bench.measured(warm.worker, "sync", **job) for _ in range(runs)]
        counts = found[-1].runs[0].counts
        assert (counts["records"], counts["inserted"], counts["updated"]) == (RECORDS, 0, 0), counts
        yield cheapest("warm, nothing new", found)
        hour = [f"{at.replace(tzinfo=None).isoformat()}" for at in (AFTER, AFTER + HOUR)]
        silent = {"database": database, "stream": str(QUIET), "window": hour}
        bench.measured(warm.worker, "sync", **silent)
        found = [bench.measured(warm.worker, "sync", **silent) for _ in range(runs)]
        assert found[-1].runs[0].counts["records"] == 0
        yield cheapest("warm, nothing at all", found)
        if profile is not None:
            for name, wanted in (("unchanged", job), ("silent", silent)):
                bench.measured(warm.worker, "sync", cprofile=str(profile / name), **wanted)
    yield _launched(bench, runs)


def cheapest(what: str, found: list[Measured]) -> Empty:
    """What else runs on the machine only ever makes a run dearer."""
    return Empty(what, min(one.client_cpu for one in found), min(one.postgres_cpu for one in found))


def _launched(bench: Bench, runs: int) -> Empty:
    window = Window(AFTER, AFTER + HOUR)
    with bench.database() as database:
        env = bench.environment() | {"INTEGRATIONS_DATABASE_URL": database}
        with (
            _printing_to(bench.folder / "launched.log"),
            code_server(env | {"DAGSTER_HOME": str(REPOSITORY)}) as server,
        ):
            costs = [server.run(QUIET, window) for _ in range(runs)][1:]
    return Empty("as the UI launches it", min(cost.cpu_s for cost in costs))


@contextmanager
def _printing_to(log: Path) -> Iterator[None]:
    """What this process and its children print goes into a file meanwhile."""
    sys.stdout.flush()
    kept = [(number, os.dup(number)) for number in (1, 2)]
    try:
        with log.open("ab") as file:
            for number, _ in kept:
                os.dup2(file.fileno(), number)
        yield
    finally:
        for number, copy in kept:
            os.dup2(copy, number)
            os.close(copy)


def main(profile: Path | None = None) -> None:
    """Prints the figures as they come."""
    with (
        tempfile.TemporaryDirectory(prefix="empty-") as folder,
        benched(Path(folder) / "bench", WARMING) as bench,
    ):
        for found in measure(bench, profile=profile):
            print(found, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
