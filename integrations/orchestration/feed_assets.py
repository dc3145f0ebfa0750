"""A feed's asset: one, without partitions, that lands, routes and loads what a source tells."""

from collections.abc import Iterator

import dagster as dg

from integrations.connector_template.connector import BoundFeed
from integrations.orchestration import feed_report, keys
from integrations.orchestration.assets import outputs
from integrations.orchestration.feed_step import FeedConfig, read_feed


def feed_assets(feed: BoundFeed) -> dg.AssetsDefinition:
    """The asset of a feed: it fills tables of streams, in one commit with its own position."""
    resource = keys.connection(feed.id.connector, feed.id.connection)

    @dg.multi_asset(
        name=keys.op(feed.id),
        specs=[_spec(feed)],
        check_specs=feed_report.check_specs(feed.id),
        can_subset=True,
        pool=resource,
        required_resource_keys={resource, keys.STORE},
    )
    def step(context: dg.AssetExecutionContext, config: FeedConfig) -> Iterator[dg.DagsterEvent]:
        # Its materialization is logged, so that a turn that fails still shows what it committed.
        read_feed(feed, context, config)
        yield from outputs(context)

    return step


def _spec(feed: BoundFeed) -> dg.AssetSpec:
    id_ = feed.id
    return dg.AssetSpec(
        keys.feed(id_),
        skippable=True,
        group_name=keys.connection(id_.connector, id_.connection),
        owners=list(feed.config.owners),
        tags={
            "integrations/connector": id_.connector,
            "integrations/connection": id_.connection,
        },
        kinds={feed.config.sync_handler.transport.type, "parquet", "postgres"},
        description=_described(feed),
    )


def _described(feed: BoundFeed) -> str:
    """Where the events come from, where they go, and which of them are only hints."""
    config, given = feed.config, feed.feed
    docs = f" [API documentation]({config.docs})" if config.docs else ""
    routes = "\n".join(_route(feed, kind) for kind in sorted(feed.routes))
    return (
        f"{config.title}: the events of {given.request.asks}, each of which tells of a change. "
        f"Read again when the position is older than {given.every}; a process that drains the "
        f"feed (`integrations drain {feed.id}`) has them in the tables within a second.{docs}\n\n"
        "What an event says goes through the mapping of its stream into that stream's table. The "
        "rows of all streams, the refused records and the position are committed together.\n\n"
        f"| kind | stream | what counts |\n|---|---|---|\n{routes}\n\n"
        f"Events of other kinds are filtered. The source keeps its events for "
        f"{given.retention_days} days: after a longer silence some are missed. Then the check "
        "`gap` fails until the streams above are read again; they are due at once."
    )


def _route(feed: BoundFeed, kind: str) -> str:
    stream = feed.routes[kind]
    hint = feed.feed.event.is_hint(reread=stream.reread)
    counts = "what its source answers when asked for the key" if hint else "what the event says"
    return f"| {kind} | {stream.id.stream} | {counts} |"
