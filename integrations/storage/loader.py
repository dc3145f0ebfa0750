"""Loading: rows, refused records, position and ledger line of one landing, in one transaction.

Either all of it is in the database or none of it, so a crash anywhere is followed by running again:
nothing is lost, nothing doubled. What became of every unit is counted where it happens, and a load
whose counts do not add up does not commit.

The points of a load are audit events (`sys.audit`), so that a test can stop the process at each.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import sql

from integrations.errors import FixConfig, LedgerUnbalanced, RetryLater, StopStream
from integrations.names import StreamId
from integrations.storage import copying, ledger, positions, quarantine
from integrations.storage.ledger import LedgerEntry
from integrations.storage.merge import Merge
from integrations.storage.positions import Pin
from integrations.storage.tables import STAMPS, TableSpec

KEPT_OF_BLOCKED = 10_000
"""Entries that a blocked load leaves in quarantine; the ledger line counts the rest."""

_SORT_MEMORY = "64MB"
"""Joins of a landing's keys with the leaf's then stay out of temporary files (work_mem)."""
_LOCK_WAIT = "15min"
"""Longer than any load of one landing; a load that waits longer waits for a dead one."""


class Load:
    """One open load; made by `Load.open`. `stage` what was transformed, then `commit`."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        spec: TableSpec,
        stream: StreamId,
        *,
        slack: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        self._connection = connection
        self._stream = stream
        self._clock = clock
        self._rows = sql.Identifier("pg_temp", f"staged_{stream.stream}")
        self._refused = sql.Identifier("pg_temp", f"refused_{stream.stream}")
        self._merge = Merge(connection, spec, stream, self._rows, slack)
        self._received = 0
        self.committed = False

    @classmethod
    @contextmanager
    def open(
        cls,
        connection: psycopg.Connection[Any],
        spec: TableSpec,
        stream: StreamId,
        *,
        slack_s: float = 0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> Iterator["Load"]:
        """A load of `stream` into the leaf of its connector, which `ensure_leaf` has made. The
        connection must be idle. Other loads of the stream wait for this one. Leaving without
        `commit` rolls everything back, and is a mistake (RuntimeError).

        `slack_s` is how far the source's clocks and replicas may be apart, 0 on streams that are
        only pulled.

        Raises RetryLater when the database is away or busy, StopStream when it refuses a value,
        FixConfig when the leaf is not as the model has it.
        """
        if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            raise ValueError("a load needs a connection without an open transaction")
        load = cls(connection, spec, stream, slack=timedelta(seconds=slack_s), clock=clock)
        try:
            with translated(stream):
                load._begin()
                yield load
            if not load.committed:
                raise RuntimeError(f"{stream}: a load was left without commit")
        finally:
            # A connection that broke has nothing to roll back; the server has done it.
            with suppress(psycopg.Error):
                connection.rollback()

    def stage(
        self,
        rows: pa.Table,
        *,
        refused: pa.Table | None = None,
        received: int,
    ) -> None:
        """Copy a batch into staging. `rows`: `source_id`, the entity's columns, and the stamps
        `_version` (int64 or null), `_seen_at` (UTC), `_rank`; `refused`: see
        `quarantine.REFUSED`. `received` is the transformer's own count of records.
        """
        copying.copy_rows(self._connection, self._rows, rows=rows, names=self._names)
        if refused is not None:
            quarantine.stage(self._connection, self._refused, refused=refused)
        self._received += received

    def commit(
        self, entry: LedgerEntry, *, pin: Pin, generation: int = 0, accept: bool = False
    ) -> LedgerEntry:
        """Load what is staged and commit it with its position and ledger line; gives the line as
        written. `entry` says what was fetched (cause, landing, records …); received, fates,
        status and times are filled in here. A replay leaves the position where it is. Of a pull
        that began before the committed one of its window nothing is applied: all rows are stale.

        Too many refused (`status == "blocked"`) leave their ledger line and quarantine, but no
        rows and no position, unless `accept`. Raises LedgerUnbalanced when counts disagree.
        """
        sys.audit("integrations.staged", str(self._stream))
        entry = self._judged(entry, accept=accept)
        outdated = self._outdated(entry)
        if entry.status == "blocked":
            if not outdated:
                self._put_refused(entry, limit=KEPT_OF_BLOCKED)
        else:
            entry = self._dropped(entry) if outdated else self._merged(entry)
            if entry.cause != "replay":
                self._move(entry, pin=pin, generation=generation)
        ended_at = self._clock()
        seconds = (ended_at - entry.began_at).total_seconds()
        entry = replace(entry, ended_at=ended_at, seconds=seconds)
        ledger.write(self._connection, entry)
        sys.audit("integrations.committing", str(self._stream))
        self._connection.commit()
        self.committed = True
        sys.audit("integrations.committed", str(self._stream))
        return entry

    @property
    def _names(self) -> list[str]:
        return ["source_id", *(column.name for column in self._merge.spec.columns), *STAMPS]

    def _begin(self) -> None:
        spec, connection = self._merge.spec, self._connection
        connection.execute("SET LOCAL TIME ZONE 'UTC'")  # what `copying` writes has no zone
        connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(_LOCK_WAIT))
        connection.execute(sql.SQL("SET LOCAL work_mem = {}").format(_SORT_MEMORY))
        # Adjacent windows share their overlap: without the lock their loads deadlock.
        connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
            [f"{spec.entity} {self._stream}"],
        )
        connection.execute(
            sql.SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA").format(
                self._rows,
                sql.SQL(", ").join(map(sql.Identifier, self._names)),
                spec.leaf(self._stream.connector),
            )
        )
        quarantine.make_staging(connection, self._refused)
        sys.audit("integrations.staging", str(self._stream))

    def _judged(self, entry: LedgerEntry, *, accept: bool) -> LedgerEntry:
        """The entry with what was received, and what its share of refused says about it."""
        if entry.stream != self._stream:
            raise ValueError(f"the ledger line of {entry.stream} in a load of {self._stream}")
        if self._received != entry.records:
            raise LedgerUnbalanced(
                f"{entry.records} records fetched, {self._received} transformed",
                where=str(self._stream),
            )
        count = sql.SQL("SELECT count(*) FROM {}").format(self._refused)
        row = self._connection.execute(count).fetchone()
        assert row is not None, "an aggregate gives one row"
        entry = replace(entry, received=self._received, quarantined=row[0])
        status = ledger.judged(entry.quarantined, received=entry.received, accept=accept)
        if status == "blocked":
            replace(entry, inserted=self._count(self._rows)).balanced()
        return replace(entry, status=status)

    def _count(self, staging: sql.Identifier) -> int:
        count = sql.SQL("SELECT count(*) FROM {}").format(staging)
        row = self._connection.execute(count).fetchone()
        assert row is not None, "an aggregate gives one row"
        return int(row[0])

    def _outdated(self, entry: LedgerEntry) -> bool:
        """Whether the window is committed from a pull that began later. Rows alone cannot tell:
        one that is said again unchanged keeps its older stamps."""
        committed = positions.landing(self._connection, self._stream, window=entry.window)
        return committed is not None and entry.landing is not None and committed > entry.landing

    def _dropped(self, entry: LedgerEntry) -> LedgerEntry:
        return replace(entry, stale=self._merge.drop_all()).balanced()

    def _put_refused(self, entry: LedgerEntry, *, limit: int | None = None) -> None:
        quarantine.put(
            self._connection,
            self._refused,
            leaf=self._merge.spec.leaf(self._stream.connector),
            stream=self._stream,
            landing=entry.landing,
            run_id=entry.run_id,
            limit=limit,
        )

    def _merged(self, entry: LedgerEntry) -> LedgerEntry:
        sys.audit("integrations.merging", str(self._stream))
        duplicate = self._merge.fold()
        self._put_refused(entry)
        self._merge.close_quarantine()
        unchanged, stale = self._merge.drop_settled()
        updated = self._merge.update(run_id=entry.run_id)
        inserted = self._merge.insert(run_id=entry.run_id)
        deleted = self._merge.bury(run_id=entry.run_id)
        sys.audit("integrations.merged", str(self._stream))
        return replace(
            entry,
            duplicate=duplicate,
            unchanged=unchanged,
            stale=stale,
            inserted=inserted,
            updated=updated,
            deleted=deleted,
        ).balanced()

    def _move(self, entry: LedgerEntry, *, pin: Pin, generation: int) -> None:
        if entry.landing is None:
            raise ValueError(f"{self._stream}: a position needs the landing that it stands for")
        positions.move(
            self._connection,
            self._stream,
            window=entry.window,
            pin=pin,
            landing=entry.landing,
            run_id=entry.run_id,
            generation=generation,
        )


@contextmanager
def translated(stream: StreamId) -> Iterator[None]:
    """What the database raises inside, as our errors: without the foreign error as the cause, and
    without its message. Both quote values, which may be personal."""
    try:
        yield
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        said = error.diag
        place = ".".join(filter(None, (said.table_name, said.column_name or said.constraint_name)))
        raise StopStream(
            f"the database refuses a value: {type(error).__name__} ({said.sqlstate} {place})",
            where=str(stream),
            todo="Let the mapping refuse such records.",
        ) from None
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
        raise FixConfig(
            f"the table is not as the model has it: {error.diag.message_primary}",
            where=str(stream),
            todo="Run `integrations migrate`, or start again.",
        ) from None
    except psycopg.OperationalError as error:
        what = error.diag.message_primary or type(error).__name__
        raise RetryLater(f"the database fails: {what}", where=str(stream)) from None
