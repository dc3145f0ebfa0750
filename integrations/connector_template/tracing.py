"""A record's life: all that is known of one source id of one stream, or of one event of a feed.

Nothing here changes anything: landings and tables are read, and the loads are played again on a
copy that is thrown away.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from integrations.connector_template import feed_events, lookups, replaying, statements
from integrations.connector_template.connector import BoundFeed, BoundStream
from integrations.connector_template.fates import Fates, Known, Landed, ordered
from integrations.connector_template.feed_events import FeedEvent
from integrations.connector_template.run import Clock
from integrations.connector_template.statements import Finder, Loaded, Looked, Statement
from integrations.errors import FixConfig, StopStream
from integrations.names import StreamId
from integrations.storage import history, quarantine
from integrations.storage.history import Row
from integrations.storage.landing import LandingZone
from integrations.storage.quarantine import QuarantinedRecord
from integrations.storage.rehearsal import rehearsing
from integrations.storage.tables import STAMPS
from integrations.sync_state.windows import FullSync


@dataclass(frozen=True, kw_only=True)
class Trace:
    """What is known of a record: its `row`, its `statements` in the order of saying, its entry in
    `quarantine`. `differs` is by column what its loads give and what the row holds, where that is
    not the same; unless `played`, they could not be played. `landings` were looked through, `gone`
    loads were of landings that are not kept; `notes` say what could not be read, and what was done
    by hand."""

    stream: StreamId
    key: str
    row: Row | None
    played: bool
    differs: dict[str, tuple[Any, Any]]
    statements: Sequence[Statement]
    quarantine: QuarantinedRecord | None
    landings: int
    gone: int
    notes: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class FeedTrace:
    """What is known of an event: where it is landed, and the feed's own entry in quarantine."""

    feed: StreamId
    key: str
    events: Sequence[FeedEvent]
    quarantine: QuarantinedRecord | None
    notes: Sequence[str]


def trace(
    stream: BoundStream,
    key: str,
    *,
    feeds: Sequence[BoundFeed],
    connection: psycopg.Connection[Any],
    zone: LandingZone,
    clock: Clock,
    looked: Looked = lambda _: None,
) -> Trace:
    """The life of the record `key`; `feeds` are those that speak of the stream.

    The connection must be idle, and is so afterwards. Raises FixConfig where nothing at all is
    known of the key, StopStream where a table cannot be looked up in, RetryLater when the database
    or the landing zone is away.
    """
    landed = Landed(
        pulls=sorted(zone.every(stream.source), key=lambda one: (one.at, one.landing)),
        pushes=[(feed, one) for feed in feeds for one in replaying.pushed(feed, zone=zone)],
    )
    notes: list[str] = []
    transformer = lookups.transformer(stream, connection=connection)
    finder = Finder(stream, key, transformer=transformer, zone=zone)
    found = list(
        statements.found(
            finder, pulls=landed.pulls, pushes=landed.pushes, looked=looked, notes=notes,
        )
    )  # fmt: skip
    leaf = stream.mapping.entity.table().leaf(stream.id.connector)
    known = Known(
        landed=landed,
        row=history.row(connection, leaf, stream.id, key=key),
        entry=quarantine.show(connection, stream.id, key=key),
    )
    gone = history.loads_of_others(connection, stream.id, landings=landed.landings)
    connection.rollback()
    if not found and known.row is None and known.entry is None:
        raise _unknown(stream, key, landed)
    played = _played(
        stream, known, found, finder,
        connection=connection, clock=clock, notes=notes,
    )  # fmt: skip
    differs = {} if played is None else _differences(stream, played[0], known.row)
    if differs and stream.parent is not None:
        told = f"a record of {stream.source} that names it no more is not among the statements"
        notes.append(told)
    return Trace(
        stream=stream.id,
        key=key,
        row=known.row,
        played=played is not None,
        differs=differs,
        statements=ordered(found),
        quarantine=known.entry,
        landings=len(landed.landings),
        gone=gone,
        notes=notes,
    )


def _played(
    stream: BoundStream,
    known: Known,
    found: list[Statement],
    finder: Finder,
    *,
    connection: psycopg.Connection[Any],
    clock: Clock,
    notes: list[str],
) -> tuple[Row | None] | None:
    """Plays the loads of the statements; the row that they give (None: none), or None where they
    cannot be played."""
    lines = history.lines(
        connection,
        stream.id,
        landings=_concerned(stream, known.landed, found),
        causes=("replay", "retry", "reconcile"),
    )
    connection.rollback()
    if not lines:
        return None
    spec, keeps = stream.mapping.entity.table(), stream.mapping.keeps
    try:
        with rehearsing(
            connection, spec, stream.id, order=stream.order, keeps=keeps, clock=clock
        ) as rehearsal:
            fates = Fates(
                stream, known, found, lines=lines, rehearsal=rehearsal, finder=finder
            )  # fmt: skip
            fates.play()
            notes += fates.notes
            return (rehearsal.row(finder.key),)
    except (FixConfig, StopStream) as error:
        notes.append(f"what became of the statements cannot be told: {error}")
        return None


def _concerned(stream: BoundStream, landed: Landed, found: list[Statement]) -> set[str]:
    """The landings whose loads may have touched the record: a complete reading does without it."""
    sync = stream.stream.sync
    told = {one.manifest.landing for one in found if one.manifest}
    absence = isinstance(sync, FullSync) and sync.deletes == "absence"
    return told | ({one.landing for one in landed.pulls} if absence else set())


def trace_event(
    feed: BoundFeed,
    key: str,
    *,
    connection: psycopg.Connection[Any],
    zone: LandingZone,
    looked: Looked = lambda _: None,
) -> FeedTrace:
    """Where the event `key` of a feed is, by its id or the hash of its bytes. Raises as `trace`."""
    manifests = replaying.pushed(feed, zone=zone)
    notes: list[str] = []
    found = list(
        feed_events.events(
            feed, key, manifests=manifests, zone=zone, looked=looked, notes=notes
        )
    )  # fmt: skip
    entry = quarantine.show(connection, feed.id, key=key)
    lines = history.lines(
        connection, feed.id, landings={one.manifest.landing for one in found}
    )  # fmt: skip
    connection.rollback()
    if not found and entry is None:
        raise _nothing(feed.id, key, len(manifests), min((m.at for m in manifests), default=None))
    for event in found:
        fate = "quarantined" if event.refused else None if event.stream else "filtered"
        event.loads.extend(
            Loaded(line=line, fate=fate) for line in lines if line.landing == event.manifest.landing
        )
    return FeedTrace(feed=feed.id, key=key, events=found, quarantine=entry, notes=notes)


def _differences(
    stream: BoundStream, derived: Row | None, stored: Row | None
) -> dict[str, tuple[Any, Any]]:
    """By column what the loads give and what is there, where that is not the same."""
    names = [column.name for column in stream.mapping.entity.table().columns]
    left, right = derived or {}, stored or {}
    return {
        name: (left.get(name), right.get(name))
        for name in (*names, *STAMPS, "_deleted_at")
        if left.get(name) != right.get(name)
    }


def _unknown(stream: BoundStream, key: str, landed: Landed) -> FixConfig:
    manifests = [*landed.pulls, *(one for _, one in landed.pushes)]
    since = min((one.at for one in manifests), default=None)
    return _nothing(stream.id, key, len(manifests), since, table=True)


def _nothing(
    where: StreamId, key: str, landings: int, since: datetime | None, *, table: bool = False
) -> FixConfig:
    begun = f" since {since:%Y-%m-%d %H:%M} UTC" if since else ""
    count = "1 landing" if landings == 1 else f"{landings} landings"
    places = f"{'its table, ' if table else ''}quarantine and {count}{begun}"
    return FixConfig(
        f"nothing is known of {key!r}",
        where=str(where),
        todo=f"It is not in {places}. Is the id as the source writes it?",
    )
