"""The commit that a dead run could not report any more, reported for it.

A window is loaded first and reported to Dagster then. A process that dies in between leaves a
window that is committed, and so never due again, but not green in the UI. Only the last commit of
a run can be such a one.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC
from typing import Any, Self

import dagster as dg
import psycopg
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.events import DagsterEvent
from dagster._core.instance.utils import RUNLESS_JOB_NAME
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from integrations.names import StreamId
from integrations.orchestration import checks, feed_report, keys, provenance, report
from integrations.orchestration.feed_report import FEED
from integrations.orchestration.partitions import FORMAT
from integrations.orchestration.provenance import Origin
from integrations.orchestration.resources import StoreResource
from integrations.storage.ledger import FATES

_LAST = f"""
WITH lines AS (
    SELECT l.id, l.connector, l.connection, l.stream, l.status, s.cadence, p.window_start,
           l.landing, l.received, l.drift, l.{", l.".join(FATES)}
    FROM integrations.ledger l
    JOIN integrations.streams s USING (connector, connection, stream)
    JOIN integrations.positions p USING (connector, connection, stream, "window", landing)
    WHERE l.run_id = %s AND l.status IN ('ok', 'warn')
      AND s.key IS NOT NULL  -- a feed has no key, and is another asset
)
SELECT DISTINCT ON (stream) connector, connection, stream, status, cadence, window_start,
       landing, received, drift, {", ".join(FATES)}
FROM lines WHERE landing = (SELECT landing FROM lines ORDER BY id DESC LIMIT 1)
ORDER BY stream, id DESC
"""


def tell_last_commit(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Reports the run's last commit, without a run, unless Dagster knows of it; whether it did."""
    run = instance.get_run_by_id(run_id)
    tags = run.tags if run else {}
    with closing(StoreResource().connect()) as connection:
        found = connection.execute(_LAST, [run_id]).fetchall()
        connection.rollback()
        told = _tell_feed(instance, connection, tags, run_id)
    lines = map(_Line.of, found)  # a stream's, and those of its children
    return any([told, *[_tell_line(instance, line, tags, run_id) for line in lines]])


def _tell_line(
    instance: dg.DagsterInstance, line: "_Line", tags: Mapping[str, str], run_id: str
) -> bool:
    if _told(instance, keys.table(line.stream), run_id, line.partition):
        return False
    mapping = provenance.mapping_of(tags, line.stream)
    source = provenance.stream_of(tags) or line.stream
    for event in _materializations(line, Origin(mapping, line.landing), source, instance):
        instance.report_runless_asset_event(event)
    for evaluation in _evaluations(line):
        _evaluate(instance, checks.targeted(evaluation, instance), run_id)
    return True


def _evaluations(line: "_Line") -> Iterator[dg.AssetCheckEvaluation]:
    """What the run would have said of its checks; last what tells that all was said."""
    warned = line.status == "warn"
    at, partition = line.stream, line.partition
    yield checks.evaluation(checks.STRUCTURE, at, passed=True, partition=partition)
    yield checks.evaluation(
        checks.ERROR_SHARE, at, passed=not warned, warn=warned, partition=partition
    )
    yield report.drifted(at, line.drift, partition=partition)
    yield checks.evaluation(checks.BALANCE, at, passed=True, partition=partition)


def _evaluate(
    instance: dg.DagsterInstance, evaluation: dg.AssetCheckEvaluation, run_id: str
) -> None:
    """Reports a check as the run's own. Of those without a run Dagster's storage takes one for each
    partition, and refuses the second for good."""
    event = DagsterEvent(
        event_type_value=dg.DagsterEventType.ASSET_CHECK_EVALUATION.value,
        job_name=RUNLESS_JOB_NAME,
        event_specific_data=evaluation,
    )
    instance.report_dagster_event(event, run_id)


def _tell_feed(
    instance: dg.DagsterInstance,
    connection: psycopg.Connection[Any],
    tags: Mapping[str, str],
    run_id: str,
) -> bool:
    """The same of the feed that the run was reading, if it was."""
    if FEED not in tags:
        return False
    feed = StreamId(*tags[FEED].split("/"))
    if _told(instance, keys.feed(feed), run_id, None):
        return False
    return feed_report.tell_for_dead_run(instance, connection, feed, run_id)


@dataclass(frozen=True)
class _Line:
    """What the ledger says of a commit."""

    stream: StreamId
    status: str
    partition: str | None
    landing: str
    received: int
    drift: list[str]
    fates: dict[str, int]

    @classmethod
    def of(cls, row: tuple[Any, ...]) -> Self:
        status, cadence, start, landing, received, drift = row[3:9]
        partition = start.astimezone(UTC).strftime(FORMAT[cadence]) if cadence else None
        fates = dict(zip(FATES, row[9:], strict=True))
        return cls(StreamId(*row[:3]), status, partition, landing, received, drift, fates)


def _materializations(
    line: _Line, origin: Origin, source: StreamId, instance: dg.DagsterInstance
) -> list[dg.AssetMaterialization]:
    """What the run would have said of canonical and of the table, as far as it is known."""
    partition = line.partition
    return [
        dg.AssetMaterialization(
            keys.canonical(line.stream),
            partition=partition,
            metadata={"received": line.received, "refused": line.fates["quarantined"]},
            tags=provenance.of_canonical(source, origin, partition=partition, instance=instance),
        ),
        dg.AssetMaterialization(
            keys.table(line.stream),
            partition=partition,
            metadata=line.fates,
            tags=provenance.of_table(origin),
        ),
    ]


def _told(
    instance: dg.DagsterInstance, asset: dg.AssetKey, run_id: str, partition: str | None
) -> bool:
    """Whether the last event of the run's own report has arrived."""
    found = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(asset, checks.BALANCE),
        limit=10,
        partition_filter=PartitionKeyFilter(key=partition),
    )
    return any(
        record.run_id == run_id and record.status != AssetCheckExecutionRecordStatus.PLANNED
        for record in found
    )
