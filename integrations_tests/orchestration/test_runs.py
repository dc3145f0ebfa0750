"""Runs whose process died are found, ended and retried; no other run is touched."""

import logging
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dagster._core.definitions.selector import JobSubsetSelector
from dagster._core.events import EngineEventData
from dagster._core.launcher import WorkerStatus
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget
from dagster._daemon.auto_run_reexecution.event_log_consumer import EventLogConsumerDaemon
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import (
    QueuedRunCoordinatorDaemon,
)

from integrations.names import StreamId
from integrations.orchestration import keys, runs
from integrations.orchestration.partitions import RANGE_END, RANGE_START
from integrations.orchestration.runs import BOOT, DIED, HOST, PROCESS
from integrations.processes import process_id
from integrations.sandbox.faults import Fault
from integrations.sandbox.server import running
from integrations.sandbox.stripe import StripeTwin
from integrations.storage.database import connect
from integrations_tests.conftest import make_settings, url_of
from integrations_tests.faults.conftest import serve
from integrations_tests.faults.template import EPOCH, NOW, REPOSITORY, write_connector

CHARGES = StreamId("stripe", "sandbox", "charges")
Status = dg.DagsterRunStatus


@pytest.fixture(scope="module")
def project(
    server: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, str, dg.DagsterInstance]]:
    """A folder with a home in it, a database, and the instance that dagster.yaml describes."""
    folder, name = tmp_path_factory.mktemp("project"), f"runs_{secrets.token_hex(4)}"
    shutil.copy(REPOSITORY / "dagster.yaml", folder)
    make_settings(folder / "home")
    database = url_of(server, name)
    with connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INTEGRATIONS_HOME", str(folder / "home"))
        patch.setenv("INTEGRATIONS_DATABASE_URL", database)
        made = dg.DagsterInstance.from_config(str(folder))
    with made as instance:
        yield folder, database, instance
    with connect(server, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def folder(project: tuple[Path, str, dg.DagsterInstance], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project's folder; what a test starts finds its home and its database."""
    monkeypatch.setenv("INTEGRATIONS_HOME", str(project[0] / "home"))
    monkeypatch.setenv("INTEGRATIONS_DATABASE_URL", project[1])
    return project[0]


@pytest.fixture
def instance(
    folder: Path, project: tuple[Path, str, dg.DagsterInstance]
) -> Iterator[dg.DagsterInstance]:
    """The instance; a test's runs do not outlive it."""
    yield project[2]
    for run in project[2].get_runs():
        project[2].delete_run(run.run_id)


@pytest.fixture
def processes() -> Iterator[dict[str, int]]:
    """A process that lives, one that ended, and one that was killed and that nobody looked at."""
    started = {
        name: subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        for name in ("living", "ended", "zombie")
    }
    for name in ("ended", "zombie"):
        started[name].kill()
    started["ended"].wait()
    wait_until(lambda: psutil.Process(started["zombie"].pid).status() == psutil.STATUS_ZOMBIE)
    yield {name: process.pid for name, process in started.items()}
    for process in started.values():
        process.kill()
        process.wait()
        assert process.stdin is not None
        process.stdin.close()


def tags_of(pid: int, run_id: str) -> dict[str, str]:
    """What the process writes onto the run; that it has ended is another's finding."""
    start = process_id(pid) or f"{pid}-1"
    here = runs.worker_tags(run_id)
    return here | {PROCESS: f"{start} {run_id}"}


def add_run(
    instance: dg.DagsterInstance, status: Status, tags: dict[str, str], run_id: str
) -> dg.DagsterRun:
    run = dg.DagsterRun("job", run_id=run_id, status=status, tags=tags)
    return instance.add_run(run)


def wait_until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


OTHER = "11111111-1111-1111-1111-111111111111"


def test_only_what_is_known_to_be_dead_is_ended(
    instance: dg.DagsterInstance, processes: dict[str, int]
) -> None:
    """Each of these runs is STARTED; those whose process ended are failed, the others left."""
    cases: dict[str, tuple[str, dict[str, str], bool]] = {
        "living": ("living", {}, False),
        "ended": ("ended", {}, True),
        "killed and not reaped": ("zombie", {}, True),
        "its pid is another's now": ("living", {PROCESS: f"{processes['living']}-1 {{}}"}, True),
        "before the last boot": ("living", {BOOT: "another"}, True),
        "of another host": ("ended", {HOST: "another"}, False),
        "with the tags of the run that it retries": ("ended", {PROCESS: f"1-1 {OTHER}"}, False),
        "without tags": ("ended", {HOST: "", BOOT: "", PROCESS: ""}, False),
    }
    made = {}
    for number, (name, (process, changed, _)) in enumerate(cases.items()):
        run_id = f"00000000-0000-0000-0000-{number:012}"
        tags = tags_of(processes[process], run_id)
        tags |= {key: value.format(run_id) for key, value in changed.items()}
        given = {key: value for key, value in tags.items() if value}
        made[name] = add_run(instance, Status.STARTED, given, run_id)
    launcher = instance.run_launcher
    assert launcher.supports_check_run_worker_health
    health = {name: launcher.check_run_worker_health(run).status for name, run in made.items()}
    assert {name for name, found in health.items() if found == WorkerStatus.FAILED} == {
        name for name, (_, _, dead) in cases.items() if dead
    }
    assert set(runs.fail_dead_runs(instance)) == {
        made[name].run_id for name, (_, _, dead) in cases.items() if dead
    }
    for name, (_, _, dead) in cases.items():
        status = instance.get_run_by_id(made[name].run_id)
        assert status is not None
        assert status.status == (Status.FAILURE if dead else Status.STARTED), name


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        (Status.NOT_STARTED, Status.FAILURE),
        (Status.STARTED, Status.FAILURE),
        (Status.CANCELING, Status.CANCELED),
        (Status.SUCCESS, Status.SUCCESS),
    ],
)
def test_what_a_dead_run_becomes(
    instance: dg.DagsterInstance, processes: dict[str, int], was: Status, becomes: Status
) -> None:
    """Failed, or cancelled when that was asked for; who had ended well has ended well."""
    add_run(instance, was, tags_of(processes["ended"], OTHER), OTHER)
    runs.fail_dead_runs(instance)
    run = instance.get_run_by_id(OTHER)
    assert run is not None
    assert run.status == becomes


def test_a_run_that_cannot_be_found_by_its_tags(
    instance: dg.DagsterInstance,
    project: tuple[Path, str, dg.DagsterInstance],
    processes: dict[str, int],
) -> None:
    """Its process died while Dagster wrote it down."""
    add_run(instance, Status.NOT_STARTED, tags_of(processes["ended"], OTHER), OTHER)
    with connect(project[1], autocommit=True) as connection:
        assert connection.execute("DELETE FROM dagster.run_tags").rowcount
    assert runs.fail_dead_runs(instance) == [OTHER]


@pytest.mark.parametrize(("process", "dead"), [("living", False), ("zombie", True)])
def test_a_run_that_waits_for_its_step(
    instance: dg.DagsterInstance, processes: dict[str, int], process: str, dead: bool
) -> None:
    """It has not named its process; the code server has noted the pid."""
    run = add_run(instance, Status.STARTED, {HOST: runs.worker_tags(OTHER)[HOST]}, OTHER)
    assert not runs.is_dead(instance, run)
    instance.report_engine_event("started", run, EngineEventData.in_process(processes[process]))
    assert runs.is_dead(instance, run) == dead


@pytest.fixture
def twin(folder: Path) -> Iterator[StripeTwin]:
    """Few charges: one page a window."""
    twin = StripeTwin(7, clock=lambda: NOW, epoch=EPOCH, per_day=5)
    with running(twin) as url:
        serve(folder / "home", twin, url)
        yield twin


@pytest.fixture
def workspace(
    folder: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> Iterator[WorkspaceProcessContext]:
    """A real code server."""
    write_connector(folder / "stripe")
    monkeypatch.setenv("SERVED_CONNECTOR", str(folder / "stripe"))
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    module = ModuleTarget("integrations_tests.orchestration.served", None, str(REPOSITORY), "here")
    before = set(psutil.Process().children())
    with WorkspaceProcessContext(instance, module) as context:
        yield context
        servers = set(psutil.Process().children()) - before
    # It looks after its runs once more: the database must still be there.
    for server in psutil.wait_procs(servers, timeout=10)[1]:
        server.kill()


def launch(instance: dg.DagsterInstance, workspace: WorkspaceProcessContext) -> str:
    """A run over two windows, as the UI launches one."""
    context = workspace.create_request_context()
    location = context.get_code_location("here")
    (repository,) = location.get_repositories()
    job = location.get_job(
        JobSubsetSelector(
            location_name="here",
            repository_name=repository,
            job_name=keys.job("stripe", "sandbox"),
            op_selection=None,
            asset_selection=keys.trio(CHARGES),
        )
    )
    plan = location.get_execution_plan(job, {}, None, None, instance)
    run = instance.create_run(
        job_name=job.name,
        run_id=None,
        run_config={},
        status=Status.NOT_STARTED,
        tags={RANGE_START: "2024-03-01", RANGE_END: "2024-03-02"},
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
    instance.launch_run(run.run_id, context)
    return run.run_id


@pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated")  # Dagster's daemon
def test_a_killed_run_is_failed_and_retried_from_what_it_had_landed(
    instance: dg.DagsterInstance,
    workspace: WorkspaceProcessContext,
    twin: StripeTwin,
    project: tuple[Path, str, dg.DagsterInstance],
) -> None:
    """Monitoring fails it although its code server says nothing, the daemon retries it, monitoring
    leaves the retry alone, and what was landed complete is not fetched again."""
    twin.faults.append(Fault(path="/v1/charges", after=1, delay_s=90))
    retries = EventLogConsumerDaemon()
    list(retries.run_iteration(workspace))  # from here on it follows the log
    run_id = launch(instance, workspace)
    with closing(connect(project[1], autocommit=True)) as connection:
        count = "SELECT count(*) FROM integrations.positions"
        wait_until(lambda: connection.execute(count).fetchone() == (1,))
    wait_until(lambda: twin.requests == 2)
    run = instance.get_run_by_id(run_id)
    assert run is not None
    pid = int(run.tags[PROCESS].partition("-")[0])
    code_server = psutil.Process(pid).ppid()

    with stopped(code_server):
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: process_id(pid) is None)  # a signal takes its time on a busy machine
        twin.faults.clear()
        monitor(workspace)
    run = instance.get_run_by_id(run_id)
    assert run is not None
    assert (run.status, DIED in failure_of(instance, run_id)) == (Status.FAILURE, True)
    list(retries.run_iteration(workspace))
    list(QueuedRunCoordinatorDaemon(interval_seconds=1).run_iteration(workspace))
    (retry,) = instance.get_runs(dg.RunsFilter(tags={"dagster/parent_run_id": run_id}))

    def finished() -> bool:
        monitor(workspace)
        found = instance.get_run_by_id(retry.run_id)
        return found is not None and found.is_finished

    wait_until(finished)
    found = instance.get_run_by_id(retry.run_id)
    assert found is not None
    assert (found.status, found.root_run_id) == (Status.SUCCESS, run_id)
    asked = [line for line in twin.log if line.startswith("GET /v1/charges")]
    assert len(asked) == 3, "the first window once, the second again"
    assert asked[1] == asked[2] != asked[0]
    green = instance.get_materialized_partitions(keys.table(CHARGES))
    assert green == {"2024-03-01", "2024-03-02"}


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """The process does nothing for as long as the block runs."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def monitor(workspace: WorkspaceProcessContext) -> None:
    """One round of Dagster's run monitoring; an error in it is ours."""
    errors = list(execute_run_monitoring_iteration(workspace, logging.getLogger("monitoring")))
    assert [error for error in errors if error] == []


def failure_of(instance: dg.DagsterInstance, run_id: str) -> str:
    (event,) = instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    return event.message
