"""What Dagster calls a stream or a feed: asset keys, op, job, resource, pool and schedule names.

Names are joined with two underscores, and hold no two in a row themselves (`names.NAME`).
"""

import dagster as dg

from integrations.connector_template.connector import BoundStream
from integrations.names import StreamId

STORE = "store"
"""The resource that holds the database and the landing zone."""


def raw(stream: StreamId) -> dg.AssetKey:
    """What one pull wrote to the landing zone."""
    return dg.AssetKey([stream.connector, stream.connection, f"{stream.stream}_raw"])


def canonical(stream: StreamId) -> dg.AssetKey:
    """The records as canonical rows, checked."""
    return dg.AssetKey([stream.connector, stream.connection, f"{stream.stream}_canonical"])


def table(stream: StreamId) -> dg.AssetKey:
    """The rows in Postgres."""
    return dg.AssetKey([stream.connector, stream.connection, stream.stream])


def feed(feed: StreamId) -> dg.AssetKey:
    """What a feed said, in the tables of the streams that it speaks of."""
    return table(feed)


def trio(stream: StreamId) -> list[dg.AssetKey]:
    """Raw, canonical and table, in the order of the data."""
    return [raw(stream), canonical(stream), table(stream)]


def pair(child: StreamId) -> list[dg.AssetKey]:
    """Canonical and table of a child stream: its raw is its parent's."""
    return [canonical(child), table(child)]


def of_stream(stream: BoundStream) -> list[dg.AssetKey]:
    """The assets of a stream's step: its trio, and what its children have."""
    return [*trio(stream.id), *(key for one in stream.children for key in pair(one.id))]


def entity(name: str) -> dg.AssetKey:
    """The node of an entity, which all its tables feed and users' models depend on."""
    return dg.AssetKey(["canonical", name])


def connection(connector: str, name: str) -> str:
    """A connection's resource, group and pool."""
    return f"{connector}__{name}"


def op(stream: StreamId) -> str:
    """The step of a stream or a feed."""
    return f"{stream.connector}__{stream.connection}__{stream.stream}"


def job(connector: str, name: str) -> str:
    """A connection's job; without the suffix it could collide with an op."""
    return f"{connection(connector, name)}__sync"


def schedule(stream: StreamId) -> str:
    """The schedule of a stream or a feed."""
    return f"{op(stream)}__schedule"
