"""What a run says aloud: that it refused more of a stream than its file allows.

Once for each stream, however many windows the run had, whether they were loaded or blocked: as an
observation of the stream's table, which sensors find by its metadata, and in the log at ERROR,
where tools that read logs do.
"""

from collections.abc import Callable, Iterable

import dagster as dg

from integrations.connector_template.connector import BoundStream
from integrations.orchestration import keys
from integrations.storage.ledger import LedgerEntry

ALERT = "integrations/alert"
"""The metadata by which a sensor finds an alert: its kind."""


def tell(
    streams: Iterable[BoundStream],
    entries: Iterable[LedgerEntry],
    *,
    sink: Callable[[dg.AssetObservation], None],
    error: Callable[[str], None],
) -> None:
    """Tells of each of the streams of which these lines, a run's, refuse too much."""
    # What waits in quarantine and is tried again by the way was told of when it came: no landing.
    lines = [entry for entry in entries if entry.landing is not None]
    for stream in {one.id: one for one in streams}.values():
        own = [entry for entry in lines if entry.stream == stream.id]
        refused, received = (sum(getattr(e, n) for e in own) for n in ("quarantined", "received"))
        if not stream.alert.exceeded(refused, received=received):
            continue
        words = (
            f"{stream.id}: {refused} of {received} units were refused in this run; "
            f"`integrations quarantine list {stream.id}` says why"
        )
        sink(
            dg.AssetObservation(
                keys.table(stream.id),
                description=words,
                metadata={
                    ALERT: "refused",
                    "severity": dg.AssetCheckSeverity.ERROR.value,
                    "refused": refused,
                    "received": received,
                    "error_rate": round(refused / received, 6),
                    "allowed_share": stream.alert.share,
                    "allowed_count": stream.alert.count,
                },
            )
        )
        error(words)
