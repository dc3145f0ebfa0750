"""The limit of a pool, when several runs are the first to ask for it."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Barrier

import pytest
from dagster import DagsterInstance

from integrations_tests.conftest import make_settings
from integrations_tests.faults.template import REPOSITORY

RUNS = 4
POOLS = 10


@pytest.fixture
def instances(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[DagsterInstance]]:
    """One for each run, as the processes of runs have them."""
    home = make_settings(tmp_path / "home").home
    shutil.copy(REPOSITORY / "dagster.yaml", home)
    monkeypatch.setenv("INTEGRATIONS_HOME", str(home))
    monkeypatch.setenv("INTEGRATIONS_DATABASE_URL", database)
    with ExitStack() as stack:
        yield [stack.enter_context(DagsterInstance.from_config(str(home))) for _ in range(RUNS)]


def limits(instance: DagsterInstance) -> dict[str, tuple[int, int]]:
    """The limit of each pool, and how many slots it has."""
    log = instance.event_log_storage
    return {
        pool.name: (pool.limit, log.get_concurrency_info(pool.name).slot_count)
        for pool in log.get_pool_limits()
    }


def test_runs_that_are_the_first_of_their_pool_agree_on_its_limit(
    instances: list[DagsterInstance],
) -> None:
    """None of them fails, and no pool has more slots than its limit."""
    together = Barrier(RUNS, timeout=10)  # one that fails comes no more

    def first(instance: DagsterInstance) -> None:
        for number in range(POOLS):
            together.wait()
            instance.event_log_storage.initialize_concurrency_limit_to_default(f"pool{number}")

    with ThreadPoolExecutor(RUNS) as threads:
        list(threads.map(first, instances))
    assert limits(instances[0]) == {f"pool{number}": (4, 4) for number in range(POOLS)}


def test_a_changed_default_reaches_the_pools_that_no_person_has_limited(
    instances: list[DagsterInstance], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In dagster.yaml; what is said in the UI stays."""
    instance = instances[0]
    log = instance.event_log_storage
    log.initialize_concurrency_limit_to_default("ours")
    log.set_concurrency_slots("theirs", 1)
    monkeypatch.setattr(type(instance), "global_op_concurrency_default_limit", 3)
    for pool in ("ours", "theirs"):
        assert log.initialize_concurrency_limit_to_default(pool)
    assert limits(instance) == {"ours": (3, 3), "theirs": (1, 1)}
