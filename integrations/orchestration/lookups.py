"""What streams look values up in, in the lineage: tables of other streams, and a node without
compute for what comes from elsewhere, a CSV of the connector or a table of the user's."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import dagster as dg

from integrations.connector_template.connector import BoundStream
from integrations.connector_template.sync_handler import ChildStream, Stream
from integrations.names import StreamId
from integrations.orchestration import keys
from integrations.sync_state.windows import WindowSync
from integrations.transformation.describe import looked_up
from integrations.transformation.lookup import Lookup

GROUP = "lookups"


def asset(stream: StreamId, rule: Lookup) -> dg.AssetKey:
    """Where a lookup of the stream finds its values."""
    if rule.stream is not None:
        return keys.table(replace(stream, stream=rule.stream))
    if rule.table is not None:
        return dg.AssetKey(rule.table.split("."))
    return dg.AssetKey([stream.connector, rule.place])


def assets(stream: BoundStream) -> list[dg.AssetKey]:
    """All in which the stream looks values up, each once."""
    return list(dict.fromkeys(asset(stream.id, rule) for rule in _rules(stream)))


def deps(stream: BoundStream) -> list[dg.AssetDep]:
    """The same as what canonical depends on: whichever window a looked-up row came in."""
    found = {asset(stream.id, rule): _windowed(stream, rule) for rule in _rules(stream)}
    return [
        dg.AssetDep(key, partition_mapping=dg.AllPartitionMapping() if windowed else None)
        for key, windowed in found.items()
    ]


def nodes(streams: Iterable[BoundStream]) -> list[dg.AssetSpec]:
    """A node for each file and each table of the user's in which a stream looks values up."""
    found: dict[dg.AssetKey, list[Lookup]] = {}
    for stream in streams:
        for rule in _rules(stream):
            if rule.stream is None:
                found.setdefault(asset(stream.id, rule), []).append(rule)
    return [_node(key, rules) for key, rules in sorted(found.items())]


def _node(key: dg.AssetKey, rules: list[Lookup]) -> dg.AssetSpec:
    names = dict.fromkeys(name for rule in rules for name in (rule.key_column, rule.value))
    columns = dg.TableSchema([dg.TableColumn(name) for name in names])
    table = rules[0].table
    return dg.AssetSpec(
        key,
        group_name=GROUP,
        kinds={"postgres", "table"} if table else {"csv"},
        description=(
            f"Values are looked up in the {rules[0].place if table else f'file {rules[0].file}'}. "
            "A change of it reaches rows with their next sync, or with a replay."
        ),
        metadata={"dagster/column_schema": columns}
        | ({"dagster/table_name": table} if table else {}),
    )


def _rules(stream: BoundStream) -> Iterator[Lookup]:
    return (rule for rules in looked_up(stream.mapping).values() for rule in rules)


def _windowed(stream: BoundStream, rule: Lookup) -> bool:
    streams = stream.config.sync_handler.streams
    other = streams.get(rule.stream or "")
    if isinstance(other, ChildStream):
        other = streams[other.of]
    return isinstance(other, Stream) and isinstance(other.sync, WindowSync)
