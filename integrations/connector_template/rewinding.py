"""Positions by hand: a stream or a feed that goes on from where a person says.

Each is a reset: what is landed and not committed does not count any more, and a pull that is under
way cannot commit. Rows stay, and what is read again is compared with them.
"""

from datetime import datetime, timedelta
from typing import Any, Literal

import psycopg

from integrations.connector_template import loading
from integrations.connector_template.connector import BoundFeed, BoundStream
from integrations.connector_template.run import Clock
from integrations.errors import FixConfig
from integrations.storage import positions, resets
from integrations.storage.positions import Pin, Reached
from integrations.storage.transaction import Transaction
from integrations.sync_state.cursors import CursorSync
from integrations.sync_state.windows import WindowSync
from integrations.transport.slots import SINCE, slots_in

Positioned = BoundStream | BoundFeed
"""What has a position of its own."""
Kind = Literal["window", "full", "cursor", "feed"]

HEADWAY = timedelta(hours=1)
"""A feed is read some time after it was rewound. One that was rewound to the very end of what its
source keeps would then have a gap."""


def kind(reader: Positioned) -> Kind:
    """How it is read."""
    return "feed" if isinstance(reader, BoundFeed) else reader.stream.sync.type


def settable(reader: Positioned, value: str) -> None:
    """Raises FixConfig for what cannot be set to a value: only what is read by cursor can."""
    if kind(reader) in ("window", "full"):
        raise FixConfig(
            "it is not read by cursor, and has no position that could be set",
            where=str(reader.id),
            todo=f"`integrations positions rewind {reader.id}` makes it due again.",
        )
    if not value.strip() or value != value.strip() or not value.isprintable():
        raise FixConfig(
            f"{value!r} is no position", where=str(reader.id), todo="Give it as the source does."
        )


def set_to(
    reader: Positioned,
    value: str,
    *,
    connection: psycopg.Connection[Any],
    run_id: str,
    clock: Clock,
) -> None:
    """Makes `value` the position after which it is read, in one transaction under its lock.

    The connection must be idle. Raises FixConfig as `settable` does, or when its file was changed,
    and what `Transaction.open` raises.
    """
    settable(reader, value)
    with Transaction.open(connection, [reader.id], clock=clock) as transaction:
        was = positions.at(connection, reader.id)
        # A feed whose source does not know the value is read from when it was last heard.
        heard = was and isinstance(reader, BoundFeed) and (was.checked_at or was.pulled_at)
        _start_anew(
            reader, connection, why=f"set to {value!r} by hand",
            run_id=run_id, cursor=value, checked_at=heard or None,
        )  # fmt: skip
        transaction.commit(reader.id)


def begins(reader: Positioned, to: datetime | None, *, now: datetime) -> datetime | None:
    """From when on it is read again when it is rewound to `to`; None stands for its start.

    Raises FixConfig for what cannot be: a time to come, a time where only the whole can be read
    again, and one of which a feed's source keeps nothing any more.
    """
    if to is not None and to > now:
        raise FixConfig(f"{_said(to)} is still to come", where=str(reader.id))
    if isinstance(reader, BoundFeed):
        kept = now - timedelta(days=reader.feed.retention_days) + HEADWAY
        if to is not None and to < kept:
            raise FixConfig(
                f"its source keeps events for {reader.feed.retention_days} days: nothing from "
                f"before {_said(kept)} can be counted on",
                where=str(reader.id),
                todo="Rewind the streams that it routes to: they are then read again themselves.",
            )
        return to or kept
    sync, request = reader.stream.sync, reader.stream.request
    if to is None or isinstance(sync, WindowSync):
        return to
    if not isinstance(sync, CursorSync) or SINCE not in slots_in(request.params.values()):
        raise FixConfig(
            f"it cannot be read from a moment on: its request has no {SINCE}"
            if isinstance(sync, CursorSync)
            else "it is read in full, and knows no time to go back to",
            where=str(reader.id),
            todo="Rewind it without --to: it is then read from its start.",
        )
    return to


def rewind(
    reader: Positioned,
    *,
    to: datetime | None = None,
    connection: psycopg.Connection[Any],
    run_id: str,
    clock: Clock,
) -> None:
    """Has it read again what it was read: all of it, or what follows `to` (aware); in one
    transaction under its lock.

    The connection must be idle. Raises FixConfig as `begins` does, or when its file was changed,
    and what `Transaction.open` raises.
    """
    since = begins(reader, to, now=clock())
    why = f"rewound to {_said(since) if since else 'its start'} by hand"
    with Transaction.open(connection, [reader.id], clock=clock) as transaction:
        if isinstance(reader, BoundFeed) or (since and kind(reader) == "cursor"):
            _start_anew(reader, connection, why=why, run_id=run_id, checked_at=since)
        else:
            positions.refuse_changed(connection, reader.id, pin=_pin(reader))
            generation = positions.reset(connection, reader.id, why=why)
            if since is not None:
                resets.keep_windows(connection, reader.id, generation=generation, until=since)
        transaction.commit(reader.id)


def _start_anew(
    reader: Positioned,
    connection: psycopg.Connection[Any],
    *,
    why: str,
    run_id: str,
    cursor: str | None = None,
    checked_at: datetime | None,
) -> None:
    positions.reset(connection, reader.id, why=why)
    reached = Reached(
        landing=None,
        run_id=run_id,
        generation=positions.generation(connection, reader.id),
        cursor=(None, cursor),
        checked_at=checked_at,
    )
    positions.move(connection, reader.id, reached, pin=_pin(reader))


def _pin(reader: Positioned) -> Pin:
    return Pin() if isinstance(reader, BoundFeed) else loading.pin(reader)


def _said(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
