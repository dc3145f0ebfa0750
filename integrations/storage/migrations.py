"""The tables of schema `integrations`, made and changed by named steps.

A step and its record commit together, so a crash between two steps is followed by running again.
The steps are the files of `sql/`, applied in the order of their names and never edited afterwards.
"""

from pathlib import Path
from typing import Any

import psycopg

from integrations.errors import FixConfig
from integrations.storage import locks

_STEPS = Path(__file__).parent / "sql"


def migrate(connection: psycopg.Connection[Any]) -> list[str]:
    """Apply the steps that are missing; returns their names, in order. The connection must not be
    inside a transaction. Processes that do this at once wait for each other.

    Raises FixConfig when the database is ahead of this program, or the role may not make tables.
    """
    if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
        raise ValueError("a migration needs a connection without an open transaction")
    steps = sorted(_STEPS.glob("*.sql"))
    with connection.transaction():
        applied = _applied(connection)
    _refuse_newer(applied - {step.stem for step in steps})
    try:
        return [
            step.stem
            for step in steps
            if step.stem not in applied and _apply_once(connection, step)
        ]
    except psycopg.errors.InsufficientPrivilege as error:
        raise FixConfig(
            f"the database's role may not make our tables: {error.diag.message_primary}",
            todo="Grant it CREATE on the database.",
        ) from error


def _applied(connection: psycopg.Connection[Any]) -> set[str]:
    found = connection.execute("SELECT to_regclass('integrations.migrations') IS NOT NULL")
    if found.fetchone() != (True,):
        return set()
    return {name for (name,) in connection.execute("SELECT name FROM integrations.migrations")}


def _refuse_newer(unknown: set[str]) -> None:
    if unknown:
        raise FixConfig(
            f"a newer version of integrations used the database ({', '.join(sorted(unknown))})",
            todo="Update this installation.",
        )


def _apply_once(connection: psycopg.Connection[Any], step: Path) -> bool:
    """Whether it was us who applied the step, and not another process while we waited."""
    with connection.transaction():
        # Of the transaction, not the session: connection poolers keep the latter's locks.
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [locks.MIGRATIONS])
        if step.stem in _applied(connection):
            return False
        connection.execute(step.read_text())
        connection.execute("INSERT INTO integrations.migrations (name) VALUES (%s)", [step.stem])
        return True
