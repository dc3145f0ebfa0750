"""Pulling: what the source says, landed as it was said.

A window (or a full reading) is one landing. A cursor stream goes on at the end of what is landed,
in steps: each is a landing that can be loaded while the next one is still to come. Nothing here
knows Dagster; a barrier (`sys.audit`) stands wherever a process may be killed with another outcome,
and tests listen there.
"""

import sys
from collections.abc import Generator, Iterator
from contextlib import closing
from datetime import datetime
from itertools import chain
from typing import Any, Protocol

import psycopg

from integrations.connector_template.connector import BoundStream
from integrations.connector_template.loading import pin
from integrations.connector_template.run import Clock, Run
from integrations.errors import PositionGone, StopStream
from integrations.names import StreamId, Window
from integrations.storage import positions
from integrations.storage.landing import LandingWriter, LandingZone
from integrations.storage.manifest import Manifest
from integrations.storage.positions import Position, Reached
from integrations.storage.transaction import Transaction
from integrations.sync_state.cursors import CursorSync
from integrations.sync_state.windows import OVERLAP, with_overlap
from integrations.transport import Ask, Page, Session
from integrations.transport.slots import SINCE, slots_in

STEP_RECORDS = 250_000
"""A cursor stream's landing holds no more, so that a long pull commits as it goes on."""


def land(
    stream: BoundStream,
    window: Window | None,
    *,
    session: Session[Any],
    zone: LandingZone,
    run: Run,
    generation: int,
    clock: Clock,
) -> Manifest:
    """Pulls a window, with its overlap, into a landing of its own.

    What this run, or one that it retries, has landed complete is not fetched again, unless the
    landing is damaged, or another run has pulled the window since, or the stream was reset.
    """
    known = zone.newest(stream.id, window=window)
    if (
        known is not None
        and known.run_id in {run.run_id, *run.retried}
        and known.generation == generation
        and _whole(known, zone)
    ):
        return known
    before = session.requests
    ask = Ask(window=with_overlap(window) if window else None)
    with zone.writer(
        stream.id,
        window=window,
        run_id=run.run_id,
        root_run_id=run.root_run_id,
        began_at=clock(),
        generation=generation,
    ) as writer:
        with closing(session.pages(stream.stream.request, ask=ask)) as pages:
            for page in pages:
                sys.audit("integrations.fetched", str(stream.id))
                writer.add(page)
        return writer.finish(requests=session.requests - before)


class Onward:
    """One pull of a cursor stream: first the landings that are there and not committed, then a new
    one for each step, none where the source has nothing more.

    `position` is where the stream stands, None before its first commit.
    """

    def __init__(
        self,
        stream: BoundStream,
        position: Position | None,
        *,
        session: Session[Any],
        zone: LandingZone,
        run: Run,
        generation: int,
        clock: Clock,
    ) -> None:
        self._stream, self._position = stream, position
        self._session, self._zone, self._run = session, zone, run
        self._generation, self._clock = generation, clock
        self._seen_at: datetime | None = None

    def landings(self) -> Generator[Manifest, None, None]:
        """Raises as `Session.pages` does; StopStream when the source does not know the position any
        more."""
        stream, sync = self._stream, self._stream.stream.sync
        assert isinstance(sync, CursorSync), "other streams have no cursor"
        cursor = self._position.cursor if self._position else None
        after = self._position.landing if self._position else None
        known = self._zone.chain(stream.id, after=after, cursor=cursor, generation=self._generation)
        for manifest in known:
            yield manifest
            cursor = (manifest.cursor or (None, None))[1]
        steps = Steps(
            stream.id, cursor,
            zone=self._zone, run=self._run, generation=self._generation, clock=self._clock,
        )  # fmt: skip
        request = stream.stream.request
        pages = self._session.pages(request, ask=self._ask(cursor), position=sync.position)
        try:
            with closing(pages):
                yield from steps.landings(pages, self._session)
        except PositionGone as error:
            raise StopStream(
                f"the source does not know the position {cursor!r} any more",
                where=str(stream.id),
                todo=f"`integrations positions rewind {stream.id}` reads it again from its start.",
            ) from error
        self._seen_at = steps.seen_at

    def note_end(self, *, connection: psycopg.Connection[Any]) -> None:
        """Notes when the source had nothing more, after all landings were loaded: that long the
        stream is not due. The connection must be idle; raises as `Transaction.open` does, and
        StopStream when the stream was reset meanwhile."""
        if self._seen_at is None:
            return
        id_ = self._stream.id
        with Transaction.open(connection, [id_], clock=self._clock) as transaction:
            if positions.at(connection, id_) is None:
                # It said nothing yet: a position without a place, or it would be due for ever.
                nothing = Reached(
                    landing=None, run_id=self._run.run_id, generation=self._generation,
                    cursor=(None, None), checked_at=self._seen_at,
                )  # fmt: skip
                positions.move(connection, id_, nothing, pin=pin(self._stream))
            else:
                positions.checked(connection, id_, at=self._seen_at, generation=self._generation)
            transaction.commit(id_)

    def _ask(self, cursor: str | None) -> Ask:
        """What follows the cursor; without one, what happened since the stream was last heard or
        rewound to, where its request can ask for that; else everything."""
        heard = self._position.checked_at if self._position else None
        params = self._stream.stream.request.params
        if cursor is None and heard is not None and SINCE in slots_in(params.values()):
            return Ask(since=heard - OVERLAP)
        return Ask(position=cursor)


class Beside(Protocol):
    """What is landed beside the records of a step: what its events only name."""

    @property
    def full(self) -> bool:
        """Whether the step should end as soon as it can."""

    def note(self, page: Page) -> None:
        """Looks through a page of the step."""

    def fetch(self, writer: LandingWriter) -> None:
        """Adds to the step, when all of its pages are in, what was noted."""


class Steps:
    """Cuts the pages of one pull into landings that chain."""

    def __init__(
        self,
        stream: StreamId,
        cursor: str | None,
        *,
        zone: LandingZone,
        run: Run,
        generation: int,
        clock: Clock,
        beside: Beside | None = None,
    ) -> None:
        self._stream = stream
        self._cursor = cursor
        self._zone = zone
        self._run = run
        self._generation = generation
        self._clock = clock
        self._beside = beside
        self.seen_at: datetime | None = None
        """When the source was first asked, by its clock; None before its first answer."""

    def landings(self, pages: Iterator[Page], session: Session[Any]) -> Iterator[Manifest]:
        """One landing after the other; what holds no record and tells of no file is none."""
        told, more, counted = self._told(pages), True, session.requests
        while more:
            began_at = self._clock()
            first = next((page for page in told if page.records or page.files), None)
            if first is None:
                return
            with self._writer(began_at) as writer:
                reached, more = self._fill(writer, first, told)
                if self._beside is not None:
                    self._beside.fetch(writer)
                # Some of them may be for pages of the next step, which are on their way.
                requests = session.requests
                manifest = writer.finish(
                    requests=requests - counted, cursor_to=reached, ended=not more
                )
            self._cursor, counted = reached, requests
            yield manifest

    def _fill(
        self, writer: LandingWriter, first: Page, following: Iterator[Page]
    ) -> tuple[str | None, bool]:
        """Adds pages until the step is full; where it ends, and whether more may follow."""
        reached, records = self._cursor, 0
        for page in chain([first], following):
            writer.add(page)
            writer.note_files(page.files)
            if self._beside is not None:
                self._beside.note(page)
            records += len(page.records)
            reached = page.position or reached
            full = self._beside is not None and self._beside.full
            if page.position is not None and (full or records >= STEP_RECORDS):
                return reached, True
        return reached, False

    def _told(self, pages: Iterator[Page]) -> Iterator[Page]:
        for page in pages:
            sys.audit("integrations.fetched", str(self._stream))
            self.seen_at = self.seen_at or page.seen_at
            yield page

    def _writer(self, began_at: datetime) -> LandingWriter:
        return self._zone.writer(
            self._stream,
            window=None,
            run_id=self._run.run_id,
            root_run_id=self._run.root_run_id,
            began_at=began_at,
            generation=self._generation,
            cursor=(self._cursor,),
        )


def _whole(manifest: Manifest, zone: LandingZone) -> bool:
    """Whether every part is there, as it was written."""
    try:
        for _ in zone.batches(manifest):
            pass
    except StopStream:
        return False
    return True
