"""Runs as the Dagster UI launches them: a code server, and a process for each run. What one costs
is what its process spends from its start to its exit, with the processes that it started itself."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from unittest import mock

import dagster as dg
import psutil
from dagster._core.definitions.selector import JobSubsetSelector
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget

from integrations.names import StreamId, Window
from integrations.orchestration import keys
from integrations.orchestration.partitions import RANGE_END, RANGE_START
from integrations_tests.benchmarks.many import REPOSITORY

LOCATION = "integrations"
PATIENCE_S = 300.0
HOURLY = "%Y-%m-%d-%H:%M"


@dataclass(frozen=True)
class Cost:
    """CPU-seconds, and the seconds that a person would have waited."""

    cpu_s: float
    seconds: float


@dataclass(frozen=True)
class CodeServer:
    """A code server with all definitions loaded, and the instance that knows its runs."""

    process: psutil.Process
    workspace: WorkspaceProcessContext
    instance: dg.DagsterInstance

    def run(self, stream: StreamId, window: Window) -> Cost:
        """What a run over one window costs. Raises AssertionError where it does not end well."""
        before, began = self._spent(), time.monotonic()
        run_id = self._launch(stream, window)
        ended = self._until_ended(run_id)
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        assert run.is_success, [event.message for event in self.instance.all_logs(run_id)][-5:]
        return Cost(self._spent() - before, ended - began)

    def _spent(self) -> float:
        """By all runs that have ended: their parent's figures hold those that it has reaped."""
        times = self.process.cpu_times()
        return float(times.children_user + times.children_system)

    def _until_ended(self, run_id: str) -> float:
        deadline = time.monotonic() + PATIENCE_S
        ended = None
        while ended is None or self._runs():
            assert time.monotonic() < deadline, f"run {run_id} does not end"
            time.sleep(0.1)
            run = self.instance.get_run_by_id(run_id)
            if ended is None and run is not None and run.is_finished:
                ended = time.monotonic()
        return ended

    def _runs(self) -> list[psutil.Process]:
        """Those that live, and those that ended and are not reaped yet: their figures are not in
        their parent's, and they have no command line."""
        mark = "--multiprocessing-fork"
        return [
            one for one in self.process.children() if not (words := _words(one)) or mark in words
        ]

    def _launch(self, stream: StreamId, window: Window) -> str:
        """As the UI does for the assets of a stream: by Dagster's own job of all assets."""
        context = self.workspace.create_request_context()
        location = context.get_code_location(LOCATION)
        (repository,) = location.get_repositories()
        job = location.get_job(
            JobSubsetSelector(
                location_name=LOCATION,
                repository_name=repository,
                job_name="__ASSET_JOB",
                op_selection=None,
                asset_selection=keys.trio(stream),
            )
        )
        plan = location.get_execution_plan(job, {}, None, None, self.instance)
        key = window.start.strftime(HOURLY)
        run = self.instance.create_run(
            job_name=job.name,
            run_id=None,
            run_config={},
            status=dg.DagsterRunStatus.NOT_STARTED,
            tags={RANGE_START: key, RANGE_END: key},
            root_run_id=None,
            parent_run_id=None,
            step_keys_to_execute=None,
            execution_plan_snapshot=plan.execution_plan_snapshot,
            job_snapshot=job.job_snapshot,
            parent_job_snapshot=job.parent_job_snapshot,
            asset_selection=job.asset_selection,
            asset_check_selection=None,
            resolved_op_selection=None,
            op_selection=None,
            remote_job_origin=job.get_remote_origin(),
            job_code_origin=job.get_python_origin(),
            asset_graph=context.asset_graph,
        )
        self.instance.launch_run(run.run_id, context)
        return run.run_id


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


@contextmanager
def code_server(env: Mapping[str, str]) -> Iterator[CodeServer]:
    """A code server in this environment, with the repository's own instance."""
    module = ModuleTarget("integrations.definitions", None, str(REPOSITORY), LOCATION)
    before = set(psutil.Process().children())
    with (
        mock.patch.dict(os.environ, env, clear=True),
        dg.DagsterInstance.from_config(str(REPOSITORY)) as instance,
    ):
        with WorkspaceProcessContext(instance, module) as workspace:
            servers = set(psutil.Process().children()) - before
            (server,) = (one for one in servers if "integrations.definitions" in _words(one))
            yield CodeServer(server, workspace, instance)
        for one in psutil.wait_procs(servers, timeout=10)[1]:
            one.kill()
