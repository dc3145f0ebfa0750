"""Syncs streams from the command line: the same jobs and steps as the UI's, run in this process.

What is chosen first becomes a plan, of which nothing has run; then each item is one Dagster run
over an unbroken stretch of windows (or one full reading), and its outcome is read from the ledger.
"""

import uuid
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import dagster as dg
import psycopg
from dagster._core.execution.plan.objects import ErrorSource

from integrations.connector_template.connector import BoundStream
from integrations.connector_template.due import due
from integrations.monitoring.ledger import of_runs
from integrations.names import Window
from integrations.orchestration import keys
from integrations.orchestration.partitions import partitions, range_tags
from integrations.orchestration.resources import StoreResource
from integrations.orchestration.runs import in_process_tags
from integrations.orchestration.schedules import STREAM_TAG
from integrations.orchestration.step import UNTOLD
from integrations.storage.ledger import LedgerEntry
from integrations.sync_state.windows import WindowSync, rounded_out, stretches

OnWindow = Callable[[BoundStream], None]


@dataclass(frozen=True)
class Wanted:
    """What a person asked for: what is due, a stretch of time `[begin, end)`, or all of it."""

    begin: datetime | None = None
    end: datetime | None = None
    full: bool = False
    accept: bool = False


@dataclass(frozen=True)
class Planned:
    """A stream and the stretches of windows to sync, one run each."""

    stream: BoundStream
    stretches: list[list[Window]]

    @property
    def windows(self) -> int:
        """How many loads this is: windows, or one for each full reading."""
        return sum(len(stretch) or 1 for stretch in self.stretches)


def plan(
    streams: Iterable[BoundStream], wanted: Wanted, store: StoreResource, *, now: datetime
) -> list[Planned]:
    """What would be run, stream by stream; a stream of which nothing is wanted has no stretch."""
    with closing(store.connect()) as connection:
        return [Planned(one, _stretches(one, wanted, connection, now)) for one in streams]


def _stretches(
    stream: BoundStream, wanted: Wanted, connection: psycopg.Connection[Any], now: datetime
) -> list[list[Window]]:
    sync, begins = stream.stream.sync, stream.connection.begins_at
    if not isinstance(sync, WindowSync):
        timed = wanted.begin is not None or wanted.end is not None
        return [] if timed else [[]] if wanted.full else due(stream, connection, now=now)
    if wanted.full:
        return stretches(list(sync.windows(begins, now)))
    if wanted.begin is None and wanted.end is None:
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
    without leaving one."""

    stream: BoundStream
    windows: int = 0
    entries: list[LedgerEntry] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)

    def total(self, name: str) -> Any:
        """The sum of one of the ledger's numbers."""
        return sum(getattr(entry, name) or 0 for entry in self.entries)

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
        """Why it failed, as far as it did."""
        return [entry.error for entry in self.entries if entry.error] + self.unexplained


def execute(
    planned: Planned,
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    *,
    accept: bool = False,
    on_window: OnWindow,
) -> Outcome:
    """Runs what is planned for a stream, in this process; failures are in the outcome.

    Raises KeyboardInterrupt when a person interrupts it; what was committed is kept.
    """
    stream = planned.stream
    job = defs.resolve_job_def(keys.job(stream.id.connector, stream.id.connection))
    failures: dict[str, str] = {}
    for stretch in planned.stretches:
        run_id = str(uuid.uuid4())
        instance.add_event_listener(run_id, lambda event: _heard(event, stream, on_window))
        result = job.execute_in_process(
            run_config=_run_config(stream, accept=accept),
            instance=instance,
            asset_selection=keys.trio(stream.id),
            tags=in_process_tags(run_id)
            | {STREAM_TAG: str(stream.id)}
            | range_tags(partitions(stream), stretch),
            run_id=run_id,
            raise_on_error=False,
        )
        failures[run_id] = "" if result.success else _said(result)
    with closing(StoreResource().connect()) as connection:
        entries = of_runs(connection, list(failures))
    unexplained = [why for why in failures.values() if why]
    return Outcome(stream, planned.windows, entries, unexplained)


def _said(result: dg.ExecuteInProcessResult) -> str:
    """What a run that failed says beyond its ledger lines; nothing when these say it all.

    Raises KeyboardInterrupt when it was interrupted: Dagster makes a failure of that.
    """
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            if data.error_source is ErrorSource.INTERRUPT:
                raise KeyboardInterrupt
            told = data.user_failure_data
            if told and UNTOLD in told.metadata:
                return str(told.metadata[UNTOLD].value)
            error = data.error and (data.error.cause or data.error)
            return (told and told.description) or (error.message.strip() if error else "")
    return "its run failed outside of its step; the Dagster UI says why"


def _run_config(stream: BoundStream, *, accept: bool) -> dict[str, Any]:
    """The step's config; Dagster's own lines stay off the terminal, they are in the UI."""
    return {
        "ops": {keys.op(stream.id): {"config": {"accept": accept}}},
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
    }


def _heard(event: dg.EventLogEntry, stream: BoundStream, on_window: OnWindow) -> None:
    happened = event.dagster_event
    if happened is None or not happened.is_step_materialization:
        return
    if happened.asset_key == keys.table(stream.id):
        on_window(stream)
