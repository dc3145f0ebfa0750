"""A living account that is read in every way there is, and what each way is killed in the middle of.

All histories of a kind begin at the same place, a copy of one in which everything was read some time
ago, and differ in nothing but kills. Much has happened at the source since: what was there has
changed or is gone, and some of what is new cannot pass.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import yaml

from integrations.connector_template.folders import SHIPPED
from integrations.processes import named
from integrations.sandbox.address import FILE
from integrations.sandbox.stripe_names import DAY
from integrations.settings import CONNECTOR_FILE
from integrations_tests.connector_template.florist import write
from integrations_tests.faults.template import EPOCH, Task
from integrations_tests.lanes.life import Life
from integrations_tests.orchestration.test_cursor import TEXT, Orders

DAYS = 5
BEFORE = EPOCH + timedelta(days=DAYS - 2, hours=12)
NOW = EPOCH + timedelta(days=DAYS, hours=12)
PER_DAY = 8
CUSTOMERS = 60
"""So many that those that vanish without a word are no more than the brake lets go."""
PAGE, STEP = 6, 10
"""Records of a page and of a landing of the feed; the cursor's source has pages of two."""
BAD = "gold"
"""A currency that no mapping lets pass."""
STREAMS = ("charges", "customers", "payouts")
CHARGES, FEED = "stripe/sandbox/charges", "stripe/sandbox/events"
ALL = ("stripe/sandbox", "florist/sandbox/orders")
LANDS = ("landing", "fetched", "before_manifest", "landed")
LOADS = ("staging", "staged", "merging", "merged", "committing", "committed")
TELLS = ("transforming", "reporting")


@dataclass(frozen=True)
class Kind:
    """A way in which a stream is read. `barriers` are all that it comes to, `begins` names the
    place that its histories begin at; `exact` says that a second try does nothing again that the
    first one had committed, so that the ledger's lines are those of an undisturbed one."""

    task: Task
    barriers: tuple[str, ...]
    begins: str = "before"
    exact: bool = True


def kinds(connectors: Path, changed: Path) -> Mapping[str, Kind]:
    """All of them, by name; `changed` holds the connectors with another mapping."""
    task = Task(now=NOW, connectors=str(connectors), step=STEP)

    def sync(*select: str) -> Task:
        return replace(task, select=select)

    lists = (*LANDS, *LOADS, *TELLS)
    days = (f"{EPOCH:%Y-%m-%d}", f"{NOW - timedelta(days=1):%Y-%m-%d}")
    replay = replace(task, verb="replay", select=(CHARGES,), connectors=str(changed))
    backfill = replace(task, verb="backfill", select=(CHARGES,), days=days)
    return {
        "window": Kind(sync(CHARGES), lists),
        "full": Kind(sync("stripe/sandbox/customers"), lists),
        "cursor": Kind(replace(sync("florist/sandbox/orders"), step=4), lists),
        "feed": Kind(sync(FEED), (*LANDS, *LOADS, "feed_landed")),
        "replay": Kind(replay, (*LOADS, *TELLS), begins="after", exact=False),
        "backfill": Kind(backfill, lists, exact=False),
    }


NAMES = tuple(kinds(Path(), Path()))


@dataclass
class Source:
    """What is read: Stripe's objects and events, and orders that are read by cursor."""

    clock: datetime = BEFORE
    life: Life = field(init=False)
    orders: Orders = field(default_factory=Orders)

    def __post_init__(self) -> None:
        self.life = Life(clock=lambda: self.clock)

    def begins(self) -> None:
        """What is there when it is read for the first time."""
        start = int(EPOCH.timestamp())
        for number in range(PER_DAY * (DAYS - 2)):
            self.life.create("charges", created=start + number * DAY // PER_DAY, event=False)
        for kind, count in (("customers", CUSTOMERS), ("payouts", 6)):
            for number in range(count):
                self.life.create(kind, created=start + number, event=False)
        # One event: without any the feed would have no place at its source, and begin at its start.
        self.life.create("charges", created=int(self.clock.timestamp()) - 60)
        self.orders.add(5)

    def goes_on(self) -> None:
        """What happens until it is read again, the same at each call."""
        self.clock = NOW
        life, random = self.life, Random(0)
        life.live(random, 24, kinds=STREAMS, deletes=STREAMS, back_s=DAY)
        start = int(BEFORE.timestamp())
        for number in range(PER_DAY * 3 // 2):  # in windows that have passed
            life.create("charges", created=start + number * DAY // PER_DAY, event=False)
        life.create("charges", created=start, currency=BAD, event=False)
        for ident in random.sample(sorted(life.truth("customers")), 3):
            life.delete("customers", ident, event=False)
        life.change(
            "customers", max(life.truth("customers")), email="nieuw@example.com", event=False
        )
        self.orders.add(6)
        self.orders.add(1, state="lost")
        self.orders.add(3, number="o2", total="99.00")


def serve(home: Path, source: Source, urls: Mapping[str, str]) -> None:
    """Says in a home where the source is, as the sandbox's own process does."""
    stripe = {"url": urls["stripe"], "secrets": dict(source.life.secrets)}
    florist = {"url": urls["florist"], "secrets": {"user": "u", "word": "w"}}
    (home / FILE).write_text(json.dumps({"stripe": stripe, "florist": florist, **named()}))


def write_connectors(folder: Path, **fields: str) -> Path:
    """Stripe as it is shipped but with small pages and the streams above, and the florist, whose
    orders have a cursor. `fields` replace those of the charges' mapping."""
    shutil.copytree(SHIPPED / "stripe", folder / "stripe", ignore=shutil.ignore_patterns("__p*"))
    path = folder / "stripe" / CONNECTOR_FILE
    file = yaml.safe_load(path.read_text())
    attributes = file["attributes"]
    attributes["connections"] = {"sandbox": {"start": EPOCH.date()}}
    for part in (attributes["sync_handler"]["streams"], attributes["transformer"]):
        for name in set(part) - set(STREAMS):
            del part[name]
    for stream in attributes["sync_handler"]["streams"].values():
        stream["request"] = {**stream["request"], "params": _small(stream["request"]["params"])}
    feed = attributes["event_handler"]["feeds"]["events"]
    feed["request"]["params"] = _small(feed["request"]["params"])
    feed["routes"] = {kind: to for kind, to in feed["routes"].items() if to in STREAMS}
    attributes["transformer"]["charges"]["fields"] |= fields
    path.write_text(yaml.safe_dump(file))
    write(folder / "florist", TEXT.replace("start: 2026-01-01", f"start: {EPOCH:%Y-%m-%d}"))
    return folder


def _small(params: Mapping[str, object]) -> dict[str, object]:
    return {**params, "limit": PAGE}
