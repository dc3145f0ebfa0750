"""The entities' own nodes in the lineage: `canonical/payment` and its siblings.

A node has no compute. It stands for the table that all connectors of an entity fill, whichever lane
a row came by, and is what users' own models depend on.
"""

from collections.abc import Iterable, Mapping

import dagster as dg

from integrations.canonical import ENTITIES
from integrations.canonical.entity import Entity
from integrations.connector_template.connector import BoundStream
from integrations.orchestration import keys


def entity_specs(streams: Iterable[BoundStream]) -> list[dg.AssetSpec]:
    """One node for each entity that any of the streams fills, downstream of their tables."""
    feeding: dict[str, list[dg.AssetKey]] = {}
    for stream in streams:
        feeding.setdefault(stream.mapping.mapping.entity, []).append(keys.table(stream.id))
    return [_node(name, deps) for name, deps in sorted(feeding.items())]


def _node(name: str, deps: list[dg.AssetKey]) -> dg.AssetSpec:
    entity = ENTITIES[name]
    return dg.AssetSpec(
        keys.entity(name),
        deps=deps,
        group_name="canonical",
        kinds={"postgres", "view"},
        tags={"integrations/entity": name},
        description=f"{entity.table().comment}\n\nRead `canonical.{name}_live`.",
        metadata={
            "dagster/table_name": f"canonical.{name}_live",
            "dagster/column_schema": column_schema(entity),
        },
    )


def column_schema(entity: type[Entity]) -> dg.TableSchema:
    """An entity's columns, as Dagster shows them."""
    types: Mapping[str, str] = {column.name: column.type for column in entity.table().columns}
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                types[column.name],
                description=column.description,
                constraints=dg.TableColumnConstraints(nullable=column.nullable),
                tags={"personal": ""} if column.personal else {},
            )
            for column in entity.columns()
        ]
    )
