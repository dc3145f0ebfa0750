"""What Dagster is told of a window: materializations with numbers that plot, and a masked preview.

Nothing here has a row's volume: an event is kept for ever, and the rows are in Postgres.
"""

from collections.abc import Sequence

import dagster as dg

from integrations.connector_template.connector import BoundStream
from integrations.connector_template.loading import Checked
from integrations.error_handling.budget import Use
from integrations.names import StreamId
from integrations.orchestration import checks, keys, provenance
from integrations.orchestration.provenance import Origin
from integrations.redaction import redact
from integrations.storage.ledger import LedgerEntry
from integrations.storage.manifest import Manifest
from integrations.transformation.describe import masked

PREVIEW_ROWS = 5
MOST_REASONS = 10


def landed(
    stream: BoundStream, manifest: Manifest, *, partition: str | None, quota: Sequence[Use] = ()
) -> dg.AssetMaterialization:
    """A landing is complete; `quota` is what is left of the source's quotas after it."""
    return dg.AssetMaterialization(
        keys.raw(stream.id),
        partition=partition,
        metadata={
            "dagster/partition_row_count" if partition else "dagster/row_count": manifest.records,
            "records": manifest.records,
            "requests": manifest.requests,
            "bytes": manifest.bytes,
            "seconds": round((manifest.ended_at - manifest.began_at).total_seconds(), 3),
            "landing": manifest.landing,
            **of_quota(quota),
        },
        tags=provenance.of_raw(manifest.landing),
    )


def of_quota(quota: Sequence[Use]) -> dict[str, str]:
    """The metadata that says what is left; none where nothing is known."""
    return {"quota": redact("\n".join(map(str, quota)))} if quota else {}


def checked(
    stream: BoundStream,
    found: Checked,
    *,
    origin: Origin,
    partition: str | None,
    instance: dg.DagsterInstance,
) -> dg.AssetMaterialization:
    """A landing went through the mapping and the entity's model."""
    metadata: dict[str, dg.MetadataValue | int | float] = {
        "received": found.received,
        "refused": found.refused,
        "filtered": found.filtered,
        "error_rate": round(found.error_rate, 6),
    }
    if found.preview is not None:
        table = masked(found.preview, stream.mapping.entity, limit=PREVIEW_ROWS)
        metadata["preview"] = dg.MetadataValue.md(table)
    if found.reasons:
        most = sorted(found.reasons.values(), reverse=True)[:MOST_REASONS]
        lines = [f"- {count} × {example}" for count, example in most]
        metadata["refusals"] = dg.MetadataValue.md("\n".join(lines))
    return dg.AssetMaterialization(
        keys.canonical(stream.id),
        partition=partition,
        metadata=metadata,
        tags=provenance.of_canonical(stream.source, origin, partition=partition, instance=instance),
    )


def loaded(
    stream: BoundStream, entry: LedgerEntry, *, origin: Origin, partition: str | None
) -> dg.AssetMaterialization:
    """A window's rows, quarantine, position and ledger line are committed."""
    there = entry.inserted + entry.updated + entry.unchanged
    return dg.AssetMaterialization(
        keys.table(stream.id),
        partition=partition,
        metadata={
            "dagster/partition_row_count" if partition else "dagster/row_count": there,
            "inserted": entry.inserted,
            "updated": entry.updated,
            "unchanged": entry.unchanged,
            "stale": entry.stale,
            "duplicate": entry.duplicate,
            "filtered": entry.filtered,
            "quarantined": entry.quarantined,
            "deleted": entry.deleted,
            "absent_deleted": entry.absent_deleted,
            "withdrawn": entry.withdrawn,
            "seconds": round(entry.seconds, 3),
        },
        tags=provenance.of_table(origin),
    )


def rebuilt(
    key: dg.AssetKey, manifest: Manifest, tags: dict[str, str], *, partition: str
) -> dg.AssetMaterialization:
    """A window was made anew together with all others, which have their counts in common."""
    metadata: dict[str, int | str] = {"records": manifest.records, "landing": manifest.landing}
    return dg.AssetMaterialization(key, partition=partition, metadata=metadata, tags=tags)


def error_share(
    stream: BoundStream,
    found: Checked,
    *,
    status: str,
    partition: str | None,
    error: str | None = None,
) -> dg.AssetCheckEvaluation:
    """The evaluation of how many records were refused; `error` are the ledger's words, where it
    has other reasons for the status."""
    return checks.evaluation(
        checks.ERROR_SHARE,
        stream.id,
        passed=status not in ("blocked", "warn"),
        warn=status == "warn",
        partition=partition,
        description=_advice(status, redact(error) if error else None),
        metadata={"error_rate": round(found.error_rate, 6), "refused": found.refused},
    )


def drift(
    stream: BoundStream, found: Checked, *, status: str, partition: str | None
) -> dg.AssetCheckEvaluation:
    """The evaluation of what the source sends that it did not, or does not any more; a replay has
    nothing to say of it."""
    blocked = bool(found.drift.broken) and status == "blocked"
    return drifted(stream.id, found.drift.lines, warn=not blocked, partition=partition)


def drifted(
    stream: StreamId, lines: Sequence[str], *, warn: bool = True, partition: str | None
) -> dg.AssetCheckEvaluation:
    """The evaluation that says these lines; passed where there are none."""
    metadata: dict[str, dg.MetadataValue] = {}
    if lines:
        metadata["changes"] = dg.MetadataValue.md(redact("\n".join(f"- {line}" for line in lines)))
    return checks.evaluation(
        checks.DRIFT,
        stream,
        passed=not lines,
        warn=warn,
        partition=partition,
        description=redact("; ".join(lines))[:500] or None,
        metadata=metadata,
    )


def _advice(status: str, error: str | None) -> str | None:
    """What a person reads of a load's status, and does about it."""
    if status == "ok":
        return error
    if status == "warn":
        return error or "More than 1 % was refused: `integrations quarantine list` says why."
    said = error or "Too many records were refused: `integrations quarantine list` says why"
    return (
        f"{said}. Nothing was loaded; to load it all the same, run again with `accept: true` "
        "(`sync --accept`)."
    )
