"""A warm process that forks a child for each sync: `python -m integrations_tests.faults.child`.

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
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from integrations.commands import choose
from integrations.commands import sync as command
from integrations.connector_template.folders import read
from integrations.orchestration import resources, stack, step
from integrations.orchestration.code_location import build
from integrations.orchestration.sync import Wanted

PROTOCOL = os.dup(1)
"""Where the lines go: what a sync prints on standard output is its own business."""


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


def set_clocks(pages: str, landings: str) -> None:
    """Rows are seen by one clock that stands still, landings begin by one that each process has
    for itself: then rows of any two histories can be compared, and a later landing is later."""
    seen_at, began_at = datetime.fromisoformat(pages), datetime.fromisoformat(landings)
    resources.now = lambda: seen_at
    step.now = command.now = lambda: began_at


def prepare(connectors: Path) -> None:
    """Reads the connectors once, for all children."""
    found = sorted(folder for folder in connectors.iterdir() if folder.is_dir())
    loaded, broken = read(found)
    assert not broken, broken
    streams = [stream for one in loaded for stream in one.streams()]
    defs = build(found)
    for name in {stream.id.connection for stream in streams}:
        defs.resolve_job_def(f"stripe__{name}__sync")
    choose.readers = lambda settings: list(streams)
    command.build = lambda folders, added=(): defs


def child(job: dict[str, Any]) -> int:
    """One `integrations sync`; without a selection only Dagster's tables are made."""
    os.environ |= job["environment"]
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    set_clocks(job["pages"], job["landings"])
    if not job["select"]:
        with stack.instance() as instance:
            return instance.get_runs_count()
    if job["nth"]:
        listen(job["barrier"], job["nth"], pause=job["pause"])
    status = command.sync(tuple(job["select"]), Wanted(), as_json=True)
    if not job["nth"]:
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
    prepare(Path(sys.argv[1]))
    for line in sys.stdin:
        warm_up(Path(sys.argv[2]))
        pid = os.fork()
        if pid == 0:
            status = 70
            try:
                status = child(json.loads(line))
            except BaseException:  # noqa: BLE001  # said in the log; the child must not go on as its parent
                traceback.print_exc()
            finally:
                os._exit(status)
        _, status = os.waitpid(pid, 0)
        say(ended=os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
