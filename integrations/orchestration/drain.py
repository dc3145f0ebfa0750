"""Feeds, read again and again by one process: what an event says is in its table within a second.

A run takes seconds to begin; here turn follows turn without one. A feed has a thread, a session and
connections of its own, so that a source that hangs keeps no other feed waiting. Dagster is told at
most once a minute, of the asset that a run of the feed makes too: both take the same turns, and a
run that comes in between does no harm. One process at a time drains a feed.
"""

import threading
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from typing import Any

import dagster as dg
import psycopg

from integrations.connector_template import loading
from integrations.connector_template.connector import BoundFeed
from integrations.connector_template.feed import Turn, turn
from integrations.connector_template.gaps import open_gap
from integrations.connector_template.run import Run
from integrations.errors import IntegrationError, RetryLater, StopStream
from integrations.names import StreamId
from integrations.orchestration import checks, feed_report
from integrations.orchestration.feed_report import Said
from integrations.orchestration.resources import ConnectionResource, StoreResource, now
from integrations.redaction import redact, redacted
from integrations.storage import positions
from integrations.storage.positions import Position
from integrations.transport import Session

TOLD_EVERY_S = 60.0
PRUNED_EVERY_S = 3600.0
SHORTEST_PAUSE_S = 0.05
"""Between two turns, however long the first of them took: a busy source is not hammered."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""Between two tries after a failure: twice as long each time."""
HELD_S = 5.0
"""How often to look whether a person has decided about a landing that is blocked."""
STOP_S = 30.0
"""For a turn that is under way when everything is to stop."""


class AlreadyDrained(IntegrationError):
    """Another process drains the feed."""


_Place = tuple[int, str | None]
"""Generation and landing of a position."""


class _Stopped(Exception):
    """It was to stop while it waited for a source."""


@dataclass(frozen=True)
class Tools:
    """What all feeds of a process share. `every_s` is from the beginning of a turn
    to that of the next; `said` hears of each report, `warn` what goes wrong."""

    store: StoreResource
    instance: dg.DagsterInstance
    every_s: float
    said: Callable[[BoundFeed, Said], None]
    warn: Callable[[str], None]


class Drain:
    """One feed, drained from `run` until `stop` is set or it cannot go on: then `error` is why.

    `held` is whether a landing is blocked, for which a person has to decide: nothing is read until
    the position has moved.
    """

    def __init__(self, feed: BoundFeed, tools: Tools) -> None:
        self.feed = feed
        self.stop = threading.Event()
        self.error: str | None = None
        self.held = False
        self._tools = tools
        self._run = _new_run()
        self._look_back = True
        self._began_at = now()
        self._failing = ""
        self._red = False
        self._drains = False
        self._pause_s = FIRST_PAUSE_S
        self._gap: str | None = "not looked at yet"
        self._told_at = self._pruned_at = time.monotonic()
        self._red_at = self._told_at - TOLD_EVERY_S

    def run(self) -> None:
        """Drains; raises nothing."""
        try:
            while not self.stop.is_set():
                try:
                    self._connected()
                except (RetryLater, StopStream, AlreadyDrained, psycopg.Error) as error:
                    if isinstance(error, AlreadyDrained) and not self._drains:
                        raise
                    # Ours until then: the server may think that the connection we lost still lives.
                    self._failed(error)
                    self.stop.wait(self._pause_s)
                    self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        except _Stopped:
            pass
        except AlreadyDrained as error:
            self.error = self._about(error)
        except IntegrationError as error:
            self._failed(error, told_every_s=0.0)
            self.error = self._about(error)
        except Exception as error:  # noqa: BLE001  # a bug: shown whole, without its secrets
            self._failed(error, told_every_s=0.0)
            self.error = f"{self.feed.id}: {redacted(error)}"
        if self.error is not None:
            self._tools.warn(f"stopped: {self.error}")

    def _connected(self) -> None:
        """Turns, for as long as nothing breaks."""
        store, feed = self._tools.store, self.feed
        source = ConnectionResource.of(feed.id.connector, feed.id.connection, feed.config)
        with ExitStack() as stack:
            lock = stack.enter_context(closing(store.connect()))
            hold(lock, feed.id)
            self._drains = True
            connection = stack.enter_context(closing(store.connect()))
            session = stack.enter_context(source.session(connection, sleep=self._wait))
            try:
                while not self.stop.is_set():
                    began = time.monotonic()
                    self._turn(connection, session)
                    left = self._tools.every_s - (time.monotonic() - began)
                    self.stop.wait(max(left, SHORTEST_PAUSE_S))
            finally:
                if self.stop.is_set():
                    self._tell(connection)
                    if self._red and not self._failing:
                        self._tell(connection)  # that it went on

    def _turn(self, connection: psycopg.Connection[Any], session: Session[Any]) -> None:
        self._began_at, self.held = now(), False
        zone = self._tools.store.zone()
        before = self._position(connection)
        try:
            done = turn(
                self.feed, connection=connection, zone=zone, session=session,
                run=self._run, clock=now, look_back=self._look_back,
            )  # fmt: skip
        except Exception:
            self._look_back = True  # something may be landed and not committed
            raise
        self._look_back = False
        self._recovered()
        if done.gap is not None:
            self._tools.warn(done.gap)
            self._gap = done.gap
        if any(loaded.blocked for loaded in done.loaded):
            self._hold(connection, _blocked_at(done, before))
        self._told(connection)
        if time.monotonic() - self._pruned_at >= PRUNED_EVERY_S:
            self._pruned_at = time.monotonic()
            loading.prune(self.feed.id, connection=connection, zone=zone, clock=now)

    def _hold(self, connection: psycopg.Connection[Any], was: _Place) -> None:
        """Waits until the position has moved from where it `was` when the landing was blocked: it
        would be blocked again and again."""
        self.held, self._look_back = True, True
        self._tell(connection)
        while _place(self._position(connection)) == was:
            self._wait(HELD_S)
            self._told(connection)
        self.held = False

    def _position(self, connection: psycopg.Connection[Any]) -> Position | None:
        found = positions.at(connection, self.feed.id)
        connection.rollback()
        return found

    def _told(self, connection: psycopg.Connection[Any]) -> None:
        """Tells, if that was long enough ago."""
        if time.monotonic() - self._told_at >= TOLD_EVERY_S:
            self._tell(connection)

    def _tell(self, connection: psycopg.Connection[Any]) -> None:
        """Tells Dagster what was said since the last time; again later what it cannot hear now."""
        self._told_at = time.monotonic()
        try:
            said = Said.of(connection, self.feed.id, self._run.run_id)
            if not said.own and self._gap is None and self._red == bool(self._failing):
                return
            position = positions.at(connection, self.feed.id)
            gap = open_gap(self.feed, connection=connection)
            connection.rollback()
            broken = {checks.STRUCTURE: self._failing} if self._failing else said.broken()
            feed_report.tell_without_run(
                self._tools.instance, said, position, gap=gap, broken=broken
            )
        except Exception as error:  # noqa: BLE001  # what is committed is committed
            self._tools.warn(f"{self.feed.id}: Dagster could not be told: {redact(str(error))}")
            return
        self._gap, self._red, self._run = gap, bool(broken), _new_run()
        if said.own:
            self._tools.said(self.feed, said)

    def _failed(self, error: Exception, *, told_every_s: float = TOLD_EVERY_S) -> None:
        """Says so, in the ledger too: once for each reason, however often it is tried; to Dagster
        when `told_every_s` have passed since it last heard of a failure."""
        told, known = self._about(error), self._failing
        due = time.monotonic() - self._red_at >= told_every_s
        self._failing = told
        if told != known:
            self._tools.warn(told)
        if isinstance(error, AlreadyDrained) or (told == known and not due):
            return
        with suppress(IntegrationError, psycopg.Error), closing(self._tools.store.connect()) as own:
            if told != known:
                loading.note_failure(
                    self.feed.id, None, error,
                    connection=own, run=self._run, began_at=self._began_at, clock=now,
                )  # fmt: skip
            if due:
                self._red_at = time.monotonic()
                self._tell(own)

    def _about(self, error: Exception) -> str:
        told, name = redact(str(error)), str(self.feed.id)
        return told if name in told else f"{name}: {told}"

    def _recovered(self) -> None:
        if self._failing:
            self._tools.warn(f"{self.feed.id} goes on")
        self._failing, self._pause_s = "", FIRST_PAUSE_S

    def _wait(self, seconds: float) -> None:
        """Waits, but not beyond the end."""
        if self.stop.wait(seconds):
            raise _Stopped


class Drains:
    """The feeds of a process, drained side by side; use it with `with`, which stops them."""

    def __init__(self, feeds: Iterable[BoundFeed], tools: Tools) -> None:
        self.all = [Drain(feed, tools) for feed in feeds]
        self._over = threading.Event()
        self._left = len(self.all)
        self._guard = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, args=[one], name=str(one.feed.id), daemon=True)
            for one in self.all
        ]

    def __enter__(self) -> "Drains":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in self.all:
            one.stop.set()
        deadline = time.monotonic() + STOP_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def wait(self, seconds: float | None) -> None:
        """Until `end` is called, no feed is left, or the time is over."""
        self._over.wait(seconds)

    def end(self) -> None:
        """Ends `wait`; may be called from a signal's handler."""
        self._over.set()

    def _run(self, one: Drain) -> None:
        one.run()
        with self._guard:
            self._left -= 1
            if not self._left:
                self._over.set()


def hold(connection: psycopg.Connection[Any], feed: StreamId) -> None:
    """Makes this connection, for as long as it lives, the one that drains the feed.

    Raises AlreadyDrained when there is another one.
    """
    key = f"drain {feed}"
    row = connection.execute(
        "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [key]
    ).fetchone()
    connection.commit()
    if row != (True,):
        raise AlreadyDrained(
            "another process drains it", where=str(feed), todo="One at a time does."
        )


def _place(position: Position | None) -> _Place | None:
    return None if position is None else (position.generation, position.landing)


def _blocked_at(done: Turn, before: Position | None) -> _Place:
    """Where the feed stood when the last landing of a turn was blocked, by what the turn itself
    saw: a person may have decided since."""
    *passed, blocked = done.loaded
    generation = blocked.manifest.generation
    if passed:
        return generation, passed[-1].manifest.landing
    known = before is not None and before.generation == generation
    return generation, before.landing if before is not None and known else None


def _new_run() -> Run:
    """One for each report, so that `status` shows how it went lately."""
    run_id = f"drain-{uuid.uuid4()}"
    return Run(run_id, run_id, "push")
