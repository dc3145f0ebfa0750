"""The files and the processes of one embedded PostgreSQL server.

Nothing here knows who uses the server or for how long: that is `postgres.py`.

A server runs as the user who runs us. PostgreSQL refuses root, so for root it runs as the system
user `pgserver` with its data under /var/lib/integrations, because a home is closed to others.

Whether a server lives is told by an flock that it inherits at its start (`alive.lock`): the kernel
drops it when the last of its processes is gone, whatever `postmaster.pid` says.
"""

import fcntl
import json
import os
import re
import secrets
import shlex
import shutil
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

import psycopg

from integrations.errors import FixConfig
from integrations.secrets import Secret
from integrations.storage.wheel import ROOTS_FOLDER, Programs

DATABASE = "integrations"
ROLE = "postgres"
"""Not named like a schema of ours, which would then be on its search path (`"$user"`)."""

START_S = 60.0
"""Crash recovery of a few hundred MB fits; a start takes a third of a second."""
STOP_S = 60.0

SETTINGS = {
    "max_connections": "200",  # Dagster opens about a hundred in one run
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",  # fewer checkpoints while a backfill loads
    "fsync": "on",
    "wal_level": "minimal",  # no replicas here: a new table's COPY needs no WAL
    "max_wal_senders": "0",
    # Parallel queries share memory in /dev/shm, which has 64 MB in a container.
    "max_parallel_workers_per_gather": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    # The log must not hold rows: neither the failed statement nor the COPY line it stopped at.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


@dataclass(frozen=True)
class Cluster:
    """One server's place: `root` holds its locks and `data`; `number` names it beyond its path."""

    home: Path
    root: Path
    number: str
    password: Secret

    @classmethod
    def of(cls, home: Path) -> Self:
        """The home's cluster; its password is made at the first time, kept in the home (0600)."""
        file = home / "postgres.json"
        if not file.exists():
            kept = {"number": secrets.token_hex(6), "password": secrets.token_urlsafe(24)}
            with tempfile.NamedTemporaryFile("w", dir=home, delete=False) as half:  # 0600
                json.dump(kept, half)
            try:
                os.link(half.name, file)  # fails where another process was first
            except FileExistsError:
                pass
            finally:
                Path(half.name).unlink()
        kept = json.loads(file.read_text())
        number = str(kept["number"])
        root = ROOTS_FOLDER / number if os.geteuid() == 0 else home / "postgres"
        return cls(home, root, number, Secret(str(kept["password"])))

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def log(self) -> Path:
        return self.data / "log"

    @property
    def socket_folder(self) -> Path:
        """A socket's path may have 103 bytes (macOS), and PostgreSQL and libpq read some
        characters of it as their own: other homes' sockets go to a short folder."""
        if re.fullmatch(r"[A-Za-z0-9_/.+-]{1,85}", str(self.data)):
            return self.data
        return Path(f"/tmp/integrations-{self.number}")  # noqa: S108  # made 0700, and a random name

    def url(self, *, database: str = DATABASE) -> str:
        # The port is said, because PGPORT would be believed otherwise; it only names the socket.
        host = quote(str(self.socket_folder), safe="/")
        return f"postgresql://{ROLE}:{self.password.reveal()}@/{database}?host={host}&port=5432"

    def answers(self) -> str | None:
        """None when the server accepts a connection (and then has our database), else why not."""
        try:
            with psycopg.connect(
                self.url(database="postgres"), autocommit=True, connect_timeout=10
            ) as connection:
                there = connection.execute(
                    "SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]
                )
                if there.fetchone() is None:
                    connection.execute(f"CREATE DATABASE {DATABASE}")
        except psycopg.OperationalError as error:
            return " ".join(str(error).split())
        return None

    def alive(self) -> bool:
        """Whether any process of the server lives."""
        try:
            probe = os.open(self.root / "alive.lock", os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(probe, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(probe)
        return False

    def ensure_running(self) -> None:
        """The server accepts connections. The caller holds the home's start lock.

        Raises FixConfig with the end of the server's log when it does not come up.
        """
        deadline = time.monotonic() + START_S
        started = False
        while (why := self.answers()) is not None:
            if not self.alive():
                # What is left of a killed server has ended by now; one start must do.
                if started:
                    raise self._does_not_start(why)
                self._start()
                started = True
            elif time.monotonic() > deadline:
                raise self._does_not_start(why)
            time.sleep(0.02)

    def stop(self) -> bool:
        """Whether a server was running; it has ended when this returns."""
        if not self.alive():
            return False
        # "Fast" lets transactions roll back; "immediate" leaves a recovery to the next start.
        for how in (signal.SIGINT, signal.SIGQUIT):
            pid = self._pid()
            if pid is not None:
                os.kill(pid, how)
            if self._ends_within(STOP_S):
                return True
        raise FixConfig(
            f"the embedded database does not stop (process {self._pid()})",
            todo=f"Look at {self.log}, end that process, and try again.",
        )

    def _ends_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def _pid(self) -> int | None:
        try:
            return int((self.data / "postmaster.pid").read_text().split("\n")[0])
        except (FileNotFoundError, ValueError):
            return None

    def _start(self) -> None:
        programs = Programs.find(self.data)
        self._make_folders(programs)
        if not self.data.exists():
            self._initialise(programs)
        # No process of this server lives (`alive`), but another program may have the pid that
        # these files name, and PostgreSQL would refuse to start for ever.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        for leftover in self.socket_folder.glob(".s.PGSQL.*"):
            leftover.unlink(missing_ok=True)
        options = f"-h '' -p 5432 -k {shlex.quote(str(self.socket_folder))}"
        # Relative names: pg_ctl hands them to a shell.
        start = ["pg_ctl", "start", "-W", "-D", "data", "-l", "data/log", "-o", options]
        alive = os.open(self.root / "alive.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(alive, fcntl.LOCK_EX)
            self._run(programs, start, inherit=alive)
        finally:
            os.close(alive)

    def _make_folders(self, programs: Programs) -> None:
        if programs.account is not None:
            for folder in (ROOTS_FOLDER, self.root):
                folder.mkdir(exist_ok=True)
                folder.chmod(0o711)  # passed through by the server's user, listed by nobody
            return
        for folder in {self.root, self.socket_folder} - {self.data}:
            folder.mkdir(mode=0o700, exist_ok=True)
            if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
                raise FixConfig(f"{folder} belongs to another user", todo="Remove it.")

    def _initialise(self, programs: Programs) -> None:
        """Make the data folder, whole or not at all; a password is asked from the first moment."""
        half, password = self.root / "data.new", self.root / "password"
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(mode=0o700)
        password.touch(mode=0o600)
        password.write_text(self.password.reveal())
        programs.own(half, password)
        settings = [word for item in SETTINGS.items() for word in ("--set", "=".join(item))]
        initdb = [
            *("initdb", "-D", half.name, "-U", ROLE, "--pwfile", password.name),
            *("--auth", "scram-sha-256", "--encoding", "UTF8", "--no-instructions"),
            # Sorted by code point, the same on every machine, whatever its locales.
            *("--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
        ]
        try:
            self._run(programs, [*initdb, *settings])
        finally:
            password.unlink()
        half.rename(self.data)

    def _run(self, programs: Programs, command: list[str], *, inherit: int | None = None) -> None:
        status, said = programs.run(command, folder=self.root, inherit=inherit)
        if status:
            raise self._does_not_start(said)

    def _does_not_start(self, why: str) -> FixConfig:
        log = self.log.read_text(errors="replace") if self.log.exists() else ""
        return FixConfig(
            "\n".join([f"the embedded database does not start: {why}", *log.splitlines()[-5:]]),
            todo=f"The whole log is {self.log}; INTEGRATIONS_DATABASE_URL takes one of your own.",
        )
