"""Jobs and schedules: one job a connection, one schedule a stream.

A job a stream would dominate the load of the definitions; a schedule chooses its stream's assets
from the connection's job instead. Schedules tick every hour, at a minute of their own, and ask
the store what is due: after an outage they find the holes, where a daily tick or an automation
condition would leave them.
"""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from zlib import crc32

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition,
)

from integrations.connector_template.config_schema import SANDBOX
from integrations.connector_template.connector import BoundStream
from integrations.connector_template.due import due
from integrations.names import StreamId
from integrations.orchestration import keys
from integrations.orchestration.partitions import partitions, range_tags
from integrations.orchestration.resources import StoreResource, now
from integrations.sandbox import address
from integrations.settings import Settings

STREAM_TAG = "integrations/stream"
"""The run tag by which runs of a stream are found in the UI."""
MOST_RUNS = 5
"""Runs a tick asks for at the most: one for each unbroken stretch of due windows, newest first."""


def connection_job(
    connector: str, connection: str, streams: list[str]
) -> UnresolvedAssetJobDefinition:
    """The one job of a connection: every stream's trio."""
    ids = [StreamId(connector, connection, stream) for stream in streams]
    return dg.define_asset_job(
        keys.job(connector, connection),
        selection=dg.AssetSelection.assets(*(key for id_ in ids for key in keys.trio(id_))),
        description=f"Syncs {connector}/{connection}.",
    )


def stream_schedule(stream: BoundStream) -> dg.ScheduleDefinition:
    """An hourly tick that requests what is due; running from the start where secrets resolve."""
    minute = crc32(str(stream.id).encode()) % 60

    @dg.schedule(
        name=keys.schedule(stream.id),
        job_name=keys.job(stream.id.connector, stream.id.connection),
        cron_schedule=f"{minute} * * * *",
        execution_timezone="UTC",
        default_status=_status(stream),
        description=f"Requests the due windows of {stream.id}, each hour at minute {minute}.",
        required_resource_keys={keys.STORE},
    )
    def tick(
        context: dg.ScheduleEvaluationContext,
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        if _in_progress(context.instance, stream.id):
            yield dg.SkipReason(f"{stream.id} is still being synced")
            return
        yield from requests(stream, context.resources.store, context.scheduled_execution_time)

    return tick


def requests(
    stream: BoundStream, store: StoreResource, at: datetime
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """The runs that a tick asks for: each stretch of due windows, or the full stream, once."""
    with closing(store.connect()) as connection:
        found = due(stream, connection, now=now())
    if not found:
        yield dg.SkipReason(f"nothing of {stream.id} is due")
    definition = partitions(stream)
    for stretch in reversed(found[-MOST_RUNS:]):
        label = stretch[0].label if stretch else "-"
        yield dg.RunRequest(
            run_key=f"{stream.id}:{label}:{at:%Y-%m-%dT%H}",
            asset_selection=keys.trio(stream.id),
            tags={STREAM_TAG: str(stream.id)} | (range_tags(definition, stretch)),
        )


def _in_progress(instance: dg.DagsterInstance, stream: StreamId) -> bool:
    """Whether a run of the stream is under way, whoever asked for it."""
    unfinished = dg.RunsFilter(
        statuses=[
            dg.DagsterRunStatus.QUEUED,
            dg.DagsterRunStatus.NOT_STARTED,
            dg.DagsterRunStatus.STARTING,
            dg.DagsterRunStatus.STARTED,
        ],
    )
    job = keys.job(stream.connector, stream.connection)
    return any(
        keys.table(stream) in run.asset_selection if run.asset_selection else run.job_name == job
        for run in instance.get_runs(unfinished)
    )


def _status(stream: BoundStream) -> dg.DefaultScheduleStatus:
    """RUNNING only where a run could log in: every secret is there, or the twin is."""
    if stream.id.connection == SANDBOX:
        ready = address.serving(Settings.find(create=True).home)
    else:
        ready = stream.connection.ready()
    return dg.DefaultScheduleStatus.RUNNING if ready else dg.DefaultScheduleStatus.STOPPED
