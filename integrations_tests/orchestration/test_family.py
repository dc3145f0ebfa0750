"""A stream and its child in Dagster: one step, two canonicals and tables, one raw."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from integrations.cli import main
from integrations.commands import choose, replay
from integrations.commands import sync as command
from integrations.connector_template.connector import BoundStream, read_connector
from integrations.names import StreamId
from integrations.orchestration import checks, columns, keys, stack, unheard
from integrations.orchestration.code_location import build
from integrations.processes import named
from integrations.sandbox.address import FILE
from integrations.sandbox.server import running
from integrations.transformation.transform import Transformer
from integrations_tests.connector_template.florist import changed, write
from integrations_tests.orchestration.conftest import Floor, failure
from integrations_tests.orchestration.graphql import catalogue
from integrations_tests.orchestration.one_field import COLUMNS, Read, rows_of

ORDERS = StreamId("florist", "sandbox", "orders")
STEMS = StreamId("florist", "sandbox", "stems")
RAW, CANONICAL, TABLE = keys.trio(ORDERS)
CHILD = keys.pair(STEMS)
TEXT = changed(
    ("main: {start: 2026-01-01, secrets: {user: {env: FLORIST_USER}, word: {env: FLORIST_WORD}}}",
     "sandbox: {start: 2026-01-01}"),
    ("      buyers:\n        sync", "      stems: {of: orders}\n      buyers:\n        sync"),
    ("    buyers:\n      entity", """\
    stems:
      entity: customer
      key: [number, {type: integer, from: item_no}]
      each: stems
      where: [{from: item.lost, not_in: [true]}]
      fields: {name: item.flower, code: number, country: item.from}
    buyers:
      entity"""),
)  # fmt: skip
DAYS = ("2026-01-01", "2026-01-02")


@dataclass
class Orders:
    """A source that has one order a day, of two stems each."""

    stems: list[dict[str, Any]] = field(default_factory=lambda: [{"flower": f} for f in "rt"])
    asked: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        day = dict(one.split("=") for one in scope["query_string"].decode().split("&"))["to"][:10]
        self.asked += 1
        one = {"number": f"o{day}", "total": "12.50", "currency": "EUR", "state": "done"}
        one |= {"ordered_at": f"{day}T00:00:00Z", "stems": self.stems}
        await JSONResponse({"items": [one], "next": None})(scope, receive, send)


@dataclass
class Shop:
    floor: Floor
    source: Orders
    streams: list[BoundStream]
    definitions: dg.Definitions
    folder: Path

    def run(self, *assets: dg.AssetKey, **config: Any) -> dg.ExecuteInProcessResult:
        return self.floor.run(*assets, days=DAYS, definitions=self.definitions, **config)

    def made(self, key: dg.AssetKey) -> list[str | None]:
        """The partitions that an asset was materialized for, newest first."""
        found = self.floor.instance.fetch_materializations(key, limit=99).records
        return [one.partition_key for one in found]

    def stems(self) -> list[str]:
        query = (
            "SELECT source_id FROM canonical.customer WHERE stream = 'stems'"
            " AND _deleted_at IS NULL ORDER BY 1"
        )
        return [id_ for (id_,) in self.floor.rows(query)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("connectors") / "florist", TEXT)


@pytest.fixture(scope="module")
def definitions(folder: Path) -> dg.Definitions:
    return build([folder])


@pytest.fixture
def shop(floor: Floor, folder: Path, definitions: dg.Definitions) -> Iterator[Shop]:
    source = Orders()
    with running(source) as url:
        secrets = {"user": "u", "word": "w"}
        served = {"florist": {"url": url, "secrets": secrets}, **named()}
        (floor.home / FILE).write_text(json.dumps(served))
        yield Shop(floor, source, list(read_connector(folder).streams()), definitions, folder)


def test_one_step_makes_all_of_a_family(shop: Shop) -> None:
    """Window by window, each with its checks; a replay takes the child with it."""
    done = shop.run(RAW, CANONICAL, TABLE, *CHILD)
    assert done.success
    for key in (RAW, CANONICAL, TABLE, *CHILD):
        assert shop.made(key) == ["2026-01-02", "2026-01-01"]
    told = [(one.asset_key, one.check_name) for one in done.get_asset_check_evaluations()]
    assert told.count((CHILD[1], checks.BALANCE)) == told.count((TABLE, checks.BALANCE)) == 2
    assert all(one.passed for one in done.get_asset_check_evaluations())
    assert shop.stems() == [f"o2026-01-0{day}/{n}" for day in (2, 3) for n in (0, 1)]
    asked = shop.source.asked
    assert shop.run(*CHILD).success
    assert (shop.source.asked, len(shop.made(CHILD[1])), len(shop.made(RAW))) == (asked, 4, 2)


def test_a_blocked_child_is_told_with_its_parent(shop: Shop) -> None:
    shop.source.stems = [{"flower": "r", "from": "?"}] * 20
    done = shop.run(RAW, CANONICAL, TABLE, *CHILD)
    assert "held back with florist/sandbox/stems" in failure(done)
    for canonical in (CANONICAL, CHILD[0]):
        share = dg.AssetCheckKey(canonical, checks.ERROR_SHARE)
        told = shop.floor.instance.event_log_storage.get_asset_check_execution_history(share, 9)
        assert [one.status for one in told] == [AssetCheckExecutionRecordStatus.FAILED] * 2
    assert (shop.made(TABLE), shop.made(CHILD[1])) == ([], [])


def test_what_a_dead_run_could_not_report_is_told_of_all(shop: Shop) -> None:
    done = shop.run(RAW, CANONICAL, TABLE, *CHILD)
    for key in (CANONICAL, TABLE, *CHILD):
        shop.floor.instance.wipe_assets([key])
    assert not shop.made(CHILD[1])
    assert unheard.tell_last_commit(shop.floor.instance, done.run_id)
    assert [shop.made(key) for key in (CANONICAL, TABLE, *CHILD)] == [["2026-01-02"]] * 4


def test_the_command_line_shows_the_child(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a stream of its own, whichever of the two is asked for; what is due is its parent's."""

    @contextmanager
    def instance() -> Iterator[dg.DagsterInstance]:
        yield shop.floor.instance

    monkeypatch.setattr(choose, "readers", lambda settings: shop.streams)
    for module in (command, replay):
        monkeypatch.setattr(module, "folders", lambda path: [shop.folder])
    monkeypatch.setattr(choose, "streams", lambda settings: shop.streams)
    monkeypatch.setattr(stack, "instance", instance)
    shop.source.stems[1]["lost"] = True
    until = ["--from", "2026-01-01", "--to", "2026-01-02"]
    for verb, asked in (("sync", 1), ("replay", 1)):
        done = CliRunner().invoke(main, [verb, str(STEMS), *until, "--json"])
        assert done.exit_code == 0, done.stderr
        orders, stems = [json.loads(line) for line in done.stdout.splitlines()]
        assert [one["stream"] for one in (orders, stems)] == ["orders", "stems"]
        assert (stems["records"], stems["received"], stems["filtered"]) == (1, 2, 1)
        assert (orders["received"], stems["status"], shop.source.asked) == (1, "ok", asked)
    done = CliRunner().invoke(main, ["status", "florist", "--json"])
    lines = {line["stream"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert lines["stems"]["rows"] == 1
    assert lines["stems"]["due"] == lines["orders"]["due"] > 0
    refused = CliRunner().invoke(main, ["positions", "rewind", str(STEMS), "--yes"])
    assert "Name florist/sandbox/orders" in refused.stderr


def test_lineage_leads_into_the_list(definitions: dg.Definitions) -> None:
    """The child's canonical comes from its parent's raw, each column from a place in the list."""
    graph = definitions.resolve_asset_graph()
    canonical = graph.get(CHILD[0])
    assert canonical.parent_keys == {RAW}
    assert graph.get(CHILD[1]).parent_keys == {CHILD[0]}
    assert graph.get(CHILD[1]).partitions_def == graph.get(TABLE).partitions_def
    assert CHILD[1] in graph.get(keys.entity("customer")).parent_keys
    lineage = canonical.metadata[columns.LINEAGE].deps_by_column
    found = {name: [dep.column_name for dep in deps] for name, deps in lineage.items()}
    assert found == {
        "source_id": ["number", "stems"],
        "name": ["stems[].flower"],
        "code": ["number"],
        "country": ["stems[].from"],
        "_deleted_at": ["stems[].lost"],
    }
    raw = {one.name for one in graph.get(RAW).metadata[columns.SCHEMA].columns}
    assert {path for paths in found.values() for path in paths} | {"total"} <= raw
    assert "`stems[].flower`" in str(canonical.metadata[columns.SCHEMA])
    assert "A row for each element of `stems`" in str(canonical.description)
    assert "none of true" in str(canonical.description)


TOWNS = "      fields: {name: item.flower, code: number, country: item.from}"
LOOKUP = (
    "{type: lookup, from: item.from, file: towns.csv, key: land, value: town, when_missing: null}"
)
ORDER = {
    "number": "o1", "total": "12.50", "currency": "EUR", "state": "done", "note": "x",
    "ordered_at": "2026-01-01T00:00:00Z",
    "stems": [{"flower": "rose", "from": "NL", "lost": False, "price": "1.20"}],
}  # fmt: skip


def test_lineage_of_a_child_is_what_a_changed_field_changes(floor: Floor, tmp_path: Path) -> None:
    """One field at a time, of the order and of its stem, what is looked up too: as through GraphQL
    the lineage says, no more and no less."""
    city = f"{TOWNS[:-1]}, city: {LOOKUP}}}"
    folder = write(tmp_path / "florist", changed((TOWNS, city), text=TEXT))
    (folder / "towns.csv").write_text("land,town\nNL,Aalsmeer\nKE,Naivasha\n")
    with catalogue(folder, floor.instance) as catalogued:
        read = Read(catalogued.ask(COLUMNS, keys=None)["assetNodes"])
    raw, table = RAW.to_user_string(), CHILD[1].to_user_string()
    edges = {
        (path, column)
        for asset, column in read.sources
        if asset == table
        for origin, path in read.origins((asset, column))
        if origin == raw
    }
    (child,) = [one for one in read_connector(folder).streams() if one.id == STEMS]
    transformer, seen = Transformer(child.mapping), set()
    (before,) = rows_of(transformer, [ORDER]).values()
    (stem,) = ORDER["stems"]
    records = [(name, {**ORDER, name: "o2"}) for name in ORDER if name != "stems"]
    records += [
        (f"stems[].{name}", {**ORDER, "stems": [{**stem, name: other}]})
        for name in stem
        for other in ("KE", True)
    ]
    records.append(("stems", {**ORDER, "stems": [stem, stem]}))  # of equals the last is shown
    for at, after in rows_of(transformer, [record for _, record in records]).items():
        gone = after["_deleted_at"] != before["_deleted_at"]
        for column, value in after.items():
            told = column == "_deleted_at" or not (gone or column in ("_filtered", "_said"))
            if told and value != before[column]:
                seen.add((records[at][0], column))
    assert seen == edges
