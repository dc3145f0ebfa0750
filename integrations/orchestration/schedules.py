"""Jobs and schedules: one job a connection, one schedule for each stream and each feed.

A job a stream would dominate the load of the definitions; a schedule chooses its stream's assets
from the connection's job instead. Schedules tick every hour (every five minutes where a file says
so), at a minute of their own, and ask the store what is due: after an outage they find the holes,
where a daily tick or an automation condition would leave them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from zlib import crc32

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition,
)

from integrations.connector_template.circuits import keeping
from integrations.connector_template.config_schema import SANDBOX
from integrations.connector_template.connector import BoundFeed, BoundStream
from integrations.connector_template.due import due, feed_due
from integrations.monitoring import ledger
from integrations.names import StreamId
from integrations.orchestration import keys
from integrations.orchestration.busy import runs_of
from integrations.orchestration.partitions import partitions, range_tags
from integrations.orchestration.resources import StoreResource, now
from integrations.sandbox import address
from integrations.settings import Settings
from integrations.sync_state.cursors import CursorSync

STREAM_TAG = "integrations/stream"
"""The run tag by which runs of a stream, or of a feed, are found in the UI."""
MOST_RUNS = 5
"""Runs a tick asks for at the most: one for each unbroken stretch of due windows, newest first."""

REST = timedelta(hours=1)
"""For how long what ticks every five minutes is left alone when it was blocked or has failed: a
person is told once an hour, and a source not asked for ever what it does not answer. Less where a
breaker says when its endpoint may be tried."""

Requested = Iterator[dg.RunRequest | dg.SkipReason]


def connection_job(
    connector: str, connection: str, assets: Iterable[dg.AssetKey]
) -> UnresolvedAssetJobDefinition:
    """The one job of a connection, over the assets of all its streams and feeds."""
    return dg.define_asset_job(
        keys.job(connector, connection),
        selection=dg.AssetSelection.assets(*assets),
        description=f"Syncs {connector}/{connection}.",
    )


def stream_schedule(stream: BoundStream) -> dg.ScheduleDefinition:
    """A tick that requests what is due; running from the start where secrets resolve."""
    sync = stream.stream.sync
    often = isinstance(sync, CursorSync) and sync.every == "5min"
    return _schedule(
        stream, often=often, requests=lambda store, at: requests(stream, store, at),
    )  # fmt: skip


def feed_schedule(feed: BoundFeed) -> dg.ScheduleDefinition:
    """The same for a feed. While a process drains it, it is never due, and the ticks skip."""
    often = feed.feed.every == "5min"
    return _schedule(feed, often=often, requests=lambda store, at: feed_requests(feed, store, at))


def _schedule(
    reader: BoundStream | BoundFeed,
    *,
    often: bool,
    requests: Callable[[StoreResource, datetime], Requested],
) -> dg.ScheduleDefinition:
    id_ = reader.id
    place = crc32(str(id_).encode())
    cron = f"{place % 5}-59/5 * * * *" if often else f"{place % 60} * * * *"
    when = "every five minutes" if often else f"each hour at minute {place % 60}"

    @dg.schedule(
        name=keys.schedule(id_),
        job_name=keys.job(id_.connector, id_.connection),
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=_status(reader),
        description=f"Requests what is due of {id_}, {when}.",
        required_resource_keys={keys.STORE},
    )
    def tick(context: dg.ScheduleEvaluationContext) -> Requested:
        if runs_of(context.instance, id_):
            yield dg.SkipReason(f"{id_} is still being synced")
            return
        store: StoreResource = context.resources.store
        resting = _resting(reader, store) if often else None
        if resting is not None:
            yield dg.SkipReason(resting)
            return
        yield from requests(store, context.scheduled_execution_time)

    return tick


def _resting(reader: BoundStream | BoundFeed, store: StoreResource) -> str | None:
    """Why a stream or feed is not tried again yet; None where it may be."""
    with closing(store.connect()) as connection:
        last = ledger.newest(connection, reader.id)
        shut = keeping(connection, [reader]).get(reader.id)
    if last is None or last.status not in ("blocked", "failed") or last.ended_at is None:
        return None
    ended = last.ended_at.astimezone(UTC)
    again = ended + REST
    # One that had cooled down before the run ended is not why that failed.
    if shut is not None and last.status == "failed" and shut.until >= ended:
        again = min(again, shut.until)
    if now() >= again:
        return None
    return (
        f"{reader.id}: {last.status}, {last.error or 'too much was refused'}; tried again at "
        f"{again:%H:%M} UTC, or when you run it"
    )


def requests(stream: BoundStream, store: StoreResource, at: datetime) -> Requested:
    """The runs that a tick asks for: each stretch of due windows, or the full stream, once."""
    with closing(store.connect()) as connection:
        found = due(stream, connection, now=now())
    if not found:
        yield dg.SkipReason(f"nothing of {stream.id} is due")
    definition = partitions(stream)
    for stretch in reversed(found[-MOST_RUNS:]):
        label = stretch[0].label if stretch else "-"
        tags = range_tags(definition, stretch)
        yield _request(stream.id, keys.of_stream(stream), label=label, at=at, tags=tags)


def feed_requests(feed: BoundFeed, store: StoreResource, at: datetime) -> Requested:
    """The run that a tick asks for where a feed's position has grown old."""
    with closing(store.connect()) as connection:
        if not feed_due(feed, connection, now=now()):
            yield dg.SkipReason(f"{feed.id} was read less than {feed.feed.every} ago")
            return
    yield _request(feed.id, [keys.feed(feed.id)], label="-", at=at, tags={})


def _request(
    reader: StreamId,
    assets: Sequence[dg.AssetKey],
    *,
    label: str,
    at: datetime,
    tags: dict[str, str],
) -> dg.RunRequest:
    """A run that is asked for once a tick, however often the tick is evaluated."""
    return dg.RunRequest(
        run_key=f"{reader}:{label}:{at:%Y-%m-%dT%H:%M}",
        asset_selection=list(assets),
        tags={STREAM_TAG: str(reader)} | tags,
    )


def _status(reader: BoundStream | BoundFeed) -> dg.DefaultScheduleStatus:
    """RUNNING only where a run could log in: every secret is there, or the twin is."""
    if reader.id.connection == SANDBOX:
        ready = address.serving(Settings.find(create=True).home)
    else:
        ready = reader.connection.ready()
    return dg.DefaultScheduleStatus.RUNNING if ready else dg.DefaultScheduleStatus.STOPPED
