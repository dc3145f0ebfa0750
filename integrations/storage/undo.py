"""Soft deletes taken back: the rows that one run deleted, and nobody has touched since.

Only what the source's silence or its tombstones deleted: what a mapping deletes (a flag, a refusal)
comes back by a replay. The rows come back as they were when they went.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from integrations.names import StreamId
from integrations.storage import positions
from integrations.storage.ledger import LedgerEntry
from integrations.storage.merge import DELETE
from integrations.storage.tables import TableSpec
from integrations.storage.transaction import Clock, Transaction


@dataclass(frozen=True, kw_only=True)
class Deletion:
    """What a run deleted and nobody has touched since: `rows`, of which `whole` have their values
    and can come back, deleted from `first_at` to `last_at` (UTC, by the source's clock). `absent`
    is how many a complete reading of that run lacked, by its ledger lines; the others were said
    to be deleted."""

    run_id: str
    rows: int
    whole: int
    absent: int
    first_at: datetime
    last_at: datetime


def deletions(
    connection: psycopg.Connection[Any], spec: TableSpec, stream: StreamId
) -> list[Deletion]:
    """The runs that deleted rows of the stream, the latest first. The leaf must be there."""
    found = _run(
        connection, spec, stream,
        """
        SELECT t._run_id, count(*), count(*) FILTER (WHERE {whole}),
               least(count(*), (SELECT coalesce(sum(absent_deleted), 0)
                FROM integrations.ledger l
                WHERE (l.connector, l.connection, l.stream) = ({connector}, {connection}, {stream})
                  AND l.run_id = t._run_id))::bigint,
               min(t._deleted_at), max(t._deleted_at)
        FROM {leaf} t WHERE {mine} GROUP BY t._run_id
        ORDER BY max(t._synced_at) DESC, t._run_id
        """,
    )  # fmt: skip
    return [
        Deletion(
            run_id=run_id,
            rows=rows,
            whole=whole,
            absent=absent,
            first_at=first.astimezone(UTC),
            last_at=last.astimezone(UTC),
        )
        for run_id, rows, whole, absent, first, last in found
    ]


def undelete(
    connection: psycopg.Connection[Any],
    spec: TableSpec,
    stream: StreamId,
    *,
    deleted_by: str,
    run_id: str,
    clock: Clock,
) -> LedgerEntry | None:
    """Brings back what the run `deleted_by` deleted, with a ledger line of `run_id`, in one
    transaction under the stream's lock; None where there is nothing to bring back.

    The rows keep the time at which they were said to be deleted: whatever the source says after it
    stands, also a next complete reading that still lacks them. The connection must be idle and the
    leaf there; raises what `Transaction.open` raises.
    """
    began_at = clock()
    with Transaction.open(connection, [stream], clock=clock) as transaction:
        back = _run(
            connection, spec, stream,
            """
            UPDATE {leaf} t SET _deleted_at = NULL, _rank = 0, _synced_at = now(), _run_id = {run}
            WHERE {mine} AND t._run_id = {deleted_by} AND {whole}
            """,
            run=run_id, deleted_by=deleted_by,
        ).rowcount  # fmt: skip
        if not back:
            transaction.give_up()
            return None
        positions.forget_floor(connection, stream)
        line = LedgerEntry(
            stream=stream,
            cause="reconcile",
            run_id=run_id,
            began_at=began_at,
            records=back,
            received=back,
            updated=back,
        )
        line = transaction.write(line.balanced())
        transaction.commit(stream)
    return line


def _run(
    connection: psycopg.Connection[Any],
    spec: TableSpec,
    stream: StreamId,
    statement: LiteralString,
    **values: Any,
) -> psycopg.Cursor[Any]:
    required = [column.name for column in spec.columns if column.required]
    whole = [sql.SQL("t.{} IS NOT NULL").format(sql.Identifier(name)) for name in required]
    # A tombstone for a key never seen has no value at all, whatever the entity requires.
    columns = [sql.SQL("t.{}").format(sql.Identifier(column.name)) for column in spec.columns]
    whole.append(sql.SQL("num_nonnulls({}) > 0").format(sql.SQL(", ").join(columns)))
    mine: dict[str, Any] = {
        "leaf": spec.leaf(stream.connector),
        "connector": stream.connector,
        "connection": stream.connection,
        "stream": stream.stream,
        "delete": DELETE,
        "whole": sql.SQL(" AND ").join(whole),
    }
    mine["mine"] = sql.SQL(_MINE).format(**mine)
    return connection.execute(sql.SQL(statement).format(**mine, **values))


_MINE: LiteralString = """
(t.connector, t.connection, t.stream) = ({connector}, {connection}, {stream})
AND t._deleted_at IS NOT NULL AND t._rank = {delete}"""
