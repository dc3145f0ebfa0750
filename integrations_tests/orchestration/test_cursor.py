"""Streams that are read by cursor: each run goes on where the last one that loaded has ended."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from integrations.cli import main
from integrations.commands import choose
from integrations.commands import sync as command
from integrations.connector_template import pull
from integrations.connector_template.connector import BoundStream, read_connector
from integrations.connector_template.due import due
from integrations.names import StreamId
from integrations.orchestration import keys, stack
from integrations.orchestration.code_location import build
from integrations.processes import named
from integrations.sandbox.address import FILE
from integrations.sandbox.server import running
from integrations_tests.connector_template.florist import changed, write
from integrations_tests.orchestration.conftest import Floor, failure

ORDERS = StreamId("florist", "sandbox", "orders")
RAW, CANONICAL, TABLE = keys.trio(ORDERS)
TEXT = changed(
    ("main: {start: 2026-01-01, secrets: {user: {env: FLORIST_USER}, word: {env: FLORIST_WORD}}}",
     "sandbox: {start: 2026-01-01}"),
    ("{type: window, cadence: daily, column: created_at, filter: modified}",
     "{type: cursor, position: seq}"),
    ('params: {from: "{window.start}", to: "{window.end}"}',
     'params: {after: "{position}", since: "{since}"}'),
)  # fmt: skip
PAGE = 2


@dataclass
class Orders:
    """A source that lists what follows a number, two at a time."""

    records: list[dict[str, Any]] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    breaks_after: int | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        params = dict(Request(scope).query_params)
        self.asked.append(params)
        after = int(params.get("after", 0))
        found = [one for one in self.records if one["seq"] > after]
        page = found[:PAGE]
        body: dict[str, Any] = {"items": page, "next": None}
        if len(found) > PAGE:
            body["next"] = f"/orders?after={page[-1]['seq']}"
        broken = after == self.breaks_after
        await JSONResponse(body, status_code=404 if broken else 200)(scope, receive, send)

    def add(self, count: int, **values: Any) -> None:
        for seq in range(len(self.records) + 1, len(self.records) + 1 + count):
            one = {"number": f"o{seq}", "seq": seq, "total": "12.50", "currency": "EUR"}
            one |= {"state": "done", "ordered_at": "2026-01-05T10:00:00Z"}
            self.records.append(one | values)


@dataclass
class Shop:
    """The source, and a floor to read it on."""

    floor: Floor
    source: Orders
    stream: BoundStream
    definitions: dg.Definitions
    folder: Path

    def run(self, *assets: dg.AssetKey, **config: Any) -> dg.ExecuteInProcessResult:
        chosen = assets or keys.trio(ORDERS)
        return self.floor.run(*chosen, definitions=self.definitions, **config)

    def ledger(self) -> list[tuple[Any, ...]]:
        """Cause, status and records of each line."""
        return self.floor.rows("SELECT cause, status, records FROM integrations.ledger ORDER BY id")

    def numbers(self) -> set[str]:
        found = self.floor.rows("SELECT source_id FROM canonical.payment WHERE _deleted_at IS NULL")
        return {number for (number,) in found}

    def due(self) -> bool:
        with self.floor.connect() as connection:
            return due(self.stream, connection, now=datetime.now(UTC)) == [[]]

    def told(self, key: dg.AssetKey) -> list[str]:
        """The landings that events of raw name, or how many events an asset has."""
        found = self.floor.instance.fetch_materializations(key, limit=99).records
        return [str(one.storage_id) for one in found]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("connectors") / "florist", TEXT)


@pytest.fixture(scope="module")
def definitions(folder: Path) -> dg.Definitions:
    return build([folder])


@pytest.fixture
def shop(
    floor: Floor, folder: Path, definitions: dg.Definitions, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shop]:
    """Small steps, and a source that is empty."""
    monkeypatch.setattr(pull, "STEP_RECORDS", PAGE)
    source = Orders()
    stream = next(s for s in read_connector(folder).streams() if s.id == ORDERS)
    with running(source) as url:
        secrets = {"user": "u", "word": "w"}
        served = {"florist": {"url": url, "secrets": secrets}, **named()}
        (floor.home / FILE).write_text(json.dumps(served))
        yield Shop(floor, source, stream, definitions, folder)


def test_a_pull_goes_on_landing_by_landing(shop: Shop) -> None:
    """Each landing is loaded before the next one is fetched; the next run asks for what follows,
    and what was never loaded is loaded without being fetched again."""
    shop.source.add(5)
    shop.source.breaks_after = 4
    assert "answered 404" in failure(shop.run())
    assert shop.ledger() == [("sync", "ok", 2), ("sync", "ok", 2), ("sync", "failed", 0)]
    assert len(shop.told(TABLE)) == 2
    assert shop.due()
    shop.source.breaks_after = None
    assert shop.run().success
    assert [asked.get("after") for asked in shop.source.asked] == [None, "2", "4", "4"]
    assert shop.numbers() == {"o1", "o2", "o3", "o4", "o5"}
    assert not shop.due()
    shop.source.add(3)
    for _ in range(2):  # raw alone only lands, and may be run twice
        assert shop.run(RAW).success
    assert shop.ledger()[3:] == [("sync", "ok", 1)]
    assert [asked.get("after") for asked in shop.source.asked[4:]] == ["5", "7", "8"]
    assert shop.run().success
    assert [asked.get("after") for asked in shop.source.asked[7:]] == ["8"]
    assert shop.ledger()[4:] == [("sync", "ok", 2), ("sync", "ok", 1)]
    assert len(shop.numbers()) == 8


def test_all_of_it_is_read_again_when_asked(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """`sync --full` of a cursor begins at its start, also of what is written without a new
    position; `sync` goes on where it stands."""
    shop.source.add(3)
    assert shop.run().success
    shop.source.records[0]["total"] = "99.00"

    @contextmanager
    def instance() -> Iterator[dg.DagsterInstance]:
        yield shop.floor.instance

    monkeypatch.setattr(choose, "readers", lambda settings: [shop.stream])
    monkeypatch.setattr(command, "folders", lambda path: [shop.folder])
    monkeypatch.setattr(stack, "instance", instance)
    asked = len(shop.source.asked)
    done = CliRunner().invoke(main, ["sync", str(ORDERS), "--full", "--json"])
    assert done.exit_code == 0, done.stderr
    assert [one.get("after") for one in shop.source.asked[asked:]] == [None, "2"]
    (line,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (line["received"], line["updated"], line["unchanged"]) == (3, 1, 2)
    shop.source.add(1)
    with shop.floor.connect() as connection:
        connection.execute("UPDATE integrations.positions SET checked_at = '2026-01-01'")
        connection.commit()
    assert CliRunner().invoke(main, ["sync", str(ORDERS), "--json"]).exit_code == 0
    assert [one.get("after") for one in shop.source.asked[asked + 2 :]] == ["3"]


def test_a_source_that_says_nothing_is_not_due(shop: Shop) -> None:
    """It was asked, and had nothing; later what it has is read from where it stands."""
    assert shop.run().success
    assert not shop.due()
    assert shop.ledger() == []
    shop.source.add(1)
    assert shop.run().success
    assert "since" in shop.source.asked[-1]
    assert shop.numbers() == {"o1"}


def test_a_blocked_landing_stops_the_rest(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes after it cannot be loaded without it; accepted, it is, and the rest follows."""
    monkeypatch.setattr(pull, "STEP_RECORDS", 20)
    shop.source.add(20, state="lost")
    shop.source.add(3)
    assert "blocked, 20 of 20 records were refused" in failure(shop.run())
    asked = len(shop.source.asked)
    assert shop.ledger() == [("sync", "blocked", 20)]
    assert shop.due()
    assert shop.run(accept=True).success
    assert shop.numbers() == {"o21", "o22", "o23"}
    assert [one.get("after") for one in shop.source.asked[asked:]] == ["20", "22"]


def test_a_stream_is_read_anew_when_asked(shop: Shop) -> None:
    """From its start or from a moment; a run that takes up a failed one goes on where that was."""
    shop.source.add(5)
    assert shop.run().success
    shop.source.breaks_after = 2
    asked = len(shop.source.asked)
    failed = shop.run(mode="full")
    assert "answered 404" in failure(failed)
    shop.source.breaks_after = None
    again = {
        "dagster/parent_run_id": failed.run_id,
        "dagster/root_run_id": failed.run_id,
        "dagster/is_resume_retry": "true",
    }
    assert shop.run(mode="full", tags=again).success
    assert [one.get("after") for one in shop.source.asked[asked:]] == [None, "2", "2", "4"]
    assert shop.run(mode="since", since="2026-01-04").success
    assert shop.source.asked[-3] == {"since": "2026-01-03T23:55:00Z"}
    assert not shop.due()
    assert shop.numbers() == {"o1", "o2", "o3", "o4", "o5"}
    for config, said in [
        ({"mode": "since"}, "`mode: since` and the moment `since` go together"),
        ({"mode": "since", "since": "soon"}, "'soon' is no time"),
    ]:
        assert said in failure(shop.run(**config))
    assert "this run does not read it" in failure(shop.run(TABLE, mode="full"))


def test_a_replay_takes_all_that_is_landed(shop: Shop) -> None:
    """In few loads, told as the newest landing; nothing is asked, and the position stays."""
    shop.source.add(5)
    assert shop.run().success
    asked, told = len(shop.source.asked), len(shop.told(TABLE))
    place = shop.floor.rows("SELECT position, checked_at FROM integrations.positions")
    assert shop.run(CANONICAL, TABLE).success
    assert shop.ledger()[3:] == [("replay", "ok", 5)]
    assert len(shop.source.asked) == asked
    assert len(shop.told(TABLE)) == told + 1
    assert shop.floor.rows("SELECT position, checked_at FROM integrations.positions") == place
