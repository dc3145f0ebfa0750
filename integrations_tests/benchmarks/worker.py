"""A warm process that syncs the benchmark's stream when it is told to, and says what that cost:
`python -m integrations_tests.benchmarks.worker`.

One JSON line on standard input asks for a job, one on standard output answers. What is run is what
`integrations sync` and `integrations replay` run; what they print goes to the log (standard error).
"""

import cProfile
import io
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from integrations.commands.replay import Asked, replay
from integrations.commands.sync import sync
from integrations.orchestration import stack
from integrations.orchestration.resources import StoreResource
from integrations.orchestration.sync import Wanted
from integrations_tests.benchmarks import stages
from integrations_tests.benchmarks.meter import Meter, memory_mb
from integrations_tests.benchmarks.records import DAY

NEXT_DAY = (datetime.fromisoformat(DAY) + timedelta(days=1)).isoformat()
PROTOCOL = os.dup(1)
"""Where the lines go: what a sync prints on standard output is its own business."""


def say(**words: Any) -> None:
    os.write(PROTOCOL, json.dumps(words).encode() + b"\n")


def prepare() -> int:
    """Makes our tables and Dagster's in the database."""
    StoreResource().connect().close()
    with stack.instance() as instance:
        return instance.get_runs_count()


def done(job: dict[str, Any]) -> dict[str, Any]:
    """Runs a job over its window, by default the day of the records; its counts and its cost."""
    begin, end = map(datetime.fromisoformat, job.get("window", (DAY, NEXT_DAY)))
    span: Any = {"begin": begin.replace(tzinfo=UTC), "end": end.replace(tzinfo=UTC)}
    select = (job.get("stream", ""),)
    out = io.StringIO()
    watch = stages.watched() if job.get("profile") else None
    meter = Meter()
    with redirect_stdout(out), _profiled(job.get("cprofile")):
        if job["verb"] == "prepare":
            status = prepare()
        elif job["verb"] == "replay":
            status = replay(select, Asked(**span), as_json=True)
        else:
            status = sync(select, Wanted(**span), as_json=True)
    cost = meter.cost()
    shares = watch.stop() if watch else {}
    return {
        "status": status,
        "counts": json.loads(out.getvalue() or "{}"),
        "cost": asdict(cost),
        "stages": shares,
        "after_mb": memory_mb(),
    }


@contextmanager
def _profiled(file: str | None) -> Iterator[None]:
    """Writes what cProfile says of this thread into the file, for `python -m pstats`."""
    profile = cProfile.Profile()
    if file is not None:
        profile.enable()
    try:
        yield
    finally:
        if file is not None:
            profile.disable()
            profile.dump_stats(file)


def main() -> None:
    os.dup2(2, 1)
    say(ready=time.process_time())
    for line in sys.stdin:
        job = json.loads(line)
        os.environ["INTEGRATIONS_DATABASE_URL"] = job["database"]
        say(**done(job))


if __name__ == "__main__":
    main()
