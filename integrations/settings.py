"""Where this installation keeps its things: read from the environment once, then passed around.

One value holds every answer, so that no other module reads an environment variable for them and a
test gives its own. Everything that is wrong is said at once.
"""

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

from integrations.errors import FixConfig, Mistake
from integrations.redaction import learn
from integrations.secrets import Secret

HOME = "INTEGRATIONS_HOME"
DATABASE_URL = "INTEGRATIONS_DATABASE_URL"
LANDING_URL = "INTEGRATIONS_LANDING_URL"
CONNECTORS_PATH = "INTEGRATIONS_CONNECTORS_PATH"
CONNECTOR_FILE = "defs.yaml"
"""What a connector's folder holds."""

_PARTS = re.compile(r"([^/?#]*)([^?#]*)(?:\?([^#]*))?")
_HOST = re.compile(r"(?:\[[^\]]*\]|[^:\[\]]*)(?::[0-9]*)?")
"""A host of a database's URL, with its port."""

MARKER = "# The home of integrations: its database, keys and raw records. Never committed.\n*\n"
"""What a home's `.gitignore` says. It also tells a home from a folder that holds other things,
whose permissions we must not touch (`INTEGRATIONS_HOME=/tmp` by mistake)."""


@dataclass(frozen=True)
class Settings:
    """The answers. `home` is absolute; `database_url` is None for the embedded database;
    `landing_url` is a `file://` or `s3://` URL; `connectors_path` holds existing folders."""

    home: Path
    database_url: Secret | None
    landing_url: str
    connectors_path: tuple[Path, ...] = ()

    @classmethod
    def find(
        cls,
        *,
        create: bool = False,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Self:
        """The settings of this process: from `env`, and from the nearest `dagster.yaml` upwards of
        `cwd`. The home's permissions are asserted (0700); `create` makes a home that is missing.

        Raises FixConfig with every mistake, or when there is no home.
        """
        env = os.environ if env is None else env
        cwd = Path.cwd() if cwd is None else cwd
        mistakes: list[Mistake] = []
        home = _home(cwd, env)
        database_url = _database_url(env.get(DATABASE_URL, ""), mistakes)
        landing_url = _landing_url(env.get(LANDING_URL, ""), home, mistakes)
        connectors_path = _connectors_path(env.get(CONNECTORS_PATH, ""), cwd, mistakes)
        if mistakes:
            raise FixConfig("the environment is wrong", mistakes=mistakes)
        _assert_home(home, create=create)
        return cls(home, database_url, landing_url, connectors_path)


def _home(cwd: Path, env: Mapping[str, str]) -> Path:
    if env.get(HOME):
        return (cwd / Path(env[HOME]).expanduser()).resolve()
    folders = [cwd.resolve(), *cwd.resolve().parents]
    # Dagster's own processes may work elsewhere than where their dagster.yaml is.
    folders += [Path(env["DAGSTER_HOME"]).expanduser()] if env.get("DAGSTER_HOME") else []
    for folder in folders:
        if (folder / "dagster.yaml").is_file():
            return folder.resolve() / ".integrations"
    raise FixConfig(
        f"no home: there is no dagster.yaml in {cwd} or above it, and {HOME} is not set",
        todo=f"Work inside the project's folder, or set {HOME} to a folder of your own.",
    )


def _database_url(value: str, mistakes: list[Mistake]) -> Secret | None:
    # The value is never shown: it holds a password.
    if not value:
        return None
    if not value.startswith(("postgresql://", "postgres://")):
        mistakes.append(Mistake(f"{DATABASE_URL} must begin with postgresql:// or postgres://"))
    elif not _learn_password(value):
        said = "cannot be read; in its user and password @ is written %40, : %3A, / %2F, ? %3F"
        mistakes.append(Mistake(f"{DATABASE_URL} {said}"))
    return Secret(value)


def _learn_password(url: str) -> bool:
    """Make the URL's password known to the redactor; False where it is not clear which part it is,
    as libpq would then take the rest of it for a host, and say so."""
    # By hand: some Pythons take a list of hosts with brackets in it for a mistake.
    found = _PARTS.match(url.partition("://")[2])
    assert found is not None, "each of its parts may be empty"
    netloc, path, query = found.groups(default="")
    user, _, hosts = netloc.rpartition("@")
    unclear = "@" in user + path or "[" in user or "]" in user
    if unclear or not all(map(_HOST.fullmatch, hosts.split(","))):
        return False
    given = [user.partition(":")[2]]
    for item in query.split("&"):
        name, _, value = item.partition("=")
        given += [value] if name in ("password", "sslpassword") else []
    for password in given:
        learn(password)
        learn(unquote(password))
    return True


def _landing_url(value: str, home: Path, mistakes: list[Mistake]) -> str:
    if not value:
        return (home / "raw").as_uri()
    parts = urlsplit(value)
    whole = parts.path.startswith("/") if parts.scheme == "file" else bool(parts.netloc)
    if parts.scheme not in ("file", "s3") or not whole:
        mistakes.append(
            Mistake(f"{LANDING_URL} must be file:///an/absolute/folder or s3://bucket/prefix")
        )
    return value.rstrip("/")


def _connectors_path(value: str, cwd: Path, mistakes: list[Mistake]) -> tuple[Path, ...]:
    names = [name for name in value.split(os.pathsep) if name]
    folders = [(cwd / Path(name).expanduser()).resolve() for name in names]
    mistakes += [
        Mistake(f"{CONNECTORS_PATH}: {folder} is no folder")
        for folder in folders
        if not folder.is_dir()
    ]
    mistakes += [
        Mistake(f"{CONNECTORS_PATH}: {folder} is a connector; name the folder above it")
        for folder in folders
        if (folder / CONNECTOR_FILE).is_file()
    ]
    return tuple(folders)


def _assert_home(home: Path, *, create: bool) -> None:
    """The home exists, is ours, and nobody else may look into it."""
    try:
        if create:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = home.stat()
        if status.st_uid != os.geteuid():
            raise FixConfig(
                f"{home} belongs to another user (uid {status.st_uid}, we are {os.geteuid()})",
                todo=f"Run as its owner, or set {HOME} to a folder of your own.",
            )
        _assert_marked(home)
        if stat.S_IMODE(status.st_mode) != 0o700:
            home.chmod(0o700)
    except FileNotFoundError as error:
        raise FixConfig(
            f"there is no home at {home} yet",
            todo="`integrations demo` or `integrations up` makes it.",
        ) from error
    except OSError as error:
        raise FixConfig(
            f"the home {home} cannot be used: {error.strerror}",
            todo=f"Give us that folder, or set {HOME} to another.",
        ) from error


def _assert_marked(home: Path) -> None:
    marker = home / ".gitignore"
    if marker.is_file() and marker.read_text() in (MARKER, ""):  # empty: being written just now
        return
    # A fresh volume is not quite empty.
    if any(entry.name != "lost+found" for entry in home.iterdir()):
        if marker.is_file() and marker.read_text() == MARKER:  # another process came between
            return
        raise FixConfig(
            f"{home} holds other things: it is not a home of integrations",
            todo=f"Set {HOME} to a new or an empty folder.",
        )
    marker.write_text(MARKER)
