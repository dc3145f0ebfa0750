"""Many connectors, as a user would have them: generated folders, and one source that all of them
ask. What grows with their number is measured over them (`definitions.py`, `hourly.py`)."""

import copy
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import yaml

from integrations.connector_template.folders import SHIPPED
from integrations.names import StreamId
from integrations.sandbox.server import running
from integrations.sandbox.stripe import StripeTwin
from integrations.settings import CONNECTOR_FILE
from integrations_tests.conftest import make_settings

REPOSITORY = Path(__file__).parents[2]
MODELS = ("charges", "refunds", "balance_transactions")
"""The streams of the shipped connector that the generated ones are copies of, in turn."""
SECRET = "MANY_API_KEY"
PER_DAY = 24
"""Charges: about one a window of each stream, and in some windows nothing."""


def stream(connector: int, number: int) -> StreamId:
    """What the generated stream of these numbers is called."""
    model = MODELS[number % len(MODELS)]
    return StreamId(f"shop_{connector:02}", "main", f"{model}_{number:02}")


def write(folder: Path, connectors: int, streams: int, *, url: str, start: date) -> Path:
    """So many connectors of so many hourly streams, that read from the same URL; gives `folder`."""
    shipped = yaml.safe_load((SHIPPED / "stripe" / CONNECTOR_FILE).read_text())
    folder.mkdir(parents=True)
    for number in range(connectors):
        names = [stream(number, of).stream for of in range(streams)]
        here = folder / stream(number, 0).connector
        here.mkdir(parents=True, mode=0o755)
        shutil.copy(SHIPPED / "stripe" / "transformer.py", here)
        file = shipped | {"attributes": _attributes(shipped["attributes"], names, url, start)}
        (here / CONNECTOR_FILE).write_text(yaml.safe_dump(file, sort_keys=False))
    return folder


def _attributes(shipped: Mapping[str, Any], names: list[str], url: str, start: date) -> Any:
    given = copy.deepcopy(dict(shipped))
    handler = given["sync_handler"]
    models = {name: name.rpartition("_")[0] for name in names}
    request = {name: handler["streams"][model]["request"] for name, model in models.items()}
    column = {"charges": "created_at", "refunds": "created_at", "balance_transactions": "booked_at"}
    handler["transport"]["base_url"] = url
    handler["streams"] = {
        name: {
            "sync": {
                "type": "window",
                "cadence": "hourly",
                "column": column[model],
                "filter": "immutable",
            },
            "request": request[name],
        }
        for name, model in models.items()
    }
    account = {"start": start, "secrets": {"api_key": {"env": SECRET}}}
    mappings = {name: given["transformer"][model] for name, model in models.items()}
    return given | {
        "connections": {"main": account},
        "transformer": mappings,
        "event_handler": "none",
    }


@dataclass(frozen=True)
class Place:
    """A home with an embedded server of its own (fsync on), and the environment that leads there."""

    folder: Path
    source: str
    secret: str

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def env(self, connectors: Path) -> dict[str, str]:
        """What a process needs to find this home and these connectors, and to log in."""
        ours = ("INTEGRATIONS_", "DAGSTER_", "STRIPE_", "PG")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return kept | {
            "DAGSTER_HOME": str(REPOSITORY),
            "INTEGRATIONS_HOME": str(self.home),
            "INTEGRATIONS_CONNECTORS_PATH": str(connectors),
            SECRET: self.secret,
        }


@contextmanager
def place(folder: Path, *, start: date, per_day: int = PER_DAY) -> Iterator[Place]:
    """A new home below `folder`, and the source, served by this process."""
    epoch = datetime.combine(start, time(), UTC)
    twin = StripeTwin(7, clock=lambda: datetime.now(UTC), epoch=epoch, per_day=per_day)
    with running(twin) as url:
        made = Place(folder, url, twin.secrets["api_key"])
        make_settings(made.home)
        yield made
