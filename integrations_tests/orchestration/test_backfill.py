"""A backfill in parallel runs beside the feed that goes on: it ends like one clean sync."""

import datetime as dt
import json
import multiprocessing
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import dagster as dg
import pytest
import yaml

from integrations.connector_template.folders import SHIPPED
from integrations.orchestration import keys
from integrations.orchestration.code_location import build
from integrations.orchestration.partitions import RANGE_END, RANGE_START
from integrations.processes import named
from integrations.sandbox.address import FILE
from integrations.sandbox.server import running
from integrations.storage.database import connect
from integrations.storage.landing import LandingZone
from integrations_tests.conftest import make_settings, own_database
from integrations_tests.faults.template import REPOSITORY
from integrations_tests.lanes.lanes import Lanes, Rows, mapped
from integrations_tests.lanes.life import Life
from integrations_tests.orchestration.conftest import CHARGES, QUIET, failure

RUNS = 4


@dataclass(frozen=True)
class Place:
    """A database and a home, with Dagster's instance on that very database."""

    database: str
    home: Path

    @contextmanager
    def named(self) -> Iterator[None]:
        """Inside, the environment names it."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("INTEGRATIONS_HOME", str(self.home))
            patch.setenv("INTEGRATIONS_DATABASE_URL", self.database)
            yield


@contextmanager
def place(server: str, template: str, home: Path, served: dict[str, Any]) -> Iterator[Place]:
    """A new place, with Dagster's tables."""
    make_settings(home)
    (home / FILE).write_text(json.dumps({"stripe": served, **named()}))
    shutil.copy(REPOSITORY / "dagster.yaml", home)
    with own_database(server, template=template) as database:
        made = Place(database, home)
        with made.named(), dg.DagsterInstance.from_config(str(home)):
            yield made


def ran(at: Place, folder: Path, days: Sequence[str], tags: Mapping[str, str]) -> str:
    """One run over some days, in this process; what it said when it failed."""
    with at.named(), dg.DagsterInstance.from_config(str(at.home)) as instance:
        job = build([folder]).resolve_implicit_global_asset_job_def()
        done = job.execute_in_process(
            instance=instance,
            asset_selection=keys.trio(CHARGES),
            tags={RANGE_START: days[0], RANGE_END: days[-1], **tags},
            run_config=QUIET,
            raise_on_error=False,
        )
        return "" if done.success else failure(done)


def write_connector(folder: Path, start: datetime) -> Path:
    """Stripe with one account, which begins at `start`."""
    shutil.copytree(SHIPPED / "stripe", folder)
    file = yaml.safe_load((folder / "defs.yaml").read_text())
    file["attributes"]["connections"] = {"sandbox": {"start": start.date()}}
    (folder / "defs.yaml").write_text(yaml.safe_dump(file))
    return folder


@contextmanager
def lanes_at(at: Place, life: Life, url: str, start: datetime) -> Iterator[Lanes]:
    """The feed, and what is in the tables."""
    with connect(at.database) as connection:
        zone = LandingZone((at.home / "raw").as_uri())
        yield Lanes(
            url, life.secrets, "sandbox", connection, zone, lambda: datetime.now(UTC), start
        )


@pytest.fixture
def processes() -> Iterator[ProcessPoolExecutor]:
    """Forked from one that has imported everything: Dagster's runs cannot share a process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with ProcessPoolExecutor(RUNS, mp_context=context) as pool:
        yield pool


@contextmanager
def meanwhile(*loops: Callable[[], None]) -> Iterator[None]:
    """Each is called again and again beside the block; what one raises is raised."""
    over = threading.Event()

    def again(do: Callable[[], None]) -> None:
        while not over.is_set():
            do()

    with ThreadPoolExecutor() as threads:
        running_ = [threads.submit(again, do) for do in loops]
        try:
            yield
        finally:
            over.set()
        for one in running_:
            one.result()


@pytest.mark.parametrize(
    ("windows", "compared"), [(8, False), pytest.param(60, True, marks=pytest.mark.long)]
)
def test_parallel_runs_beside_the_feed_end_like_one_sync(
    server: str,
    template: str,
    processes: ProcessPoolExecutor,
    tmp_path: Path,
    windows: int,
    compared: bool,
) -> None:
    """While four runs load the past and the account goes on living, the feed is read: in the end
    every charge is as it is at the source, and (`compared`) as one run loads it undisturbed."""
    rng = Random(windows)
    midnight = datetime.combine(datetime.now(UTC).date(), dt.time(), UTC)
    start = midnight - timedelta(days=windows)
    days = [f"{start + timedelta(days=number):%Y-%m-%d}" for number in range(windows)]
    life = Life(clock=lambda: datetime.now(UTC))

    def lives(steps: int) -> None:
        life.live(rng, steps, kinds=["charges"], back_s=windows * 86_400)

    def goes_on() -> None:
        if next(left, None) is not None:  # a life that outruns its reader would have no end
            lives(1)
        time.sleep(0.05)

    lives(10 * windows)
    left = iter(range(5 * windows))
    folder = write_connector(tmp_path / "stripe", start)
    with ExitStack() as stack:
        url = stack.enter_context(running(life))
        served = {"url": url, "secrets": dict(life.secrets)}
        busy = stack.enter_context(place(server, template, tmp_path / "busy", served))
        lanes = stack.enter_context(lanes_at(busy, life, url, start))
        lanes.turn()
        with meanwhile(goes_on, lanes.turn):
            size, tags = windows // RUNS, {"dagster/backfill": "past"}
            parts = [days[size * n : size * (n + 1)] for n in range(RUNS)]
            done = [processes.submit(ran, busy, folder, part, tags) for part in parts]
            assert [one.result(600) for one in done] == [""] * RUNS
        lanes.turn()
        found = lanes.table("charges")
        assert found == mapped(lanes.stream("charges"), life.truth("charges"))
        if compared:
            calm = stack.enter_context(place(server, template, tmp_path / "calm", served))
            assert processes.submit(ran, calm, folder, days, {}).result(600) == ""
            undisturbed = stack.enter_context(lanes_at(calm, life, url, start))
            assert past(found, midnight) == undisturbed.table("charges")
        (backfilled, refused), (pushed, _) = lanes.fetch(
            "SELECT count(*), sum(quarantined) FROM integrations.ledger"
            " WHERE stream = 'charges' GROUP BY cause ORDER BY cause"
        )
    assert (backfilled, refused) == (windows, 0)
    assert pushed > 1, "the feed had something to say"


def past(rows: Rows, midnight: datetime) -> Rows:
    """The rows of windows that have passed."""
    return {key: row for key, row in rows.items() if row["created_at"] < midnight}
