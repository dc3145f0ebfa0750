"""What Dagster is told of a feed: one materialization for a stretch of turns, and its checks.

All of it comes from the ledger, so that a run, a process that drains the feed, and whoever reports
for a run that died say the same thing of the same commits.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import psycopg
from dagster._core.storage.tags import HIDDEN_TAG_PREFIX

from integrations.error_handling.budget import Use
from integrations.monitoring.ledger import of_runs
from integrations.names import StreamId
from integrations.orchestration import checks, keys, provenance, report
from integrations.redaction import redact
from integrations.storage import positions
from integrations.storage.ledger import FATES, LedgerEntry
from integrations.storage.positions import Position

FEED = f"{HIDDEN_TAG_PREFIX}feed"
"""The run tag with the feed whose step the run has begun, for who reports for it."""
GAP = "gap"
OWN = ("records", "api_calls", "bytes", "seconds")
"""Numbers that the feed's own lines say; those of its streams would count them twice."""


@dataclass(frozen=True)
class Said:
    """What a stretch of turns wrote in the ledger: the feed's own lines, and those of the streams
    that were spoken of."""

    feed: StreamId
    own: Sequence[LedgerEntry] = field(default_factory=tuple)
    spoken: Sequence[LedgerEntry] = field(default_factory=tuple)

    @classmethod
    def of(cls, connection: psycopg.Connection[Any], feed: StreamId, run_id: str) -> "Said":
        """The lines of a run; it may have done other things beside."""
        entries = of_runs(connection, [run_id])
        connection.rollback()
        return cls.among(entries, feed)

    @classmethod
    def among(cls, entries: Sequence[LedgerEntry], feed: StreamId) -> "Said":
        """Those of the feed, out of the lines of one or more runs."""
        own = [entry for entry in entries if entry.stream == feed]
        landings = {entry.landing for entry in own if entry.landing}
        spoken = [
            entry
            for entry in entries
            if entry.stream != feed and entry.cause == "push" and entry.landing in landings
        ]
        return cls(feed, own, spoken)

    @property
    def entries(self) -> list[LedgerEntry]:
        """All lines, the feed's own first."""
        return [*self.own, *self.spoken]

    @property
    def committed(self) -> bool:
        """Whether anything of it was loaded."""
        return any(entry.status in ("ok", "warn") for entry in self.own)

    def total(self, name: str) -> Any:
        """The sum of one of the ledger's numbers, each unit counted once."""
        lines = self.own if name in OWN else self.entries
        return sum(getattr(entry, name) or 0 for entry in lines)

    @property
    def error_rate(self) -> float:
        """The share of what was received that was refused, from 0 to 1."""
        received = self.total("received")
        return self.total("quarantined") / received if received else 0.0

    def status(self) -> str:
        """The worst of its lines: ok, warn, blocked or failed."""
        found = {entry.status for entry in self.entries}
        return next((one for one in ("failed", "blocked", "warn") if one in found), "ok")

    def broken(self) -> dict[str, str]:
        """The check that fails where nothing could be read or loaded, in the words of the errors:
        no run needs to be red beside it."""
        return {checks.STRUCTURE: "\n".join(self.errors())} if self.status() == "failed" else {}

    def errors(self) -> list[str]:
        """Why something failed or was blocked, each reason once."""
        return list(dict.fromkeys(entry.error for entry in self.entries if entry.error))


def check_specs(feed: StreamId) -> list[dg.AssetCheckSpec]:
    """The checks of a feed; only a gap does not keep assets of yours in the same run from being
    made: what the feed says is right all the same."""
    described = [
        (checks.STRUCTURE, "The answers and landings read as the file says.", True),
        (checks.ERROR_SHARE, "At most 1 % refused; above 5 % nothing is loaded.", True),
        (checks.BALANCE, "Every unit received has exactly one fate.", True),
        (GAP, "No event was missed, or all that may be affected was read again since.", False),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(name, asset=keys.feed(feed), description=text, blocking=blocking)
            for name, text, blocking in described
        ]


def materialization(
    said: Said, position: Position | None, *, quota: Sequence[Use] = ()
) -> dg.AssetMaterialization:
    """What was committed: counts in all, and a table by stream; and what is left of the source's
    quotas."""
    metadata: dict[str, Any] = {
        "events": said.total("records"),
        "requests": said.total("api_calls"),
        "bytes": said.total("bytes"),
        **{fate: said.total(fate) for fate in FATES},
        "seconds": round(said.total("seconds"), 3),
        "streams": dg.MetadataValue.md(_by_stream(said)),
        **report.of_quota(quota),
    }
    if position is not None:
        metadata["position"] = position.cursor or "none yet"
        if position.said_at is not None:
            metadata["read at"] = f"{position.said_at:%Y-%m-%d %H:%M:%S} UTC"
    # Where nothing new was said the version stays, and no asset of the user's becomes stale.
    landing = position.landing if position else None
    tags = provenance.of_raw(landing) if landing else {}
    return dg.AssetMaterialization(keys.feed(said.feed), metadata=metadata, tags=tags)


def evaluations(
    said: Said, *, gap: str | None = None, broken: dict[str, str] | None = None
) -> list[dg.AssetCheckEvaluation]:
    """All checks of a stretch. `gap` is what was missed; `broken` has the words of the checks that
    an error has failed, by default those of the ledger."""
    broken, status = broken or said.broken(), said.status()
    share = {
        "warn": "More than 1 % was refused: `integrations quarantine list` says why.",
        "blocked": "\n".join(said.errors()) or _BLOCKED,
    }
    return [
        evaluation(said.feed, checks.STRUCTURE, broken.get(checks.STRUCTURE)),
        evaluation(
            said.feed,
            checks.ERROR_SHARE,
            share.get(status),
            warn=status == "warn",
            metadata={
                "error_rate": round(said.error_rate, 6),
                "refused": said.total("quarantined"),
            },
        ),
        evaluation(said.feed, checks.BALANCE, broken.get(checks.BALANCE)),
        evaluation(said.feed, GAP, gap),
    ]


def evaluation(
    feed: StreamId,
    name: str,
    wrong: str | None,
    *,
    warn: bool = False,
    metadata: dict[str, Any] | None = None,
) -> dg.AssetCheckEvaluation:
    """One check of a feed: passed where nothing is wrong."""
    return dg.AssetCheckEvaluation(
        asset_key=keys.feed(feed),
        check_name=name,
        passed=wrong is None,
        severity=dg.AssetCheckSeverity.WARN if warn else dg.AssetCheckSeverity.ERROR,
        description=None if wrong is None else redact(wrong),
        metadata=metadata or {},
    )


def tell_without_run(
    instance: dg.DagsterInstance,
    said: Said,
    position: Position | None,
    *,
    gap: str | None = None,
    broken: dict[str, str] | None = None,
) -> None:
    """Reports a stretch of turns that were no run. `gap` and `broken` as in `evaluations`."""
    if said.committed:
        instance.report_runless_asset_event(materialization(said, position))
    for one in evaluations(said, gap=gap, broken=broken):
        instance.report_runless_asset_event(checks.targeted(one, instance))


def tell_for_dead_run(
    instance: dg.DagsterInstance,
    connection: psycopg.Connection[Any],
    feed: StreamId,
    run_id: str,
) -> bool:
    """Reports what a run that died had committed of a feed; whether that was anything. Whether a
    gap is open the next turn says."""
    said, position = Said.of(connection, feed, run_id), positions.at(connection, feed)
    if not said.committed:
        return False
    instance.report_runless_asset_event(materialization(said, position))
    for one in evaluations(said):
        if one.check_name != GAP:
            instance.report_runless_asset_event(checks.targeted(one, instance))
    return True


_BLOCKED = (
    "Nothing was loaded. See `integrations quarantine list`; when the good records should load all "
    "the same, run again with `accept: true` (`sync --accept`)."
)


def _by_stream(said: Said) -> str:
    """A line for each stream that was spoken of, and one for the events that none takes."""
    shown = ("received", *FATES)
    counts: dict[str, list[int]] = {}
    for entry in said.entries:
        name = "(no stream)" if entry.stream == said.feed else entry.stream.stream
        line = counts.setdefault(name, [0] * len(shown))
        counts[name] = [a + getattr(entry, n) for a, n in zip(line, shown, strict=True)]
    head = f"| stream | {' | '.join(shown)} |\n|---|{'---:|' * len(shown)}"
    rows = [
        f"| {name} | {' | '.join(map(str, line))} |"
        for name, line in sorted(counts.items())
        if any(line)
    ]
    return "\n".join([head, *rows]) if rows else "Nothing new was said."
