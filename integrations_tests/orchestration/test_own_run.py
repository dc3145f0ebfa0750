"""A process that executes one run builds the connectors of that run; any other builds all."""

import inspect
import multiprocessing
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.instance.ref import InstanceRef
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._grpc.impl import start_run_in_subprocess
from dagster._grpc.types import ExecuteExternalJobArgs
from dagster._serdes import serialize_value

from integrations.orchestration.own_run import needed
from integrations.settings import Settings
from integrations.storage.connections import Added
from integrations_tests.conftest import make_settings

REPOSITORY = Path(__file__).parents[2]
FOLDERS = [Path("/connectors") / name for name in ("adyen", "shop", "stripe")]
ADDED = [Added("shop", "second", {}), Added("stripe", "second", {}), Added("gone", "main", {})]
Built = tuple[list[str], list[str]]
"""The connectors, and the connections that were added to them."""
ALL: Built = (["adyen", "shop", "stripe"], ["shop/second", "stripe/second", "gone/main"])
SHOP: Built = (["shop"], ["shop/second"])
TWO: Built = (["shop", "stripe"], ["shop/second", "stripe/second"])
CHECK = dg.AssetCheckKey(dg.AssetKey(["stripe", "main", "charges"]), "rows")


@pytest.fixture
def settings(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    made = make_settings(tmp_path / "home")
    monkeypatch.setenv("INTEGRATIONS_HOME", str(made.home))
    monkeypatch.setenv("INTEGRATIONS_DATABASE_URL", database)
    return Settings.find()


def told(run_id: str) -> str:
    """What a code server tells the process that it starts for a run."""
    location = GrpcServerCodeLocationOrigin(host="localhost", port=1, location_name="here")
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(location, "repository"), "job")
    reference = InstanceRef.from_dir(str(REPOSITORY))
    return serialize_value(
        ExecuteExternalJobArgs(job_origin=origin, run_id=run_id, instance_ref=reference)
    )


def built(settings: Settings, *args: Any) -> Built:
    """The connectors and the added connections that a process with these arguments builds."""
    mine, theirs = multiprocessing.Pipe()
    fork = multiprocessing.get_context("fork")
    process = fork.Process(target=_tell, args=[*args, theirs, settings])
    process.start()
    assert mine.poll(30)
    found: Built = mine.recv()
    process.join()
    return found


def _tell(*args: Any) -> None:
    *_, pipe, settings = args
    found, added = needed(settings, FOLDERS, ADDED)
    pipe.send(([folder.name for folder in found], [str(one) for one in added]))


CASES: dict[str, tuple[list[list[str]] | None, set[dg.AssetCheckKey], Built]] = {
    "a stream": ([["shop", "main", "orders"], ["shop", "main", "orders_raw"]], set(), SHOP),
    "with a check of another": ([["shop", "main", "orders"]], {CHECK}, TWO),
    "what no connector has": ([["canonical", "payment"], ["shop", "main", "orders"]], set(), ALL),
    "a whole job": (None, set(), ALL),
}
"""The assets and the checks that a run selects, and what its process builds."""


def test_a_process_builds_what_its_run_selects(settings: Settings) -> None:
    """Its checks too; all connectors, where it is not said or not understood."""
    found = {}
    with dg.DagsterInstance.from_config(str(REPOSITORY)) as instance:
        for name, (selected, checks, _) in CASES.items():
            assets = None if selected is None else {dg.AssetKey(key) for key in selected}
            run = dg.DagsterRun("job", asset_selection=assets, asset_check_selection=checks or None)
            instance.add_run(run)
            found[name] = built(settings, told(run.run_id))
    assert found == {name: expected for name, (_, _, expected) in CASES.items()}


def test_a_process_without_a_run_builds_all(settings: Settings) -> None:
    """A code server, a command, a process with arguments of its own; and one whose run is gone."""
    gone = told("00000000-0000-0000-0000-000000000000")
    every: list[tuple[Any, ...]] = [(), ("not JSON",), ('{"a": 1}',), (7,), (gone,)]
    assert [built(settings, *args) for args in every] == [ALL] * len(every)


def test_dagster_still_says_the_run_first() -> None:
    """What we read of the process is private to Dagster; where it moves, runs only grow dearer."""
    assert next(iter(inspect.signature(start_run_in_subprocess).parameters)) == (
        "serialized_execute_run_args"
    )
