"""The tests' side of the warm process: asks for a sync and kills it where it is told to."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import yaml

from integrations.connector_template.folders import SHIPPED
from integrations.settings import CONNECTOR_FILE

EPOCH = datetime(2024, 3, 1, tzinfo=UTC)
NOW = EPOCH + timedelta(days=2, hours=12)
"""Two windows have passed."""
CHILD = "integrations_tests.faults.child"
REPOSITORY = Path(__file__).parents[2]
SELECT = ("stripe/sandbox/charges", "stripe/sandbox/payouts")
"""One stream with windows and one that is read in full."""


@dataclass(frozen=True)
class Place:
    """A database and a home that a history of syncs happens in."""

    database: str
    home: Path


@dataclass(frozen=True)
class Task:
    """What a child is asked to do: a `verb` of child.py on what `select` names, at the time `now`.

    `connectors` is a folder of them (the warm process's own where it is empty), `step` how many
    records the landings of a cursor or a feed hold (0: as in the product), `days` and `resume` are
    a backfill's.
    """

    verb: str = "sync"
    select: tuple[str, ...] = SELECT
    now: datetime = NOW
    connectors: str = ""
    step: int = 0
    days: tuple[str, str] = ("", "")
    resume: bool = False


SYNC = Task()


@dataclass(frozen=True)
class Kill:
    """When a child is killed: so many seconds after its nth event of that name (None: of any). At
    a name that is all, and 0 seconds, it stands still there; nth 0 is its very beginning."""

    barrier: str | None = None
    nth: int = 1
    seconds: float = 0.0


@dataclass
class Template:
    """The warm process. `runs` counts the children of each place: the clock of each starts a minute
    later."""

    process: "subprocess.Popen[bytes]"
    runs: "Counter[Path]" = field(default_factory=Counter)

    @classmethod
    def start(cls, folder: Path) -> Self:
        connectors = folder / "connectors"
        write_connector(connectors / "stripe")
        home = folder / "template"
        process = subprocess.Popen(
            [sys.executable, "-m", CHILD, str(connectors), str(folder / "modules.json")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=REPOSITORY,
            env=os.environ | {"INTEGRATIONS_HOME": str(home)},
        )
        return cls(process)

    def stop(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()

    def prepare(self, place: Place) -> None:
        """Makes Dagster's tables."""
        self._ask(place, Task(select=()))
        assert self._hears() == {"ended": 0}, log(place)

    def sync(self, place: Place) -> None:
        """A sync that nobody disturbs."""
        self.does(place, SYNC)

    def does(self, place: Place, task: Task) -> list[str]:
        """A child that nobody disturbs; the barriers that it came to, one by one."""
        self._ask(place, task)
        said = self._hears()
        met = said.get("met", [])
        if "met" in said:
            said = self._hears()
        assert said == {"ended": 0}, (said, log(place))
        return list(met)

    def killed_at(self, place: Place, barrier: str, nth: int = 1) -> None:
        """A sync that is killed while it stands at the nth event of that name."""
        assert self.killed(place, SYNC, Kill(barrier, nth)), log(place)

    def killed_after(self, place: Place, nth: int, seconds: float) -> bool:
        """A sync that is killed so long after its nth event of any name; False when it had come to
        its end by then."""
        return self.killed(place, SYNC, Kill(None, nth, seconds))

    def killed(self, place: Place, task: Task, kill: Kill) -> bool:
        """A child that is killed; False when it had come to its end by then, which is a good one."""
        pause = kill.barrier is not None and not kill.seconds
        self._ask(
            place, task, tell=not kill.nth, barrier=kill.barrier, nth=kill.nth, pause=pause
        )  # fmt: skip
        said = self._hears()
        if "ended" not in said:
            assert kill.barrier in (None, said["at"]), said
            # Until the warm process says that it reaped it the pid cannot be another's.
            if not self._ends_within(kill.seconds):
                with suppress(ProcessLookupError):
                    os.kill(said["pid"], signal.SIGKILL)
            said = self._hears()
        assert said in ({"ended": 0}, {"ended": -signal.SIGKILL}), (said, log(place))
        return said != {"ended": 0}

    def _ends_within(self, seconds: float) -> bool:
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        return bool(ready)

    def _ask(self, place: Place, task: Task, **kill: Any) -> None:
        self.runs[place.home] += 1
        began_at = task.now + timedelta(minutes=self.runs[place.home])
        job = {
            "environment": {
                "INTEGRATIONS_HOME": str(place.home),
                "INTEGRATIONS_DATABASE_URL": place.database,
            },
            "log": str(place.home / "sync.log"),
            "pages": task.now.isoformat(),
            "landings": began_at.isoformat(),
            "tell": False,
            "nth": 0,
        }
        job |= asdict(task) | {"now": None} | kill
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(job).encode() + b"\n")
        self.process.stdin.flush()

    def _hears(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        said = json.loads(self.process.stdout.readline() or b'{"ended": "the template died"}')
        assert isinstance(said, dict)
        return said


def write_connector(folder: Path) -> None:
    """Stripe as it is shipped, but with few windows and, for speed, with two streams."""
    shutil.copytree(SHIPPED / "stripe", folder, ignore=shutil.ignore_patterns("__pycache__"))
    file = yaml.safe_load((folder / CONNECTOR_FILE).read_text())
    attributes = file["attributes"]
    attributes["connections"] = {"sandbox": {"start": EPOCH.date()}}
    names = {name.rpartition("/")[2] for name in SELECT}
    for part in (attributes["sync_handler"]["streams"], attributes["transformer"]):
        for name in set(part) - names:
            del part[name]
    for feed in attributes["event_handler"]["feeds"].values():
        feed["routes"] = {kind: to for kind, to in feed["routes"].items() if to in names}
    (folder / CONNECTOR_FILE).write_text(yaml.safe_dump(file))


def log(place: Place) -> str:
    file = place.home / "sync.log"
    return file.read_text()[-4000:] if file.exists() else "no log"
