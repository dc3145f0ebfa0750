"""One stream of a kind with a source behind the proxy, and the eyes to see what became of it.

A `Bench` has what cells share: the warm process, the proxy's port, and for each kind a database
and a home in which the stream was read once. A `Rig` is a copy of these for one cell.
"""

import json
import secrets
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from integrations.connector_template.connector import BoundStream, read_connector
from integrations.sandbox.server import running
from integrations.storage.database import connect
from integrations.storage.migrations import migrate
from integrations_tests.conformance.sinks import Sinks
from integrations_tests.conftest import make_settings, url_of
from integrations_tests.faults.bench.cases import Kind
from integrations_tests.faults.bench.clock import SharedClock
from integrations_tests.faults.bench.proxy import Proxy
from integrations_tests.faults.bench.shapes import SHAPES
from integrations_tests.faults.bench.shelf import connector_of, path_of
from integrations_tests.faults.bench.sources import (
    DAY,
    READ_FIRST,
    SECRET,
    Source,
    source,
    write_connectors,
)
from integrations_tests.faults.bench.warm import MODULES, Ran, Running, Warm
from integrations_tests.lanes.conftest import Stage
from integrations_tests.lanes.lanes import mapped

__all__ = ["BESIDE", "LISTS", "SELECT", "Bench", "Ran", "Rig", "Running", "bench"]

SELECT: Mapping[Kind, tuple[str, ...]] = {
    "window": ("stripe/main/charges",),
    "full": ("stripe/main/customers",),
    "cursor": ("book/main/buyers",),
    "feed": ("stripe/main/events",),
    **{name: (f"{connector_of(name)}/main/{name}",) for name in SHAPES},
}
"""What is synced."""
BESIDE: Mapping[Kind, tuple[str, ...]] = {
    "window": ("stripe/main/events",),
    "full": ("stripe/main/events",),
    "cursor": (),
    "feed": ("stripe/main/charges", "stripe/main/customers"),
    **dict.fromkeys(SHAPES, ()),
}
"""What else a user has: the other lane, which may bring right what nobody could see."""
LISTS: Mapping[Kind, str] = {
    "window": "/v1/charges",
    "full": "/v1/customers",
    "cursor": "/changes",
    "feed": "/v1/events",
    **{name: path_of(name) for name in SHAPES},
}
"""The list that a kind reads page by page."""
NEWS_AT, LATER_AT = READ_FIRST + DAY, READ_FIRST + 2 * DAY
_BEFORE = timedelta(hours=1)


@dataclass
class Rig:
    """A stream that was read once, and of which there is news. All verbs may be used again.

    `environment` is what the syncs get besides the process's own, `patches` are constants of the
    product by "module:name", so that what stands for minutes takes no time; `clock` is theirs and the
    source's. `database` and `home` are this cell's own.
    """

    kind: Kind
    source: Source
    proxy: Proxy
    clock: SharedClock
    database: str
    home: Path
    warm: Warm
    streams: Mapping[str, BoundStream]
    environment: dict[str, str] = field(default_factory=dict)
    patches: dict[str, object] = field(default_factory=dict)
    _syncs: int = 0
    _truths: dict[str, tuple[bytes, dict[str, Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.environment |= {
            "INTEGRATIONS_HOME": str(self.home),
            "INTEGRATIONS_DATABASE_URL": self.database,
            "INTEGRATIONS_LANDING_URL": (self.home / "raw").as_uri(),
            SECRET: self.source.key,
        }

    def begin(self, *select: str, full: bool = False, at: tuple[str, int] | None = None) -> Running:
        """Starts `integrations sync --json` of the stream, or of `select`.

        `at` has it stop itself (SIGSTOP) at the nth audit event of a name, "" for any name.
        """
        flags = ["--full"] if full else []
        return self.command("sync", "--json", *flags, *(select or SELECT[self.kind]), at=at)

    def command(
        self, *arguments: str, at: tuple[str, int] | None = None, learn: bool = False
    ) -> Running:
        """Starts any command line of ours in a process of its own."""
        self._syncs += 1
        out, err = (self.home / f"{self._syncs}.{name}" for name in ("stdout", "stderr"))
        job = {
            "arguments": arguments,
            "environment": self.environment,
            "clock": str(self.clock.file),
            "stdout": str(out),
            "stderr": str(err),
            "at": at,
            "learn": learn,
            "patches": self.patches,
        }
        return self.warm.run(Running(out, err), job)

    def sync(
        self,
        *select: str,
        full: bool = False,
        at: tuple[str, int] | None = None,
        then: Callable[[int], object] | None = None,
    ) -> Ran:
        """A whole sync. With `at`, `then` is called with the pid of the process while it stands
        there; then it goes on."""
        started = self.begin(*select, full=full, at=at)
        if at is not None and started.stopped():
            if then is not None:
                then(started.pid)
            started.signal(signal.SIGCONT)
        return started.wait()

    def goes_on(self) -> None:
        """A day passes, and a little happens in it: then everything is due again."""
        self.clock.set(max(LATER_AT, self.clock.true() + DAY) - _BEFORE)
        self.source.later()
        self.clock.set(self.clock.true() + _BEFORE)

    def lost(self) -> set[str]:
        """What the source has and the tables have not, or not as it is."""
        return {
            f"{name}/{key}"
            for name, truth, rows in self._both()
            for key, row in truth.items()
            if rows.get(key) != [row]
        }

    def doubled(self) -> set[str]:
        """What the tables have and the source has not, or what they have twice."""
        return {
            f"{name}/{key}"
            for name, truth, rows in self._both()
            for key, found in rows.items()
            if key not in truth or len(found) > 1
        }

    def keys(self) -> set[str]:
        """What the tables have."""
        return {f"{name}/{key}" for name, _, rows in self._both() for key in rows}

    def truth(self) -> set[str]:
        """What the source has, named as in `lost`."""
        return {f"{name}/{key}" for name, found in self.source.truth().items() for key in found}

    def secrets_seen(self) -> list[str]:
        """Where the source's key or the database's password stands, in any spelling: tables,
        landings, logs, and what the commands printed, all of which are below the home; and other
        hosts that heard the key."""
        sinks = Sinks.read(self.database, self.home, [])
        password = unquote(urlsplit(self.database).password or "")
        heard = [f"sent to {host}" for host in self.proxy.heard(self.source.key)]
        return (
            sinks.holding(self.source.key) + (sinks.holding(password) if password else []) + heard
        )

    def _both(self) -> Iterator[tuple[str, dict[str, Any], dict[str, list[Any]]]]:
        for name, objects in self.source.truth().items():
            stream, said = self.streams[name], msgspec.json.encode(objects)
            if self._truths.get(name, (b"",))[0] != said:
                self._truths[name] = said, mapped(stream, objects)
            yield name, self._truths[name][1], self._rows(stream)

    def _rows(self, stream: BoundStream) -> dict[str, list[Any]]:
        spec, id_ = stream.mapping.entity.table(), stream.id
        columns = [column.name for column in spec.columns]
        found: dict[str, list[Any]] = {}
        with connect(self.database) as connection:
            for key, *values in connection.execute(
                f"SELECT source_id, {', '.join(columns)} FROM canonical.{spec.entity}"
                " WHERE (connector, connection, stream) = (%s, %s, %s) AND _deleted_at IS NULL",
                [id_.connector, id_.connection, id_.stream],
            ):
                found.setdefault(key, []).append(dict(zip(columns, values, strict=True)))
        return found


@dataclass
class Originals:
    """For each kind a database and a home in which its stream was read once, on one server; several
    benches may share them."""

    server: str
    folder: Path
    lock: threading.Lock = field(default_factory=threading.Lock)
    names: dict[str, str] = field(default_factory=dict)
    modules: set[str] = field(default_factory=set)
    made: set[str] = field(default_factory=set)

    def home(self, kind: Kind) -> Path:
        return self.folder / f"first_{kind}"

    def database(self, original: str) -> str:
        """A new database, a copy of that one."""
        name = f"bench_{secrets.token_hex(4)}"
        with connect(self.server, autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name} TEMPLATE {original} STRATEGY file_copy")
        self.made.add(name)
        return name

    def drop(self, name: str) -> None:
        with connect(self.server, autocommit=True) as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self.made.discard(name)

    def close(self) -> None:
        for name in [*self.made]:
            self.drop(name)


@dataclass
class Bench:
    """What the cells of one worker share; one cell at a time. Made by `bench`."""

    originals: Originals
    folder: Path
    proxy: Proxy
    stage: Stage
    clock: SharedClock
    warm: Warm
    streams: Mapping[str, BoundStream]
    learned: set[str] = field(default_factory=set)

    @contextmanager
    def rig(self, kind: Kind) -> Iterator[Rig]:
        """A rig with news. At the end its database and its home are gone."""
        with self.originals.lock:
            if kind not in self.originals.names:
                self._prepare(kind)
            if not self.originals.modules <= self.learned:
                # What a sync of another bench has imported is worth half of a sync's time here too.
                self.learned |= self.originals.modules
                (self.folder / MODULES).write_text(json.dumps(sorted(self.learned)))
        with self._copied(kind, self.originals.names[kind]) as rig:
            rig.source.begin()
            self.clock.set(NEWS_AT - _BEFORE)
            rig.source.news()
            self.clock.set(NEWS_AT)
            yield rig

    def _prepare(self, kind: Kind) -> None:
        """Reads the stream, and what is beside it, for the first time."""
        originals = self.originals
        if "" not in originals.names:
            originals.names[""] = originals.database("template0")
            with connect(url_of(originals.server, originals.names[""])) as connection:
                migrate(connection)
        name = originals.database(originals.names[""])
        rig = self._rig(kind, name, make_settings(originals.home(kind)).home)
        rig.source.begin()
        ran = rig.command("sync", "--json", *SELECT[kind], *BESIDE[kind], learn=True).wait()
        assert (ran.status, rig.lost(), rig.doubled()) == (0, set(), set()), ran
        self.proxy.lift()  # what was asked for until here is of another pull
        originals.modules |= set(json.loads((self.folder / MODULES).read_text()))
        originals.names[kind] = name

    @contextmanager
    def _copied(self, kind: Kind, original: str) -> Iterator[Rig]:
        name = self.originals.database(original)
        home = self.folder / name
        shutil.copytree(self.originals.home(kind), home)
        try:
            yield self._rig(kind, name, home)
        finally:
            self.proxy.lift()
            shutil.rmtree(home)
            self.originals.drop(name)

    def _rig(self, kind: Kind, name: str, home: Path) -> Rig:
        self.clock.off(0.0)
        self.clock.set(READ_FIRST)
        origin = source(kind, self.clock.true)
        self.stage.on = origin.app
        database = url_of(self.originals.server, name)
        return Rig(kind, origin, self.proxy, self.clock, database, home, self.warm, self.streams)


@contextmanager
def bench(server: str, folder: Path, *, originals: Originals | None = None) -> Iterator[Bench]:
    """A bench on a server (the URL of a database in which databases may be made), with what is
    prepared in another one that is still open, if there is one."""
    folder.mkdir(parents=True, exist_ok=True)
    stage = Stage()
    with ExitStack() as stack:
        if originals is None:
            originals = Originals(server, folder)
            stack.callback(originals.close)
        clock = SharedClock.at(folder / "clock", READ_FIRST)
        proxy = stack.enter_context(Proxy(stack.enter_context(running(stage)), clock=clock.true))
        write_connectors(folder / "connectors", proxy.url)
        found = [read_connector(one) for one in sorted((folder / "connectors").iterdir())]
        streams = {one.id.stream: one for connector in found for one in connector.streams()}
        warm = stack.enter_context(Warm(folder / "connectors", folder))
        yield Bench(originals, folder, proxy, stage, clock, warm, streams)
