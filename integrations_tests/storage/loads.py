"""A small entity and the ways to load it, shared by the tests of the loader."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pyarrow as pa

from integrations.names import StreamId, Window
from integrations.storage.ledger import LedgerEntry
from integrations.storage.loader import Load
from integrations.storage.loader import Said as About
from integrations.storage.merge import Order
from integrations.storage.positions import Pin
from integrations.storage.quarantine import REFUSED
from integrations.storage.tables import Column, TableSpec

STREAM = StreamId("shop", "main", "sales")
SPEC = TableSpec(
    "sale",
    (
        Column("amount", "numeric", required=True, comment="Euros"),
        Column("note", "text"),
        Column("paid_at", "timestamptz"),
    ),
)
T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
PIN = Pin(cadence="daily", starts_at=DAY.start)
LANDING = "20260103T000000.000000Z-0000"

_TYPES: dict[str, pa.DataType] = {
    "source_id": pa.string(),
    "amount": pa.decimal128(38, 9),
    "note": pa.string(),
    "paid_at": pa.timestamp("us", "UTC"),
    "_version": pa.int64(),
    "_seen_at": pa.timestamp("us", "UTC"),
    "_rank": pa.int8(),
    "_deleted_at": pa.timestamp("us", "UTC"),
}
_MARKED = _TYPES | {"_keep_note": pa.bool_()}


@dataclass(frozen=True)
class Said:
    """One statement about a key, `at` seconds after T0; rank 2 is a delete, and `flagged` one that
    the mapping reads from a flag. `keeps` leaves the note that is stored."""

    key: str
    amount: str | None = "1"
    note: str | None = None
    at: float = 0
    version: int | None = None
    rank: int = 0
    flagged: bool = False
    keeps: bool = False

    @property
    def seen_at(self) -> datetime:
        return T0 + timedelta(seconds=self.at)


def rows(statements: Sequence[Said], *, marked: bool = False) -> pa.Table:
    """Statements as the transformer hands them over; `marked` for a mapping that may keep notes."""
    return pa.Table.from_pylist(
        [
            {
                "source_id": said.key,
                "amount": None if said.amount is None else Decimal(said.amount),
                "note": said.note,
                "paid_at": None,
                "_version": said.version,
                "_seen_at": said.seen_at,
                "_rank": said.rank,
                "_deleted_at": said.seen_at if said.rank == 2 or said.flagged else None,
                "_keep_note": said.keeps,
            }
            for said in statements
        ],
        schema=pa.schema(_MARKED if marked else _TYPES),
    )


def refused(keys: Sequence[str], *, at: float = 0, **changes: Any) -> pa.Table:
    """Records that could not pass, each as `{"id": key}`, said `at` seconds after T0."""
    given = {"field": "amount", "rule": "decimal", "reason": "no number", "kind": "data"} | changes
    given["seen_at"] = T0 + timedelta(seconds=at)
    records = [{"key": key, "record": b'{"id":"%s"}' % key.encode()} | given for key in keys]
    return pa.Table.from_pylist(records, schema=REFUSED)


def draft(records: int, **changes: Any) -> LedgerEntry:
    """A ledger line as it is before its load."""
    given: dict[str, Any] = {
        "stream": STREAM, "cause": "sync", "run_id": "run1", "began_at": T0,
        "window": DAY, "landing": LANDING, "records": records,
    }  # fmt: skip
    return LedgerEntry(**(given | changes))


def load(
    connection: psycopg.Connection[Any],
    statements: Sequence[Said],
    *,
    refused: pa.Table | None = None,
    slack_s: float = 0,
    restamp: bool | None = None,
    accept: bool = False,
    changes: Mapping[str, Any] | None = None,
    pin: Pin = PIN,
    about: About = About(),  # noqa: B008  # frozen
    keeps: Sequence[str] = (),
) -> LedgerEntry:
    """Load statements as one landing of one batch; stamps are renewed where there is slack, or as
    `restamp` says. `keeps` is `note`, or nothing."""
    units = len(statements) + (refused.num_rows if refused else 0)
    order = Order(slack_s=slack_s, restamp=slack_s > 0 if restamp is None else restamp)
    with Load.open(connection, SPEC, STREAM, order=order, keeps=keeps) as opened:
        opened.stage(rows(statements, marked=bool(keeps)), refused=refused, received=units)
        entry = draft(units, **(changes or {}))
        return opened.commit(entry, pin=pin, said=about, accept=accept)


def table(connection: psycopg.Connection[Any]) -> dict[str, tuple[Any, ...]]:
    """What is in the table: amount, note, version, seconds since T0, rank, whether deleted."""
    found = connection.execute(
        "SELECT source_id, amount, note, _version, _seen_at, _rank, _deleted_at IS NOT NULL"
        " FROM canonical.sale"
    ).fetchall()
    connection.rollback()
    return {
        key: (amount, note, version, (seen - T0).total_seconds(), rank, deleted)
        for key, amount, note, version, seen, rank, deleted in found
    }


def fates(entry: LedgerEntry) -> dict[str, int]:
    """The fates that are not zero."""
    names = ("inserted", "updated", "unchanged", "stale", "duplicate", "filtered", "quarantined")
    counts = {name: getattr(entry, name) for name in (*names, "deleted")}
    return {name: count for name, count in counts.items() if count}
