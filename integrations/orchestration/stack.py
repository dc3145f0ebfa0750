"""The processes that make a whole: the twins, `dagster dev`, and one stack per database.

The twins end with the last process that uses them, `dagster dev` with its parent.
"""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import psycopg

import integrations
from integrations.errors import FixConfig
from integrations.processes import living, named
from integrations.sandbox import address
from integrations.settings import HOME, Settings
from integrations.storage import locks

INSTANCE_FILE = "dagster.yaml"
STATE = "dagster.json"
"""Written into the home while Dagster serves: for `down`, since its parent may have been killed,
and for whoever asks it to load its definitions anew."""
START_S = 120.0
"""How long a child may take to serve: definitions of many connectors load in tens of seconds."""
STOP_S = 30.0


def root(cwd: Path | None = None) -> Path:
    """The folder of the nearest `dagster.yaml` upwards, or else the project's own."""
    here = (cwd or Path.cwd()).resolve()
    own = Path(integrations.__file__).resolve().parent.parent
    return next((p for p in (here, *here.parents) if (p / INSTANCE_FILE).is_file()), own)


def instance() -> dg.DagsterInstance:
    """The Dagster instance that the UI shows, whether or not a UI is running."""
    return dg.DagsterInstance.from_config(str(root()))


def project() -> Settings:
    """The settings of the project's folder, with a home that is made if need be.

    Said to the whole process too, and so to all that it starts: whoever looks for the settings
    later, from any folder, finds these.
    """
    settings = Settings.find(create=True, cwd=root())
    os.environ[HOME] = str(settings.home)
    return settings


@contextmanager
def twins(settings: Settings) -> Iterator[None]:
    """The twins, serving until the block ends or for as long as others use them.

    They end with their last user, however that one ends; a block that ends well waits for it.
    """
    home = settings.home
    with _one_starts(home):
        users = os.open(home / address.USERS, os.O_RDWR | os.O_CREAT, 0o600)  # not inherited
        try:
            # Twins that are just ending hold it alone, and we wait for their end.
            fcntl.flock(users, fcntl.LOCK_SH)
            if not address.serving(home):
                _start_twins(home)
        except BaseException:
            os.close(users)
            raise
    try:
        yield
    finally:
        _leave_twins(home, users)


@contextmanager
def _one_starts(home: Path) -> Iterator[None]:
    """One process at a time looks whether the twins serve, and starts them."""
    descriptor = os.open(home / "sandbox.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _start_twins(home: Path) -> None:
    log = home / "sandbox.log"
    with log.open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "integrations.sandbox", "--home", str(home), "--while-used"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for us; the twins go when nobody uses them
        )
    _wait(lambda: address.serving(home), child, f"the twins do not start; see {log}")
    # Others may use them for longer than we do; whenever they end, no zombie is left.
    threading.Thread(target=child.wait, daemon=True).start()


def _leave_twins(home: Path, users: int) -> None:
    """Gives up our share; where it was the last, ends the twins, unless others started them."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # others use them
    else:
        known = address.said(home)
        pid = living(known) if known.get("while_used") else None
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_S
        while pid is not None and living(known) and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        os.close(users)


@contextmanager
def only_stack(connection: psycopg.Connection) -> Iterator[None]:
    """Holds the database for one stack; a second one is refused."""
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", [locks.STACK]).fetchone()
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
    state.write_text(json.dumps(named(child.pid) | {"port": port}))
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
        with here(request, timeout_s=5) as answer:
            found = json.load(answer)
    except (OSError, ValueError):
        return False
    return bool((found.get("data") or {}).get("assetNodes"))


def here(request: urllib.request.Request, *, timeout_s: float) -> Any:
    """The answer of a server on this machine, to be closed; no proxy is asked for it. Raises as
    `urlopen` does."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
        request, timeout=timeout_s
    )


@contextmanager
def announced(file: Path) -> Iterator[None]:
    """Says in a file of the home which process serves, for `down`."""
    file.write_text(json.dumps(named()))
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


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
    for pid in family[1:]:
        with suppress(psutil.NoSuchProcess):  # most of them went with their parent
            psutil.Process(pid).terminate()


def _wait(ready: Callable[[], bool], child: "subprocess.Popen[bytes]", message: str) -> None:
    """Until something is ready; raises when the child has ended or time is up."""
    deadline = time.monotonic() + START_S
    while not ready():
        if child.poll() is not None or time.monotonic() > deadline:
            raise FixConfig(message)
        time.sleep(0.05)
    if child.poll() is not None:  # then something else is ready there
        raise FixConfig(message)
