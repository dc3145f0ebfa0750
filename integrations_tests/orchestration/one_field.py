"""What a catalogue says of columns, and what changes in rows when one field of a record does."""

import copy
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from integrations.connector_template.connector import BoundStream
from integrations.transformation.transform import Transformer

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


def changes(
    stream: BoundStream,
    records: list[dict[str, Any]],
    *,
    others: Iterable[Any] = (),
    transformer: Transformer | None = None,
) -> set[Node]:
    """The field that was changed (its mapped path, or its own), and a column that changed by it;
    `others` are further values that a mapped field is changed to."""
    mapped, values = set(stream.mapping.paths), (*OTHERS, *others)
    transformer = transformer or Transformer(stream.mapping)
    bases = _varied(records, mapped)
    changed = [
        (number, path, with_(base, path, other))
        for number, base in enumerate(bases)
        for path in mapped | set(leaves(base))
        for other in (values if path in mapped else OTHERS[:5])
    ]
    rows = rows_of(transformer, [*bases, *(record for _, _, record in changed)])
    return {
        (next((one for one in mapped if f"{path}.".startswith(f"{one}.")), path), column)
        for at, (number, path, _) in enumerate(changed, len(bases))
        if at in rows  # a value that is refused makes no row
        for column, value in rows[at].items()
        if value != rows[number][column]
        # A record that is flagged as deleted has no columns: it says nothing of where they come from.
        and (column == "_deleted_at" or rows[at].get("_deleted_at") is None)
    }


def rows_of(transformer: Transformer, records: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """What each record becomes, by its place; `_seen_at` carries the place through."""
    moments = [NOW + timedelta(seconds=at) for at in range(len(records))]
    done = transformer.run(
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


def leaves(record: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """The paths of all values in a record that hold no others by name."""
    for name, value in record.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}"


def with_(record: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
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
