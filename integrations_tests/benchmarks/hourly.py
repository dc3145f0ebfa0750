"""What a hundred hourly streams cost: the whole stack of `integrations up`, left alone for an hour.

Each stream's schedule ticks once in the hour, at a minute of its own, and finds one window that has
passed. CPU time is counted for every process of the stack and of its PostgreSQL, the dead ones
too: a parent's figures hold those of the children that it has reaped. The source is served by the
measuring process, and is not counted.
"""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
from psycopg.types.json import Jsonb

from integrations.connector_template.connector import BoundStream
from integrations.connector_template.folders import folders, read
from integrations.names import Window
from integrations.orchestration.schedules import stream_schedule
from integrations.orchestration.stack import serves
from integrations.storage.cluster import Cluster
from integrations.storage.database import connect
from integrations.storage.postgres import database_url
from integrations.sync_state.windows import WindowSync
from integrations_tests.benchmarks import many
from integrations_tests.conftest import make_settings
from integrations_tests.ui.stack import free_port

CONNECTORS, STREAMS = 10, 10
HOUR, DAY_S = timedelta(hours=1), 86_400.0
PROGRAM = (sys.executable, "-m", "integrations")
START_S = 180.0
PARTS = {
    "daemon": "dagster._daemon",
    "webserver": "dagster_webserver",
    "code server": "integrations.definitions",
    "runs": "multiprocessing.spawn",
}
"""What stands in a process's command line; the other processes only wait for these."""


@dataclass(frozen=True)
class Reading:
    """What has been spent since the start: CPU-seconds by part, rows and bytes by table, runs."""

    at: float
    cpu_s: Mapping[str, float]
    rows: Mapping[str, int]
    bytes: Mapping[str, int]
    runs: Mapping[str, int]

    def since(self, start: "Reading") -> dict[str, Any]:
        """What came between two readings, and the same for a day."""
        passed = self.at - start.at
        found: dict[str, Any] = {"seconds": round(passed, 1)}
        for name in ("cpu_s", "rows", "bytes", "runs"):
            spent = Counter(getattr(self, name))
            spent.subtract(getattr(start, name))
            there = {part: round(value, 2) for part, value in spent.items() if value}
            found[name] = dict(sorted(there.items(), key=lambda item: -item[1]))
            found[f"{name}_a_day"] = round(sum(spent.values()) / passed * DAY_S)
        found["cores"] = round(sum(found["cpu_s"].values()) / passed, 4)
        return found


def measure(folder: Path, *, minutes: float, result: Path | None = None) -> dict[str, Any]:
    """The figures of so many minutes; `result` holds those until now, renewed each minute."""
    start = (datetime.now(UTC) - timedelta(hours=2)).date()
    with many.place(folder, start=start) as place:
        connectors = many.write(
            folder / "connectors", CONNECTORS, STREAMS, url=place.source, start=start
        )
        env = place.env(connectors)
        # This process holds the embedded server: it stays between the commands below.
        database_url(make_settings(place.home))
        _catch_up(place, connectors, env)
        with _up(env, folder / "up.log") as stack:
            first = reading(stack, place.home)
            until = time.monotonic() + minutes * 60
            while (left := until - time.monotonic()) > 0:
                time.sleep(min(left, 60))
                found = reading(stack, place.home).since(first)
                if result is not None:
                    result.write_text(json.dumps(found, indent=1))
    return found


def _catch_up(place: many.Place, connectors: Path, env: Mapping[str, str]) -> None:
    """Leaves every stream as its last tick would have: what ticks later in the hour than now does
    not have the newest window yet, so that each tick to come finds exactly one."""
    loaded, broken = read(folders([connectors]))
    assert not broken, broken
    streams = [
        stream for one in loaded if one.folder.parent == connectors for stream in one.streams()
    ]
    now = datetime.now(UTC)
    top = now.replace(minute=0, second=0, microsecond=0)
    for ended, late in ((top, False), (top - HOUR, True)):
        chosen = [stream for stream in streams if (minute(stream) > now.minute) == late]
        if chosen:
            _sync(place, chosen, Window(ended - HOUR, ended), env)


def _sync(
    place: many.Place, streams: list[BoundStream], newest: Window, env: Mapping[str, str]
) -> None:
    """Syncs one window; those before it are said to be committed too, which costs no hours."""
    names = [str(stream.id) for stream in streams]
    stretch = [f"{option}={at:%Y-%m-%dT%H:%M}" for option, at in
               (("--from", newest.start), ("--to", newest.end))]  # fmt: skip
    with (place.folder / "sync.log").open("ab") as output:
        subprocess.run(
            [*PROGRAM, "sync", *names, *stretch, "--json"],
            env=env, cwd=many.REPOSITORY, check=True, stdout=output, stderr=output,
        )  # fmt: skip
    sync = streams[0].stream.sync
    assert isinstance(sync, WindowSync)
    earlier = sync.windows(streams[0].connection.begins_at, newest.start)
    with connect(Cluster.of(place.home).url()) as connection:
        connection.cursor().executemany(
            """INSERT INTO integrations.positions
               SELECT (jsonb_populate_record(p, %s)).* FROM integrations.positions p
               WHERE "window" = %s ON CONFLICT DO NOTHING""",
            [
                (
                    Jsonb({
                        "window": one.label,
                        "window_start": one.start.isoformat(),
                        "window_end": one.end.isoformat(),
                    }),
                    newest.label,
                )
                for one in earlier
            ],
        )  # fmt: skip


def minute(stream: BoundStream) -> int:
    """The minute of the hour at which an hourly stream's schedule ticks."""
    cron = stream_schedule(stream).cron_schedule
    assert isinstance(cron, str)
    return int(cron.split()[0])


@contextmanager
def _up(env: Mapping[str, str], log: Path) -> Iterator[psutil.Process]:
    """`integrations up`, serving; stopped at the end, with its PostgreSQL."""
    port = free_port()
    with log.open("wb") as output:
        child = subprocess.Popen(
            [*PROGRAM, "up", "--port", str(port)],
            env=env, cwd=many.REPOSITORY, stdout=output, stderr=output,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + START_S
            while not serves(port):
                assert child.poll() is None and time.monotonic() < deadline, f"see {log}"  # noqa: PT018
                time.sleep(1)
            yield psutil.Process(child.pid)
        finally:
            child.terminate()
            child.wait(60)
            subprocess.run(
                [*PROGRAM, "down"],
                check=False,
                env=env,
                cwd=many.REPOSITORY,
                stdout=output,
                stderr=output,
            )


def reading(stack: psutil.Process, home: Path) -> Reading:
    """What the stack and its PostgreSQL have spent until now, and what the database holds."""
    cluster = Cluster.of(home)
    postmaster = int((cluster.data / "postmaster.pid").read_text().split()[0])
    cpu = Counter(postgres=0.0)
    for process in _family(postmaster):
        cpu["postgres"] += sum(process.cpu_times()[:4])
    for process in _family(stack.pid):
        try:
            part, times = _part(process), process.cpu_times()
        except psutil.NoSuchProcess:
            continue  # its parent has reaped it, and its figures
        cpu[part] += times.user + times.system
        # What the code server has reaped are runs.
        cpu["runs" if part == "code server" else part] += (
            times.children_user + times.children_system
        )
    rows, size = _tables(cluster.url())
    with connect(cluster.url()) as connection:
        runs = connection.execute("SELECT status, count(*) FROM dagster.runs GROUP BY 1").fetchall()
    return Reading(time.monotonic(), dict(cpu), rows, size, dict(runs))


def _family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def _part(process: psutil.Process) -> str:
    words = " ".join(process.cmdline())
    return next((name for name, word in PARTS.items() if word in words), "other")


def _tables(url: str) -> tuple[dict[str, int], dict[str, int]]:
    """Rows and bytes (with indexes) of each table; those of schema `canonical` together."""
    rows: Counter[str] = Counter()
    size: Counter[str] = Counter()
    with connect(url) as connection:
        found = connection.execute(
            "SELECT schemaname, relname, pg_total_relation_size(relid) FROM pg_stat_user_tables"
        ).fetchall()
        for schema, table, total in found:
            name = schema if schema == "canonical" else f"{schema}.{table}"
            count = connection.execute(f'SELECT count(*) FROM ONLY "{schema}"."{table}"').fetchone()
            rows[name] += count[0] if count else 0
            size[name] += total
    return dict(rows), dict(size)


def main(folder: Path, minutes: float) -> None:
    """For a run of its own: `python -m integrations_tests.benchmarks.hourly FOLDER MINUTES`."""
    found = measure(folder, minutes=minutes, result=folder / "hourly.json")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
