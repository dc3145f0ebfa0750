"""What the database remembers of one record: its row, and the loads that may have been about it."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, get_args

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from integrations.names import StreamId
from integrations.storage.ledger import Cause, Status

Row = dict[str, Any]
"""A row by the names of its columns, key and stamps included; times are in UTC."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A ledger line as far as it concerns one record; `number` grows with every line, and lines of
    one stream are numbered as they were committed."""

    number: int
    landing: str | None
    run_id: str
    cause: Cause
    status: Status
    began_at: datetime
    ended_at: datetime
    records: int
    absent_deleted: int
    error: str | None


def row(
    connection: psycopg.Connection[Any], table: sql.Identifier, stream: StreamId, *, key: str
) -> Row | None:
    """The record's row, live or deleted; None where there is none, or not even the table."""
    found = connection.execute("SELECT to_regclass(%s)", [table.as_string()]).fetchone()
    if found is None or found[0] is None:
        return None
    query = sql.SQL(
        "SELECT * FROM {} WHERE (connector, connection, stream, source_id) = (%s, %s, %s, %s)"
    ).format(table)
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, [*_key(stream), key]).fetchone()


def lines(
    connection: psycopg.Connection[Any],
    stream: StreamId,
    *,
    landings: Collection[str],
    causes: Collection[Cause] = (),
) -> list[Line]:
    """The ledger lines of these landings, and all of these causes, in the order of the commits."""
    assert set(causes) <= set(get_args(Cause)), "a cause is one of the ledger's words"
    found = connection.execute(
        "SELECT id, landing, run_id, cause, status, began_at, ended_at, records, absent_deleted,"
        " error FROM integrations.ledger"
        " WHERE (connector, connection, stream) = (%s, %s, %s)"
        " AND (landing = ANY(%s) OR cause = ANY(%s)) ORDER BY id",
        [*_key(stream), list(landings), list(causes)],
    )
    return [
        Line(
            number=number,
            landing=landing,
            run_id=run_id,
            cause=cause,
            status=status,
            began_at=began_at.astimezone(UTC),
            ended_at=ended_at.astimezone(UTC),
            records=records,
            absent_deleted=absent,
            error=error,
        )
        for number, landing, run_id, cause, status, began_at, ended_at, records, absent, error
        in found
    ]  # fmt: skip


def loaded(connection: psycopg.Connection[Any], stream: StreamId) -> set[str]:
    """The landings of the stream that were loaded, also those whose place a later one has taken."""
    found = connection.execute(
        "SELECT DISTINCT landing FROM integrations.ledger"
        " WHERE (connector, connection, stream) = (%s, %s, %s)"
        " AND status IN ('ok', 'warn') AND landing IS NOT NULL",
        _key(stream),
    )
    return {landing for (landing,) in found}


def loads_of_others(
    connection: psycopg.Connection[Any], stream: StreamId, *, landings: Collection[str]
) -> int:
    """How many loads of the stream were of landings that are none of these: they are not kept."""
    found = connection.execute(
        "SELECT count(DISTINCT landing) FROM integrations.ledger"
        " WHERE (connector, connection, stream) = (%s, %s, %s)"
        " AND status IN ('ok', 'warn') AND landing <> ALL(%s)",
        [*_key(stream), list(landings)],
    ).fetchone()
    assert found is not None, "an aggregate gives one row"
    return int(found[0])


def _key(stream: StreamId) -> list[str]:
    return [stream.connector, stream.connection, stream.stream]
