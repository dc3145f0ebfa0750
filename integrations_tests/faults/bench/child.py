"""A warm process that forks a child for each sync: `python -m integrations_tests.faults.bench.child`.

Like `faults.child`, but children may run beside each other, say what a person sees on their own
standard output and error, and can stop at a barrier. What becomes of them is told line by line.
"""

import importlib
import json
import os
import select
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from integrations.cli import main as command_line
from integrations.commands import choose
from integrations.commands import drain as drain_command
from integrations.commands import sync as command
from integrations.connector_template.folders import read
from integrations.orchestration import drain, feed_step, keys, resources, schedules, step
from integrations.orchestration.code_location import build
from integrations_tests.faults.bench.clock import SharedClock
from integrations_tests.faults.bench.launched import LAUNCHED, launched
from integrations_tests.faults.child import say, warm_up

CRASHED = 70


def prepare(connectors: Path) -> None:
    """Reads the connectors once, for all children."""
    found = sorted(folder for folder in connectors.iterdir() if folder.is_dir())
    loaded, broken = read(found)
    assert not broken, broken
    readers = [one for each in loaded for one in (*each.streams(), *each.feeds())]
    defs = build(found)
    for connector, connection in {(one.id.connector, one.id.connection) for one in readers}:
        defs.resolve_job_def(keys.job(connector, connection))
    choose.readers = lambda settings: list(readers)
    command.build = lambda folders, added=(): defs


def set_clock(clock: SharedClock) -> None:
    """All of the product reads this clock, and its waits between two tries take no time."""
    for module in (resources, schedules, step, feed_step, drain, command, drain_command):
        module.now = clock.ours
    resources.ConnectionResource.session.__wrapped__.__kwdefaults__["sleep"] = clock.sleep


def stop_at(barrier: str, nth: int) -> None:
    """Has this process stop itself (SIGSTOP) at the nth audit event of the name ("" for any)."""
    met = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal met
        wanted = (
            event == f"integrations.{barrier}" if barrier else event.startswith("integrations.")
        )
        met += wanted
        if wanted and met == nth:
            os.kill(os.getpid(), signal.SIGSTOP)

    sys.addaudithook(hook)


def child(job: dict[str, Any], learned: Path) -> int:
    """One command line, such as `sync --json stripe/main/charges`; gives its exit status."""
    for target, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(job[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), target)
    os.environ |= job["environment"]
    set_clock(SharedClock(Path(job["clock"])))
    for name, value in job["patches"].items():
        module, _, constant = name.partition(":")
        setattr(importlib.import_module(module), constant, value)
    if job["at"]:
        stop_at(*job["at"])
    status = said(*job["arguments"])
    if job["learn"]:
        learned.write_text(json.dumps(sorted(sys.modules)))
    sys.stdout.flush()
    return status


def said(verb: str, *arguments: str) -> int:
    """What a command line ends with."""
    if verb == LAUNCHED:
        return launched(*arguments)
    try:
        command_line([verb, *arguments], prog_name="integrations")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def fork(job: dict[str, Any], learned: Path) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = CRASHED
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        status = child(job, learned)
    except BaseException:  # noqa: BLE001  # said in the log; the child must not go on as its parent
        traceback.print_exc()
    finally:
        os._exit(status)


def tell() -> None:
    """Says what became of children since it was last said."""
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
            if pid == 0:
                return
            if os.WIFSTOPPED(status):
                say(pid=pid, stopped=True)
            else:
                say(pid=pid, ended=os.waitstatus_to_exitcode(status))


def jobs() -> Iterator[dict[str, Any]]:
    """What is asked on standard input, line by line; meanwhile it is told what children do."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    unread = b""
    while True:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            tell()
        if 0 not in ready:
            continue
        read_now = os.read(0, 65536)
        if not read_now:
            return
        *lines, unread = (unread + read_now).split(b"\n")
        yield from map(json.loads, lines)


def main() -> None:
    prepare(Path(sys.argv[1]))
    learned = Path(sys.argv[2])
    for job in jobs():
        warm_up(learned)
        say(id=job["id"], pid=fork(job, learned))


if __name__ == "__main__":
    main()
