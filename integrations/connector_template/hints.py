"""Hints: events that say which record has changed, and not reliably how.

Their keys are fetched, each once for all the events of a landing that name it, and what the source
says is landed beside the events.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice

import pyarrow as pa

from integrations.connector_template.connector import BoundFeed, BoundStream
from integrations.connector_template.run import Clock
from integrations.errors import Barred, FixConfig, RetryLater, StopStream
from integrations.redaction import redact
from integrations.storage.fetched import Fetched
from integrations.storage.landing import LandingWriter
from integrations.transformation.arrow import array, pc
from integrations.transport import Page, Session
from integrations.transport.listing import Listing

PATIENCE_S = 20.0
"""For one key: a source that is away is waited for by the next turn, not by each of its keys."""
MOST_AWAY = 2
"""Keys in a row that are waited for in vain, or refused; the others are asked for later."""
MOST_KEYS = 1_000
"""Keys of one landing: what is fetched for them is kept only when all of them are."""
_BATCH = 1_000
"""Answers in memory at once."""


class Hints:
    """Notes the keys that the events of one landing name, and fetches them at its end."""

    def __init__(self, feed: BoundFeed, session: Session[Listing], *, clock: Clock) -> None:
        self._feed = feed
        self._session = session
        self._clock = clock
        self._streams: Mapping[str, BoundStream] = {
            stream.id.stream: stream for stream in feed.routes.values()
        }
        self._noted: dict[tuple[str, str], _Noted] = {}
        self._away = 0

    @property
    def full(self) -> bool:
        """Whether so many keys are noted that the landing should end."""
        return len(self._noted) >= MOST_KEYS

    def note(self, page: Page) -> None:
        """Looks through a page of events."""
        records = array([bytes(record) for record in page.records], pa.binary())
        for stream, lane in self._feed.router.run(records, seen_at=page.seen_at).lanes.items():
            hints = lane.take(pc.indices_nonzero(lane.hint))
            told = (hints.keys.to_pylist(), hints.said_at.to_pylist(), hints.deleted.to_pylist())
            for key, said_at, deleted in zip(*told, strict=True):
                was = self._noted.get((stream, str(key)), _Noted())
                self._noted[stream, str(key)] = was.and_(said_at, deleted=bool(deleted))

    def fetch(self, writer: LandingWriter) -> None:
        """Adds to the landing what the source says of each key that was noted.

        A key of which it says nothing sensible is landed with the reason, and so are all after
        some that it does not answer for: one bad key must not keep the others waiting.
        """
        self._away = 0
        answers = (self._ask(stream, key, noted) for (stream, key), noted in self._noted.items())
        while batch := list(islice(answers, _BATCH)):
            writer.add_fetched(batch)
        self._noted = {}

    def _ask(self, stream: str, key: str, noted: "_Noted") -> Fetched:
        try:
            if self._away >= MOST_AWAY:
                raise RetryLater("the source did not answer for those before it")
            found = fetch_one(self._streams[stream], key, session=self._session, clock=self._clock)
        except (RetryLater, StopStream) as error:
            self._away = self._away + 1 if isinstance(error, RetryLater | Barred) else 0
            return unasked(stream, key, error, session=self._session, clock=self._clock)
        self._away = 0
        if found.record is None and noted.lagging(found, self._streams[stream].order.slack_s):
            return replace(found, problem="the source does not have it, or not yet")
        return found


@dataclass(frozen=True)
class _Noted:
    """What the events say of a key: when the last one was said, and whether it is deleted."""

    said_at: datetime | None = None
    deleted: bool = False

    def and_(self, said_at: datetime | None, *, deleted: bool) -> "_Noted":
        times = [at for at in (self.said_at, said_at) if at is not None]
        return _Noted(max(times, default=None), self.deleted or deleted)

    def lagging(self, found: Fetched, slack_s: float) -> bool:
        """Whether a replica may have answered that has not heard of the event yet."""
        if self.deleted or self.said_at is None:
            return False
        return found.seen_at - self.said_at < timedelta(seconds=slack_s)


def unasked(
    stream: str, key: str, error: Exception, *, session: Session[Listing], clock: Clock
) -> Fetched:
    """A key of which the source could not be asked, or said nothing sensible, with the reason; by
    the source's clock, as what it will say when it can be asked again."""
    said_at = clock() + timedelta(seconds=session.offset_s)
    return Fetched(stream, key, None, said_at, redact(str(error)))


def fetch_one(stream: BoundStream, key: str, *, session: Session[Listing], clock: Clock) -> Fetched:
    """What the source says now of one record, or that it has none. Raises as `Session.one` does."""
    request = stream.stream.one
    if request is None:
        raise FixConfig(
            "its file does not say how one record is fetched",
            where=str(stream.id),
            todo="Give the stream `one`.",
        )
    began_at = clock()
    found = session.one(request, key=key, patience_s=PATIENCE_S)
    if found is None:
        said_at = began_at + timedelta(seconds=session.offset_s)
        return Fetched(stream.id.stream, key, None, said_at)
    return Fetched(stream.id.stream, key, found.record, found.seen_at)
