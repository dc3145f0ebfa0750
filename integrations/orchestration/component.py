"""The connector as a Dagster component: from a folder's `defs.yaml` to assets, jobs and schedules.

`get_model_cls` is our own config schema, not Dagster's `Resolvable`: the mistakes have our file and
line, and editors get a strict JSON schema.
"""

from collections.abc import Iterable, Sequence
from typing import Self

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition,
)
from pydantic import BaseModel

from integrations.connector_template.config_schema import ConnectorConfig
from integrations.connector_template.connector import Connector as Loaded
from integrations.connector_template.connector import connector
from integrations.connector_template.folders import folders_below, read
from integrations.errors import FixConfig
from integrations.orchestration import keys, lookups
from integrations.orchestration.assets import stream_assets
from integrations.orchestration.entities import entity_specs
from integrations.orchestration.feed_assets import feed_assets
from integrations.orchestration.resources import STORE, ConnectionResource
from integrations.orchestration.schedules import connection_job, feed_schedule, stream_schedule


def shared_nodes(connectors: Iterable[Loaded]) -> list[dg.AssetSpec]:
    """The nodes that connectors may have in common: those of the entities that they fill, and of
    the files and tables in which they look values up."""
    streams = [stream for one in connectors for stream in one.streams()]
    return [*entity_specs(streams), *lookups.nodes(streams)]


def shared_keys(connectors: Iterable[Loaded]) -> set[dg.AssetKey]:
    """Their keys."""
    return {node.key for node in shared_nodes(connectors)}


class Connector(dg.Component):
    """One kind of external system: its auth, its streams, their mappings and their schedules."""

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The config schema of the whole file."""
        return ConnectorConfig

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """The component of a folder whose attributes Dagster has parsed."""
        if not isinstance(attributes, ConnectorConfig):
            raise FixConfig("the file has no attributes", where=str(context.path))
        return cls(connector(context.path, attributes))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The connector's definitions, whole: with the store, and the nodes of its entities and
        of what it looks up in.

        Dagster refuses a node that two components have, since each says where it comes from. So
        one that several connectors share, of the folders beside this one, is the first one's, and
        shows what all of them fill.
        """
        near, _ = read(folders_below(context.path.parent))
        before = [one for one in near if one.name < self.loaded.name]
        after = [one for one in near if one.name > self.loaded.name]
        own = shared_keys([self.loaded]) - shared_keys(before)
        nodes = shared_nodes([*before, self.loaded, *after])
        return dg.Definitions.merge(
            self.own_defs(),
            dg.Definitions(
                assets=[node for node in nodes if node.key in own], resources={keys.STORE: STORE}
            ),
        )

    def own_defs(self) -> dg.Definitions:
        """What belongs to this connector alone: the store and `shared_nodes` are of all."""
        # Children are made, and read, in the step of their parent.
        streams = [stream for stream in self.loaded.streams() if stream.parent is None]
        feeds = list(self.loaded.feeds())
        return dg.Definitions(
            assets=[*map(stream_assets, streams), *map(feed_assets, feeds)],
            jobs=self._jobs(),
            schedules=[*map(stream_schedule, streams), *map(feed_schedule, feeds)],
            resources={
                keys.connection(self.loaded.name, name): ConnectionResource.of(
                    self.loaded.name, name, self.loaded.config
                )
                for name in self.loaded.config.connections
            },
        )

    def _jobs(self) -> Sequence[UnresolvedAssetJobDefinition]:
        found: dict[str, list[dg.AssetKey]] = {name: [] for name in self.loaded.config.connections}
        for stream in self.loaded.streams():
            if stream.parent is None:
                found[stream.id.connection] += keys.of_stream(stream)
        for feed in self.loaded.feeds():
            found[feed.id.connection].append(keys.feed(feed.id))
        return [connection_job(self.loaded.name, name, assets) for name, assets in found.items()]
