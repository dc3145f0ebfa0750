"""Full disks, and folders that we may not write into.

The disks are real and small: a file system in memory is mounted over a folder, which takes root.
Elsewhere these cases cannot run, and say so.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from integrations.storage.database import connect
from integrations_tests.faults.bench.cases import CannotRun, Case, Plant
from integrations_tests.faults.bench.rig import Rig
from integrations_tests.faults.bench.world_acts import at, beside
from integrations_tests.faults.bench.world_postgres import AWAY, IMPATIENT, Server

BALLAST = "ballast"
FULL = "No space left on device"


def _mount(*words: str) -> None:
    try:
        done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise CannotRun("there is no mount") from error
    if done.returncode:
        raise CannotRun(f"a file system cannot be mounted here: {done.stderr.strip()}")


def _unmount(folder: Path) -> None:
    subprocess.run(["umount", str(folder)], check=True, capture_output=True)


@contextmanager
def small_disk(folder: Path, *, megabytes: int) -> Iterator[None]:
    """A folder on a disk of its own. What was in it is there, and what comes into it stays."""
    aside = folder.with_name(f"{folder.name}.aside")
    _copy(folder, aside)
    try:
        _mount("-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "tmpfs", str(folder))
    except CannotRun:
        shutil.rmtree(aside)
        raise
    owner = aside.stat()
    os.chown(folder, owner.st_uid, owner.st_gid)
    _copy(aside, folder)
    try:
        yield
    finally:
        (folder / BALLAST).unlink(missing_ok=True)
        shutil.rmtree(aside)
        _copy(folder, aside)
        _unmount(folder)
        shutil.rmtree(folder)
        aside.rename(folder)


def _copy(source: Path, to: Path) -> None:
    """With owners and modes."""
    to.mkdir(exist_ok=True, mode=0o700)
    subprocess.run(["cp", "-a", f"{source}/.", str(to)], check=True)


def fill(folder: Path, *, leave: int = 0) -> None:
    """Takes all the room of the disk that a folder is on, but so many bytes."""
    room = shutil.disk_usage(folder).free - leave
    with (folder / BALLAST).open("ab") as ballast:
        os.posix_fallocate(ballast.fileno(), 0, max(room, 1))


def _raw(rig: Rig) -> Path:
    return rig.home / "raw"


@contextmanager
def landings_apart(rig: Rig) -> Iterator[None]:
    with small_disk(_raw(rig), megabytes=4):
        yield


@contextmanager
def no_room_to_land(rig: Rig) -> Iterator[None]:
    with small_disk(_raw(rig), megabytes=4):
        fill(_raw(rig))
        yield


def landings_fill(rig: Rig) -> None:
    fill(_raw(rig))


def read_only(name: str) -> Plant:
    """A folder of the home that can only be read: root, too, may then not write."""

    @contextmanager
    def mounted(rig: Rig) -> Iterator[None]:
        folder = rig.home / name
        folder.mkdir(exist_ok=True)
        _mount("--bind", str(folder), str(folder))
        try:
            _mount("-o", "remount,ro,bind", str(folder))
            yield
        finally:
            _unmount(folder)

    return mounted


@contextmanager
def anothers_home(rig: Rig) -> Iterator[None]:
    """The home belongs to somebody else."""
    was = rig.home.stat()
    try:
        os.chown(rig.home, was.st_uid + 1, was.st_gid)
    except PermissionError as error:
        raise CannotRun("only root may give a folder away") from error
    try:
        yield
    finally:
        os.chown(rig.home, was.st_uid, was.st_gid)


@contextmanager
def wal_apart(rig: Rig) -> Iterator[None]:
    """The server's write-ahead log on a disk of its own."""
    rig.patches |= IMPATIENT
    server = Server.of(rig)
    server.down()
    try:
        with small_disk(server.cluster.data / "pg_wal", megabytes=64):
            server.up()
            try:
                yield
            finally:
                if server.cluster.alive():
                    server.down()
    finally:
        server.up()


def wal_fills(rig: Rig) -> None:
    """From now on no segment of the log can be made, and the one in use is at its end."""
    wal = Server.of(rig).cluster.data / "pg_wal"
    with beside(rig) as connection:
        (used,) = connection.execute("SELECT pg_walfile_name(pg_current_wal_lsn())").fetchone() or (
            "",
        )
        for segment in wal.glob("0*"):
            if segment.name > used:  # made in advance
                segment.unlink()
        fill(wal)
        connection.execute("SELECT pg_switch_wal()")


@contextmanager
def tables_apart(rig: Rig) -> Iterator[None]:
    """The database on a small disk."""
    server = Server.of(rig)
    name, folder = urlsplit(rig.database).path[1:], server.cluster.root / "small"
    folder.mkdir()
    owner = server.cluster.data.stat()
    os.chown(folder, owner.st_uid, owner.st_gid)
    admin = server.cluster.url()
    with small_disk(folder, megabytes=64):
        _say(admin, f"CREATE TABLESPACE small LOCATION '{folder}'")
        _say(admin, f"ALTER DATABASE {name} SET TABLESPACE small")
        try:
            yield
        finally:
            (folder / BALLAST).unlink(missing_ok=True)
            _say(admin, f"ALTER DATABASE {name} SET TABLESPACE pg_default")
            _say(admin, "DROP TABLESPACE small")
    folder.rmdir()


def _say(url: str, statement: str) -> None:
    with connect(url, autocommit=True) as connection:
        connection.execute(statement)


def tables_fill(rig: Rig) -> None:
    fill(Server.of(rig).cluster.root / "small")


def case(name: str, plant: Plant, **given: Any) -> Case:
    return Case(name=name, group="disk", plant=plant, **{"expect": "red", "quoted": FULL} | given)


CASES = (
    case("full before the landing", no_room_to_land),
    case("full in the middle of a landing", landings_apart, act=at("fetched", landings_fill)),
    case("full at the manifest", landings_apart, act=at("before_manifest", landings_fill)),
    case("full under the tables", tables_apart, act=at("staged", tables_fill), own_server=True),
    case("full under the write-ahead log", wal_apart, act=at("merging", wal_fills), quoted=AWAY, own_server=True),
    case("landings cannot be written", read_only("raw"), quoted="Read-only file system"),
    case("logs of runs cannot be written", read_only("logs"), expect="recovered"),
    case("the home is another's", anothers_home, quoted="belongs to another user", where="INTEGRATIONS_HOME"),
)  # fmt: skip
