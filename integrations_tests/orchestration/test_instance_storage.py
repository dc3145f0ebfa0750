"""Dagster's instance, made from the repository's dagster.yaml with nothing set."""

import os
import shutil
import sys
from pathlib import Path

import psutil
import pytest
from dagster import DagsterInstance
from dagster._core.instance import InstanceRef
from dagster._serdes import deserialize_value, serialize_value

from integrations.orchestration.instance_storage import ComputeLogs, dagster_url
from integrations.storage.database import connect

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "postgresql://me:p%40ss@db:5433/x",
            "postgresql+psycopg2://me:p%40ss@db:5433/x?options=-csearch_path%3Ddagster+-csynchronous_commit%3Doff",
        ),
        (
            "postgres://me@/x?host=/a b&port=5432",
            "postgresql+psycopg2://me@/x?host=%2Fa+b&options=-csearch_path%3Ddagster+-csynchronous_commit%3Doff&port=5432",
        ),
        (
            "postgresql://db/x?options=-cwork_mem%3D64MB",
            "postgresql+psycopg2://db/x?options=-cwork_mem%3D64MB+-csearch_path%3Ddagster+-csynchronous_commit%3Doff",
        ),
    ],
)
def test_the_url_names_dagsters_driver_and_schema(url: str, expected: str) -> None:
    """The driver is always named and the schema is added to what the user's URL already says."""
    assert dagster_url(url) == expected


@pytest.fixture
def project(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder with the repository's dagster.yaml, as `dagster dev` meets it."""
    shutil.copy(REPOSITORY / "dagster.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INTEGRATIONS_DATABASE_URL", database)
    return tmp_path


def test_an_instance_needs_no_configuration(project: Path, database: str) -> None:
    """Runs and events go to schema dagster, logs under the home; nothing else appears."""
    with DagsterInstance.from_ref(InstanceRef.from_dir(str(project))) as instance:
        assert instance.get_runs_count() == 0
        assert instance.run_storage.should_autocreate_tables  # type: ignore[attr-defined]
        assert isinstance(instance.compute_log_manager, ComputeLogs)
        log = instance.compute_log_manager.get_captured_local_path(["run", "step"], "out")
        assert Path(log).is_relative_to(project / ".integrations" / "logs")
        assert Path(instance.storage_directory()).is_relative_to(project / ".integrations")
    with connect(database) as connection:
        rows = connection.execute(
            "SELECT schemaname, count(*) > 10 FROM pg_tables WHERE tablename IN"
            " (SELECT tablename FROM pg_tables WHERE schemaname = 'dagster') GROUP BY 1"
        )
        assert rows.fetchall() == [("dagster", True)]
    assert {entry.name for entry in project.iterdir()} == {"dagster.yaml", ".integrations"}


def test_a_reference_makes_the_same_instance(project: Path, database: str) -> None:
    """What Dagster hands to its other processes makes the same instance, and holds no password."""
    with DagsterInstance.from_ref(InstanceRef.from_dir(str(project))) as instance:
        handed = serialize_value(instance.get_ref())
    password = database.split(":")[2].split("@", maxsplit=1)[0]
    assert password not in handed
    with DagsterInstance.from_ref(deserialize_value(handed, InstanceRef)) as again:
        assert again.get_runs_count() == 0
        assert not again.run_storage.should_autocreate_tables  # type: ignore[attr-defined]
        assert serialize_value(again.get_ref()) == handed


def test_what_a_step_prints_is_kept_and_starts_no_process(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Both streams, also where they are written by descriptor, as libraries in C do; afterwards
    they lead where they did."""
    before = psutil.Process().children()
    with DagsterInstance.from_ref(InstanceRef.from_dir(str(project))) as instance:
        logs = instance.compute_log_manager
        with logs.capture_logs(["run", "compute_logs", "step"]):
            print("printed")
            os.write(sys.stdout.fileno(), b"written\n")
            print("warned", file=sys.stderr)
            during = psutil.Process().children()
        print("after")
        found = logs.get_log_data(["run", "compute_logs", "step"])
        assert (found.stdout, found.stderr) == (b"printed\nwritten\n", b"warned\n")
        assert logs.is_capture_complete(["run", "compute_logs", "step"])
    assert during == before
    assert capfd.readouterr() == ("after\n", "")
