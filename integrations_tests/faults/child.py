"""A warm process that forks a child for each command: `python -m integrations_tests.faults.child`.

Importing everything takes seconds, a fork milliseconds. The warm process has no thread and no
connection; what a child opens is its own. One JSON line on standard input asks for a child, and
lines on standard output tell what becomes of it (see `template.py`).
"""

import gc
import importlib
import json
import os
import signal
import sys
import threading
import traceback
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.storage.tags import PARENT_RUN_ID_TAG, RESUME_RETRY_TAG

from integrations.commands import choose
from integrations.commands import replay as replay_command
from integrations.commands import sync as command
from integrations.connector_template import pull
from integrations.connector_template.connector import BoundFeed, BoundStream
from integrations.connector_template.folders import read
from integrations.orchestration import feed_step, keys, resources, stack, step
from integrations.orchestration.code_location import build
from integrations.orchestration.partitions import RANGE_END, RANGE_START
from integrations.orchestration.runs import fail_dead_runs, in_process_tags
from integrations.orchestration.sync import Wanted

PROTOCOL = os.dup(1)
"""Where the lines go: what a sync prints on standard output is its own business."""
Readers = list[BoundStream | BoundFeed]


def say(**words: Any) -> None:
    os.write(PROTOCOL, json.dumps(words).encode() + b"\n")


def listen(barrier: str | None, nth: int, *, pause: bool) -> None:
    """Tells when the process comes to the nth audit event of the name (None: of any name) and,
    if `pause`, stays there until it is killed."""
    met = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal met
        if not event.startswith("integrations.") or (
            barrier and event != f"integrations.{barrier}"
        ):
            return
        met += 1
        if met == nth:
            say(at=event.partition(".")[2], stream=arguments[0], pid=os.getpid())
            while pause:
                signal.pause()

    sys.addaudithook(hook)


def count() -> list[str]:
    """The barriers that the process comes to from now on, one by one."""
    met: list[str] = []

    def hook(event: str, _: tuple[Any, ...]) -> None:
        if event.startswith("integrations."):
            met.append(event.partition(".")[2])

    sys.addaudithook(hook)
    return met


def set_clocks(pages: str, landings: str) -> None:
    """Rows are seen by one clock that stands still, landings begin by one that each process has
    for itself: then rows of any two histories can be compared, and a later landing is later."""
    seen_at, began_at = datetime.fromisoformat(pages), datetime.fromisoformat(landings)
    resources.now = lambda: seen_at
    for module in (step, feed_step, command, replay_command):
        module.now = lambda: began_at


def prepare(connectors: Path) -> tuple[Readers, dg.Definitions]:
    """Reads the connectors of a folder once, for all children: their streams, then their feeds."""
    found = sorted(folder for folder in connectors.iterdir() if folder.is_dir())
    loaded, broken = read(found)
    assert not broken, broken
    streams = [stream for one in loaded for stream in one.streams() if not stream.parent]
    feeds = [feed for one in loaded for feed in one.feeds()]
    defs = build(found)
    for connector, name in {(one.id.connector, one.id.connection) for one in streams}:
        defs.resolve_job_def(keys.job(connector, name))
    return [*streams, *feeds], defs


def sync(job: dict[str, Any], _: dg.Definitions) -> int:
    """`integrations sync`."""
    return command.sync(tuple(job["select"]), Wanted(), as_json=True)


def replay(job: dict[str, Any], _: dg.Definitions) -> int:
    """`integrations replay`."""
    return replay_command.replay(tuple(job["select"]), replay_command.Asked(), as_json=True)


def backfill(job: dict[str, Any], defs: dg.Definitions) -> int:
    """One run of Dagster over the stream's partitions from the first to the last of `days`; with
    `resume`, a retry of the run before it, from its failure, as the daemon makes one."""
    (name,) = job["select"]
    (stream,) = [one for one in choose.readers(None) if str(one.id) == name]
    with stack.instance() as instance:
        fail_dead_runs(instance)
        run_id = str(uuid.uuid4())
        tags = in_process_tags(run_id) | {"dagster/backfill": "past"}
        failed = instance.get_runs(
            dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], tags={"dagster/backfill": "past"})
        )
        if job["resume"] and failed:
            tags |= {PARENT_RUN_ID_TAG: failed[0].run_id, RESUME_RETRY_TAG: "true"}
        done = defs.resolve_job_def(
            keys.job(stream.id.connector, stream.id.connection)
        ).execute_in_process(
            instance=instance,
            asset_selection=keys.of_stream(stream),
            tags=tags | {RANGE_START: job["days"][0], RANGE_END: job["days"][1]},
            run_id=run_id,
            raise_on_error=False,
        )
    return 0 if done.success else 1


VERBS: dict[str, Callable[[dict[str, Any], dg.Definitions], int]] = {
    "sync": sync,
    "replay": replay,
    "backfill": backfill,
}


def child(job: dict[str, Any], readers: Readers, defs: dg.Definitions) -> int:
    """One command; without a selection only Dagster's tables are made."""
    os.environ |= job["environment"]
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    set_clocks(job["pages"], job["landings"])
    choose.readers = lambda settings: list(readers)
    command.build = replay_command.build = lambda folders, added=(): defs
    if not job["select"]:
        with stack.instance() as instance:
            return instance.get_runs_count()
    pull.STEP_RECORDS = job["step"] or pull.STEP_RECORDS
    met: list[str] = []
    if job["tell"]:
        say(at="the beginning", pid=os.getpid())
    elif job["nth"]:
        listen(job["barrier"], job["nth"], pause=job["pause"])
    else:
        met = count()
    status = VERBS[job["verb"]](job, defs)
    if met:
        say(met=met)
        Path(sys.argv[2]).write_text(json.dumps(sorted(sys.modules)))
    return status


def warm_up(learned: Path) -> None:
    """Imports, once, what a sync has imported when it ran: half of its time."""
    if learned.exists():
        for name in set(json.loads(learned.read_text())) - set(sys.modules):
            with suppress(Exception):
                importlib.import_module(name)
        learned.unlink()
        gc.collect()
        gc.freeze()
    assert threading.active_count() == 1, "a fork would lose these threads"


def main() -> None:
    prepared = {sys.argv[1]: prepare(Path(sys.argv[1]))}
    for line in sys.stdin:
        job = json.loads(line)
        connectors = job["connectors"] or sys.argv[1]
        if connectors not in prepared:
            prepared[connectors] = prepare(Path(connectors))
        warm_up(Path(sys.argv[2]))
        pid = os.fork()
        if pid == 0:
            status = 70
            try:
                status = child(job, *prepared[connectors])
            except BaseException:  # noqa: BLE001  # said in the log; the child must not go on as its parent
                traceback.print_exc()
            finally:
                os._exit(status)
        _, status = os.waitpid(pid, 0)
        say(ended=os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
