"""One event of a feed, found by its own id: where it is landed, and what it is taken for."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from integrations.connector_template.connector import BoundFeed
from integrations.connector_template.statements import Event, Loaded, Looked, Needle, event_of
from integrations.errors import StopStream
from integrations.storage.landing import LandingZone
from integrations.storage.manifest import Manifest
from integrations.transformation.arrow import Array, array, positions
from integrations.transformation.event_reader import EventReader
from integrations.transformation.kinds import WORD


@dataclass(frozen=True, kw_only=True)
class FeedEvent:
    """One event of a feed: where it is landed, and where it belongs: to a record of a stream, or
    nowhere (a kind without a route), or it is `refused`."""

    said_at: datetime
    manifest: Manifest
    event: Event
    stream: str | None
    key: str | None
    refused: tuple[str | None, str | None, str] | None
    loads: list[Loaded] = field(default_factory=list)


def events(
    feed: BoundFeed,
    key: str,
    *,
    manifests: list[Manifest],
    zone: LandingZone,
    looked: Looked,
    notes: list[str],
) -> Iterator[FeedEvent]:
    """The events of a feed with this id (or hash)."""
    search = Needle(key, parts=[key])
    reader = EventReader({feed.feed.event.id: WORD})
    for manifest in manifests:
        looked(manifest)
        try:
            for batch in zone.batches(manifest):
                may = search.may(batch.records)
                for at in positions(may):
                    one = array([at], pa.int64())
                    event = batch.records.take(one)
                    ids = reader.read(event).values[feed.feed.event.id]
                    if [str(id_) for id_ in ids] == [key] or search.hashes(event[0].as_py()):
                        yield _routed(feed, event, batch.seen_at.take(one), manifest)
        except StopStream as error:
            notes.append(str(error))


def _routed(feed: BoundFeed, event: Array, seen_at: Array, manifest: Manifest) -> FeedEvent:
    routed = feed.router.run(event, seen_at=seen_at)
    (stream, lane) = next(iter(routed.lanes.items()), (None, None))
    refused = routed.refused.to_pylist()
    said_at: Any = (lane.said_at[0].as_py() if lane else None) or seen_at[0].as_py()
    return FeedEvent(
        said_at=said_at.astimezone(UTC),
        manifest=manifest,
        event=event_of(feed, event, hint=bool(lane and lane.hint[0].as_py())),
        stream=stream,
        key=lane.keys[0].as_py() if lane else None,
        refused=(refused[0]["field"], refused[0]["rule"], refused[0]["reason"])
        if refused
        else None,
    )
