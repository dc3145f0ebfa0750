"""A florist whose pages are as long as a test wants, and a stream that reads them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from integrations.connector_template import loading, pull
from integrations.connector_template.connector import BoundStream, read_connector
from integrations.connector_template.run import Run
from integrations.names import Window
from integrations.secrets import Secret
from integrations.storage.database import connect
from integrations.storage.landing import LandingWriter, LandingZone
from integrations.storage.ledger import LedgerEntry
from integrations.storage.manifest import Manifest
from integrations_tests.conformance.subject import Ticking
from integrations_tests.connector_template.florist import changed, write
from integrations_tests.storage.conftest import shared_database  # noqa: F401  # a fixture
from integrations_tests.transport.conftest import Say, Web

NOON = datetime(2026, 1, 3, 12, tzinfo=UTC)
DAY = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
UPPER = ("        currency: currency\n", "        currency: {type: upper, from: currency}\n")
MIXED = (
    "        created_at: ordered_at\n",
    "        created_at: ordered_at\n"
    "        customer_id: {type: id_or_object, from: buyer}\n"
    "        metadata: labels\n",
)
KEPT = (
    "      key: number\n      fields:\n        amount",
    "      key: number\n      missing: {description: {when_null: clear, when_absent: keep},\n"
    "        order_reference: {when_null: default, when_absent: keep, default: none}}\n"
    "      fields:\n        description: note\n        order_reference: order.number\n"
    "        amount",
)
_NUMBERS = count(1)


class SmallParts(LandingZone):
    """A zone whose parts close early, so that a landing of many parts is a small one."""

    part = 20_000

    def writer(self, *names: Any, **more: Any) -> LandingWriter:
        return super().writer(*names, **more, batch_records=self.part)


@dataclass
class Shop:
    """A stream at the florist: `land` and `load` are what a run does for a window."""

    web: Web
    stream: BoundStream
    connection: psycopg.Connection[Any]
    zone: SmallParts
    clock: Ticking = field(default_factory=lambda: Ticking(NOON))
    page_bytes: int = 0

    def holds(self, *, pages: int, records: int) -> None:
        """From now on the source has so many pages of so many new records each."""
        onward = [f"{self.web.url}/orders?page={at}" for at in range(1, pages)]
        found = [_page(next(_NUMBERS), records, onward=url) for url in [*onward, None]]
        # Made now, since what the server's thread makes later would count as the sync's memory.
        answers = [Say(body) for body in found]
        self.page_bytes = len(found[0])
        self.web.route = lambda call: answers[int(call.params.get("page", 0))]

    def land(self) -> Manifest:
        with self._session() as session:
            return pull.land(
                self.stream, DAY, generation=0,
                session=session, zone=self.zone, run=self._run(), clock=self.clock,
            )  # fmt: skip

    def load(self, manifest: Manifest) -> LedgerEntry:
        _, entry = loading.load(
            self.stream, manifest,
            connection=self.connection, zone=self.zone, run=self._run(), clock=lambda: NOON,
        )  # fmt: skip
        assert entry is not None
        return entry

    def sync(self) -> LedgerEntry:
        return self.load(self.land())

    def _session(self) -> Any:
        config = self.stream.config
        return config.sync_handler.transport.open(
            config.auth_handler,
            {"user": Secret("bloem-user"), "word": Secret("geheim-woord")},
            base_url=self.web.url,
            clock=self.clock,
            sleep=lambda _: None,
            random=lambda: 0.5,
        )

    def _run(self) -> Run:
        run_id = f"run{next(_NUMBERS)}"
        return Run(run_id, run_id, "sync", False)


@pytest.fixture(scope="session")
def web() -> Iterator[Web]:
    server = Web()
    yield server
    server.close()


@pytest.fixture
def plain(web: Web, shared_database: str, tmp_path: Path) -> Iterator[Shop]:  # noqa: F811
    """All values are texts and numbers: those that Arrow reads itself."""
    with connect(shared_database) as connection:
        yield _shop(web, connection, tmp_path)


@pytest.fixture
def mixed(web: Web, shared_database: str, tmp_path: Path) -> Iterator[Shop]:  # noqa: F811
    """Beside them an id that may be an object, and a map: those that Arrow cannot read."""
    with connect(shared_database) as connection:
        yield _shop(web, connection, tmp_path, MIXED)


@pytest.fixture
def keeping(web: Web, shared_database: str, tmp_path: Path) -> Iterator[Shop]:  # noqa: F811
    """Two values that no record gives are kept: each record is looked at once more."""
    with connect(shared_database) as connection:
        yield _shop(web, connection, tmp_path, KEPT)


def _shop(
    web: Web, connection: psycopg.Connection[Any], folder: Path, *changes: tuple[str, str]
) -> Shop:
    connector = read_connector(write(folder / "florist", changed(UPPER, *changes)))
    (orders,) = (one for one in connector.streams() if one.id.stream == "orders")
    stream = replace(orders, id=replace(orders.id, connection=f"shop{next(_NUMBERS)}"))
    return Shop(web, stream, connection, SmallParts((folder / "raw").as_uri()))


def _page(number: int, records: int, *, onward: str | None) -> bytes:
    found = [
        {
            "number": f"F-{number:05}-{at:05}",
            "total": f"{at}.10",
            "currency": "EUR",
            "state": ("open", "done")[at % 2],
            "ordered_at": (DAY.start + timedelta(seconds=at)).isoformat(),
            "buyer": f"B-{at:05}",
            "labels": {"note": "x" * 40},
        }
        for at in range(records)
    ]
    return json.dumps({"items": found, "next": onward}).encode()
