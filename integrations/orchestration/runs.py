"""Runs whose process died: found by Dagster's run monitoring, and at the start of every command.

Under Dagster's default launcher a run stays STARTED for good when its process is killed together
with the code server. So each run carries host, boot and process; whoever looks later on the same
host sees whether that process still lives. Nothing is ever said of a run of another host.
"""

import platform
from collections.abc import Mapping
from typing import Any

import dagster as dg
import psutil
import psycopg
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._core.storage.tags import HIDDEN_TAG_PREFIX, MAX_RETRIES_TAG

from integrations.processes import boot_id, process_id

HOST, BOOT, PROCESS = (f"{HIDDEN_TAG_PREFIX}{name}" for name in ("host", "boot", "process"))
"""Hidden in the UI, where they would fill the list of runs."""

UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
DIED = "The process of this run died. What it had committed is kept; run it again."
UNSAID = "The database was away when this run ended. What was committed is kept; run it again."

_PID_TAKEN_S = 3600.0
"""A process that began so long after a run's cannot be it. Far more than a clock is ever moved:
to call a living run dead is worse than to find a dead one late."""


def worker_tags(run_id: str) -> dict[str, str]:
    """The tags that say that this process executes the run.

    They name the run, because the tags of a run are copied onto the run that retries it.
    """
    me = process_id(psutil.Process().pid)
    return {HOST: platform.node(), BOOT: boot_id(), PROCESS: f"{me} {run_id}"}


def in_process_tags(run_id: str) -> dict[str, str]:
    """The tags of a run that a command executes itself: the daemon could not retry it."""
    return worker_tags(run_id) | {MAX_RETRIES_TAG: "0"}


def mark_alive(instance: dg.DagsterInstance, run_id: str, also: Mapping[str, str]) -> None:
    """Writes onto a run which process executes it, and other tags: called by the run's own step,
    first of all."""
    instance.add_run_tags(run_id, worker_tags(run_id) | dict(also))


def is_dead(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the process of a run of this host has ended; False also when that is not known."""
    if run.tags.get(HOST) != platform.node():
        return False
    process, _, named = run.tags.get(PROCESS, "").partition(" ")
    if named != run.run_id:
        return _ended_unmarked(instance, run)
    pid = int(process.partition("-")[0])
    return run.tags.get(BOOT) != boot_id() or process_id(pid) != process


def _ended_unmarked(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """The same for a run that has not come to its step: it may wait long for a place in a pool.

    The code server notes the pid of each process that it starts for a run.
    """
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        pid = _metadata(entry).get("pid")
        if pid is None:
            continue
        if process_id(int(pid.text)) is None:
            return True
        return psutil.Process(int(pid.text)).create_time() > entry.timestamp + _PID_TAKEN_S
    return False


def _metadata(entry: dg.EventLogEntry) -> Mapping[str, Any]:
    event = entry.dagster_event
    return event.engine_event_data.metadata if event else {}


def any_unfinished(connection: psycopg.Connection[Any]) -> bool:
    """Whether Dagster has a run that has not ended: asked of its table, since a command that has
    nothing else to do should not wait for an instance to load."""
    if connection.execute("SELECT to_regclass('dagster.runs')").fetchone() == (None,):
        return False
    found = connection.execute(
        "SELECT EXISTS (SELECT FROM dagster.runs WHERE status = ANY(%s))",
        [[status.value for status in UNFINISHED]],
    )
    return found.fetchone() == (True,)


def fail_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Ends the unfinished runs of this host whose process is gone; returns their ids.

    A run that was being cancelled becomes cancelled, every other one failed.
    """
    ended: list[str] = []
    # Not by the host's tag: Dagster's storage commits a run first and what tags are found by next.
    for seen in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED)):
        if not is_dead(instance, seen):
            continue
        run = instance.get_run_by_id(seen.run_id)
        if run is None or run.is_finished:  # it ended well, between the two looks
            continue
        settle(instance, run)
        if run.status == dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, DIED)
        else:
            instance.report_run_failed(run, DIED)
        ended.append(run.run_id)
    return ended


def end_broken(instance: dg.DagsterInstance, run_id: str) -> None:
    """Ends a run of this process that could not say its own end."""
    run = instance.get_run_by_id(run_id)
    if run is not None and not run.is_finished:
        settle(instance, run)
        instance.report_run_failed(run, UNSAID)


def settle(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Clears up after a dead run: its places in pools, and the commit that it could not report."""
    # The webserver and the daemon import this module for the launcher; that one brings Arrow.
    from integrations.orchestration.unheard import tell_last_commit

    if instance.event_log_storage.supports_global_concurrency_limits:
        # The daemon frees them too, but a command may run without one and would wait for ever.
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    tell_last_commit(instance, run.run_id)


class Launcher(DefaultRunLauncher):
    """Dagster's own launcher, which also answers run monitoring whether a run's process lives.

    Monitoring fails a run that is called dead, at any time, and the daemon retries it.
    """

    def launch_run(self, context: LaunchRunContext) -> None:
        """Launches, and notes this host on runs whose code server is on it."""
        run = context.dagster_run
        origin = run.remote_job_origin
        if context.workspace is not None and origin is not None:
            name = origin.repository_origin.code_location_origin.location_name
            location = context.workspace.get_code_location(name)
            if getattr(location, "host", None) == "localhost":
                self._instance.add_run_tags(run.run_id, {HOST: platform.node()})
        super().launch_run(context)

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """FAILED for a process that is known to be gone, else RUNNING: what is not known must not
        be failed."""
        if not is_dead(self._instance, run):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        settle(self._instance, run)
        return CheckRunHealthResult(WorkerStatus.FAILED, DIED)
