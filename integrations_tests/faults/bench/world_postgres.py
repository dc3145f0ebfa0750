"""PostgreSQL restarted, killed, stopped, refused, or out of connections.

These cases are for a server of the bench's own, which nobody else uses: `own_server`.
"""

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil
import psycopg

from integrations.storage.cluster import Cluster
from integrations.storage.database import connect
from integrations_tests.conftest import make_settings, remove_server
from integrations_tests.faults.bench.cases import Case, Fate, Kind
from integrations_tests.faults.bench.rig import Ran, Rig
from integrations_tests.faults.bench.world_acts import Act, Deed, at, nothing

LID_S = 1.5
"""How long everything of the server stands still: longer than any timeout of the bench's source.
For PostgreSQL and its clients it makes no difference whether that is seconds or minutes."""
_MOST_CONNECTIONS = 40
_SERVERS: dict[str, "Server"] = {}
"""By the folder of its socket, which its URLs name."""
IMPATIENT: Mapping[str, object] = {"integrations.orchestration.reconnecting:PATIENCE_S": 1.0}
AWAY = "the database cannot be reached"
FAILS = "the database fails"


@dataclass(frozen=True)
class Server:
    """An embedded server, as the product has one; the caller of its verbs waits for their end."""

    cluster: Cluster

    @classmethod
    def of(cls, rig: Rig) -> "Server":
        """The rig's server."""
        folder = parse_qs(urlsplit(rig.database).query).get("host", [""])[0]
        assert folder in _SERVERS, "this case needs a server of its own (`own_server`)"
        return _SERVERS[folder]

    @property
    def postmaster(self) -> psutil.Process:
        return psutil.Process(int((self.cluster.data / "postmaster.pid").read_text().split()[0]))

    def down(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT is a fast shutdown, SIGQUIT an immediate one, SIGKILL a crash."""
        self.postmaster.send_signal(how)
        while self.cluster.alive():
            time.sleep(0.01)

    def up(self) -> None:
        self.cluster.ensure_running()

    def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        self.down(how)
        self.up()

    def sleep(self) -> None:
        """Every process of it stands still for a while."""
        processes = [self.postmaster, *self.postmaster.children(recursive=True)]
        for process in processes:
            process.suspend()
        time.sleep(LID_S)
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def lose_backends(self, database: str) -> None:
        """A backend of the database is killed, by which the whole server starts anew."""
        with connect(database, autocommit=True) as other:
            (pid,) = other.execute(
                "SELECT min(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).fetchone() or (None,)
        os.kill(pid, signal.SIGKILL)
        self._waits_for_backends([pid])
        self.up()

    def _waits_for_backends(self, pids: list[int]) -> None:
        while any(map(psutil.pid_exists, pids)):
            time.sleep(0.01)


@contextmanager
def own_server(folder: Path) -> Iterator[str]:
    """The URL of a server that is started for the cases that hurt it, and removed at the end."""
    settings = make_settings(folder / "own_server")
    server = Server(Cluster.of(settings.home))
    try:
        server.up()
        with connect(server.cluster.url(), autocommit=True) as connection:
            # What is written outlives a process that is killed; only the machine never goes off.
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute(f"ALTER SYSTEM SET max_connections = {_MOST_CONNECTIONS}")
        server.restart()
        _SERVERS[str(server.cluster.socket_folder)] = server
        yield server.cluster.url()
    finally:
        _SERVERS.pop(str(server.cluster.socket_folder), None)
        remove_server(settings)


def restarted(how: signal.Signals = signal.SIGINT) -> Deed:
    return lambda rig: Server.of(rig).restart(how)


@contextmanager
def down(rig: Rig) -> Iterator[None]:
    """Down before the sync begins, and all the time."""
    Server.of(rig).down()
    try:
        yield
    finally:
        Server.of(rig).up()


@contextmanager
def up_again(rig: Rig) -> Iterator[None]:
    """Whatever the sync did to the server, it runs when that has ended."""
    rig.patches |= IMPATIENT
    try:
        yield
    finally:
        Server.of(rig).up()


@contextmanager
def taken(rig: Rig) -> Iterator[None]:
    """Others have all of the server's connections."""
    with ExitStack() as others:
        _take_all(rig, others)
        yield


@contextmanager
def released(rig: Rig) -> Iterator[None]:
    """Who takes all connections in the middle gives them back at the end."""
    rig.patches |= IMPATIENT
    with ExitStack() as others:
        _HELD[rig.database] = others
        try:
            yield
        finally:
            del _HELD[rig.database]


_HELD: dict[str, ExitStack] = {}


def take_all(rig: Rig) -> None:
    _take_all(rig, _HELD[rig.database])


def _take_all(rig: Rig, others: ExitStack) -> None:
    with suppress(psycopg.OperationalError):  # "sorry, too many clients already"
        while True:
            others.enter_context(psycopg.connect(Server.of(rig).cluster.url()))


def started_late(seconds: float) -> Act:
    """A sync that finds a server which begins to answer only after a while."""

    def act(rig: Rig) -> Ran:
        Server.of(rig).postmaster.suspend()
        started = rig.begin()
        time.sleep(seconds)
        Server.of(rig).postmaster.resume()
        return started.wait()

    return act


def slept(rig: Rig) -> None:
    Server.of(rig).sleep()


def lost_backends(rig: Rig) -> None:
    Server.of(rig).lose_backends(rig.database)


def goes_down(rig: Rig) -> None:
    Server.of(rig).down()


def case(name: str, **given: object) -> Case:
    return Case(name=name, group="PostgreSQL itself", own_server=True, **given)  # type: ignore[arg-type]


STREAMS: tuple[Kind, ...] = ("window", "full", "cursor")
BUT_FEED: Mapping[Kind, Fate] = dict.fromkeys(STREAMS, "recovered") | {"feed": "red"}
"""A stream takes another connection where the server has closed the one that waited; a feed's turn
is red, and the next one goes on from what is committed."""

CASES = (
    case("restarted while a page is read", plant=up_again, act=at("fetched", restarted()), expect=BUT_FEED, quoted=FAILS),
    case("restarted in the middle of a load", plant=up_again, act=at("merging", restarted()), expect="red", quoted=FAILS),
    case("restarted before the commit, at once", plant=up_again, act=at("committing", restarted(signal.SIGQUIT)), expect="red", quoted=FAILS),
    case("killed before the commit, and up again", plant=up_again, act=at("committing", restarted(signal.SIGKILL)), expect="red", quoted=FAILS),
    case("restarted after the commit", plant=up_again, act=at("committed", restarted()), expect=BUT_FEED, quoted=FAILS),
    case("restarted while Dagster is told", plant=up_again, act=at("reporting", restarted(), nth=2), kinds=STREAMS, expect="recovered"),
    case("a backend killed in the middle of a load", plant=up_again, act=at("staged", lost_backends), expect="red", quoted=FAILS),
    case("down before the sync", plant=down, expect="red", where="socket", quoted=AWAY),
    case("down for good in the middle of a load", plant=up_again, act=at("merging", goes_down), expect="red", quoted=AWAY),
    case("down for good after the commit", plant=up_again, act=at("committed", goes_down), expect="red", quoted=AWAY),
    case("out of connections before the sync", plant=taken, expect="red", where="socket", quoted="too many clients"),
    case("out of connections in the middle of a load", plant=released, act=at("merging", take_all), expect="red", quoted="too many clients"),
    case("answers late", plant=nothing, act=started_late(LID_S), expect="recovered"),
    case("stands still in the middle of a load", plant=nothing, act=at("merging", slept), expect="recovered"),
)  # fmt: skip
"""A load that the server ends is red: its landing is kept, and the next sync loads all of it."""
