"""The database's side of the comparison with the rule: the same landing by a load, the same rows
read back."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import psycopg
import pyarrow as pa

from integrations.names import Window
from integrations.storage.ledger import LedgerEntry
from integrations.storage.loader import Said as About
from integrations_tests.properties.rule import Landing, Stored
from integrations_tests.storage.loads import T0, load, refused, table

Connection = psycopg.Connection[Any]


def empty(connection: Connection) -> None:
    """No rows, positions or entries."""
    connection.execute(
        "TRUNCATE canonical.sale, integrations.streams, integrations.positions,"
        " integrations.quarantine, integrations.ledger"
    )
    connection.commit()


def land(
    connection: Connection,
    landing: Landing,
    *,
    nth: int,
    slack: float,
    restamp: bool,
    keeps: Sequence[str] = (),
) -> LedgerEntry:
    """Load a landing, the `nth` of the stream, as the program does: a complete reading is of the
    stream, another one of a window of its own. Whatever it deletes and refuses is accepted."""
    complete = landing.began is not None
    moment = T0 + timedelta(seconds=landing.began[0] if landing.began else nth)
    hour = Window(T0 + timedelta(hours=nth), T0 + timedelta(hours=nth + 1))
    bad = [refused([key], at=at) for key, at in landing.refused]
    return load(
        connection,
        landing.said,
        refused=pa.concat_tables(bad) if bad else None,
        slack_s=slack,
        restamp=restamp,
        accept=True,
        changes={
            "window": None if complete else hour,
            "cause": "replay" if landing.replay else "sync",
            "landing": f"{moment:%Y%m%dT%H%M%S.%fZ}-0000",
        },
        about=About(at=moment, complete=complete),
        keeps=keeps,
    )


def stored(connection: Connection) -> dict[str, Stored]:
    """The rows of the table."""
    return {
        key: Stored(amount if amount is None else int(amount), version, at, rank, deleted, note)
        for key, (amount, note, version, at, rank, deleted) in table(connection).items()
    }
