"""Which database this installation uses: yours, or a PostgreSQL of its own that needs no set-up.

The embedded server belongs to nobody: the first process that asks starts it, the last that used it
stops it. Every user holds a shared flock on `clients.lock` until it ends, however it ends; one that
exits tries to make it exclusive, and succeeds only when it is the last.
"""

import atexit
import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from integrations.errors import FixConfig
from integrations.settings import Settings
from integrations.storage.cluster import Cluster
from integrations.storage.database import connect

OLDEST = 15
"""The oldest PostgreSQL major version whose SQL we keep to."""


def database_url(settings: Settings) -> str:
    """The URL of a database that accepts connections, as libpq reads it; it holds the password.

    Without one in the settings, starts the embedded server if it does not run, and keeps it for as
    long as this process lives. Raises FixConfig, or RetryLater when your own database is away.
    """
    if settings.database_url is not None:
        url = settings.database_url.reveal()
        _check_yours(url)
        return url
    cluster = Cluster.of(settings.home)
    _use(cluster)
    return cluster.url()


def stop(settings: Settings) -> bool:
    """Stop the embedded server, whoever uses it; returns whether it was running.

    Raises FixConfig when it does not end.
    """
    if not (settings.home / "postgres.json").exists():
        return False
    with _starting(settings.home):
        return Cluster.of(settings.home).stop()


@cache
def _check_yours(url: str) -> None:
    with connect(url) as connection:
        version = connection.info.server_version // 10_000
        encoding = connection.info.parameter_status("server_encoding")
    if version < OLDEST:
        raise FixConfig(
            f"the database is PostgreSQL {version}",
            todo=f"INTEGRATIONS_DATABASE_URL needs version {OLDEST} or later.",
        )
    if encoding != "UTF8":
        raise FixConfig(
            f"the database's encoding is {encoding}",
            todo="Create it with ENCODING 'UTF8' TEMPLATE template0.",
        )


_held: dict[Path, int] = {}
"""The clusters that this process uses: root → the descriptor of its shared lock."""
_guard = threading.Lock()


def _use(cluster: Cluster) -> None:
    with _guard:
        if cluster.root in _held and cluster.answers() is None:
            return
        with _starting(cluster.home):
            # The lock comes first: a process that is just now stopping the server holds it alone,
            # and we wait for the end of that.
            if cluster.root not in _held:
                _held[cluster.root] = _shared(cluster.root / "clients.lock")
                atexit.register(_leave, cluster)
            cluster.ensure_running()


def _leave(cluster: Cluster) -> None:
    descriptor = _held.pop(cluster.root, None)
    if descriptor is None:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # others use it
    else:
        with suppress(FixConfig):  # at exit there is nobody to tell; `integrations down` will
            cluster.stop()
    finally:
        os.close(descriptor)


def _forget() -> None:
    """A forked child has a copy of our lock, and must neither keep nor change it."""
    global _guard  # noqa: PLW0603  # the parent may have held it at the fork
    _guard = threading.Lock()
    for descriptor in _held.values():
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_forget)


def _shared(path: Path) -> int:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)  # not inherited by programs
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


@contextmanager
def _starting(home: Path) -> Iterator[None]:
    """One process at a time starts or stops the home's server."""
    descriptor = os.open(home / "postgres.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
