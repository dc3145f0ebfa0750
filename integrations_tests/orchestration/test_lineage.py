"""Column lineage, read back through GraphQL and held against what a changed record changes."""

import copy
import json
import urllib.request
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from integrations.connector_template.connector import BoundStream
from integrations.connector_template.folders import SHIPPED
from integrations.names import StreamId
from integrations.orchestration import keys
from integrations.sandbox.stripe import StripeTwin
from integrations.transformation.transform import Transformer
from integrations_tests.conftest import make_settings
from integrations_tests.orchestration.graphql import catalogue

STREAMS = ("charges", "refunds", "balance_transactions", "customers", "payouts")
COLUMNS = """query($keys: [AssetKeyInput!]) { assetNodes(assetKeys: $keys) {
  assetKey { path }
  metadataEntries {
    ... on TableColumnLineageMetadataEntry {
      lineage { columnName columnDeps { assetKey { path } columnName } } }
    ... on TableSchemaMetadataEntry { schema { columns { name } } } } } }"""
NOW = datetime(2026, 1, 2, tzinfo=UTC)
OTHERS: tuple[Any, ...] = (
    None, True, False, 7, 1_700_000_000, "7.25", "other", "jpy", "eur", "nl", "pending", "failed",
    "succeeded", "fee", "canceled", "x@y.example", {"a": "b"}, {"id": "other_1"},
)  # fmt: skip
"""What a field is changed to: something for every kind of value; most of it any one field refuses."""

Node = tuple[str, str]
"""An asset and one of its columns."""


class Read:
    """What GraphQL says of every asset's columns, and where each comes from."""

    def __init__(self, nodes: list[dict[str, Any]]) -> None:
        self.columns: dict[str, set[str]] = {}
        self.sources: dict[Node, set[Node]] = {}
        for node in nodes:
            asset = _name(node["assetKey"])
            for entry in node["metadataEntries"]:
                for column in entry.get("schema", {}).get("columns", ()):
                    self.columns.setdefault(asset, set()).add(column["name"])
                for column in entry.get("lineage", ()):
                    deps = {(_name(d["assetKey"]), d["columnName"]) for d in column["columnDeps"]}
                    self.sources[asset, column["columnName"]] = deps

    def origins(self, node: Node) -> set[Node]:
        """The columns at the very beginning of a column's lineage."""
        if node not in self.sources:
            return {node}
        return set().union(*(self.origins(source) for source in self.sources[node]))


def _name(key: dict[str, Any]) -> str:
    return "/".join(key["path"])


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Read]:
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        home = make_settings(tmp_path_factory.mktemp("lineage") / "home").home
        patch.setenv("INTEGRATIONS_HOME", str(home))
        with catalogue(SHIPPED / "stripe", instance) as catalogued:
            yield Read(catalogued.ask(COLUMNS, keys=None)["assetNodes"])


@pytest.fixture(params=STREAMS)
def stream(request: pytest.FixtureRequest, streams: dict[StreamId, BoundStream]) -> BoundStream:
    return streams[StreamId("stripe", "sandbox", request.param)]


@pytest.fixture
def records(stream: BoundStream, shared_twin: tuple[StripeTwin, str]) -> list[dict[str, Any]]:
    """A page of the stream, as the twin answers."""
    twin, url = shared_twin
    request = urllib.request.Request(
        f"{url}{stream.stream.request.path}?limit=100",
        headers={"Authorization": f"Bearer {twin.secrets['api_key']}"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        found: list[dict[str, Any]] = json.load(answer)["data"]
    return found


def test_lineage_names_only_columns_that_are_there(read: Read) -> None:
    """Each end of an edge is in the list of its asset's columns, where catalogues look it up."""
    ends = {*read.sources, *(source for found in read.sources.values() for source in found)}
    assert {end for end in ends if end[1] not in read.columns[end[0]]} == set()


def test_an_entitys_columns_come_from_every_table_that_fills_them(
    read: Read, streams: dict[StreamId, BoundStream]
) -> None:
    """Both connections of Stripe fill payment's amount; no stream of theirs fills its fee."""
    tables = {f"stripe/{name}/charges" for name in ("main", "sandbox")}
    assert read.sources["canonical/payment", "amount"] == {(table, "amount") for table in tables}
    assert "fee" in read.columns["canonical/payment"]
    assert ("canonical/payment", "fee") not in read.sources
    filled = {asset for asset, _ in read.sources if asset.startswith("canonical/")}
    assert filled == {
        keys.entity(s.mapping.entity.entity_name()).to_user_string() for s in streams.values()
    }


def test_lineage_is_what_a_changed_field_changes(
    read: Read, stream: BoundStream, records: list[dict[str, Any]]
) -> None:
    """One field of a record at a time: what changes in the row is what the lineage leads to, and
    each edge of it is seen to change something."""
    raw, _, table = (key.to_user_string() for key in keys.trio(stream.id))
    edges = {
        (path, column)
        for asset, column in read.sources
        if asset == table
        for origin, path in read.origins((asset, column))
        if origin == raw
    }
    assert {path for path, _ in edges} == read.columns[raw]
    assert _changes(stream, records) == edges


def _changes(stream: BoundStream, records: list[dict[str, Any]]) -> set[Node]:
    """The field that was changed (its mapped path, or its own), and a column that changed by it."""
    mapped = set(stream.mapping.paths)
    bases = _varied(records, mapped)
    changed = [
        (number, path, _with(base, path, other))
        for number, base in enumerate(bases)
        for path in mapped | set(_leaves(base))
        for other in (OTHERS if path in mapped else OTHERS[:5])
    ]
    rows = _rows(stream, [*bases, *(record for _, _, record in changed)])
    return {
        (next((one for one in mapped if f"{path}.".startswith(f"{one}.")), path), column)
        for at, (number, path, _) in enumerate(changed, len(bases))
        if at in rows  # a value that is refused makes no row
        for column, value in rows[at].items()
        if value != rows[number][column]
        # A record that is flagged as deleted has no columns: it says nothing of where they come from.
        and (column == "_deleted_at" or rows[at].get("_deleted_at") is None)
    }


def _rows(stream: BoundStream, records: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """What each record becomes, by its place; `_seen_at` carries the place through."""
    moments = [NOW + timedelta(seconds=at) for at in range(len(records))]
    done = Transformer(stream.mapping).run(
        pa.array([json.dumps(record).encode() for record in records], pa.binary()),
        seen_at=pa.array(moments, pa.timestamp("us", tz="UTC")),
    )
    return {int((row.pop("_seen_at") - NOW).total_seconds()): row for row in done.rows.to_pylist()}


def _varied(records: list[dict[str, Any]], paths: set[str]) -> list[dict[str, Any]]:
    """For each path the first record that has something there, and the first that has nothing."""
    found: dict[tuple[str, bool], int] = {}
    for number, record in enumerate(records):
        for path in paths:
            found.setdefault((path, bool(_at(record, path))), number)
    return [records[number] for number in sorted(set(found.values()))]


def _at(record: Any, path: str) -> Any:
    for name in path.split("."):
        record = record.get(name) if isinstance(record, dict) else None
    return record


def _leaves(record: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """The paths of all values in a record that hold no others by name."""
    for name, value in record.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}"


def _with(record: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of the record with another value at a path."""
    changed = copy.deepcopy(record)
    inner = changed
    *above, last = path.split(".")
    for name in above:
        if not isinstance(inner.get(name), dict):
            inner[name] = {}
        inner = inner[name]
    inner[last] = value
    return changed
