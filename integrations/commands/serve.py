"""`integrations up` and `integrations down`: the whole thing, serving, and its end."""

import json
import signal
from contextlib import ExitStack, closing
from pathlib import Path

import psutil
from rich.console import Console

from integrations import console
from integrations.errors import FixConfig
from integrations.orchestration import stack
from integrations.orchestration.resources import StoreResource
from integrations.orchestration.runs import fail_dead_runs
from integrations.processes import living
from integrations.sandbox import address
from integrations.settings import Settings
from integrations.storage import postgres

STATE = "up.json"
DRAINS = "drain-*.json"
"""What processes that drain write; one each, since there may be several."""
STOP_S = 60.0


def up(*, sandbox: bool, port: int) -> int:
    """Serves until it is interrupted; gives the exit status."""
    settings = stack.project()
    say = console.err()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupted)
    try:
        with ExitStack() as open_:
            connection = open_.enter_context(closing(StoreResource().connect()))
            open_.enter_context(stack.only_stack(connection))
            open_.enter_context(stack.announced(settings.home / STATE))
            with stack.instance() as instance:
                dead = fail_dead_runs(instance)
            if dead:
                say.print(f"Marked as failed: {len(dead)} runs whose process had died.")
            if sandbox:
                open_.enter_context(stack.twins(settings))
            say.print("Starting …")
            child = open_.enter_context(stack.dagster_dev(settings, port=port))
            console.out().print(f"Dagster UI   http://127.0.0.1:{port}")
            if sandbox:
                console.out().print(f"Twins        {', '.join(address.urls(settings.home))}")
            say.print("Ctrl-C stops it.")
            return child.wait()
    except KeyboardInterrupt:
        say.print("Stopped.")
        return 0


def down() -> int:
    """Stops what still runs of this home; gives the exit status."""
    settings = Settings.find()
    out = console.out()
    parts = {STATE: "the stack", stack.STATE: "Dagster", address.FILE: "the twins"}
    ended = []
    # Before the server: a drain that lost its connection would start it again.
    for file in sorted(settings.home.glob(DRAINS)):
        ended.append(_end(file, "a drain", out))
        file.unlink(missing_ok=True)
    ended += [_end(settings.home / file, name, out) for file, name in parts.items()]
    stopped = any(ended)
    if postgres.stop(settings):
        stopped = True
        out.print("Stopped the embedded PostgreSQL.")
    if not stopped:
        out.print("Nothing was running.")
    return 0


def _end(file: Path, name: str, out: Console) -> bool:
    """Asks the process that a state file names to stop, and waits for it; whether it ran.

    A pid is used again: only the very process that the file means is stopped.
    """
    try:
        pid = living(json.loads(file.read_text()))
        if pid is None:
            return False
        process = psutil.Process(pid)
        process.terminate()
        process.wait(STOP_S)
    except (OSError, ValueError, psutil.NoSuchProcess):
        return False
    except psutil.TimeoutExpired as error:
        raise FixConfig(f"{name} (process {pid}) does not stop") from error
    out.print(f"Stopped {name}.")
    return True


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt
