"""The place of a benchmark: a PostgreSQL server of its own, a source, and warm workers.

The server is the embedded one with its own settings, so with fsync; it and all databases go when
the block ends.
"""

import os
import secrets
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from integrations.settings import CONNECTOR_FILE, MARKER, Settings
from integrations.storage.cluster import Cluster
from integrations.storage.database import connect
from integrations.storage.postgres import database_url, stop
from integrations_tests.benchmarks import source
from integrations_tests.benchmarks.meter import tree_cpu
from integrations_tests.benchmarks.processes import Run, Worker

CONNECTOR = Path(__file__).parent / "connector" / "bench"
WARMING = 3000
"""Records of the run that makes a worker warm."""
OURS = (sys.executable, "-m", "integrations_tests.benchmarks.worker")
STREAM = "bench/main/payments"
WARM_STREAM = "bench/warm/payments"


def by_number(size: int) -> dict[str, Any]:
    """The paging by which pages of so many records can be asked for at once."""
    return {"type": "page_number", "total": "total", "size": size}


@dataclass(frozen=True, eq=False)
class Way:
    """How the pages are fetched: so many at a time, of so many records, and with the paging of the
    file or another; None is as the file says."""

    concurrency: int | None = None
    paging: Mapping[str, Any] | None = None
    size: int | None = None


AS_SHIPPED = Way()
"""As a file says it that says nothing: one page ahead, each page names the next."""


@dataclass(frozen=True)
class Measured:
    """Runs that were made at once, and CPU-seconds of PostgreSQL for all of them: with the
    checkpoint after them, which writes what they left for later."""

    runs: tuple[Run, ...]
    seconds: float
    postgres_cpu: float

    @property
    def client_cpu(self) -> float:
        """CPU-seconds of all the processes."""
        return sum(run.cost.cpu for run in self.runs)


@dataclass(frozen=True)
class Warm:
    """A warm worker, and its memory (MB) before its first real run."""

    worker: Worker
    idle_mb: float


class Bench:
    """A server, a source and a folder. `fsync` is what the server says of it."""

    def __init__(self, folder: Path, serving: source.Address, settings: Settings) -> None:
        self.folder, self.source = folder, serving
        self.admin = database_url(settings)
        data = Cluster.of(settings.home).data
        self._postmaster = int((data / "postmaster.pid").read_text().split("\n")[0])
        self._connectors: dict[Way, Path] = {}
        self._number = 0
        self._template = self._made("template")
        with connect(self.admin) as admin:
            (self.fsync,) = admin.execute("SHOW fsync").fetchone() or ("unknown",)
        self._prepared = False

    def url(self, name: str) -> str:
        """The URL of a database of this server."""
        return self.admin.replace("/integrations?", f"/{name}?")

    @contextmanager
    def worker(self, command: Sequence[str] = OURS, *, way: Way = AS_SHIPPED) -> Iterator[Warm]:
        """A process of ours, or another that speaks as ours do, that has run once."""
        with self._started(command, way) as worker:
            if not self._prepared and command == OURS:
                self._prepare(worker)
            self.source.set(source.Settings(WARMING))
            with self.database() as warming:
                worker.ask("sync", database=warming, stream=WARM_STREAM)
                idle_mb = worker.answer().after_mb
            yield Warm(worker, idle_mb)

    def _prepare(self, worker: Worker) -> None:
        worker.ask("prepare", database=self.url(self._template))
        worker.answer()
        with connect(self.admin, autocommit=True) as admin:
            # Dagster keeps a connection, and a database that is in use cannot be copied.
            admin.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s",
                [self._template],
            )
        self._prepared = True

    def measured(self, worker: Worker, verb: str, **wanted: Any) -> Measured:
        """One run, measured."""
        return self.together({worker: {"verb": verb} | wanted})

    def together(self, jobs: "dict[Worker, dict[str, Any]]") -> Measured:
        """Runs that begin at the same moment, one a worker."""
        before, began = tree_cpu(self._postmaster), time.perf_counter()
        for worker, job in jobs.items():
            worker.ask(**job)
        runs = tuple(worker.answer() for worker in jobs)
        seconds = time.perf_counter() - began
        with connect(self.admin, autocommit=True) as admin:
            admin.execute("CHECKPOINT")
        return Measured(runs, seconds, tree_cpu(self._postmaster) - before)

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a new database with all of our tables (once one of our workers has run), and
        no rows."""
        name = self._made("run", template=self._template)
        with connect(self.admin, autocommit=True) as admin:
            admin.execute("CHECKPOINT")
        try:
            yield self.url(name)
        finally:
            with connect(self.admin, autocommit=True) as admin:
                admin.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def environment(self, way: Way = AS_SHIPPED) -> dict[str, str]:
        """The environment of a process that works here, with a home of its own that is new; its
        database is said with each job."""
        self._number += 1
        if way not in self._connectors:
            folder = self.folder / f"connectors{len(self._connectors)}"
            _write_connector(folder / "bench", way, url=self.source.url)
            _write_connector(folder / "quiet", way, url=self.source.url, cadence="hourly")
            self._connectors[way] = folder
        home = self.folder / f"home{self._number}"
        _make_home(home)
        return os.environ | {
            "INTEGRATIONS_HOME": str(home),
            "INTEGRATIONS_CONNECTORS_PATH": str(self._connectors[way]),
            "BENCHMARK_SOURCE": self.source.url,
        }

    @contextmanager
    def _started(self, command: Sequence[str], way: Way) -> Iterator[Worker]:
        environment = self.environment(way)
        home = Path(environment["INTEGRATIONS_HOME"])
        worker = Worker(command, environment=environment, log=home / "worker.log")
        try:
            yield worker
        finally:
            worker.stop()
            shutil.rmtree(home)

    def _made(self, kind: str, *, template: str = "template0") -> str:
        name = f"{kind}_{secrets.token_hex(4)}"
        with connect(self.admin, autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name


@contextmanager
def benched(folder: Path, records: int) -> Iterator[Bench]:
    """A bench whose source has so many records; the folder must be empty or not there."""
    home = folder / "server"
    _make_home(home)
    settings = Settings(home=home, database_url=None, landing_url=(home / "raw").as_uri())
    try:
        with source.running(folder / "source", records) as serving:
            yield Bench(folder, serving, settings)
    finally:
        stop(settings)
        if (home / "postgres.json").exists():  # for root its data lie elsewhere
            shutil.rmtree(Cluster.of(home).root, ignore_errors=True)


def _make_home(home: Path) -> None:
    home.mkdir(mode=0o700, parents=True)
    (home / ".gitignore").write_text(MARKER)


def _write_connector(folder: Path, way: Way, *, url: str, cadence: str = "daily") -> None:
    """The benchmark's connector with the address of its source, where a user has his."""
    given = yaml.safe_load((CONNECTOR / CONNECTOR_FILE).read_text())
    handler = given["attributes"]["sync_handler"]
    handler["transport"]["base_url"] = url
    handler["streams"]["payments"]["sync"]["cadence"] = cadence
    if way.concurrency is not None:
        handler["transport"]["concurrency"] = way.concurrency
    if way.paging is not None:
        handler["streams"]["payments"]["request"]["paging"] = dict(way.paging)
    if way.size is not None:
        handler["streams"]["payments"]["request"]["params"]["size"] = way.size
    folder.mkdir(mode=0o700, parents=True)
    (folder / CONNECTOR_FILE).write_text(yaml.safe_dump(given))
