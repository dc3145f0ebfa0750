"""Loads that are tried: all of a stream's rows and refusals as they would be, and nothing is kept.

The statements are the loader's own. They run on copies of the stream's rows and of its part of the
quarantine, which only this session sees and which end with it; beside each stands what was there
before. So what a trial says is what a load would do, nobody's rows are written or waited for, and
however many rows there are, they are in Postgres and not in this process.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import psycopg
from psycopg import sql

from integrations.names import StreamId
from integrations.storage import quarantine, tables
from integrations.storage.ledger import LedgerEntry
from integrations.storage.tables import KEY, STAMPS, TableSpec
from integrations.storage.transaction import Clock, Transaction, translated

BEFORE = sql.Identifier("pg_temp", "trial_before")
AFTER = sql.Identifier("pg_temp", "trial_after")
OPEN_BEFORE = sql.Identifier("pg_temp", "trial_quarantine_before")
OPEN_AFTER = sql.Identifier("pg_temp", "trial_quarantine_after")
"""The rows and the entries of quarantine, as they are and as they would be."""

_TEMP_MEMORY = "64MB"
"""Of 100,000 rows that all change, most are then found in memory (temp_buffers)."""
_SYSTEM = (*KEY, *STAMPS, "_synced_at", "_run_id", "_deleted_at")


@dataclass(frozen=True)
class _TriedSpec(TableSpec):
    """An entity whose rows are in the copy."""

    def leaf(self, connector: str) -> sql.Identifier:
        return AFTER


class Tried(Transaction):
    """A transaction of a load that is tried: it waits for no other load, and leaves no line."""

    quarantine: ClassVar[sql.Identifier] = OPEN_AFTER

    def placed(self, spec: TableSpec) -> TableSpec:
        return _TriedSpec(spec.entity, spec.columns, spec.comment)

    def write(self, entry: LedgerEntry) -> LedgerEntry:
        return replace(entry, ended_at=self._clock())

    def _begin(self, streams: list[StreamId]) -> None:
        super()._begin([])


@dataclass(frozen=True)
class Trial:
    """A stage for loads of one stream; made by `trying`."""

    connection: psycopg.Connection[Any]
    stream: StreamId
    clock: Clock

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A transaction to load in; what it commits is seen by the next one, and by no one else.
        Raises as `Transaction.open` does."""
        with Tried.open(self.connection, [self.stream], clock=self.clock) as transaction:
            yield transaction


@contextmanager
def trying(
    connection: psycopg.Connection[Any], spec: TableSpec, stream: StreamId, *, clock: Clock
) -> Iterator[Trial]:
    """A stage on which the stream's rows and refusals are as they are now; its leaf need not be
    there. The connection must be idle, and is so afterwards. Raises as `Transaction.open` does."""
    _with_memory(connection)
    try:
        with translated(stream), connection.transaction():
            _copy_rows(connection, spec, stream)
            _copy_entries(connection, stream)
        yield Trial(connection, stream, clock)
    finally:
        # A connection that broke took its tables with it.
        with suppress(psycopg.Error):
            connection.rollback()
            for table in (BEFORE, AFTER, OPEN_BEFORE, OPEN_AFTER):
                connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))
            connection.commit()


def _with_memory(connection: psycopg.Connection[Any]) -> None:
    """Asks for room for the copies; a session that has had temporary tables keeps what it has."""
    with suppress(psycopg.errors.InvalidParameterValue), connection.transaction():
        connection.execute(sql.SQL("SET temp_buffers = {}").format(_TEMP_MEMORY))


def _copy_rows(connection: psycopg.Connection[Any], spec: TableSpec, stream: StreamId) -> None:
    there = tables.there(connection, spec, connector=stream.connector)
    made = sql.SQL("CREATE TABLE {} ({})").format(AFTER, tables.definitions(spec))
    connection.execute(made)
    if there:
        names = sql.SQL(", ").join(map(sql.Identifier, [*_SYSTEM, *sorted(there)]))
        connection.execute(
            sql.SQL(
                "INSERT INTO {} ({names}) SELECT {names} FROM {}"
                " WHERE (connector, connection, stream) = (%s, %s, %s)"
            ).format(AFTER, spec.leaf(stream.connector), names=names),
            _key(stream),
        )
    _keep(connection, AFTER, BEFORE)


def _copy_entries(connection: psycopg.Connection[Any], stream: StreamId) -> None:
    copy = sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)")
    connection.execute(copy.format(OPEN_AFTER, quarantine.TABLE))
    connection.execute(
        sql.SQL(
            "INSERT INTO {} SELECT * FROM {} WHERE (connector, connection, stream) = (%s, %s, %s)"
        ).format(OPEN_AFTER, quarantine.TABLE),
        _key(stream),
    )
    _keep(connection, OPEN_AFTER, OPEN_BEFORE)


def _keep(connection: psycopg.Connection[Any], table: sql.Identifier, copy: sql.Identifier) -> None:
    """A second copy, to compare with; the planner hears of both, which no vacuum looks at."""
    statement = sql.SQL("CREATE TABLE {} AS TABLE {}")
    connection.execute(statement.format(copy, table))
    for one in (table, copy):
        connection.execute(sql.SQL("ANALYZE {}").format(one))


def _key(stream: StreamId) -> list[str]:
    return [stream.connector, stream.connection, stream.stream]
