"""The four checks of a stream, and what a sync's ledger line says about each.

*structure*: the landing could be read as the mapping expects. *error_share*: few enough records
were refused. *balance*: every unit that was received has exactly one fate. *drift*: the source
sends the fields and words that it did before. A check that fails with ERROR means that the window's
rows were not loaded.
"""

import warnings
from collections.abc import Mapping

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)
from dagster_shared.record import replace

from integrations.names import StreamId
from integrations.orchestration import keys

STRUCTURE, ERROR_SHARE, BALANCE, DRIFT = "structure", "error_share", "balance", "drift"


def check_specs(
    stream: StreamId, partitions: dg.TimeWindowPartitionsDefinition | None
) -> list[dg.AssetCheckSpec]:
    """The checks of a stream, partitioned as its assets are."""
    described = [
        (STRUCTURE, keys.canonical(stream), "The landing reads as the mapping expects."),
        (ERROR_SHARE, keys.canonical(stream), "At most 1 % refused; above 5 % nothing is loaded."),
        (DRIFT, keys.canonical(stream), "The source sends the fields and words that it did."),
        (BALANCE, keys.table(stream), "Every unit received has exactly one fate."),
    ]
    with warnings.catch_warnings():
        # Partitions on check specs are in preview; the dagster version is pinned exactly.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(
                name, asset=key, description=text, partitions_def=partitions, blocking=True
            )
            for name, key, text in described
        ]


def evaluation(
    name: str,
    stream: StreamId,
    *,
    passed: bool,
    partition: str | None,
    warn: bool = False,
    description: str | None = None,
    metadata: Mapping[str, float | int | str | dg.MetadataValue] | None = None,
) -> dg.AssetCheckEvaluation:
    """One evaluation, ready to be logged."""
    key = keys.table(stream) if name == BALANCE else keys.canonical(stream)
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=name,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN if warn else dg.AssetCheckSeverity.ERROR,
        description=description,
        partition=partition,
        metadata=metadata or {},
    )


def targeted(
    evaluation: dg.AssetCheckEvaluation, instance: dg.DagsterInstance
) -> dg.AssetCheckEvaluation:
    """The evaluation, said of what its asset's newest materialization (of the partition) holds.

    Without that Dagster takes it for one of an earlier materialization, and shows the partition's
    check as missing. So a materialization is logged before its checks.
    """
    partition = evaluation.partition
    asked = dg.AssetRecordsFilter(
        evaluation.asset_key, asset_partitions=[partition] if partition else None
    )
    newest = instance.fetch_materializations(asked, limit=1).records
    if not newest:
        return evaluation
    target = AssetCheckEvaluationTargetMaterializationData(
        storage_id=newest[0].storage_id,
        run_id=newest[0].run_id,
        timestamp=newest[0].timestamp,
    )
    return replace(evaluation, target_materialization_data=target)
