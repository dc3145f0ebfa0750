"""One transaction of loads: rows, quarantine, positions and ledger lines of one or more streams.

Either all of it is in the database or none of it, so a crash anywhere is followed by running again:
nothing is lost, nothing doubled. A pull loads one stream, a feed each of those that it routes to.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar

import psycopg
from psycopg import sql

from integrations.errors import FixConfig, RetryLater, StopStream
from integrations.names import StreamId
from integrations.storage import ledger, quarantine
from integrations.storage.database import AGAIN
from integrations.storage.ledger import LedgerEntry
from integrations.storage.tables import TableSpec

Clock = Callable[[], datetime]

_SORT_MEMORY = "64MB"
"""Joins of a landing's keys with the leaf's then stay out of temporary files (work_mem)."""
_LOCK_WAIT = "15min"
"""Longer than any load of one landing; a load that waits longer waits for a dead one."""


def utc_now() -> datetime:
    """The clock, in UTC."""
    return datetime.now(UTC)


class Transaction:
    """An open transaction that holds the locks of its streams; made by `Transaction.open`.

    `quarantine` is the table of what it refuses."""

    quarantine: ClassVar[sql.Identifier] = quarantine.TABLE

    def __init__(self, connection: psycopg.Connection[Any], *, clock: Clock) -> None:
        self.connection = connection
        self.committed = False
        self._clock = clock

    @classmethod
    @contextmanager
    def open(
        cls,
        connection: psycopg.Connection[Any],
        streams: Iterable[StreamId],
        *,
        clock: Clock = utc_now,
    ) -> Iterator["Transaction"]:
        """A transaction in which these streams are loaded; others that load one of them wait.

        The connection must be idle. Leaving without `commit` rolls everything back, and is a
        mistake (RuntimeError). Raises RetryLater when the database is away or busy, StopStream
        when it refuses a value, FixConfig when a table is not as its model has it.
        """
        if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            raise ValueError("a load needs a connection without an open transaction")
        names = sorted(streams)
        transaction = cls(connection, clock=clock)
        try:
            with translated(names[0]):
                transaction._begin(names)
                yield transaction
            if not transaction.committed:
                raise RuntimeError(f"{names[0]}: a load was left without commit")
        finally:
            # A connection that broke has nothing to roll back; the server has done it.
            with suppress(psycopg.Error):
                connection.rollback()

    def placed(self, spec: TableSpec) -> TableSpec:
        """An entity with the place where its rows are brought to."""
        return spec

    def write(self, entry: LedgerEntry) -> LedgerEntry:
        """Adds a ledger line; gives it with its times."""
        ended_at = self._clock()
        seconds = (ended_at - entry.began_at).total_seconds()
        entry = replace(entry, ended_at=ended_at, seconds=seconds)
        ledger.write(self.connection, entry)
        return entry

    def commit(self, about: StreamId) -> None:
        """Makes all of it last."""
        sys.audit("integrations.committing", str(about))
        self.connection.commit()
        self.committed = True
        sys.audit("integrations.committed", str(about))

    def give_up(self) -> None:
        """Leaves everything as it was: there was nothing to do."""
        self.committed = True

    def _begin(self, streams: list[StreamId]) -> None:
        connection = self.connection
        connection.execute("SET LOCAL TIME ZONE 'UTC'")  # whatever the session's is
        connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(_LOCK_WAIT))
        connection.execute(sql.SQL("SET LOCAL work_mem = {}").format(_SORT_MEMORY))
        for stream in streams:
            lock(connection, stream)


def lock(connection: psycopg.Connection[Any], stream: StreamId) -> None:
    """Waits until nobody else loads or resets the stream, and keeps it so until the end of the
    transaction. Adjacent windows share their overlap: without the lock their loads deadlock. Who
    takes several takes them in the order of their names."""
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"load {stream}"])


_PASSING = (
    psycopg.OperationalError,
    psycopg.errors.IdleInTransactionSessionTimeout,
    psycopg.errors.TransactionTimeout,
    psycopg.errors.ReadOnlySqlTransaction,  # a server that is no longer, or not yet, the primary
)
"""What may be over when the load is tried again; all else that is not named is a mistake of ours,
and is not translated."""


@contextmanager
def translated(stream: StreamId) -> Iterator[None]:
    """What the database raises inside, as our errors: without the foreign error as the cause, and
    without its message. Both quote values, which may be personal."""
    try:
        yield
    except (
        psycopg.DataError,
        psycopg.IntegrityError,
        psycopg.errors.ProtocolViolation,  # bytes of another type than the column's
    ) as error:
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
    except psycopg.errors.InsufficientPrivilege as error:
        raise FixConfig(
            f"the database does not let us: {error.diag.message_primary}",
            where=str(stream),
            todo="Give the role of INTEGRATIONS_DATABASE_URL the right.",
        ) from None
    except _PASSING as error:
        what = error.diag.message_primary or type(error).__name__
        raise RetryLater(f"the database fails: {what}", where=str(stream), todo=AGAIN) from None
