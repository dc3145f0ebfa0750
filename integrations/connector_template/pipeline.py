"""The way of one window (or one full reading): land it, check it, load it.

The verbs behind a stream's three assets. They take what they need (session, zone, database, clock)
as arguments and know nothing of Dagster. A barrier (`sys.audit`) stands wherever a process may be
killed with another outcome; tests listen there.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from integrations.connector_template.connector import BoundStream
from integrations.errors import StopStream
from integrations.names import Window
from integrations.redaction import redact
from integrations.storage import ledger, positions
from integrations.storage.landing import LandingZone, Manifest
from integrations.storage.ledger import Cause, LedgerEntry, Status
from integrations.storage.loader import Load, translated
from integrations.storage.positions import Pin
from integrations.storage.tables import ensure_leaf
from integrations.sync_state.windows import WindowSync, with_overlap
from integrations.transformation.rule import TIMESTAMP
from integrations.transformation.transform import Transformed, Transformer
from integrations.transport import Session
from integrations.transport.rest_request import RestRequest

Clock = Callable[[], datetime]

KEPT = timedelta(days=30)
"""How long a landing can be replayed."""


@dataclass(frozen=True)
class Run:
    """The run on whose behalf work is done: its ids go into landings, rows and the ledger.

    `retried` are the failed runs whose work it takes up.
    """

    run_id: str
    root_run_id: str
    cause: Cause
    accept: bool = False
    retried: frozenset[str] = frozenset()


@dataclass
class Checked:
    """What the canonical layer said of a landing: counts, rows for a preview, and per (field, rule)
    how many records it refused, with one of the reasons."""

    received: int = 0
    refused: int = 0
    in_window: int = 0
    preview: pa.Table | None = None
    reasons: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)

    @property
    def error_rate(self) -> float:
        """The share of units that were refused, from 0 to 1."""
        return self.refused / self.received if self.received else 0.0

    def add(self, part: Transformed) -> None:
        """Counts a batch."""
        self.received += part.received
        self.refused += part.refused.num_rows
        if self.preview is None and part.rows.num_rows:
            self.preview = part.rows.slice(0, 10)
        wanted: Any = [("reason", "count"), ("reason", "min")]  # the stubs know no such list
        grouped = part.refused.group_by(["field", "rule"]).aggregate(wanted)
        for row in grouped.to_pylist():
            place = (row["field"], row["rule"])
            count, example = self.reasons.get(place, (0, row["reason_min"]))
            self.reasons[place] = (count + row["reason_count"], example)

    def status(self, *, accept: bool) -> Status:
        """What a load of it would say, by the same limits: ok, warn or blocked."""
        return ledger.judged(self.refused, received=self.received, accept=accept)


def land(
    stream: BoundStream,
    window: Window | None,
    *,
    session: Session[RestRequest],
    zone: LandingZone,
    run: Run,
    clock: Clock,
) -> Manifest:
    """Pulls a window, with its overlap, into a landing of its own.

    What this run, or one that it retries, has landed complete is not fetched again, unless the
    landing is damaged or another run has pulled the window since.
    """
    known = zone.newest(stream.id, window=window)
    if known is not None and known.run_id in {run.run_id, *run.retried} and _whole(known, zone):
        return known
    before = session.requests
    asked = with_overlap(window) if window else None
    with zone.writer(
        stream.id,
        window=window,
        run_id=run.run_id,
        root_run_id=run.root_run_id,
        began_at=clock(),
    ) as writer:
        for page in session.pages(stream.stream.request, window=asked):
            sys.audit("integrations.fetched", str(stream.id))
            writer.add(page)
        return writer.finish(requests=session.requests - before)


def _whole(manifest: Manifest, zone: LandingZone) -> bool:
    """Whether every part is there, as it was written."""
    try:
        for _ in zone.batches(manifest):
            pass
    except StopStream:
        return False
    return True


def transformed(
    stream: BoundStream, manifest: Manifest, *, zone: LandingZone, found: Checked
) -> Iterator[Transformed]:
    """A landing's batches as canonical rows and refusals; `found` is filled as they pass."""
    transformer = Transformer(stream.mapping)
    for batch in zone.batches(manifest):
        sys.audit("integrations.transforming", str(stream.id))
        result = transformer.run(batch.records, seen_at=batch.seen_at)
        found.add(result)
        found.in_window += _in_window(stream, manifest, result.rows)
        yield result


def check(stream: BoundStream, manifest: Manifest, *, zone: LandingZone) -> Checked:
    """Runs a landing through the canonical layer and loads nothing."""
    found = Checked()
    for _ in transformed(stream, manifest, zone=zone, found=found):
        pass
    return found


def load(
    stream: BoundStream,
    manifest: Manifest,
    *,
    connection: psycopg.Connection[Any],
    zone: LandingZone,
    run: Run,
    clock: Clock,
) -> tuple[Checked, LedgerEntry]:
    """Loads a landing in one transaction; gives what canonical said and the ledger line.

    A line with status `blocked` means that too much was refused: no rows, no position. Raises as
    `Load.open` does.
    """
    entry = LedgerEntry(
        stream=stream.id,
        cause=run.cause,
        run_id=run.run_id,
        began_at=clock(),
        window=manifest.window,
        landing=manifest.landing,
        records=manifest.records,
        # A replay asks nothing of the source, and a landing is paid for once.
        api_calls=manifest.requests if manifest.run_id == run.run_id else 0,
        bytes=manifest.bytes,
    )
    table = stream.mapping.entity.table()
    with translated(stream.id):
        ensure_leaf(connection, table, connector=stream.id.connector)
    found = Checked()
    with Load.open(connection, table, stream.id, clock=clock) as opened:
        for part in transformed(stream, manifest, zone=zone, found=found):
            opened.stage(part.rows, refused=part.refused, received=part.received)
        in_window = found.in_window if manifest.window else None
        entry = replace(entry, in_window=in_window)
        return found, opened.commit(entry, pin=pin(stream), accept=run.accept)


def note_failure(
    stream: BoundStream,
    window: Window | None,
    error: Exception,
    *,
    connection: psycopg.Connection[Any],
    run: Run,
    began_at: datetime,
    clock: Clock,
) -> None:
    """Writes the ledger line of a window of which nothing was loaded.

    Raises RetryLater when the database is away.
    """
    ended_at = clock()
    line = LedgerEntry(
        stream=stream.id,
        cause=run.cause,
        run_id=run.run_id,
        began_at=began_at,
        ended_at=ended_at,
        seconds=(ended_at - began_at).total_seconds(),
        window=window,
        status="failed",
        error=redact(str(error)),
    )
    with translated(stream.id):
        connection.rollback()
        ledger.write(connection, line)
        connection.commit()


def refuse_changed(stream: BoundStream, *, connection: psycopg.Connection[Any]) -> None:
    """Raises FixConfig when the stream's file cuts its time otherwise than at its first commit,
    RetryLater when the database is away."""
    with translated(stream.id):
        positions.refuse_changed(connection, stream.id, pin=pin(stream))
        connection.rollback()


def prune(
    stream: BoundStream,
    *,
    connection: psycopg.Connection[Any],
    zone: LandingZone,
    clock: Clock,
) -> None:
    """Removes landings that are older than `KEPT`, never one that is not committed."""
    committed = positions.committed(connection, stream.id)
    connection.rollback()
    landings = {label: position.landing for label, position in committed.items()}
    zone.prune(stream.id, before=clock() - KEPT, committed=landings)


def pin(stream: BoundStream) -> Pin:
    """How the stream's time is cut: pinned at its first commit."""
    sync = stream.stream.sync
    if not isinstance(sync, WindowSync):
        return Pin()
    return Pin(cadence=sync.cadence, starts_at=stream.connection.begins_at)


def _in_window(stream: BoundStream, manifest: Manifest, rows: pa.Table) -> int:
    """How many rows belong to the window itself and not to its overlap."""
    sync, window = stream.stream.sync, manifest.window
    if not isinstance(sync, WindowSync) or window is None:
        return 0
    column = pc.field(sync.column)
    start, end = pa.scalar(window.start, TIMESTAMP), pa.scalar(window.end, TIMESTAMP)
    return rows.filter((column >= start) & (column < end)).num_rows
