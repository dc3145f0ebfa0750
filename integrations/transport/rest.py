"""REST: lists in JSON over HTTP, page by page, as a connector's file describes them.

`RestTransport` says how a connection is reached, `RestSession` is one that is open. The loop over
pages is here once, for every kind of paging, with the retry and the guard against circles.
"""

import hashlib
import itertools
import logging
import re
from collections.abc import Iterator, Mapping
from functools import partial
from types import TracebackType
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from integrations.auth import Auth
from integrations.error_handling.retry import Retry
from integrations.errors import FixConfig, RetryLater, StopStream
from integrations.names import Window
from integrations.secrets import Secret
from integrations.transport import Clock, Page, Random, Sleep
from integrations.transport.body import as_sent, readable, records_in
from integrations.transport.http import HttpClient, HttpOptions, Params
from integrations.transport.paging import Answer, Next
from integrations.transport.rest_request import RestRequest, is_credential

_log = logging.getLogger(__name__)

_SIGNING = frozenset({"authorization", "proxy-authorization", "cookie"})
_MOST_EMPTY_PAGES = 1_000  # in a row: a filtered list may have some, no list has a thousand


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


class RestTransport(BaseModel):
    """How a connection is reached over HTTP; times in seconds.

    `timeout_s` bounds each silence, `answer_s` a whole answer. `should_retry_header` names a header
    whose `true` or `false` overrules the status (Stripe has one), `request_id_header` the one whose
    value helps the vendor to find a failed call in his logs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["rest"]
    base_url: Annotated[str, AfterValidator(_is_base_url)]
    headers: Annotated[dict[str, str], AfterValidator(_are_headers)] = {}
    timeout_s: float = Field(default=30.0, gt=0)
    answer_s: float = Field(default=300.0, gt=0)
    retry: Retry = Retry()
    should_retry_header: str | None = None
    request_id_header: str | None = None

    def open(
        self,
        auth: Auth,
        secrets: Mapping[str, Secret],
        *,
        base_url: str | None = None,
        clock: Clock,
        sleep: Sleep,
        random: Random,
    ) -> "RestSession":
        """A session that signs with `auth`; `base_url` replaces the configured address."""
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
        http = HttpClient(address, auth=auth, secrets=secrets, options=options, clock=clock)
        return RestSession(http, retry=self.retry, sleep=sleep, random=random)


class RestSession:
    """An open `RestTransport`; a context manager."""

    def __init__(self, http: HttpClient, *, retry: Retry, sleep: Sleep, random: Random) -> None:
        self._http, self._retry, self._sleep, self._random = http, retry, sleep, random

    @property
    def requests(self) -> int:
        """The requests sent so far, repeated and redirected ones included."""
        return self._http.requests

    def pages(self, request: RestRequest, *, window: Window | None) -> Iterator[Page]:
        """The pages of one pull, fetched as they are asked for.

        Raises `RetryLater`, `StopStream`, `StopConnection` or `FixConfig`; `StopStream` too when
        the pages go in a circle.
        """
        path, fixed = request.first(window)
        ask: Next | None = Next()
        circle = _Circle()
        for number in itertools.count(1):
            if ask is None:
                return
            target, params = (ask.url, {}) if ask.url else (path, {**fixed, **ask.params})
            circle.asked(target, params)
            page, answer = self._retry.run(
                partial(self._page, request, target, params, number),
                sleep=self._sleep,
                random=self._random,
                on_retry=_tell,
            )
            circle.answered(page)
            yield page
            ask = request.paging.follow(answer)

    def _page(
        self, request: RestRequest, target: str, params: Params, number: int
    ) -> tuple[Page, Answer]:
        reply = self._http.get(target, params=params)
        text = readable(reply.body)
        records = records_in(text, request.records)
        answer = Answer(reply.url, reply.headers, text, records)
        sent = as_sent(records, text=text, body=reply.body)
        return Page(number, sent, reply.seen_at, len(reply.body)), answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        place: TracebackType | None,
    ) -> None:
        self._http.close()


class _Circle:
    """Notices when the pages of a pull go in a circle, also one that a new cursor hides.

    Keeps a digest per page, not the pages.
    """

    def __init__(self) -> None:
        self._requests: set[bytes] = set()
        self._contents: set[bytes] = set()
        self._empty = 0

    def asked(self, target: str, params: Params) -> None:
        """Raises `StopStream` for a request made before."""
        request = repr((target, sorted(params.items()))).encode()
        if _known(request, self._requests):
            raise StopStream("the paging goes in a circle: the next page was read before")

    def answered(self, page: Page) -> None:
        """Raises `StopStream` for records that were a page before, and for endless empty pages."""
        self._empty = 0 if page.records else self._empty + 1
        if self._empty >= _MOST_EMPTY_PAGES:
            raise StopStream(f"{self._empty} pages in a row were empty, and still there is a next")
        content = b"\n".join(map(bytes, page.records))
        if page.records and _known(content, self._contents):
            raise StopStream(
                f"the paging goes in a circle: page {page.number} holds exactly the records of an "
                "earlier one, under a new cursor"
            )


def _known(content: bytes, seen: set[bytes]) -> bool:
    digest = hashlib.blake2b(content, digest_size=16).digest()
    known = digest in seen
    seen.add(digest)
    return known


def _tell(error: RetryLater, wait: float) -> None:
    _log.warning("%s; trying again in %.1f s", error, wait)
