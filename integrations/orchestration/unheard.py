"""The commit that a dead run could not report any more, reported for it.

A window is loaded first and reported to Dagster then. A process that dies in between leaves a
window that is committed, and so never due again, but not green in the UI. Only the last commit of
a run can be such a one.
"""

from contextlib import closing
from datetime import UTC, datetime

import dagster as dg
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from integrations.names import StreamId
from integrations.orchestration import checks, keys
from integrations.orchestration.partitions import FORMAT
from integrations.orchestration.resources import StoreResource
from integrations.storage.ledger import FATES

_LAST = f"""
SELECT l.connector, l.connection, l.stream, l.status, s.cadence, p.window_start,
       l.received, l.{", l.".join(FATES)}
FROM integrations.ledger l
JOIN integrations.streams s USING (connector, connection, stream)
JOIN integrations.positions p USING (connector, connection, stream, "window", landing)
WHERE l.run_id = %s AND l.status IN ('ok', 'warn')
ORDER BY l.id DESC LIMIT 1
"""


def tell_last_commit(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Reports the run's last commit, without a run, unless Dagster knows of it; whether it did."""
    with closing(StoreResource().connect()) as connection:
        line = connection.execute(_LAST, [run_id]).fetchone()
    if line is None:
        return False
    stream, (status, cadence, start, received) = StreamId(*line[:3]), line[3:7]
    fates = dict(zip(FATES, line[7:], strict=True))
    partition = _utc(start).strftime(FORMAT[cadence]) if cadence else None
    if _told(instance, keys.table(stream), run_id, partition):
        return False
    counted = {
        keys.canonical(stream): {"received": received, "refused": fates["quarantined"]},
        keys.table(stream): fates,
    }
    for key, metadata in counted.items():
        instance.report_runless_asset_event(
            dg.AssetMaterialization(key, partition=partition, metadata=metadata)
        )
    for name in (checks.STRUCTURE, checks.BALANCE, checks.ERROR_SHARE):
        warned = name == checks.ERROR_SHARE and status == "warn"
        evaluation = checks.evaluation(
            name, stream, passed=not warned, warn=warned, partition=partition
        )
        instance.report_runless_asset_event(checks.targeted(evaluation, instance))
    return True


def _told(
    instance: dg.DagsterInstance, table: dg.AssetKey, run_id: str, partition: str | None
) -> bool:
    """Whether the last event of the run's own report has arrived."""
    found = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(table, checks.BALANCE),
        limit=10,
        partition_filter=PartitionKeyFilter(key=partition),
    )
    return any(
        record.run_id == run_id and record.status != AssetCheckExecutionRecordStatus.PLANNED
        for record in found
    )


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)
