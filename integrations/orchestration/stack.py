"""The processes that make a whole: the twins, `dagster dev`, and one stack per database.

A child ends with its parent: the twins watch their standard input, `dagster dev` is interrupted.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import psutil
import psycopg

import integrations
from integrations.errors import FixConfig
from integrations.sandbox import address
from integrations.settings import Settings

INSTANCE_FILE = "dagster.yaml"
STATE = "dagster.json"
"""Written into the home while Dagster serves, for `down`: its parent may have been killed."""
START_S = 120.0
"""How long a child may take to serve: definitions of many connectors load in tens of seconds."""
STOP_S = 30.0
_STACK_LOCK = 0x696E7467_0003


def root(cwd: Path | None = None) -> Path:
    """The folder of the nearest `dagster.yaml` upwards, or else the project's own."""
    here = (cwd or Path.cwd()).resolve()
    own = Path(integrations.__file__).resolve().parent.parent
    return next((p for p in (here, *here.parents) if (p / INSTANCE_FILE).is_file()), own)


def instance() -> dg.DagsterInstance:
    """The Dagster instance that the UI shows, whether or not a UI is running."""
    return dg.DagsterInstance.from_config(str(root()))


@contextmanager
def twins(settings: Settings) -> Iterator[None]:
    """The twins, serving until the block ends; those that serve already are left alone."""
    if address.serving(settings.home):
        yield
        return
    log = settings.home / "sandbox.log"
    with log.open("wb") as output:
        command = ["integrations.sandbox", "--home", str(settings.home), "--until-stdin-closes"]
        child = subprocess.Popen(
            [sys.executable, "-m", *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for us; the twins go when we close the pipe
        )
    try:
        _wait(lambda: address.serving(settings.home), child, f"the twins do not start; see {log}")
        yield
    finally:
        assert child.stdin is not None
        child.stdin.close()
        child.wait(STOP_S)


@contextmanager
def only_stack(connection: psycopg.Connection) -> Iterator[None]:
    """Holds the database for one stack; a second one is refused."""
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", [_STACK_LOCK]).fetchone()
    connection.commit()
    if row != (True,):
        raise FixConfig(
            "another `integrations up` serves this database",
            todo="Use that one, or stop it first: `integrations down`.",
        )
    yield


@contextmanager
def dagster_dev(settings: Settings, *, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The UI, the daemon and the code server; stopped together when the block ends.

    The caller handles SIGINT: where it is ignored, as in a shell's background jobs, the child
    would inherit that, and could not be stopped.
    """
    _refuse_taken(port)
    folder = root()
    log = settings.home / "dagster.log"
    with log.open("ab") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "dagster", "dev", "-h", "127.0.0.1", "-p", str(port)],
            cwd=folder,
            env=os.environ | {"DAGSTER_HOME": str(folder), "INTEGRATIONS_HOME": str(settings.home)},
            stdout=output,
            stderr=subprocess.STDOUT,
            # Its own group, so that Ctrl-C comes from us alone, once, and in order.
            start_new_session=True,
        )
    state = settings.home / STATE
    state.write_text(json.dumps({"pid": child.pid}))
    try:
        _wait(lambda: serves(port), child, f"Dagster does not start; see {log}")
        yield child
    finally:
        _interrupt(child)
        state.unlink(missing_ok=True)


def _refuse_taken(port: int) -> None:
    """Raises FixConfig where something listens: its answers would pass for those of our child."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise FixConfig(f"port {port} is taken", todo="Choose another with --port.")


def serves(port: int) -> bool:
    """Whether the UI answers and its code location is loaded with assets in it."""
    query = json.dumps({"query": "{ assetNodes { id } }"}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql", query, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310  # our own UI
            found = json.load(answer)
    except (urllib.error.URLError, OSError, ValueError):
        return False
    return bool((found.get("data") or {}).get("assetNodes"))


def _interrupt(child: "subprocess.Popen[bytes]") -> None:
    """Asks a child and its own children to stop, then insists."""
    if child.poll() is not None:
        return
    family = [child.pid, *(p.pid for p in psutil.Process(child.pid).children(recursive=True))]
    child.send_signal(signal.SIGINT)
    try:
        child.wait(STOP_S)
    except subprocess.TimeoutExpired:
        child.kill()
    for pid in family:
        if psutil.pid_exists(pid) and pid != child.pid:
            psutil.Process(pid).terminate()


def _wait(ready: Callable[[], bool], child: "subprocess.Popen[bytes]", message: str) -> None:
    """Until something is ready; raises when the child has ended or time is up."""
    deadline = time.monotonic() + START_S
    while not ready():
        if child.poll() is not None or time.monotonic() > deadline:
            raise FixConfig(message)
        time.sleep(0.05)
