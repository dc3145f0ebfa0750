"""Twins serve while they are wanted and leave nothing behind."""

import fcntl
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from integrations.sandbox.address import USERS
from integrations.sandbox.server import running
from integrations.sandbox.stripe import StripeTwin

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the sandbox in a home that is not there yet, and waits until it serves."""
    started: list[subprocess.Popen[bytes]] = []

    def run(*options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "integrations.sandbox", "--home", str(tmp_path / "home")]
        with (tmp_path / "log").open("wb") as log:
            child = subprocess.Popen([*command, *options], stdin=subprocess.PIPE, stderr=log)
        started.append(child)
        deadline = time.monotonic() + 20
        while not (tmp_path / "home" / "sandbox.json").exists():
            assert child.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return child

    yield run
    for child in started:
        assert child.stdin is not None
        child.stdin.close()
        child.kill()
        child.wait()


def test_the_file_says_where_and_how_until_sigterm(start: Start, tmp_path: Path) -> None:
    """While the twins serve, the home's file holds address, secrets and pid, for us alone."""
    child = start()
    file = tmp_path / "home" / "sandbox.json"
    said = json.loads(file.read_text())
    assert said["pid"] == child.pid
    key = said["stripe"]["secrets"]["api_key"]
    answer = httpx.get(f"{said['stripe']['url']}/v1/customers", auth=(key, ""))
    assert answer.status_code == 200
    assert [path.stat().st_mode & 0o777 for path in (file, file.parent)] == [0o600, 0o700]
    child.terminate()
    assert child.wait(timeout=10) == 0
    assert list(file.parent.iterdir()) == []


def test_it_goes_with_its_last_user(start: Start, tmp_path: Path) -> None:
    """When the locks are gone, as they are when their holders die in any way, the twins stop."""
    users = tmp_path / "home" / USERS
    users.parent.mkdir()
    with users.open("w") as one, users.open("w") as other:
        fcntl.flock(one, fcntl.LOCK_SH)
        fcntl.flock(other, fcntl.LOCK_SH)
        child = start("--while-used")
        one.close()
        time.sleep(0.2)
        assert child.poll() is None
    assert child.wait(timeout=10) == 0
    assert list(users.parent.iterdir()) == [users]


def test_sigint_stops_it_and_spares_the_file_of_another(start: Start, tmp_path: Path) -> None:
    """A process that stops does not take away what a later one has written."""
    child = start()
    file = tmp_path / "home" / "sandbox.json"
    file.write_text('{"pid": 1}')
    child.send_signal(signal.SIGINT)
    assert child.wait(timeout=10) == 0
    assert file.read_text() == '{"pid": 1}'


def test_the_port_is_free_again_afterwards(twin: StripeTwin) -> None:
    """Leaving the block stops the server."""
    with running(twin) as url:
        assert httpx.get(f"{url}/v1/charges").status_code == 401
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/v1/charges")
