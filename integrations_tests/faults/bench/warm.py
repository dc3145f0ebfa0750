"""The bench's side of the warm process: starts children and hears what becomes of them."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Self

from integrations_tests.faults.template import REPOSITORY

SLOWEST_S = 60.0
"""A sync takes a second or two; one that takes so long hangs."""
HANGS = None
CHILD = "integrations_tests.faults.bench.child"
MODULES = "modules.json"
"""What a sync imports, for the warm process to read in its folder before it forks again."""


@dataclass(frozen=True)
class Ran:
    """A sync that has ended: `status` is its exit status, minus the signal that ended it, or None
    for one that hung and was killed. `lines` are the JSON objects of its standard output."""

    status: int | None
    lines: Sequence[Mapping[str, Any]]
    stdout: str
    stderr: str
    seconds: float


@dataclass
class Running:
    """A sync under way, a process of its own."""

    out: Path
    err: Path
    began: float = field(default_factory=time.monotonic)
    pid: int = 0
    _said: list[dict[str, Any]] = field(default_factory=list)
    _news: threading.Condition = field(default_factory=threading.Condition)

    def hears(self, said: dict[str, Any]) -> None:
        with self._news:
            self.pid = said["pid"]
            self._said.append(said)
            self._news.notify_all()

    def stopped(self, times: int = 1) -> bool:
        """Waits until it has stopped itself so many times; False when it came to its end before."""
        with self._news:
            self._news.wait_for(
                lambda: self._count("stopped") >= times or self._count("ended"), SLOWEST_S
            )
            return self._count("stopped") >= times

    def signal(self, number: signal.Signals) -> None:
        """Sends it a signal, if it still is: the warm process has then not yet buried it."""
        with self._news:
            self._news.wait_for(lambda: self.pid, SLOWEST_S)
            if not self._count("ended"):
                os.kill(self.pid, number)

    def wait(self, seconds: float = SLOWEST_S) -> Ran:
        """Its end; who does not end in time is killed."""
        with self._news:
            ended = self._news.wait_for(lambda: self._count("ended"), seconds)
        if not ended:
            self.signal(signal.SIGKILL)
            with self._news:
                self._news.wait_for(lambda: self._count("ended"), SLOWEST_S)
        status = next((one["ended"] for one in self._said if "ended" in one), HANGS)
        out = self.out.read_text()
        lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        took = time.monotonic() - self.began
        return Ran(status if ended else HANGS, lines, out, self.err.read_text(), took)

    def _count(self, what: str) -> int:
        return sum(what in one for one in self._said)


class Warm:
    """The process that everything is imported into once; each job is a fork of it."""

    def __init__(self, connectors: Path, home: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", CHILD, str(connectors), str(home / MODULES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=REPOSITORY,
            env=os.environ | {"INTEGRATIONS_HOME": str(home / "home")},
        )
        self._numbers = count(1)
        self._lock = threading.Lock()
        self._jobs: dict[int, Running] = {}
        self._pids: dict[int, Running] = {}
        threading.Thread(target=self._listen, daemon=True).start()

    def run(self, running: Running, job: Mapping[str, Any]) -> Running:
        """Starts a child; what a job holds says `child.child`."""
        with self._lock:
            number = next(self._numbers)
            self._jobs[number] = running
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps({"id": number, **job}).encode() + b"\n")
            self._process.stdin.flush()
        return running

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            if "id" in said:
                self._pids[said["pid"]] = self._jobs.pop(said["id"])
            self._pids[said["pid"]].hears(said)

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
