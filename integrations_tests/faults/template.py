"""The tests' side of the warm process: asks for a sync and kills it where it is told to."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
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


@dataclass
class Template:
    """The warm process. `runs` counts its children: the clock of each starts a minute later."""

    process: "subprocess.Popen[bytes]"
    runs: int = field(default=0)

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
        self._ask(place, select=())
        assert self._hears() == {"ended": 0}, log(place)

    def sync(self, place: Place) -> None:
        """A sync that nobody disturbs."""
        self._ask(place, select=SELECT)
        assert self._hears() == {"ended": 0}, log(place)

    def killed_at(self, place: Place, barrier: str, nth: int = 1) -> None:
        """A sync that is killed while it stands at the nth event of that name."""
        self._ask(place, select=SELECT, barrier=barrier, nth=nth, pause=True)
        said = self._hears()
        assert said.get("at") == barrier, (said, log(place))
        os.kill(said["pid"], signal.SIGKILL)
        assert self._hears() == {"ended": -signal.SIGKILL}

    def killed_after(self, place: Place, nth: int, seconds: float) -> bool:
        """A sync that is killed so long after its nth event of any name; False when it had come to
        its end by then."""
        self._ask(place, select=SELECT, barrier=None, nth=nth, pause=False)
        said = self._hears()
        if "ended" in said:
            return False
        time.sleep(seconds)
        # The warm process reaps it and says so: until then the pid cannot be another's.
        os.kill(said["pid"], signal.SIGKILL)
        return self._hears() == {"ended": -signal.SIGKILL}

    def _ask(self, place: Place, **wanted: Any) -> None:
        self.runs += 1
        began_at = NOW + timedelta(minutes=self.runs)
        job = {
            "environment": {
                "INTEGRATIONS_HOME": str(place.home),
                "INTEGRATIONS_DATABASE_URL": place.database,
            },
            "log": str(place.home / "sync.log"),
            "pages": NOW.isoformat(),
            "landings": began_at.isoformat(),
            "nth": 0,
        }
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(job | wanted).encode() + b"\n")
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
