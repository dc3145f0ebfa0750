"""REST: lists in JSON over HTTP, page by page, as a connector's file describes them.

`RestTransport` says how a connection is reached, `RestSession` is one that is open. The loop over
pages is here once, for every kind of paging, with the retry and the guard against circles.
"""

import itertools
import logging
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Annotated, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from integrations.auth import Auth
from integrations.error_handling.guard import Guard
from integrations.error_handling.limits import Limit
from integrations.error_handling.retry import Retry, Waited
from integrations.errors import FixConfig, QuotaSpent, RetryLater, StopStream
from integrations.secrets import Secret
from integrations.transport import Ask, Clock, One, Page, Random, Sleep
from integrations.transport.ahead import Ahead
from integrations.transport.answer import Answer
from integrations.transport.circle import Circle
from integrations.transport.faults import Missing
from integrations.transport.http import Call, Check, HttpClient, HttpOptions
from integrations.transport.listing import Listing, is_credential
from integrations.transport.paging import known
from integrations.transport.positions import positions
from integrations.transport.rest_request import OneRequest

T = TypeVar("T")
Fetched = tuple[Page, Answer]
"""One answer: as what reads records wants it, and as paging does."""
_log = logging.getLogger(__name__)

_SIGNING = frozenset({"authorization", "proxy-authorization", "cookie"})


def _is_base_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname or "", parts.port
        host.encode("idna")
    except ValueError as error:  # also a port or a name that cannot be
        raise ValueError(f"the base_url cannot be read as an address: {error}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError("the base_url should begin with https:// (or http://) and name a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("the base_url holds a user or password: these belong into auth_handler")
    if parts.query or parts.fragment or re.search(r"\s", value):
        raise ValueError("the base_url should end with its path, without '?', '#' and blanks")
    return value


def _are_headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if name.lower() in _SIGNING or is_credential(name):
            raise ValueError(f"{name} is for auth_handler: a file names secrets, it holds none")
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
            raise ValueError(f"{name!r} is no name of a header")
        if not re.fullmatch(r"[\x20-\x7e]*", value):
            raise ValueError(f"the header {name} holds characters that no header can carry")
    return headers


class HttpTransport(BaseModel):
    """How a connection is reached over HTTP; times in seconds.

    `timeout_s` bounds each silence, `answer_s` a whole answer. `concurrency` is how many pages may
    be on their way at a time: that many where pages are asked for by number, one ahead where each
    names the next, none before it is wanted with 1. `should_retry_header` names a header whose
    `true` or `false` overrules the status (Stripe has one), `request_id_header` the one whose value
    helps the vendor to find a failed call in his logs. `quota` are limits of the source that its
    answers do not tell; what they tell is kept to without a word here.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: Annotated[str, AfterValidator(_is_base_url)]
    headers: Annotated[dict[str, str], AfterValidator(_are_headers)] = {}
    timeout_s: float = Field(default=30.0, gt=0)
    answer_s: float = Field(default=300.0, gt=0)
    retry: Retry = Retry()
    concurrency: int = Field(default=4, ge=1, le=16)
    should_retry_header: str | None = None
    request_id_header: str | None = None
    quota: tuple[Limit, ...] = ()

    def open(
        self,
        auth: Auth,
        secrets: Mapping[str, Secret],
        *,
        base_url: str | None = None,
        offset_s: float = 0.0,
        clock: Clock,
        sleep: Sleep,
        random: Random,
        guards: Sequence[Guard] = (),
    ) -> "RestSession":
        """A session that signs with `auth`; `base_url` replaces the configured address.

        `offset_s` is how many seconds the source's clock was ahead of ours in an earlier session;
        `guards` stand around each of its requests.
        """
        try:
            address = _is_base_url(base_url or self.base_url)
        except ValueError as error:
            raise FixConfig(str(error)) from error
        options = HttpOptions(
            headers=self.headers,
            timeout_s=self.timeout_s,
            answer_s=self.answer_s,
            should_retry_header=self.should_retry_header,
            request_id_header=self.request_id_header,
        )
        http = HttpClient(
            f"{address.rstrip('/')}{self._below()}",
            auth=auth,
            secrets=secrets,
            options=options,
            clock=clock,
            offset_s=offset_s,
            check=self._check(auth),
            guards=guards,
        )
        return self._session(
            http, retry=self.retry, concurrency=self.concurrency, sleep=sleep, random=random
        )

    def _below(self) -> str:
        """The path that all calls have below the base address."""
        return ""

    def _check(self, auth: Auth) -> Check | None:
        """What looks at answers with status 200."""
        return None

    @property
    def _session(self) -> "Callable[..., RestSession]":
        return RestSession


class RestTransport(HttpTransport):
    """How a connection is reached that gives lists in JSON at addresses of their own."""

    type: Literal["rest"]


class RestSession:
    """An open `HttpTransport`; a context manager."""

    def __init__(
        self, http: HttpClient, *, retry: Retry, concurrency: int, sleep: Sleep, random: Random
    ) -> None:
        self._http, self._retry, self._sleep, self._random = http, retry, sleep, random
        self._concurrency = concurrency

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
        `PositionGone` when the source does not know `ask.position` any more, and `StopStream` too
        when the pages go in a circle.
        """
        circle, paging = Circle(), request.paging
        standing = positions(paging, ask=ask, place=position)
        first = request.first(ask)

        def numbered(number: int, call: Call) -> Callable[[], Fetched]:
            circle.asked(call)
            missing = request.missing(ask, call)
            return partial(self._page, request, call, missing=missing, number=number)

        ahead, waited = Ahead[Fetched](self._concurrency), Waited()
        ahead.put(numbered(1, first))
        for number in itertools.count(1):
            if number > 1:  # who wants one page only pays one call
                ahead.start()
            page, answer = self._retried(ahead.take(), waited=waited)
            circle.answered(page, answer.content)
            wanted = known(paging, answer, most=self._concurrency)
            ahead.keep(len(wanted))
            for onward in wanted[len(ahead) :]:
                ahead.put(numbered(number + len(ahead) + 1, request.onward(first, onward)))
            position = standing.after(answer, last=not ahead)
            if number > 1:
                ahead.start()
            # Oldest first: of two events of one second the last one counts.
            records = page.records[::-1] if paging.newest_first else page.records
            yield replace(page, records=records, position=position)
            if not ahead:
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

    def _page(
        self, request: Listing, call: Call, *, missing: Missing | None, number: int
    ) -> Fetched:
        reply = self._http.fetch(call, missing=missing)
        found = request.split(call, reply)
        return Page(number, found.records, reply.seen_at, len(reply.body)), found.answer

    def _one(self, request: OneRequest, call: Call) -> One:
        reply = self._http.fetch(call, missing=Missing(_NoSuchRecord))
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


class _NoSuchRecord(StopStream):
    """The source has no record with the key; never leaves this module."""


def _tell(error: RetryLater, wait: float) -> None:
    if isinstance(error, QuotaSpent):
        _log.info("%s", error)
        return
    _log.warning("%s; trying again in %.1f s", error, wait)
