"""The push lane: what a feed says, from its source to the tables of the streams it speaks of.

One turn asks for what follows the feed's position, lands the events, and commits the rows, the
refusals and the ledger lines of every stream that was spoken of together with the position. A run
of the feed's asset is one turn; a process that drains the feed takes turn after turn.

A feed that was not read for longer than its source keeps events has missed some. That is a gap: it
is named, its streams are reset so that all of them is due again, and the feed starts anew.
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import psycopg

from integrations.connector_template import feed_loading
from integrations.connector_template.connector import BoundFeed
from integrations.connector_template.feed_loading import Loaded
from integrations.connector_template.hints import Hints
from integrations.connector_template.pull import Steps
from integrations.connector_template.run import Clock, Run
from integrations.errors import PositionGone
from integrations.storage import positions
from integrations.storage.landing import LandingZone
from integrations.storage.manifest import Manifest
from integrations.storage.positions import Pin, Position, Reached
from integrations.storage.transaction import Transaction, translated
from integrations.transport import Ask, Session
from integrations.transport.listing import Listing

NOTED_EVERY = timedelta(minutes=1)
"""How often it is written down that there was nothing new."""
UNDER_WAY = timedelta(hours=1)
"""For how long a pull may go on that began before its feed was first read."""
MARGIN = timedelta(minutes=5)
"""How far before a moment a feed without a position begins to read: sources show late."""


@dataclass
class Turn:
    """What one turn did: landing by landing what was loaded, and the gap that was found, if any."""

    loaded: list[Loaded] = field(default_factory=list)
    gap: str | None = None


def turn(
    feed: BoundFeed,
    *,
    connection: psycopg.Connection[Any],
    zone: LandingZone,
    session: Session[Listing],
    run: Run,
    clock: Clock,
    look_back: bool = True,
) -> Turn:
    """Reads the feed to its end and commits what it said, step by step.

    `look_back` also loads what an earlier run has landed and not committed; who has just done so
    need not look again. Raises as `Session.pages` and `Transaction.open` do; what was committed by
    then stays.
    """
    with translated(feed.id):
        unread = positions.at(connection, feed.id) is None
        connection.rollback()
        if unread:
            # Where it begins is a time at the source, and nobody may have asked there what it is.
            next(session.pages(feed.feed.request, ask=Ask(since=clock())), None)
        position, gap = _begun(
            feed,
            connection=connection,
            run=run,
            clock=lambda: clock() + timedelta(seconds=session.offset_s),
            landed=_landed(feed, zone),
        )
    done = Turn(gap=gap)
    reader = _Reader(feed, position, session=session, zone=zone, run=run, clock=clock)
    for manifest in reader.landings(look_back=look_back):
        sys.audit("integrations.feed_landed", str(feed.id))
        loaded = feed_loading.load(
            feed, manifest, connection=connection, zone=zone, run=run, clock=clock
        )
        if loaded is not None:
            done.loaded.append(loaded)
        if loaded is None or loaded.blocked:
            # Another reader was faster, or a person has to decide: what follows has to wait.
            return done
    with translated(feed.id):
        _note_checked(feed, position, reader.seen_at, connection=connection)
    return done


class _Reader:
    """Where a turn's landings come from."""

    def __init__(
        self,
        feed: BoundFeed,
        position: Position,
        *,
        session: Session[Listing],
        zone: LandingZone,
        run: Run,
        clock: Clock,
    ) -> None:
        self._feed, self._position = feed, position
        self._session, self._zone, self._run, self._clock = session, zone, run, clock
        self.seen_at: datetime | None = None

    def landings(self, *, look_back: bool) -> Iterator[Manifest]:
        """What is landed and not committed, then what the source says."""
        cursor = self._position.cursor
        if look_back:
            chain = self._zone.chain(
                self._feed.id,
                after=self._position.landing,
                cursor=cursor,
                generation=self._position.generation,
            )
            for manifest in chain:
                yield manifest
                cursor = manifest.cursor[1] if manifest.cursor else cursor
        since = (self._position.checked_at or self._position.committed_at) - MARGIN
        steps = self._steps(cursor)
        try:
            yield from self._pulled(steps, Ask(position=cursor) if cursor else Ask(since=since))
        except PositionGone:
            if cursor is None:
                raise
            # A source forgets a position before its time: it is read again from that time on.
            yield from self._pulled(steps, Ask(since=since))
        self.seen_at = steps.seen_at

    def _pulled(self, steps: Steps, ask: Ask) -> Iterator[Manifest]:
        with closing(self._session.pages(self._feed.feed.request, ask=ask)) as pages:
            yield from steps.landings(pages, self._session)

    def _steps(self, cursor: str | None) -> Steps:
        return Steps(
            self._feed.id,
            cursor,
            zone=self._zone,
            run=self._run,
            generation=self._position.generation,
            clock=self._clock,
            beside=Hints(self._feed, self._session, clock=self._clock),
        )


def _begun(
    feed: BoundFeed,
    *,
    connection: psycopg.Connection[Any],
    run: Run,
    clock: Clock,
    landed: Iterable[datetime] = (),
) -> tuple[Position, str | None]:
    """The feed's position, made where there is none, and the gap that makes it start anew. `clock`
    is the source's, `landed` is when what may still be loaded was said."""
    found = positions.at(connection, feed.id)
    connection.rollback()
    now = clock()
    if found is not None and now - _heard(found) <= _retention(feed):
        return found, None
    streams = {stream.id: stream for stream in feed.routes.values()}
    with Transaction.open(connection, [feed.id, *streams], clock=clock) as transaction:
        found = positions.at(connection, feed.id)
        if found is not None and now - _heard(found) <= _retention(feed):
            transaction.give_up()  # another reader has begun it while we waited
            return found, None
        since, gap = _start(feed, found, connection=connection, now=now, landed=landed)
        if gap is not None:
            for stream in streams:
                positions.reset(connection, stream, why=gap)
            positions.reset(connection, feed.id, why=gap)
        reached = Reached(
            landing=None,
            run_id=run.run_id,
            generation=positions.generation(connection, feed.id),
            checked_at=since,
        )
        positions.move(connection, feed.id, reached, pin=Pin())
        position = positions.at(connection, feed.id)
        transaction.commit(feed.id)
    assert position is not None, "it was just made"
    return position, gap


def _start(
    feed: BoundFeed,
    found: Position | None,
    *,
    connection: psycopg.Connection[Any],
    now: datetime,
    landed: Iterable[datetime],
) -> tuple[datetime, str | None]:
    """From when on a feed is read that has no position, or one that is too old; and the gap.

    What was pulled before the feed was first read may have changed since: so it begins with the
    oldest pull that is committed, landed, or may be under way.
    """
    if found is None:
        pulled = [
            position.pulled_at
            for stream in feed.routes.values()
            for position in positions.committed(connection, stream.id).values()
        ]
        since = min([*pulled, *landed, now - UNDER_WAY])
    else:
        since = _heard(found)
    if now - since <= _retention(feed):
        return since, None
    kept = now - _retention(feed)
    return now, (
        f"gap: nothing was read of {feed.id} between {since:%Y-%m-%d %H:%M} and "
        f"{kept:%Y-%m-%d %H:%M} UTC, and the source keeps its events for "
        f"{feed.feed.retention_days} days: its streams are due in full"
    )


def _landed(feed: BoundFeed, zone: LandingZone) -> Iterator[datetime]:
    for stream in {stream.id for stream in feed.routes.values()}:
        yield from (manifest.at for manifest in zone.every(stream))


def _heard(position: Position) -> datetime:
    """Until when the feed's source was heard."""
    return position.checked_at or position.pulled_at


def _retention(feed: BoundFeed) -> timedelta:
    return timedelta(days=feed.feed.retention_days) - MARGIN


def _note_checked(
    feed: BoundFeed,
    position: Position,
    seen_at: datetime | None,
    *,
    connection: psycopg.Connection[Any],
) -> None:
    if seen_at is not None and seen_at - _heard(position) >= NOTED_EVERY:
        positions.checked(connection, feed.id, at=seen_at, generation=position.generation)
        connection.commit()
