"""An open connection over HTTP: the loop over pages is here once, for every kind of paging, with
the retry and the guard against circles."""

import itertools
import logging
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import Self, TypeVar, cast

from integrations.error_handling.guard import Guard
from integrations.error_handling.retry import Retry, Waited
from integrations.errors import QuotaSpent, RetryLater, StopStream
from integrations.transport import Ask, One, Page, Random, Sleep
from integrations.transport.ahead import Ahead
from integrations.transport.answer import Answer
from integrations.transport.call import Call
from integrations.transport.circle import Circle
from integrations.transport.faults import NOWHERE, UNTOLD, Missing, Untold
from integrations.transport.http import HttpClient
from integrations.transport.listing import Listing, Whole
from integrations.transport.one_request import Detail, OneRequest
from integrations.transport.paging import falls, known
from integrations.transport.positions import positions
from integrations.transport.rest_request import Parent, RestRequest
from integrations.unanswered import MARK, marked

T = TypeVar("T")
Fetched = tuple[Page, Answer]
"""One answer: as what reads records wants it, and as paging does."""
_log = logging.getLogger(__name__)
_BEFORE = timedelta(microseconds=1)
"""The least by which two times differ that are kept."""
_DETAILS = 1_000
"""Details that are kept in memory: a page of the list may hold many more records."""


class RestSession:
    """An open `HttpTransport`; a context manager."""

    def __init__(
        self, http: HttpClient, *, retry: Retry, concurrency: int, sleep: Sleep, random: Random
    ) -> None:
        self._http, self._retry, self._sleep, self._random = http, retry, sleep, random
        self._concurrency = concurrency
        self._heard = False  # any page, so that its address is no wrong one

    @property
    def requests(self) -> int:
        """The requests sent so far, repeated and redirected ones included."""
        return self._http.requests

    @property
    def guards(self) -> Sequence[Guard]:
        """What stands around each request."""
        return self._http.guards

    @property
    def offset_s(self) -> float:
        """How many seconds the source's clock is ahead of ours, as far as its answers told."""
        return self._http.offset_s

    def pages(
        self, request: Listing, *, ask: Ask, position: str | None = None
    ) -> Generator[Page, None, None]:
        """The pages of one pull, as many as `concurrency` ahead of who asks for more than one.

        `position` is the place of the position in a record, where records carry it: their order
        must then be ascending. Raises `RetryLater`, `StopStream`, `StopConnection` or `FixConfig`;
        `PositionGone` when the source does not know `ask.position` any more, `Barred` when it does
        not let us read the list or has none there, and `StopStream` too when the pages go in a
        circle.

        A record whose detail the source has not, and a parent whose list it has not or does not
        give, are in their page, marked (`integrations.unanswered`).
        """
        yield from self._read(
            request, ask=ask, position=position, waited=Waited(), most=self._concurrency
        )

    def _read(
        self, request: Listing, *, ask: Ask, waited: Waited, most: int, position: str | None = None
    ) -> Generator[Page, None, None]:
        """The pages of a request, with all that it asks for beside its list."""
        parent = request.parent if isinstance(request, RestRequest) else None
        detail = request.detail if isinstance(request, RestRequest) else None
        if detail is not None:
            most = 1  # the details are as many at a time as may be
        if isinstance(request, RestRequest) and parent is not None:
            pages = self._of_parents(request, parent, ask=ask, waited=waited, most=most)
        else:
            pages = self._listed(request, ask=ask, waited=waited, most=most, position=position)
        if detail is None:
            yield from pages
            return
        numbers = itertools.count(1)
        for page in pages:
            for part in self._detailed(page, detail, waited=waited):
                yield replace(part, number=next(numbers))

    def _detailed(self, page: Page, detail: Detail, *, waited: Waited) -> Iterator[Page]:
        """The page with each record whole, in their order, in parts if it is long."""
        ahead = Ahead[tuple[bytes, int]](self._concurrency)
        for record in page.records:
            ahead.put(partial(self._told, detail, bytes(record)))
        records, size = list[bytes](), page.size
        for _ in page.records:
            if len(records) == _DETAILS:
                yield replace(page, records=records, size=size, position=None)
                records, size = [], 0
            ahead.start()
            whole, more = self._retried(ahead.take(), waited=waited)
            records.append(whole)
            size += more
        yield replace(page, records=records, size=size)

    def _told(self, detail: Detail, record: bytes) -> tuple[bytes, int]:
        """A listed record with its detail, and the bytes that were answered for it."""
        if not record.startswith(b"{") or record.startswith(MARK):
            return record, 0  # it is refused as it is
        try:
            reply = self._http.fetch(detail.call_for(record), missing=UNTOLD)
        except Untold as error:
            return marked(record, error.what), 0
        return detail.whole(record, detail.read(reply)), len(reply.body)

    def _of_parents(
        self, request: RestRequest, parent: Parent, *, ask: Ask, waited: Waited, most: int
    ) -> Generator[Page, None, None]:
        """One parent's list after the other, their pages numbered through; the first pages of as
        many as may be are fetched ahead."""
        numbers, since = itertools.count(1), None
        above = self._read(parent.above, ask=Ask(window=ask.window), waited=waited, most=1)
        for parents in above:
            since = since or parents.since or parents.seen_at
            ahead = Ahead[Fetched](most)
            lists: list[Ask | Untold] = []
            for record in parents.records:
                try:
                    below = parent.asked(record, ask, request.parent_slots)
                    ahead.put(self._made(request, below, request.first(below)))
                    lists.append(below)
                except Untold as error:
                    lists.append(error)
            for one in lists:
                ahead.start()
                values = one.parent if isinstance(one, Ask) else {}
                try:
                    if isinstance(one, Untold):
                        raise one
                    begun = ahead.take()
                    for page in self._listed(request, ask=one, waited=waited, most=1, begun=begun):
                        records = parent.with_parent(page.records, values)
                        yield replace(page, number=next(numbers), records=records, since=since)
                except Untold as error:
                    record = marked(parent.told(values), error.what)
                    yield Page(next(numbers), [record], parents.seen_at, 0, since=since)

    def _listed(
        self,
        request: Listing,
        *,
        ask: Ask,
        waited: Waited,
        most: int,
        position: str | None = None,
        begun: Callable[[], Fetched] | None = None,
    ) -> Generator[Page, None, None]:
        """The pages of one list; `begun` gives the first where that is under way already."""
        paging = request.paging
        standing = positions(paging, ask=ask, place=position)
        first = request.first(ask)
        ahead = _Onward(partial(self._made, request, ask), most=most)
        ahead.plan([first])
        began_at = None
        for number in itertools.count(1):
            if number > 1:  # who wants one page only pays one call
                ahead.start()
            fetch = ahead.take()
            page, answer = self._retried(begun or fetch, waited=waited)
            self._heard, begun = True, None
            page = replace(page, number=number)
            ahead.circle.answered(page, answer.content)
            wanted = known(paging, answer, most=most)
            ahead.plan([request.onward(first, onward) for onward in wanted])
            position = standing.after(answer, last=not wanted)
            if number > 1:
                ahead.start()
            began_at = began_at or page.seen_at
            if paging.newest_first:  # of two events of one second the last one counts
                page = replace(page, records=page.records[::-1])
            if falls(paging, answer):  # of two versions the one that was said later
                page = replace(page, seen_at=began_at - (number - 1) * _BEFORE)
            yield replace(page, position=position)
            if not wanted:
                return

    def one(self, request: OneRequest, *, key: str, patience_s: float | None = None) -> One | None:
        """The record with this key; None when the source says that it has none (404, 410).

        `patience_s` is for how long it is tried again at the most (None: as the file says). Errors
        as of `pages`; `StopStream` too for a key that no address can hold.
        """
        try:
            return self._retried(
                partial(self._one, request, request.call(key)), patience_s=patience_s
            )
        except _NoSuchRecord:
            return None

    def _retried(
        self,
        call: Callable[[], T],
        *,
        patience_s: float | None = None,
        waited: Waited | None = None,
    ) -> T:
        retry = self._retry
        if patience_s is not None and patience_s < retry.budget_s:
            retry = retry.model_copy(update={"budget_s": patience_s})
        return retry.run(
            call, sleep=self._sleep, random=self._random, on_retry=_tell, waited=waited
        )

    def _made(self, request: Listing, ask: Ask, call: Call) -> Callable[[], Fetched]:
        missing = request.missing(ask, call)
        if missing is None and request.fixed and not self._heard:
            missing = NOWHERE
        return partial(self._page, request, call, missing=missing)

    def _page(self, request: Listing, call: Call, *, missing: Missing | None) -> Fetched:
        reply = self._http.fetch(call, missing=missing)
        found = cast(Whole, request).split(call, reply)  # a file's requests are of its transport
        return Page(1, found.records, reply.seen_at, len(reply.body)), found.answer

    def _one(self, request: OneRequest, call: Call) -> One:
        reply = self._http.fetch(call, missing=Missing(_NoSuchRecord)).whole()
        return One(request.read(reply), reply.seen_at, len(reply.body))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        place: TracebackType | None,
    ) -> None:
        self._http.close()


class _Onward:
    """The calls of one pull that are known, as far ahead as may be, each made once."""

    def __init__(self, made: Callable[[Call], Callable[[], Fetched]], *, most: int) -> None:
        self.circle = Circle()
        self._made, self._ahead = made, Ahead[Fetched](most)
        self._calls: deque[Call] = deque()

    def plan(self, calls: Sequence[Call]) -> None:
        """What follows, as it is known now: what was planned otherwise is dropped. Raises
        `StopStream` for a call that was made before."""
        pairs = zip(self._calls, calls, strict=False)
        same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
        while len(self._calls) > same:
            self.circle.forget(self._calls.pop())
        self._ahead.keep(same)
        for call in calls[same:]:
            self.circle.asked(call)
            self._calls.append(call)
            self._ahead.put(self._made(call))

    def start(self) -> None:
        self._ahead.start()

    def take(self) -> Callable[[], Fetched]:
        self._calls.popleft()
        return self._ahead.take()


class _NoSuchRecord(StopStream):
    """The source has no record with the key; never leaves this module."""


def _tell(error: RetryLater, wait: float) -> None:
    if isinstance(error, QuotaSpent):
        _log.info("%s", error)
        return
    _log.warning("%s; trying again in %.1f s", error, wait)
