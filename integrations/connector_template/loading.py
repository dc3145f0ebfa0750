"""Loading: from a landing to rows, refused records, a position and a ledger line.

The verbs behind a stream's canonical and table assets. They take what they need (zone, database,
clock) as arguments and know nothing of Dagster.
"""

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from integrations.connector_template import drift, lookups
from integrations.connector_template.connector import BoundStream
from integrations.connector_template.drift import Drift
from integrations.connector_template.run import KEPT, Clock, Run
from integrations.names import StreamId, Window
from integrations.redaction import redact
from integrations.storage import files, ledger, positions
from integrations.storage.children import Parent
from integrations.storage.landing import LandingZone
from integrations.storage.ledger import LedgerEntry, Status
from integrations.storage.loader import BRAKE_SHARE, Load, Said
from integrations.storage.manifest import Manifest
from integrations.storage.positions import Pin
from integrations.storage.tables import ensure_leaf
from integrations.storage.transaction import Transaction, translated
from integrations.sync_state.windows import FullSync, WindowSync
from integrations.transformation.rule import TIMESTAMP
from integrations.transformation.shape import Shape
from integrations.transformation.transformed import FILTERED, Transformed


@dataclass
class Checked:
    """What the canonical layer said of a landing: counts, rows for a preview, and per (field, rule)
    how many records it refused, with one of the reasons; and the same of the child streams. `shape`
    is what the records look like, `strange` the words that the mapping of a column does not know,
    `drift` what of it is news."""

    received: int = 0
    refused: int = 0
    in_window: int = 0
    filtered: int = 0
    preview: pa.Table | None = None
    children: list["Child"] = field(default_factory=list)
    reasons: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    shape: Shape | None = None
    strange: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    drift: Drift = field(default_factory=Drift)

    @property
    def error_rate(self) -> float:
        """The share of units that were refused, from 0 to 1."""
        return self.refused / self.received if self.received else 0.0

    def add(self, part: Transformed) -> None:
        """Counts a batch."""
        self.received += part.received
        self.refused += part.refused.num_rows
        rows, self.filtered = part.rows, self.filtered + part.filtered
        if FILTERED in rows.column_names:
            rows = rows.filter(pc.invert(pc.field(FILTERED)))
            self.filtered += len(part.rows) - len(rows)
        if self.preview is None and rows.num_rows:
            self.preview = rows.slice(0, 10)
        self.refuse(part.refused)
        for column, words in part.strange.items():
            self.strange[column].update(words)

    def refuse(self, refused: pa.Table) -> None:
        """Notes why records were refused."""
        wanted: Any = [("reason", "count"), ("reason", "min")]  # the stubs know no such list
        grouped = refused.group_by(["field", "rule"]).aggregate(wanted)
        for row in grouped.to_pylist():
            place = (row["field"], row["rule"])
            count, example = self.reasons.get(place, (0, row["reason_min"]))
            self.reasons[place] = (count + row["reason_count"], example)

    def status(self, *, accept: bool) -> Status:
        """What a load of it would say, by the same limits: ok, warn or blocked. Children that
        would be blocked block it too."""
        said = ledger.judged(self.refused, received=self.received, accept=accept)
        children = (one.found.status(accept=accept) for one in self.children)
        return "blocked" if "blocked" in children else said


@dataclass(frozen=True)
class Child:
    """What was said of a child stream, and its ledger line where it was loaded."""

    stream: BoundStream
    found: Checked
    entry: LedgerEntry | None = None


def staged(load: Load, result: Transformed) -> None:
    """Stages what was transformed, with its counts."""
    load.stage(
        result.rows,
        refused=result.refused,
        received=result.received,
        filtered=result.filtered,
        records=result.records,
        said=result.said,
    )


def transformed(
    stream: BoundStream,
    manifest: Manifest,
    *,
    connection: psycopg.Connection[Any],
    zone: LandingZone,
    found: Checked,
) -> Iterator[Transformed]:
    """A landing's batches as canonical rows and refusals; `found` is filled as they pass."""
    transformer = lookups.transformer(stream, connection=connection)
    for batch in zone.batches(manifest):
        sys.audit("integrations.transforming", str(stream.id))
        if found.shape is not None:
            found.shape.add(batch.records)
        for result in transformer.pieces(batch.records, seen_at=batch.seen_at):
            found.add(result)
            found.in_window += in_window(stream, manifest, result.rows)
            yield result


def check(
    stream: BoundStream,
    manifest: Manifest,
    *,
    connection: psycopg.Connection[Any],
    zone: LandingZone,
) -> Checked:
    """Runs a landing through the canonical layer and loads nothing; the connection is idle then."""
    found = Checked()
    with translated(stream.id):
        for _ in transformed(stream, manifest, connection=connection, zone=zone, found=found):
            pass
        connection.rollback()
    for child in stream.children:
        said = check(child, manifest, connection=connection, zone=zone)
        found.children.append(Child(child, said))
    return found


def load(
    stream: BoundStream,
    manifest: Manifest,
    *,
    connection: psycopg.Connection[Any],
    zone: LandingZone,
    run: Run,
    clock: Clock,
) -> tuple[Checked, LedgerEntry | None]:
    """Loads a landing in one transaction; gives what canonical said and the ledger line.

    A line with status `blocked` means that too much was refused, or would be deleted: no rows, no
    position. There is no line where another run has taken the cursor beyond the landing. Raises as
    `Load.open` does. A stream with children is loaded by `family.load`.
    """
    assert not stream.children, "its children would be left behind"
    prepare(stream, connection=connection)
    found, entry = Checked(), line(stream.id, manifest, run=run, clock=clock)
    with Transaction.open(connection, [stream.id], clock=clock) as transaction:
        if run.cause != "replay" and passed(stream, manifest, connection=connection):
            transaction.give_up()
            return found, None
        return found, load_in(transaction, stream, manifest, entry, zone=zone, run=run, found=found)


def load_in(
    transaction: Transaction,
    stream: BoundStream,
    manifest: Manifest,
    entry: LedgerEntry,
    *,
    zone: LandingZone,
    run: Run,
    found: Checked,
) -> LedgerEntry:
    """Loads a landing in a transaction that is open, and commits it; gives the ledger line as
    written. `found` is filled. Children are left out: of a child this is a load of its own."""
    connection = transaction.connection
    started = opened(stream, transaction)
    # A replay has nothing new to say of the source.
    found.shape = None if run.cause == "replay" else drift.shape_of(stream)
    batches = transformed(stream, manifest, connection=connection, zone=zone, found=found)
    for part in batches:
        staged(started, part)
    entry = replace(entry, in_window=found.in_window if manifest.window else None)
    said = said_by(stream, manifest, run)
    broken = judge(stream, manifest, found, connection=connection, run=run)
    entry = replace(entry, drift=found.drift.lines)
    entry = started.brought(entry, pin=pin(stream), said=said, accept=run.accept, broken=broken)
    remember(stream, found, entry, connection=connection)
    written = transaction.write(entry)
    transaction.commit(stream.id)
    return written


def judge(
    stream: BoundStream,
    manifest: Manifest,
    found: Checked,
    *,
    connection: psycopg.Connection[Any],
    run: Run,
) -> str:
    """Holds a landing's shape against what is known of the stream; why it must not be loaded, ""
    where it may."""
    if found.shape is None:
        return ""
    found.drift = drift.judged(
        stream, found.shape, found.strange, manifest.window, connection=connection
    )
    return "" if run.accept else found.drift.broken


def remember(
    stream: BoundStream,
    found: Checked,
    entry: LedgerEntry,
    *,
    connection: psycopg.Connection[Any],
) -> None:
    """Notes what a landing's records look like, within the transaction of its load. Of one that is
    blocked, for whatever reason, nothing is known: it is not loaded, and news again when it is."""
    if found.shape is not None and entry.status != "blocked":
        drift.note(stream, found.shape, entry.window, connection=connection, run_id=entry.run_id)


def opened(stream: BoundStream, transaction: Transaction) -> Load:
    """The stream's part of a transaction, to be staged."""
    mapping, of = stream.mapping, None
    if stream.parent is not None:
        alone, spec = mapping.of == len(mapping.key), stream.parent.mapping.entity.table()
        of = Parent(stream=stream.parent.id, spec=spec, parts=mapping.of, alone=alone)
    table = mapping.entity.table()
    return Load(transaction, table, stream.id, order=stream.order, keeps=mapping.keeps, parent=of)


def prepare(stream: BoundStream, *, connection: psycopg.Connection[Any]) -> None:
    """Makes the tables of the stream and its children as their models have them; the connection
    must be idle."""
    for one in stream.family:
        with translated(one.id):
            ensure_leaf(
                connection,
                one.mapping.entity.table(),
                connector=one.id.connector,
                restamped=one.order.restamp,
            )


def line(stream: StreamId, manifest: Manifest, *, run: Run, clock: Clock) -> LedgerEntry:
    """A landing's ledger line, before anything is known of what becomes of it."""
    entry = LedgerEntry(
        stream=stream,
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
    return files.counted(entry, manifest.files)


def note_failure(
    stream: StreamId,
    window: Window | None,
    error: Exception,
    *,
    connection: psycopg.Connection[Any],
    run: Run,
    began_at: datetime,
    clock: Clock,
) -> None:
    """Writes the ledger line of a window, a reading or a feed of which nothing was loaded.

    Raises RetryLater when the database is away, or somebody keeps the ledger from us.
    """
    ended_at = clock()
    failed = LedgerEntry(
        stream=stream,
        cause=run.cause,
        run_id=run.run_id,
        began_at=began_at,
        ended_at=ended_at,
        seconds=(ended_at - began_at).total_seconds(),
        window=window,
        status="failed",
        error=redact(str(error)),
    )
    with translated(stream):
        connection.rollback()
        connection.execute("SET LOCAL lock_timeout = '15s'")  # or the failure hangs too
        ledger.write(connection, failed)
        connection.commit()


def refuse_changed(stream: BoundStream, *, connection: psycopg.Connection[Any]) -> None:
    """Raises FixConfig when the stream's file cuts its time, or makes its keys, otherwise than at
    its first commit, RetryLater when the database is away."""
    with translated(stream.id):
        for one in stream.family:
            positions.refuse_changed(connection, one.id, pin=pin(one))
        connection.rollback()


def prune(
    stream: StreamId,
    *,
    connection: psycopg.Connection[Any],
    zone: LandingZone,
    clock: Clock,
) -> None:
    """Removes landings that are older than `KEPT`, never one that is not committed."""
    committed = positions.committed(connection, stream)
    connection.rollback()
    landings = {label: one.landing for label, one in committed.items() if one.landing}
    zone.prune(stream, before=clock() - KEPT, committed=landings)


def pin(stream: BoundStream) -> Pin:
    """What of the stream is pinned at its first commit: how its time is cut, what its keys are."""
    rules = stream.mapping.mapping.model_dump(mode="json", by_alias=True)["key"]
    key = json.dumps(rules, sort_keys=True)
    sync = stream.stream.sync
    if not isinstance(sync, WindowSync):
        return Pin(key=key)
    return Pin(cadence=sync.cadence, starts_at=stream.connection.begins_at, key=key)


def said_by(stream: BoundStream, manifest: Manifest, run: Run) -> Said:
    """What is known of a landing of the stream beside its records."""
    sync = stream.stream.sync
    # A replay says again what was said; that somebody is absent was judged once.
    complete = isinstance(sync, FullSync) and sync.deletes == "absence" and run.cause != "replay"
    return Said(
        at=manifest.said_at,
        complete=complete,
        among=sync.among if isinstance(sync, FullSync) else None,
        brake=sync.brake if isinstance(sync, FullSync) else BRAKE_SHARE,
        generation=manifest.generation,
        cursor=manifest.cursor,
        files=manifest.files,
    )


def passed(stream: BoundStream, manifest: Manifest, *, connection: psycopg.Connection[Any]) -> bool:
    """Whether the stream's cursor does not stand any more where the landing goes on from."""
    if manifest.cursor is None:
        return False
    position = positions.at(connection, stream.id)
    return (position.cursor if position else None) != manifest.cursor[0]


def in_window(stream: BoundStream, manifest: Manifest, rows: pa.Table) -> int:
    """How many rows belong to the window itself and not to its overlap."""
    sync, window = stream.stream.sync, manifest.window
    if not isinstance(sync, WindowSync) or window is None or stream.parent:
        return 0
    column = pc.field(sync.column)
    start, end = pa.scalar(window.start, TIMESTAMP), pa.scalar(window.end, TIMESTAMP)
    return rows.filter((column >= start) & (column < end)).num_rows
