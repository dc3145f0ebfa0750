"""Syncs streams and feeds from the command line: the same jobs and steps as the UI's, run in this
process.

What is chosen first becomes a plan, of which nothing has run; then each item is one Dagster run
over an unbroken stretch of windows (or one full reading, or one turn of a feed), and its outcome is
read from the ledger.
"""

import uuid
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import dagster as dg
import psycopg
from sqlalchemy.exc import DBAPIError

from integrations.connector_template.connector import BoundFeed, BoundStream
from integrations.connector_template.due import due, feed_due
from integrations.errors import IntegrationError
from integrations.monitoring.ledger import of_runs
from integrations.names import Window
from integrations.orchestration import keys, stops
from integrations.orchestration.failures import unexplained
from integrations.orchestration.feed_report import Said
from integrations.orchestration.partitions import partitions, range_tags
from integrations.orchestration.resources import StoreResource
from integrations.orchestration.runs import end_broken, in_process_tags
from integrations.orchestration.schedules import STREAM_TAG
from integrations.storage.database import AGAIN
from integrations.storage.ledger import LedgerEntry
from integrations.storage.transaction import translated
from integrations.sync_state.cursors import CursorSync
from integrations.sync_state.windows import WindowSync, rounded_out, stretches

Reader = BoundStream | BoundFeed
OnWindow = Callable[[Reader], None]


@dataclass(frozen=True)
class Wanted:
    """What a person asked for: what is due, a stretch of time `[begin, end)`, or all of it."""

    begin: datetime | None = None
    end: datetime | None = None
    full: bool = False
    accept: bool = False


@dataclass(frozen=True)
class Planned:
    """A stream, or feed, and the stretches of windows to sync, one run each; a stretch without a
    window is one full reading, or one turn."""

    stream: Reader
    stretches: list[list[Window]]

    @property
    def windowed(self) -> bool:
        """Whether a stretch of time can be asked of it."""
        stream = self.stream
        return isinstance(stream, BoundStream) and isinstance(stream.stream.sync, WindowSync)

    @property
    def windows(self) -> int:
        """How many loads this is: windows, or one for each full reading or turn."""
        return sum(len(stretch) or 1 for stretch in self.stretches)


def plan(
    streams: Iterable[Reader], wanted: Wanted, store: StoreResource, *, now: datetime
) -> list[Planned]:
    """What would be run, one by one; a stream of which nothing is wanted has no stretch."""
    with closing(store.connect()) as connection:
        return [Planned(one, _stretches(one, wanted, connection, now)) for one in streams]


def _stretches(
    stream: Reader, wanted: Wanted, connection: psycopg.Connection[Any], now: datetime
) -> list[list[Window]]:
    timed = wanted.begin is not None or wanted.end is not None
    if isinstance(stream, BoundFeed):
        asked = wanted.full or feed_due(stream, connection, now=now)
        return [[]] if asked and not timed else []
    sync, begins = stream.stream.sync, stream.connection.begins_at
    if not isinstance(sync, WindowSync):
        return [] if timed else [[]] if wanted.full else due(stream, connection, now=now)
    if wanted.full:
        return stretches(list(sync.windows(begins, now)))
    if not timed:
        return due(stream, connection, now=now)
    # Within what can have windows at all: a day far away has neither a name nor a next day.
    begin, end = max(wanted.begin or begins, begins), min(wanted.end or now, now)
    if begin >= end:
        return []
    span = rounded_out(begin, end, sync.cadence)
    inside = [w for w in sync.windows(begins, now) if span.start <= w.start and w.end <= span.end]
    return stretches(inside)


@dataclass(frozen=True)
class Outcome:
    """What became of a stream: the sums of its ledger lines, and what the runs said that failed
    without leaving one. `refused`: the source refuses the connection's credential. A feed's are
    also the lines of the streams that it spoke of."""

    stream: Reader
    windows: int = 0
    entries: list[LedgerEntry] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    refused: bool = False

    @classmethod
    def untried(cls, planned: Planned) -> "Outcome":
        """That of a stream whose sibling has met that their credential is refused."""
        why = stops.not_asked(planned.stream.id)
        return cls(planned.stream, planned.windows, unexplained=[f"{why.what}. {why.todo}"])

    def total(self, name: str) -> Any:
        """The sum of one of the ledger's numbers, each unit counted once."""
        if isinstance(self.stream, BoundFeed):
            return Said.among(self.entries, self.stream.id).total(name)
        return sum(getattr(entry, name) or 0 for entry in self.entries)

    def parts(self) -> "list[Outcome]":
        """The outcomes of the stream and of each of its children; of another one the whole."""
        if isinstance(self.stream, BoundFeed) or not self.stream.children:
            return [self]
        return [self._share(one) for one in self.stream.family]

    def _share(self, stream: BoundStream) -> "Outcome":
        """The share of one of the family; where its parent failed, nothing of it was loaded."""
        own = [entry for entry in self.entries if entry.stream == stream.id]
        if stream.id != self.stream.id:
            failed = [entry for entry in self.entries if entry.status == "failed"]
            why = [f"{entry.window or self.stream.id} of its parent failed" for entry in failed]
            return Outcome(stream, self.windows, own, [*self.unexplained, *why])
        return Outcome(stream, self.windows, own, self.unexplained)

    @property
    def error_rate(self) -> float:
        """The share of what was received that was refused, from 0 to 1."""
        received = self.total("received")
        return self.total("quarantined") / received if received else 0.0

    @property
    def status(self) -> str:
        """The worst of its lines: up_to_date (nothing was due), ok, warn, blocked or failed."""
        if not self.windows:
            return "up_to_date"
        found = {str(entry.status) for entry in self.entries}
        if self.unexplained or "failed" in found:
            return "failed"
        return next((status for status in ("blocked", "warn") if status in found), "ok")

    @property
    def errors(self) -> list[str]:
        """Why it failed, as far as it did, with the windows where it has some."""
        told: dict[str, list[Window]] = {}
        for entry in self.entries:
            if entry.error:
                words = entry.error.removeprefix(f"{self.stream.id}: ")
                told.setdefault(words, []).extend([entry.window] if entry.window else [])
        return [_of(windows, words) for words, windows in told.items()] + self.unexplained


def execute(
    planned: Planned,
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    *,
    accept: bool = False,
    full: bool = False,
    replay: bool = False,
    rebuild: bool = False,
    on_window: OnWindow,
) -> Outcome:
    """Runs what is planned for a stream, in this process; failures are in the outcome. `full`
    has a cursor begin anew: all else that is planned is whole as it is. A `replay` does without
    raw, and `rebuild` makes one of the rows under another key.

    Raises KeyboardInterrupt when a person interrupts it; what was committed is kept.
    """
    stream = planned.stream
    assets = [keys.feed(stream.id)] if isinstance(stream, BoundFeed) else keys.of_stream(stream)
    config: dict[str, Any] = {"accept": accept} | ({"rebuild": True} if rebuild else {})
    if full and isinstance(stream, BoundStream) and isinstance(stream.stream.sync, CursorSync):
        config["mode"] = "full"
    definition = partitions(stream) if isinstance(stream, BoundStream) else None
    job = defs.resolve_job_def(keys.job(stream.id.connector, stream.id.connection))
    failures: dict[str, str] = {}
    left, refused = list(planned.stretches), False
    while left:
        stretch = left.pop(0)
        run_id = str(uuid.uuid4())
        instance.add_event_listener(run_id, lambda event: _heard(event, stream, on_window))
        try:
            result = job.execute_in_process(
                run_config=_run_config(stream, config),
                instance=instance,
                asset_selection=assets[1:] if replay else assets,
                tags=in_process_tags(run_id)
                | {STREAM_TAG: str(stream.id)}
                | range_tags(definition, stretch),
                run_id=run_id,
                raise_on_error=False,
            )
            failures[run_id] = "" if result.success else unexplained(result)
            if not result.success and stops.ended(instance, run_id, stream.id):
                refused = stops.refused(instance, run_id, stream.id)
                break
        except (DBAPIError, IntegrationError) as error:
            failures[run_id] = _unrecorded(instance, run_id, error)
    try:
        with closing(StoreResource().connect()) as connection, translated(stream.id):
            entries = of_runs(connection, list(failures))
    except IntegrationError as error:
        raise error.at(str(stream.id)) from None
    untried = sum(len(one) or 1 for one in left)
    why = [*failures.values(), f"{untried} more windows were not tried" if untried else ""]
    return Outcome(stream, planned.windows, entries, [*filter(None, why)], refused=refused)


def _of(windows: list[Window], words: str) -> str:
    """Words with the windows that they are about, a word that says it already left alone."""
    if not windows or str(windows[0]) in words:
        return words
    more = f" and {len(windows) - 1} more windows" if len(windows) > 1 else ""
    return f"{windows[0]}{more}: {words}"


def _unrecorded(instance: dg.DagsterInstance, run_id: str, error: Exception) -> str:
    """Why Dagster could not keep its record of a run: its tables are in the database that failed.
    What the run has committed is told, and it is ended, now if that is possible; else later, as of
    a process that died."""
    with suppress(DBAPIError, IntegrationError, psycopg.Error):
        end_broken(instance, run_id)
    if isinstance(error, IntegrationError):
        return str(error)
    said = str(getattr(error, "orig", None) or error).split("\n")[0]  # the rest quotes a statement
    return f"the database fails: {said}. {AGAIN}"


def _run_config(stream: Reader, config: dict[str, Any]) -> dict[str, Any]:
    """The step's config; Dagster's own lines stay off the terminal, they are in the UI."""
    return {
        "ops": {keys.op(stream.id): {"config": config}},
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
    }


def _heard(event: dg.EventLogEntry, stream: Reader, on_window: OnWindow) -> None:
    happened = event.dagster_event
    if happened is None or not happened.is_step_materialization:
        return
    if happened.asset_key == keys.table(stream.id):
        on_window(stream)
