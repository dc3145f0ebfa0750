"""Loads that are played again for one record, to see what the loader makes of it; nothing stays.

The statements are the loader's own: they run on a copy of the leaf that is empty and private, under
the name of a connection that does not exist, in a transaction that is always rolled back. So no row
of anybody is read, written or waited for, and what a rehearsal says is what a load would do.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import psycopg
import pyarrow as pa
from psycopg import sql

from integrations.names import StreamId
from integrations.storage import copying, history, positions
from integrations.storage.history import Row
from integrations.storage.ledger import LedgerEntry
from integrations.storage.loader import DELETED_AT, Load, Said
from integrations.storage.merge import Merge, Order
from integrations.storage.positions import Pin
from integrations.storage.tables import STAMPS, TableSpec
from integrations.storage.transaction import Clock, Transaction, translated

_COPY = sql.Identifier("pg_temp", "rehearsed")
_COPIES = sql.Identifier("pg_temp", "rehearsed_copies")


@dataclass(frozen=True)
class _CopiedSpec(TableSpec):
    """An entity whose rows are in the copy."""

    def leaf(self, connector: str) -> sql.Identifier:
        return _COPY


class _Unwritten(Transaction):
    """A transaction that writes no ledger line and does not end with its load."""

    def write(self, entry: LedgerEntry) -> LedgerEntry:
        return entry

    def commit(self, about: StreamId) -> None:
        self.committed = True


@dataclass(frozen=True, kw_only=True)
class Act:
    """One load as far as it is about the record: `entry` has cause, landing, window and run of
    the ledger line; `repeated` are events that said again what one of `results` says. `positioned`
    loads are of one pull, and compare it with the pulls of its window before; `blocked` ones leave
    quarantine only; `anew` ones begin with an empty table."""

    entry: LedgerEntry
    results: Sequence[pa.Table]
    refused: Sequence[pa.Table]
    repeated: int = 0
    said: Said = Said()  # noqa: RUF009  # frozen
    positioned: bool = False
    blocked: bool = False
    anew: bool = False


class Rehearsal:
    """One record's loads, one after another; made by `rehearsing`."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        spec: TableSpec,
        stream: StreamId,
        *,
        order: Order,
        keeps: Sequence[str],
        clock: Clock,
    ) -> None:
        self._connection = connection
        self._spec = _CopiedSpec(spec.entity, spec.columns, spec.comment)
        self._stream = replace(stream, connection=f"t{uuid4().hex[:20]}")
        self._order, self._keeps = order, keeps
        self._clock = clock
        self._held: dict[str, str] = {}
        self._make_copy(spec.leaf(stream.connector))

    def play(self, act: Act) -> tuple[LedgerEntry, int | None]:
        """Does one load over what those before it left. Gives its ledger line, and which of the
        rows in `results` stands for all: the others are duplicates (None where there are none)."""
        # Rolled back each time, as its staging would else pile up; what it made is carried over.
        with self._connection.transaction(force_rollback=True):
            self._bring({} if act.anew else self._held)
            stands = self._standing(act.results)
            entry = self._load(act)
            self._held = self._taken()
        return entry, stands

    def forget_floor(self) -> None:
        """As `positions.forget_floor`: rows were brought back by hand."""
        with self._connection.transaction(force_rollback=True):
            self._bring(self._held)
            positions.forget_floor(self._connection, self._stream)
            self._held = self._taken()

    def row(self, key: str) -> Row | None:
        """The record's row as it is now."""
        with self._connection.transaction(force_rollback=True):
            self._bring(self._held)
            return history.row(self._connection, _COPY, self._stream, key=key)

    def _load(self, act: Act) -> LedgerEntry:
        units = sum(len(one) for one in (*act.results, *act.refused)) + act.repeated
        entry = replace(act.entry, stream=self._stream, records=units)
        transaction = _Unwritten(self._connection, clock=self._clock)
        load = Load(transaction, self._spec, self._stream, order=self._order, keeps=self._keeps)
        for rows in act.results:
            load.stage(rows, received=len(rows))
        for refused in act.refused:
            load.stage(pa.table({}), refused=refused, received=len(refused))
        load.stage(pa.table({}), received=act.repeated, repeated=act.repeated)
        if act.blocked:
            judged = load.judged(entry, accept=True)
            return load.blocked(judged, said=act.said)
        if act.positioned:
            return load.commit(entry, pin=Pin(), said=act.said, accept=True)
        return load.settled(load.judged(entry, accept=True), said=act.said, accept=True)

    def _standing(self, results: Sequence[pa.Table]) -> int | None:
        """Which of several copies the loader keeps: asked of its own statement."""
        if len(results) < 2:
            return 0 if results else None
        self._connection.execute(
            sql.SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA").format(
                _COPIES, sql.SQL(", ").join(map(sql.Identifier, self._names)), _COPY
            )
        )
        self._connection.execute(
            sql.SQL("ALTER TABLE {} ADD nth int GENERATED ALWAYS AS IDENTITY").format(_COPIES)
        )
        for rows in results:
            copying.copy_rows(
                self._connection, _COPIES, rows=rows, names=self._names, jsonb=self._spec.jsonb
            )
        merge = Merge(self._connection, self._spec, self._stream, _COPIES, _COPIES, self._order)
        merge.fold()
        query = sql.SQL("SELECT nth FROM {}").format(_COPIES)
        (kept,) = self._connection.execute(query).fetchall()
        return int(kept[0]) - 1

    @property
    def _names(self) -> list[str]:
        columns = (column.name for column in self._spec.columns)
        return ["source_id", *columns, *STAMPS, DELETED_AT]

    def _make_copy(self, leaf: sql.Identifier) -> None:
        self._connection.execute("SET LOCAL TIME ZONE 'UTC'")
        copy = "CREATE TEMP TABLE {} (LIKE {} INCLUDING ALL) ON COMMIT DROP"
        self._connection.execute(sql.SQL(copy).format(_COPY, leaf))
        for column in self._spec.columns:  # those that the model has and the next load adds
            add = sql.SQL("ALTER TABLE {} ADD COLUMN IF NOT EXISTS {} {}")
            kind = sql.SQL(column.type)
            self._connection.execute(add.format(_COPY, sql.Identifier(column.name), kind))

    def _bring(self, held: dict[str, str]) -> None:
        for name, table in _HELD.items():
            if name in held:
                put = "INSERT INTO {0} SELECT * FROM jsonb_populate_recordset(NULL::{0}, {1})"
                self._connection.execute(sql.SQL(put).format(table, held[name]))

    def _taken(self) -> dict[str, str]:
        held = {}
        for name, table in _HELD.items():
            query = sql.SQL(
                "SELECT jsonb_agg(to_jsonb(t))::text FROM {} t"  # as text: no float between
                " WHERE (connector, connection, stream) = (%s, %s, %s)"
            ).format(table)
            mine = self._stream
            found = self._connection.execute(
                query, [mine.connector, mine.connection, mine.stream]
            ).fetchone()
            if found is not None and found[0] is not None:
                held[name] = found[0]
        return held


_HELD = {
    "row": _COPY,
    "quarantine": sql.Identifier("integrations", "quarantine"),
    "positions": sql.Identifier("integrations", "positions"),
    "streams": sql.Identifier("integrations", "streams"),
}
"""What a load reads of the loads before it, and where it stands."""


@contextmanager
def rehearsing(
    connection: psycopg.Connection[Any],
    spec: TableSpec,
    stream: StreamId,
    *,
    order: Order,
    clock: Clock,
    keeps: Sequence[str] = (),
) -> Iterator[Rehearsal]:
    """A stage for the loads of one record of `stream`, whose leaf must be there; the connection
    must be idle, and is so afterwards. `keeps` is as for `Load`. Raises as `Transaction.open`
    does."""
    with translated(stream), connection.transaction(force_rollback=True):
        yield Rehearsal(connection, spec, stream, order=order, keeps=keeps, clock=clock)
