"""The entities' own nodes in the lineage: `canonical/payment` and its siblings.

A node has no compute. It stands for the table that all connectors of an entity fill, whichever lane
a row came by, and is what users' own models depend on.
"""

from collections.abc import Iterable

import dagster as dg

from integrations.connector_template.connector import BoundStream
from integrations.names import StreamId
from integrations.orchestration import columns, keys


def entity_specs(streams: Iterable[BoundStream]) -> list[dg.AssetSpec]:
    """One node for each entity that any of the streams fills, downstream of their tables and of
    the feeds that speak of them."""
    feeding: dict[str, list[BoundStream]] = {}
    for stream in streams:
        feeding.setdefault(stream.mapping.entity.entity_name(), []).append(stream)
    return [_node(name, found) for name, found in sorted(feeding.items())]


def _filled_by(streams: Iterable[BoundStream]) -> list[dg.AssetKey]:
    found: dict[dg.AssetKey, None] = {}
    for stream in streams:
        id_ = stream.id
        feeds = [StreamId(id_.connector, id_.connection, name) for name in stream.feeds]
        found |= dict.fromkeys([keys.table(id_), *map(keys.feed, feeds)])
    return list(found)


def _node(name: str, streams: list[BoundStream]) -> dg.AssetSpec:
    entity = streams[0].mapping.entity
    return dg.AssetSpec(
        keys.entity(name),
        deps=_filled_by(streams),
        group_name="canonical",
        kinds={"postgres", "view"},
        tags={"integrations/entity": name},
        description=f"{entity.table().comment}\n\nRead `canonical.{name}_live`.",
        metadata={
            "dagster/table_name": f"canonical.{name}_live",
            **columns.entity(entity, streams),
        },
    )
