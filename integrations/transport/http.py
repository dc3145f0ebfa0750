"""The one door to the network over HTTP: every request has a timeout, goes to one origin only, and
fails with one of our errors.

An origin is scheme, host and port (RFC 6454). Redirects are followed here and not by httpx, which
would send headers like `X-Api-Key` along to anywhere.
"""

import threading
import time
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType, TracebackType
from typing import Protocol, Self

import httpx
import msgspec

from integrations.auth import Auth, Memory, Post
from integrations.error_handling.guard import Exchange, Guard
from integrations.errors import IntegrationError, RetryLater, StopStream
from integrations.redaction import redact
from integrations.secrets import Secret
from integrations.transport.call import Call, Method, Params, Reply
from integrations.transport.faults import HTTPX_ERRORS, Missing, Told, refused, translated
from integrations.transport.source_clock import Began, SourceClock
from integrations.transport.spool import spooled
from integrations.transport.trust import loopback, trusted

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_AS_IT_IS = frozenset({307, 308})
"""Redirects that keep a request's method and body (RFC 9110 section 15.4)."""
_ZLIB = type(zlib.decompressobj())
_MOST_REDIRECTS = 5
_MOST_ERROR_BYTES = 65_536


class Refusal(Protocol):
    """Gives our error for an answer whose status is not 200, None where the body does not say more
    than the status does."""

    def __call__(self, status: int, body: bytes, *, call: str) -> IntegrationError | None: ...


@dataclass(frozen=True, kw_only=True)
class HttpOptions:
    """What a connector's file says about HTTP; times in seconds.

    `timeout_s` bounds each silence of the network, `answer_s` a whole answer that drips in;
    `refusal` reads an answer whose status is not 200, before that does.
    """

    headers: Mapping[str, str]
    timeout_s: float
    answer_s: float
    should_retry_header: str | None = None
    request_id_header: str | None = None
    refusal: Refusal | None = None


class Check(Protocol):
    """Raises one of our errors for what a body with status 200 says; `call` names the call. Gives
    what it says of single places, for who knows what stands there."""

    def __call__(self, body: bytes, *, call: str) -> Sequence[Told]: ...


class _Signed(httpx.Auth):
    """A credential of ours in the place where httpx wants its own."""

    def __init__(
        self, auth: Auth, secrets: Mapping[str, Secret], build: Callable[[Post], httpx.Request]
    ) -> None:
        self._auth, self._secrets, self._build = auth, secrets, build
        self._memory = Memory()

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        flow = self._auth.flow(request, self._secrets, self._memory)
        with closing(flow):
            asked = next(flow)
            while True:
                own = self._build(asked) if isinstance(asked, Post) else None
                response = yield own or request
                if own:
                    response.read()  # the pages are read by who asked for them
                try:
                    asked = flow.send(response)
                except StopIteration:
                    return


class HttpClient:
    """Calls to one origin. A context manager; `requests` counts what was sent, repeats included.

    Several threads may `fetch` at a time. `check` may refuse an answer with status 200, `guards`
    stand around each request, the first outermost; a credential's own pass them by. Closed
    meanwhile, it ends with the last of their answers: a socket that is closed under who reads from
    it may be another one's by then.
    """

    def __init__(
        self,
        base_url: str,
        *,
        auth: Auth,
        secrets: Mapping[str, Secret],
        options: HttpOptions,
        clock: Callable[[], datetime],
        offset_s: float = 0.0,
        check: Check | None = None,
        guards: Sequence[Guard] = (),
    ) -> None:
        self._base = httpx.URL(base_url)
        self._auth, self._options, self._clock = auth, options, clock
        self._check, self._guards = check, guards
        self._source = SourceClock(clock, offset_s=offset_s)
        self._lock = threading.Lock()
        self._reading, self._closing = 0, False
        self.requests = 0
        self._client = httpx.Client(
            auth=_Signed(auth, secrets, self._posted),
            headers={"Accept": "application/json", **options.headers},
            timeout=options.timeout_s,
            follow_redirects=False,
            verify=trusted(self._base.scheme),
            event_hooks={"request": [self._count]},
            # A proxy from the environment could not reach this machine's own servers.
            trust_env=not loopback(self._base.host),
        )

    @property
    def guards(self) -> Sequence[Guard]:
        """What stands around each request."""
        return self._guards

    @property
    def offset_s(self) -> float:
        """How many seconds the source's clock is ahead of ours, as held after the last answer."""
        return self._source.offset_s

    def fetch(self, call: Call, *, missing: Missing | None = None) -> Reply:
        """The answer to a call.

        Raises `RetryLater`, `StopStream` or `StopConnection`, and `FixConfig` for a host whose
        certificate is not trusted; `StopStream` too, and nothing is sent, when the target or a
        redirect leads to another origin. `missing` says what is raised for an answer that what was
        asked for does not exist.
        """
        with self._open():
            return self._fetched(call, missing)

    def _fetched(self, call: Call, missing: Missing | None) -> Reply:
        body = call.body()
        url = self._inside(self._address(call.target))
        params = call.params if body is None else None
        headers = dict(call.headers) if call.range is None else {"Range": call.range}
        request = self._built(call.method, url, params, body, headers)
        for _ in range(1 + _MOST_REDIRECTS):
            answer = self._sent(request, call, missing)
            if isinstance(answer, Reply):
                return answer
            status, location = answer
            if body is not None and status not in _AS_IT_IS:
                raise StopStream(
                    f"{_call(request)} was answered {status}, a redirect that makes a POST a GET",
                    todo="Make the address that it leads to the one that is asked.",
                )
            # Built anew, so that it is signed anew and nothing else is carried over.
            onward = self._inside(request.url.join(location), by="a redirect of ")
            request = self._built(call.method, onward, None, body, headers)
        raise StopStream(f"{_call(request)} was redirected more than {_MOST_REDIRECTS} times")

    def _built(
        self,
        method: Method,
        url: httpx.URL,
        params: Params | None,
        body: bytes | None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> httpx.Request:
        kind = {} if body is None else {"Content-Type": "application/json"}
        return self._client.build_request(
            method, url, params=params or None, content=body, headers={**kind, **headers}
        )

    def _posted(self, post: Post) -> httpx.Request:
        """A credential's own request: to the origin that it is for, whatever the base's path."""
        body = {name: secret.reveal() for name, secret in post.body.items()}
        url = self._base.copy_with(raw_path=post.path.encode())
        return self._built("POST", url, None, msgspec.json.encode(body))

    def _sent(
        self, request: httpx.Request, call: Call, missing: Missing | None
    ) -> Reply | tuple[int, str]:
        """The answer, or the status and place of a redirect."""
        with self._guarded(call.endpoint) as exchange, self._exchange(request) as (began, response):
            status, headers = response.status_code, response.headers
            exchange.status, exchange.headers = status, headers
            with self._lock:
                seen_at = self._source.answered(began, status=status, headers=headers)
            location = headers.get("location")
            if status in _REDIRECTS and location:
                return status, location
            if call.spooled and status == 200:
                file = spooled(self._pieces(response), call=self._named(response))
                return Reply(str(response.url), headers, b"", seen_at, file=file)
            return self._reply(response, call, exchange, seen_at=seen_at, missing=missing)

    @contextmanager
    def _guarded(self, endpoint: str) -> Iterator[Exchange]:
        exchange = Exchange(endpoint)
        with ExitStack() as inside:
            for guard in self._guards:
                inside.enter_context(guard.around(exchange))
            try:
                yield exchange
            except IntegrationError as error:
                exchange.error = error
                raise

    def _address(self, target: str) -> httpx.URL:
        whole = "://" in target.partition("?")[0]
        base = str(self._base).rstrip("/")
        try:
            below = f"{base}/{target.lstrip('/')}" if target else base
            return httpx.URL(target if whole else below)
        except httpx.InvalidURL as error:
            raise translated(error, call="the call of an address that is none") from error

    def _inside(self, url: httpx.URL, *, by: str = "") -> httpx.URL:
        """The URL, if it is of our origin and brings no credentials of its own."""
        if _origin(url) != _origin(self._base) or url.userinfo:
            raise StopStream(
                f"{by}{_origin_text(self._base)} leads to {_origin_text(url)}: "
                "the credential is not sent to another origin",
                todo="If that is the right address, make it the connection's base_url.",
            )
        return url

    @contextmanager
    def _exchange(self, request: httpx.Request) -> Iterator[tuple[Began, httpx.Response]]:
        try:
            began = self._source.start()
            response = self._client.send(request, stream=True)
            try:
                yield began, response
            finally:
                response.close()
        except HTTPX_ERRORS as error:
            raise translated(error, call=_call(request)) from error

    def _reply(
        self,
        response: httpx.Response,
        call: Call,
        exchange: Exchange,
        *,
        seen_at: datetime,
        missing: Missing | None,
    ) -> Reply:
        if response.status_code not in call.answers:
            brief = missing is not None and missing.brief
            named = _call(response.request) if brief else self._named(response)
            body, read = self._error_body(response), self._options.refusal
            fault = read and read(response.status_code, body, call=named)
            raise fault or refused(
                response,
                call=named,
                body=body,
                now=self._clock(),
                secret_names=self._auth.secret_names(),
                should_retry_header=self._options.should_retry_header,
                missing=missing,
            )
        exchange.body = self._body(response)
        told = self._check(exchange.body, call=self._named(response)) if self._check else ()
        url, status = str(response.url), response.status_code
        return Reply(url, response.headers, exchange.body, seen_at, status, told)

    def _body(self, response: httpx.Response) -> bytes:
        return b"".join(self._pieces(response))

    def _pieces(self, response: httpx.Response) -> Iterator[bytes]:
        """The whole body, decompressed, piece by piece."""
        deadline = time.monotonic() + self._options.answer_s
        for piece in response.iter_bytes():
            yield piece
            if time.monotonic() > deadline:
                raise RetryLater(
                    f"{self._named(response)} was still sending after {self._options.answer_s:g} s"
                )
        if not _unpacked_whole(response):
            raise RetryLater(f"{self._named(response)} brought a compressed body that is cut")

    def _error_body(self, response: httpx.Response) -> bytes:
        """The start of an error's body. The status says what matters: a cut body is no fault."""
        deadline = time.monotonic() + self._options.timeout_s
        body = b""
        with suppress(*HTTPX_ERRORS):
            for piece in response.iter_bytes():
                body += piece
                if len(body) >= _MOST_ERROR_BYTES or time.monotonic() > deadline:
                    break
        return body[:_MOST_ERROR_BYTES]

    def _named(self, response: httpx.Response) -> str:
        call = _call(response.request)
        request_id = response.headers.get(self._options.request_id_header or "")
        return f"{call} (request {redact(request_id)[:100]})" if request_id else call

    def _count(self, request: httpx.Request) -> None:
        with self._lock:
            self.requests += 1

    @contextmanager
    def _open(self) -> Iterator[None]:
        """While an answer is read; the last one of a client that was closed ends it."""
        with self._lock:
            self._reading += 1
        try:
            yield
        finally:
            with self._lock:
                self._reading -= 1
                last = self._closing and not self._reading
            if last:
                self._client.close()

    def close(self) -> None:
        """Closes the connections, those that are read from when that is over."""
        with self._lock:
            self._closing, idle = True, not self._reading
        if idle:
            self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        place: TracebackType | None,
    ) -> None:
        self.close()


def _unpacked_whole(response: httpx.Response) -> bool:
    """Whether a body that was read was unpacked to its end, and nothing stood behind that.

    httpx takes what there is of a cut one, and of several in a row the first.
    """
    decoder = response._get_content_decoder()
    for one in getattr(decoder, "children", [decoder]):
        packed = getattr(one, "decompressor", None)  # what is not packed by zlib has none
        if isinstance(packed, _ZLIB) and (not packed.eof or packed.unused_data.strip(b"\0")):
            return False
    return True


def _call(request: httpx.Request) -> str:
    # Never the query: cursors and filters may be personal, and some vendors put keys there.
    return f"{request.method} {redact(request.url.path)}"


def _origin(url: httpx.URL) -> tuple[str, bytes, int | None]:
    return url.scheme, url.raw_host, url.port  # httpx drops a scheme's default port


def _origin_text(url: httpx.URL) -> str:
    return redact(f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}")
