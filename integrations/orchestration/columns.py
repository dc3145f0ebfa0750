"""A stream's columns in Dagster: their types, and which columns of the asset before they come from.

Both stand on the definitions, not on events: they follow from the connector's file, and a copy with
every window would say the same thing for ever. Column lineage is for catalogues, which read it
through GraphQL. The pages of Dagster's open-source UI leave it out; so that people see it too, the
descriptions of canonical's columns name their sources.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

import dagster as dg

from integrations.canonical.entity import Entity
from integrations.connector_template.connector import BoundStream
from integrations.orchestration import keys, lookups
from integrations.transformation.describe import found_in, lineage, looked_up, source_path
from integrations.transformation.mapping import BoundField, BoundMapping

SCHEMA, LINEAGE = "dagster/column_schema", "dagster/column_lineage"
"""The names under which Dagster and its catalogues look for them."""

Metadata = dict[str, dg.TableSchema | dg.TableColumnLineage]
Source = tuple[dg.AssetKey, str]
"""An asset and one of its columns."""

_SYSTEM = {
    "source_id": ("text", "The record's id in its source; unique within a stream."),
    "_version": ("bigint", "The source's own version of the record."),
    "_deleted_at": ("timestamptz", "When the record was deleted in the source; null while it is."),
}
"""What a mapping may fill beside the entity's columns: type in Postgres, and meaning."""


def raw(stream: BoundStream) -> Metadata:
    """The values that the mappings of the stream and its children read of a record, by their path;
    there may be many others."""
    read = {
        source_path(one.mapping, path): kind.name
        for one in reversed(stream.family)
        for path, kind in one.mapping.paths.items()
    }
    return {SCHEMA: dg.TableSchema([dg.TableColumn(*one) for one in sorted(read.items())])}


def canonical(stream: BoundStream) -> Metadata:
    """The columns that the mapping fills, and the paths that it reads for each; of a value that is
    looked up also the column that it comes from, and the one that it is found by."""
    bound, key = stream.mapping, keys.raw(stream.source)
    types: Mapping[str, str] = {column.name: column.type for column in bound.entity.table().columns}
    rules = {field.column.name: field for field in bound.fields}
    read = _filled(bound)
    columns = [
        dg.TableColumn(
            name,
            types.get(name) or _SYSTEM[name][0],
            description=_origin(paths, rules.get(name)),
        )
        for name, paths in read.items()
    ]
    sources = {name: [(key, path) for path in paths] for name, paths in read.items()}
    for name, found in looked_up(bound).items():
        for rule in found:
            asset = lookups.asset(stream.id, rule)
            sources[name] += [(asset, rule.value), (asset, rule.key_column)]
    return {SCHEMA: dg.TableSchema(columns), LINEAGE: _lineage(sources)}


def table(stream: BoundStream) -> Metadata:
    """The entity's columns; those that the mapping fills come from canonical's of that name."""
    filled, key = _filled(stream.mapping), keys.canonical(stream.id)
    return {
        SCHEMA: _schema(stream.mapping.entity, filled),
        LINEAGE: _lineage({name: [(key, name)] for name in filled}),
    }


def entity(model: type[Entity], streams: Iterable[BoundStream]) -> Metadata:
    """The entity's columns; each comes from the tables of all streams that fill it."""
    sources: dict[str, list[Source]] = {}
    for stream in streams:
        for name in _filled(stream.mapping):
            sources.setdefault(name, []).append((keys.table(stream.id), name))
    return {SCHEMA: _schema(model, sources), LINEAGE: _lineage(sources)}


def _filled(bound: BoundMapping) -> dict[str, list[str]]:
    """The columns that the mapping fills, with the paths that decide their values; none of a
    constant's."""
    mapped = {field.column.name for field in bound.fields}
    return {name: paths for name, paths in lineage(bound).items() if paths or name in mapped}


def _origin(paths: Sequence[str], field: BoundField | None) -> str:
    """A column's sources in words: ``from `amount`, `currency` (minor_units)``."""
    found = [f"`{path}`" for path in paths] + (found_in(field) if field else [])
    words = ", ".join(found)
    rule = f" ({field.rule.name})" if field else ""
    return f"{f'from {words}' if words else 'the same in every row'}{rule}"


def _lineage(sources: Mapping[str, Iterable[Source]]) -> dg.TableColumnLineage:
    """Columns that come from no column, as constants do, are left out."""
    deps = {
        name: [dg.TableColumnDep(asset_key, column) for asset_key, column in dict.fromkeys(found)]
        for name, found in sources.items()
    }
    return dg.TableColumnLineage({name: found for name, found in deps.items() if found})


def _schema(model: type[Entity], filled: Collection[str]) -> dg.TableSchema:
    """An entity's columns as Dagster shows them, with what else is filled beside them."""
    types: Mapping[str, str] = {column.name: column.type for column in model.table().columns}
    own = [
        dg.TableColumn(
            column.name,
            types[column.name],
            description=column.description,
            constraints=dg.TableColumnConstraints(nullable=column.nullable),
            tags={"personal": ""} if column.personal else {},
        )
        for column in model.columns()
    ]
    beside = [
        dg.TableColumn(name, type_, description=meaning)
        for name, (type_, meaning) in _SYSTEM.items()
        if name in filled
    ]
    return dg.TableSchema([*beside, *own])
