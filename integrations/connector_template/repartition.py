"""Another cut of a stream's time: its file says another cadence or start than its first commit.

The committed windows are then no windows any more. Of the new ones those are taken for committed
of which the ledger proves it: they lie wholly inside windows that were committed, whose pulls began
when the new window had passed too. All others become due.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import psycopg

from integrations.connector_template import loading
from integrations.connector_template.connector import BoundStream
from integrations.connector_template.run import Clock
from integrations.names import Window
from integrations.storage import positions, resets
from integrations.storage.positions import Pin, Position
from integrations.storage.transaction import Transaction
from integrations.sync_state.windows import WindowSync


@dataclass(frozen=True, kw_only=True)
class Proven:
    """A new window that is committed. `landed`: it is one of the old ones too, and so there is a
    landing of just this window; `warned`: a load that proves it was one with a warning."""

    position: Position
    landed: bool
    warned: bool


@dataclass(frozen=True, kw_only=True)
class Repartition:
    """What becomes of a stream: how its time was cut and is cut now, how many windows were
    committed, the new windows that stay so, and how many are there to be pulled (UTC)."""

    stream: BoundStream
    was: Pin
    now: Pin
    committed: int
    proven: tuple[Proven, ...]
    due: int


def plan(
    stream: BoundStream, *, connection: psycopg.Connection[Any], now: datetime
) -> Repartition | None:
    """What a repartition would do at `now`; None where the file cuts as at the first commit, or
    nothing was ever committed. Changes nothing."""
    was, pin = positions.pinned(connection, stream.id), loading.pin(stream)
    if was is None or was.windows == pin.windows:
        return None
    known = [one for one in positions.committed(connection, stream.id).values() if one.window]
    statuses = resets.attested(connection, stream.id)
    sync, windows = stream.stream.sync, list[Window]()
    if isinstance(sync, WindowSync):
        windows = list(sync.windows(stream.connection.begins_at, now))
    kept = tuple(proven(windows, known, statuses=statuses))
    whole = not isinstance(sync, WindowSync)
    return Repartition(
        stream=stream,
        was=was,
        # Another key is another matter: it needs its rows made anew, and stays refused.
        now=replace(pin, key=was.key),
        committed=len(known),
        proven=kept,
        due=1 if whole else len(windows) - len(kept),
    )


def repartition(
    stream: BoundStream,
    *,
    connection: psycopg.Connection[Any],
    clock: Clock,
    tell: Callable[[Repartition], None],
) -> Repartition | None:
    """Takes the file's windows for the stream's own, in one transaction under its lock.

    `tell` is called before the commit with what becomes of it: where it fails, or the process
    dies, nothing is committed, and it can be called again. None where there is nothing to do.
    The connection must be idle; raises what `Transaction.open` raises.
    """
    ids = [one.id for one in stream.family]
    with Transaction.open(connection, ids, clock=clock) as transaction:
        made = plan(stream, connection=connection, now=clock())
        if made is None:
            transaction.give_up()
            return None
        why = f"repartitioned: {made.was.windows}, now {made.now.windows}"
        generation = positions.reset(connection, stream.id, why=why)
        kept = [one.position for one in made.proven]
        resets.replace_windows(connection, stream.id, kept, generation=generation)
        positions.pin_anew(connection, stream.id, pin=made.now)
        for child in stream.children:
            positions.reset(connection, child.id, why=why)
            was = positions.pinned(connection, child.id) or made.now
            positions.pin_anew(connection, child.id, pin=replace(made.now, key=was.key))
        tell(made)
        transaction.commit(stream.id)
    return made


def proven(
    windows: Iterable[Window], committed: Iterable[Position], *, statuses: Mapping[str, str]
) -> Iterable[Proven]:
    """The windows of which the ledger proves that they are committed, in their order.

    `statuses` are the ledger's words on the landings that were loaded.
    """
    known = [one for one in committed if one.window and one.landing in statuses]
    spans = sorted((one.window, one) for one in known if one.window)
    for window in windows:
        parts = _covering(window, spans)
        if not parts:
            continue
        # It is as old as the oldest part of it.
        oldest = min(parts, key=lambda one: one.pulled_at)
        same = parts[0].window == window
        yield Proven(
            position=oldest
            if same
            else replace(oldest, window=window, said_at=oldest.pulled_at, floor_at=None),
            landed=same,
            warned=any(statuses[one.landing] == "warn" for one in parts if one.landing),
        )


def _covering(window: Window, spans: list[tuple[Window, Position]]) -> list[Position]:
    """The committed windows that hold all of a window together; none when they do not."""
    parts, reached = list[Position](), window.start
    place = bisect_right(spans, reached, key=lambda span: span[0].start) - 1
    while reached < window.end:
        if not 0 <= place < len(spans):
            return []
        span, position = spans[place]
        if not span.start <= reached < span.end or position.pulled_at < window.end:
            return []
        parts.append(position)
        reached, place = span.end, place + 1
    return parts
