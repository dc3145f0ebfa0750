"""Processes that work on one account at the same time, and can be killed in the middle of it.

A process that imported everything forks them, so one more costs some milliseconds. Each has a
connection of its own, and dies by its own hand: SIGKILL where an audit event of the product says
that another outcome is possible.
"""

import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any

from integrations.names import Window
from integrations.storage.database import connect
from integrations.storage.landing import LandingZone
from integrations_tests.lanes.lanes import Lanes

_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload(["integrations_tests.lanes.warm", "pytest"])
_SLOWEST_S = 60.0
"""A job takes less than a second; one that takes so long waits for a lock that nobody gives back."""


class RunningClock:
    """A clock for several processes: it runs as time does, and can be put on, or off.

    `put_on` moves what all call true; `off_s` is by how much ours differs from that.
    """

    def __init__(self, start: datetime) -> None:
        self._start, self._began = start, time.monotonic()
        self._shared = _CONTEXT.RawArray("d", [0.0, 0.0])

    def true(self) -> datetime:
        """The time at the source."""
        ran = time.monotonic() - self._began
        return self._start + timedelta(seconds=ran + self._shared[0])

    def __call__(self) -> datetime:
        """The time by our clock."""
        return self.true() + timedelta(seconds=self._shared[1])

    def put_on(self, **span: float) -> None:
        self._shared[0] += timedelta(**span).total_seconds()

    def off(self, seconds: float) -> None:
        self._shared[1] = seconds


@dataclass(frozen=True)
class Account:
    """All that a process needs to know to work on an account."""

    name: str
    url: str
    secrets: Mapping[str, str]
    database: str
    landings: str
    clock: RunningClock
    start: datetime

    @contextmanager
    def lanes(self, name: str) -> Iterator[Lanes]:
        """The account, with a connection to the database."""
        with connect(self.database) as connection:
            zone = LandingZone(self.landings, clock=self.clock)
            yield Lanes(
                self.url, self.secrets, self.name, connection, zone, self.clock, self.start, name
            )


@dataclass(frozen=True)
class Job:
    """One verb on one stream: `sync` of a window (None: of all), `turn` of the feed, `land`,
    `load` of what is landed, `replay` of windows. `kill_at` counts audit events, or names one."""

    verb: str
    stream: str = "events"
    windows: tuple[Window | None, ...] = (None,)
    kill_at: int | str | None = None

    def do(self, lanes: Lanes) -> None:
        stream = lanes.stream(self.stream) if self.verb != "turn" else None
        if stream is None:
            lanes.turn()
        elif self.verb == "replay":
            lanes.replay(self.stream, self.windows)
        elif self.verb == "sync":
            for window in self.windows:
                lanes.sync(self.stream, window)
        elif self.verb == "land":
            for window in self.windows:
                lanes.land(stream, window, lanes.run())
        else:
            for window in self.windows:
                manifest = lanes.zone.newest(stream.id, window=window)
                if manifest is not None:
                    lanes.load(stream, manifest, lanes.run())


@dataclass
class Crew:
    """Workers on one account. `killed` counts those that died as they were told to."""

    account: Account
    killed: int = 0
    done: int = 0
    _made: int = 0
    _idle: list[tuple[Connection, Any]] = field(default_factory=list)
    _busy: dict[Connection, tuple[Any, Job]] = field(default_factory=dict)

    def give(self, job: Job, *, most: int) -> None:
        """Has a job done by a worker; waits while so many are busy."""
        while len(self._busy) >= most:
            self._hear()
        pipe, process = self._idle.pop() if self._idle else self._new()
        pipe.send(job)
        self._busy[pipe] = (process, job)

    def finish(self) -> None:
        """Waits until all is done."""
        while self._busy:
            self._hear()

    def stop(self) -> None:
        """Ends all workers; those that are busy do not end in order."""
        for pipe, process in [*self._idle, *((pipe, one) for pipe, (one, _) in self._busy.items())]:
            pipe.close()
            process.kill() if pipe in self._busy else process.join(10)
            process.join(10)

    def _new(self) -> tuple[Connection, Any]:
        self._made += 1
        ours, theirs = _CONTEXT.Pipe()
        process = _CONTEXT.Process(
            target=_work, args=(self.account, theirs, f"w{self._made}r"), daemon=True
        )
        process.start()
        theirs.close()
        return ours, process

    def _hear(self) -> None:
        heard = wait([*self._busy], timeout=_SLOWEST_S)
        assert heard, f"nothing was heard of {[job for _, job in self._busy.values()]}"
        for pipe in heard:
            assert isinstance(pipe, Connection)
            process, job = self._busy.pop(pipe)
            try:
                problem = pipe.recv()
            except EOFError:
                process.join(10)
                assert (process.exitcode, job.kill_at is None) == (-signal.SIGKILL, False), job
                self.killed += 1
                pipe.close()
                continue
            self._idle.append((pipe, process))
            assert problem is None, f"{job}\n{problem}"
            self.done += 1


@contextmanager
def crew(account: Account) -> Iterator[Crew]:
    """Workers for as long as the block runs."""
    one = Crew(account)
    try:
        yield one
    finally:
        one.stop()


class _Killer:
    """Kills this process at the audit event it is set to."""

    def __init__(self) -> None:
        self.at: int | str | None = None
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: Sequence[object]) -> None:
        if self.at is None or not event.startswith("integrations."):
            return
        if isinstance(self.at, int):
            self.at -= 1
        if self.at in (0, event.partition(".")[2]):
            os.kill(os.getpid(), signal.SIGKILL)


def _work(account: Account, pipe: Connection, name: str) -> None:
    """Does what comes, until nothing more can come."""
    killer = _Killer()
    with account.lanes(name) as lanes, suppress(EOFError):
        while True:
            job = pipe.recv()
            killer.at = job.kill_at
            try:
                job.do(lanes)
            except Exception:  # noqa: BLE001  # the test says it
                pipe.send(traceback.format_exc())
            else:
                killer.at = None
                pipe.send(None)
