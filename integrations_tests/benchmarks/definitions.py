"""What many connectors cost: loading all of their definitions, and a run of one stream of them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from integrations.names import Window
from integrations_tests.benchmarks import many
from integrations_tests.benchmarks.launching import Cost, code_server

SIZES = ((1, 5), (50, 10))
"""Connectors, and streams of each."""
RUNS = 3
_LOAD = """
import dagster, json, time
cpu, wall = time.process_time(), time.monotonic()
from integrations.definitions import defs
from dagster._core.remote_representation.external_data import RepositorySnap
repository = defs.get_repository_def()
snap = RepositorySnap.from_def(repository)
cost = [time.process_time() - cpu, time.monotonic() - wall]
ours = [node for node in snap.asset_nodes if node.asset_key.path[0].startswith("shop_")]
print(json.dumps([*cost, len(ours)]))
"""
"""What a code server does before it serves: the definitions, and the snapshot that it hands out."""


@dataclass(frozen=True)
class Loaded:
    """What loading costs beyond `import dagster`, and how many generated assets it gave."""

    cpu_s: float
    seconds: float
    assets: int


@dataclass(frozen=True)
class Size:
    """The figures of a number of connectors: to load them all, and the cheapest of some runs."""

    streams: int
    loaded: Loaded
    run: Cost


def load(env: dict[str, str]) -> Loaded:
    """Loads all definitions in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", _LOAD],
        env=env, cwd=many.REPOSITORY, check=True, stdout=subprocess.PIPE,
    )  # fmt: skip
    return Loaded(*json.loads(done.stdout))


def measure(folder: Path, *, runs: int = RUNS) -> Iterator[Size]:
    """The figures of each size. The database and the source are the same."""
    day = datetime.now(UTC).date() - timedelta(days=3)
    with many.place(folder, start=day) as place:
        for connectors, streams in SIZES:
            yield _size(place, connectors, streams, day=day, runs=runs)


def _size(place: many.Place, connectors: int, streams: int, *, day: date, runs: int) -> Size:
    below = place.folder / f"connectors_{connectors}"
    env = place.env(many.write(below, connectors, streams, url=place.source, start=day))
    loaded = load(env)
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    windows = [midnight + timedelta(hours=hour) for hour in range(runs + 1)]
    with code_server(env) as server:
        stream = many.stream(0, 0)
        # The first one makes tables and compiles what is new.
        costs = [server.run(stream, Window(at, at + timedelta(hours=1))) for at in windows][1:]
    cheapest = min(costs, key=lambda cost: cost.cpu_s)
    return Size(connectors * streams, loaded, cheapest)


if __name__ == "__main__":
    for found in measure(Path(sys.argv[1])):
        print(json.dumps(asdict(found)), flush=True)
