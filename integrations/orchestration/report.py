"""What Dagster is told of a window: materializations with numbers that plot, and a masked preview.

Nothing here has a row's volume: an event is kept for ever, and the rows are in Postgres.
"""

import dagster as dg

from integrations.connector_template.connector import BoundStream
from integrations.connector_template.pipeline import Checked
from integrations.orchestration import checks, keys
from integrations.storage.landing import Manifest
from integrations.storage.ledger import LedgerEntry
from integrations.transformation.describe import masked

PREVIEW_ROWS = 5
MOST_REASONS = 10


def landed(
    stream: BoundStream, manifest: Manifest, *, partition: str | None
) -> dg.AssetMaterialization:
    """A landing is complete."""
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
        },
    )


def checked(
    stream: BoundStream, found: Checked, *, partition: str | None
) -> dg.AssetMaterialization:
    """A landing went through the mapping and the entity's model."""
    metadata: dict[str, dg.MetadataValue | int | float] = {
        "received": found.received,
        "refused": found.refused,
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
        keys.canonical(stream.id), partition=partition, metadata=metadata
    )


def loaded(
    stream: BoundStream, entry: LedgerEntry, *, partition: str | None
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
            "seconds": round(entry.seconds, 3),
        },
    )


def error_share(
    stream: BoundStream, found: Checked, *, status: str, partition: str | None
) -> dg.AssetCheckEvaluation:
    """The evaluation of how many records were refused."""
    advice = {
        "ok": None,
        "warn": "More than 1 % was refused: `integrations quarantine list` says why.",
        "blocked": "Nothing was loaded. See `integrations quarantine list`; when the good records "
        "should load all the same, run again with `accept: true` (`sync --accept`).",
    }
    return checks.evaluation(
        checks.ERROR_SHARE,
        stream.id,
        passed=status not in ("blocked", "warn"),
        warn=status == "warn",
        partition=partition,
        description=advice[status],
        metadata={"error_rate": round(found.error_rate, 6), "refused": found.refused},
    )
