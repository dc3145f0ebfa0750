"""Loading: rows and refused records of one landing into their stream's leaf, and what became of
every unit, counted where it happens. A load whose counts do not add up does not commit.

The points of a load are audit events (`sys.audit`), so that a test can stop the process at each.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from integrations.errors import LedgerUnbalanced
from integrations.names import StreamId
from integrations.storage import copying, files, ledger, positions, quarantine
from integrations.storage.children import SAID, Children, Parent
from integrations.storage.keeping import LENT
from integrations.storage.ledger import LedgerEntry
from integrations.storage.manifest import FileSeen
from integrations.storage.merge import Merge, Order
from integrations.storage.positions import Pin, Reached
from integrations.storage.tables import KEEP, STAMPS, TableSpec
from integrations.storage.transaction import Clock, Transaction, utc_now

KEPT_OF_BLOCKED = 10_000
"""Entries that a blocked load leaves in quarantine; the ledger line counts the rest."""

BRAKE_SHARE = 0.10
"""Of a slice's live rows: more than this a complete reading may not delete without being asked."""

DELETED_AT, FILTERED = "_deleted_at", "_filtered"


@dataclass(frozen=True, kw_only=True)
class Said:
    """What is known of a landing beside its records: `at` is when its pull began by the source's
    clock; `complete` says that what is not in it is not at the source either, as far as the rows go
    that share a value of the column `among` with it (None: all), and unless it is more than the
    share `brake` of these; `feed` names the feed that it came by; `generation`, `cursor` and
    `checked_at` are what the position becomes; `files` are those that the landing tells of."""

    at: datetime | None = None
    complete: bool = False
    among: str | None = None
    brake: float = BRAKE_SHARE
    feed: str | None = None
    generation: int = 0
    cursor: tuple[str | None, str | None] | None = None
    checked_at: datetime | None = None
    files: tuple[FileSeen, ...] = ()


class Load:
    """One stream's part of a transaction. `stage` what was transformed, then `settle` it.

    `keeps` are the columns of which a statement may leave what is stored.
    """

    def __init__(
        self,
        transaction: Transaction,
        spec: TableSpec,
        stream: StreamId,
        *,
        order: Order = Order(),  # noqa: B008  # frozen
        keeps: Sequence[str] = (),
        parent: Parent | None = None,
    ) -> None:
        self._transaction = transaction
        self._connection = transaction.connection
        self._stream = stream
        self._order = order
        self._rows = sql.Identifier("pg_temp", f"staged_{stream.stream}")
        self._refused = sql.Identifier("pg_temp", f"refused_{stream.stream}")
        self._received = self._records = self._repeated = self._filtered = self._staged = 0
        self._deletes = self._filters = self._lent = False
        floor = positions.floor(self._connection, stream)
        self._merge = Merge(
            self._connection, transaction.placed(spec), stream, self._rows, self._refused, order,
            floor=floor, keeps=tuple(keeps), quarantine=transaction.quarantine,
        )  # fmt: skip
        self._children: Children | None = None
        if parent is not None:
            said = sql.Identifier("pg_temp", f"said_{stream.stream}")
            self._children = Children(self._connection, parent, said)
        self._make_staging()

    @classmethod
    @contextmanager
    def open(
        cls,
        connection: psycopg.Connection[Any],
        spec: TableSpec,
        stream: StreamId,
        *,
        order: Order = Order(),  # noqa: B008  # frozen
        keeps: Sequence[str] = (),
        clock: Clock = utc_now,
    ) -> Iterator["Load"]:
        """A load of `stream`, in a transaction of its own, into the leaf of its connector, which
        `ensure_leaf` has made. Raises as `Transaction.open` does."""
        with Transaction.open(connection, [stream], clock=clock) as transaction:
            yield cls(transaction, spec, stream, order=order, keeps=keeps)

    def stage(
        self,
        rows: pa.Table,
        *,
        refused: pa.Table | None = None,
        received: int,
        repeated: int = 0,
        filtered: int = 0,
        records: int | None = None,
        said: pa.Table | None = None,
    ) -> None:
        """Copy a batch into staging. `rows`: `source_id`, the entity's columns, the stamps
        `_version` (int64 or null), `_seen_at` (UTC), `_rank`, `_deleted_at` where the batch holds
        deletes, and a boolean `_keep_<column>` for each of `keeps`; `refused`: see
        `quarantine.REFUSED`. `received` is the transformer's own count of units, made of so many
        `records` (None: each is one). Of the units `repeated` said again what another one says too,
        and `filtered` are nothing that is loaded; rows that are `_filtered` too are counted when it
        is known whether they delete one. `said` is what the parents of a child stream say; its rows
        then have `_said`.
        """
        names = [*self._names, *self._marks]
        if strange := {n for n in rows.column_names if n.startswith(KEEP)}.difference(names):
            raise ValueError(f"the load of {self._stream} was not told of {sorted(strange)}")
        if DELETED_AT in rows.column_names and rows[DELETED_AT].null_count < rows.num_rows:
            names, self._deletes = [*names, DELETED_AT], True
        if FILTERED in rows.column_names:
            names, self._filters = [*names, FILTERED], True
        if self._children is not None and said is not None:
            self._children.stage(_numbered(said, self._records))
            names, rows = [*names, SAID], _numbered(rows, self._records)
        jsonb = self._merge.spec.jsonb
        copying.copy_rows(self._connection, self._rows, rows=rows, names=names, jsonb=jsonb)
        if refused is not None:
            quarantine.stage(self._connection, self._refused, refused=refused)
        self._received += received
        self._records += received if records is None else records
        self._repeated += repeated
        self._filtered += filtered
        self._staged += rows.num_rows

    def lend(self, rows: pa.Table) -> None:
        """Stage rows of a landing whose place another has taken: they only give what the other
        copies of their keys keep."""
        at = rows.schema.get_field_index("_rank")
        ranks = pa.repeat(pa.scalar(LENT, rows.schema.field(at).type), rows.num_rows)
        self.stage(rows.set_column(at, "_rank", ranks), received=rows.num_rows)
        self._lent = True

    def judged(self, entry: LedgerEntry, *, accept: bool, broken: str = "") -> LedgerEntry:
        """The entry with what was received, and what the share of refused says about it; `broken`
        is another reason to block it."""
        sys.audit("integrations.staged", str(self._stream))
        if entry.stream != self._stream:
            raise ValueError(f"the ledger line of {entry.stream} in a load of {self._stream}")
        if self._records != entry.records:
            raise LedgerUnbalanced(
                f"{entry.records} records fetched, {self._records} transformed",
                where=str(self._stream),
            )
        refused, waiting = self._count_refused()
        entry = replace(entry, received=self._received, quarantined=refused)
        # What only waits to be fetched says nothing about the records.
        status = ledger.judged(refused - waiting, received=entry.received, accept=accept)
        if broken and status != "blocked":
            status, entry = "blocked", replace(entry, error=broken)
        if status == "blocked":
            staged, filtered = self._count(self._rows), self._filtered
            replace(entry, inserted=staged, duplicate=self._repeated, filtered=filtered).balanced()
        return replace(entry, status=status)

    def blocked(self, entry: LedgerEntry, *, said: Said = Said()) -> LedgerEntry:
        """Leave what was refused in quarantine, and nothing else."""
        self._put_refused(entry, said, limit=KEPT_OF_BLOCKED)
        return entry

    def settled(
        self,
        entry: LedgerEntry,
        *,
        said: Said = Said(),  # frozen
        accept: bool = False,
    ) -> LedgerEntry:
        """Bring what is staged into the leaf; gives the entry with every unit's fate.

        A complete reading that would delete too many rows is blocked, unless `accept`.
        """
        sys.audit("integrations.merging", str(self._stream))
        self._connection.execute("SAVEPOINT merging")
        merged = self._merged(entry, said)
        if said.complete:
            merged = self._without_absent(merged, said, accept=accept)
        if merged.status == "blocked":
            self._connection.execute("ROLLBACK TO SAVEPOINT merging")
            return self.blocked(replace(entry, status="blocked", error=merged.error), said=said)
        self._connection.execute("RELEASE SAVEPOINT merging")
        sys.audit("integrations.merged", str(self._stream))
        return merged

    def dropped(self, entry: LedgerEntry) -> LedgerEntry:
        """Apply nothing of a pull that began before the one that is committed: all is stale."""
        stale = self._merge.drop_all()
        return replace(
            entry, stale=stale, duplicate=self._repeated, filtered=self._filtered
        ).balanced()

    def commit(
        self,
        entry: LedgerEntry,
        *,
        pin: Pin,
        said: Said = Said(),  # frozen
        accept: bool = False,
        broken: str = "",
    ) -> LedgerEntry:
        """Load what is staged and commit it with its position and ledger line; gives the line as
        written. `entry` says what was fetched (cause, landing, records …); received, fates,
        status and times are filled in here. A replay leaves the position where it is. Of a pull
        that began before the committed one of its window nothing is applied: all rows are stale.

        Too many refused (`status == "blocked"`) leave their ledger line and quarantine, but no
        rows and no position, unless `accept`; so does what is `broken`, for that reason. Raises
        LedgerUnbalanced when counts disagree.
        """
        entry = self.brought(entry, pin=pin, said=said, accept=accept, broken=broken)
        entry = self._transaction.write(entry)
        self._transaction.commit(self._stream)
        return entry

    def brought(
        self,
        entry: LedgerEntry,
        *,
        pin: Pin,
        said: Said = Said(),  # frozen
        accept: bool = False,
        broken: str = "",
    ) -> LedgerEntry:
        """The same, but that the line is still to be written and all of it to be committed."""
        entry = self.judged(entry, accept=accept, broken=broken)
        if self._outdated(entry, said):
            entry = entry if entry.status == "blocked" else self.dropped(entry)
        elif entry.status == "blocked":
            entry = self.blocked(entry, said=said)
        else:
            entry = self.settled(entry, said=said, accept=accept)
        self.move(entry, said=said, pin=pin)
        return entry

    def move(self, entry: LedgerEntry, *, said: Said, pin: Pin) -> None:
        """Brings the position to what is loaded: a replay leaves it where it is."""
        if entry.status != "blocked" and entry.cause != "replay":
            reached = self._reached(entry, said)
            positions.move(self._connection, self._stream, reached, pin=pin)

    @property
    def _names(self) -> list[str]:
        return ["source_id", *(column.name for column in self._merge.spec.columns), *STAMPS]

    @property
    def _marks(self) -> list[str]:
        return [KEEP + name for name in self._merge.keeps]

    def _make_staging(self) -> None:
        names = map(sql.Identifier, [*self._names, DELETED_AT])
        marks = [sql.SQL("false AS {}").format(sql.Identifier(name)) for name in self._marks]
        self._connection.execute(
            sql.SQL(
                "CREATE TEMP TABLE {} ON COMMIT DROP AS"
                " SELECT {}, NULL::boolean AS _filtered, NULL::bigint AS _said FROM {} WITH NO DATA"
            ).format(
                self._rows,
                sql.SQL(", ").join([*names, *marks]),
                self._merge.spec.leaf(self._stream.connector),
            )
        )
        quarantine.make_staging(self._connection, self._refused)
        if self._children is not None:
            self._children.make_staging()
        sys.audit("integrations.staging", str(self._stream))

    def _count(self, staging: sql.Identifier) -> int:
        count = sql.SQL("SELECT count(*) FROM {}").format(staging)
        row = self._connection.execute(count).fetchone()
        assert row is not None, "an aggregate gives one row"
        return int(row[0])

    def _count_refused(self) -> tuple[int, int]:
        """How many are refused, and how many of them may pass without a change."""
        count = sql.SQL("SELECT count(*), count(*) FILTER (WHERE kind = {}) FROM {}")
        row = self._connection.execute(count.format(quarantine.TRANSIENT, self._refused)).fetchone()
        assert row is not None, "an aggregate gives one row"
        return int(row[0]), int(row[1])

    def _outdated(self, entry: LedgerEntry, said: Said) -> bool:
        """Rows that take newer stamps can tell for themselves, and what follows a cursor is new."""
        if self._order.restamp or entry.landing is None or said.cursor is not None:
            return False
        return positions.outdated(self._connection, self._stream, self._reached(entry, said))

    def _put_refused(self, entry: LedgerEntry, said: Said, *, limit: int | None = None) -> None:
        quarantine.put(
            self._connection,
            self._refused,
            leaf=self._merge.spec.leaf(self._stream.connector),
            stream=self._stream,
            landing=entry.landing,
            feed=said.feed,
            run_id=entry.run_id,
            limit=limit,
            table=self._transaction.quarantine,
        )

    def _merged(self, entry: LedgerEntry, said: Said) -> LedgerEntry:
        run_id = entry.run_id
        self._merge = replace(self._merge, replay=entry.cause == "replay")
        superseded = outdated = missing = 0
        if self._children is not None:
            superseded = self._children.supersede(self._merge)
            outdated = self._children.drop_outdated(self._merge)
        alone = self._merge.drop_lent() if self._lent else 0
        folded = self._merge.fold()
        if self._lent:
            self._merge.own_lent()
        below = self._merge.drop_below_floor() + alone
        withdrawn = self._merge.withdraw(run_id=run_id) if entry.cause == "replay" else 0
        self._put_refused(entry, said)
        self._merge.close_quarantine()
        if self._children is not None:
            missing = self._children.bury_missing(self._merge, run_id=run_id)
        unchanged, stale, filtered = self._merge.drop_settled()
        filtered += self._merge.drop_filtered() if self._filters else 0
        duplicate, stale = superseded + folded, stale + below + outdated
        files.note(self._connection, self._stream, said.files, run_id=run_id)
        # Nothing is looked for in vain: each look is at every row that ever was in staging.
        left = self._staged > duplicate + unchanged + stale + filtered
        entry = replace(
            entry,
            duplicate=duplicate + self._repeated,
            withdrawn=withdrawn,
            unchanged=unchanged,
            stale=stale,
            filtered=filtered + self._filtered,
            updated=self._merge.update(run_id=run_id) if left else 0,
            inserted=self._merge.insert(run_id=run_id) if left else 0,
            deleted=self._merge.bury(run_id=run_id) if left and self._deletes else 0,
        ).balanced()
        entry = replace(entry, absent_deleted=missing)
        if again := files.read_before(self._connection, self._stream, said.files):
            entry = self._without_vanished(entry, again)
        return files.told(entry, said.files)

    def _without_vanished(
        self, entry: LedgerEntry, again: Mapping[datetime, datetime]
    ) -> LedgerEntry:
        """Delete what files lack that were read before; `again` as `Merge.bury_vanished` has it."""
        if told := self._unnamed():
            return replace(entry, error=told, status="warn")
        gone = self._merge.bury_vanished(again, run_id=entry.run_id)
        return replace(entry, absent_deleted=entry.absent_deleted + gone)

    def _unnamed(self) -> str | None:
        """Why nobody knows which rows are not said any more; None where that is known."""
        unnamed = quarantine.without_key(self._connection, self._refused)
        told = f"deletions were not looked for: {unnamed} refused records have no key"
        return told if unnamed else None

    def _without_absent(self, entry: LedgerEntry, said: Said, *, accept: bool) -> LedgerEntry:
        """Delete who is not in a complete reading any more, as far as that may be believed."""
        if told := self._unnamed():
            return replace(entry, error=told, status="warn")
        if said.at is None:
            raise ValueError("a complete reading needs the time at which it began")
        live = self._merge.live(snapshot=said.at, among=said.among)
        absent = self._merge.bury_absent(run_id=entry.run_id, snapshot=said.at, among=said.among)
        if absent > said.brake * live and not accept:
            told = (
                f"{absent} of {live} rows are not at the source any more: more than "
                f"{said.brake:.0%}, so nothing was deleted and nothing loaded"
            )
            return replace(entry, status="blocked", error=told)
        return replace(entry, absent_deleted=entry.absent_deleted + absent)

    def _reached(self, entry: LedgerEntry, said: Said) -> Reached:
        if entry.landing is None:
            raise ValueError(f"{self._stream}: a position needs the landing that it stands for")
        floor = None
        of_all = said.complete and said.among is None  # one of a part says nothing of the others
        if of_all and said.at is not None and entry.error is None:
            floor = said.at - timedelta(seconds=self._order.slack_s)
        return Reached(
            window=entry.window,
            landing=entry.landing,
            run_id=entry.run_id,
            generation=said.generation,
            cursor=said.cursor,
            said_at=said.at,
            checked_at=said.checked_at,
            floor_at=floor,
        )


def _numbered(table: pa.Table, first: int) -> pa.Table:
    """The same with its statements numbered from another number on."""
    numbers = pc.add(table[SAID], first)
    return table.set_column(table.schema.get_field_index(SAID), SAID, numbers)
