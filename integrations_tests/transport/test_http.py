"""The one door over HTTP: what it sends, where it does not go, and what its errors say."""

import gzip
import inspect
import logging
import socket
import ssl
import struct
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import httpcore
import httpx
import pytest
from httpx._transports import default

from integrations.auth import Auth
from integrations.auth.static import ApiKey, Basic, NoAuth
from integrations.errors import (
    Barred,
    FixConfig,
    IntegrationError,
    RetryLater,
    StopConnection,
    StopStream,
)
from integrations.redaction import MASK, install_redactor, redacted
from integrations.secrets import Secret
from integrations.transport.call import Call as Asked
from integrations.transport.faults import retry_after, translated, vendor_words
from integrations.transport.http import HttpClient, HttpOptions
from integrations.transport.trust import trusted
from integrations_tests.transport.conftest import Call, Say, Time, Web

VALUE = "sk_test_http_door_value"
SECRETS = {"api_key": Secret(VALUE)}
TAGGED = Secret("sk_test_<i>_tagged_value")
KEY = ApiKey(type="api_key", secret="api_key")
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def client(base_url: str, auth: Auth = KEY, **options: Any) -> HttpClient:
    given: dict[str, Any] = {"headers": {}, "timeout_s": 5.0, "answer_s": 10.0} | options
    return HttpClient(
        base_url, auth=auth, secrets=SECRETS, options=HttpOptions(**given), clock=Time().clock
    )


def ask(target: str, **params: str | int | bool) -> Asked:
    return Asked(target=target, params=params)


def failure(base_url: str, target: str = "/v1/things", **options: Any) -> IntegrationError:
    """The error of one GET, which must not hold the secret in any of its texts."""
    with client(base_url, **options) as http, pytest.raises(IntegrationError) as caught:
        http.fetch(ask(target, key=VALUE))
    assert VALUE not in str(caught.value)
    assert VALUE not in "".join(str(each) for each in chain(caught.value))
    assert "?" not in str(caught.value)
    return caught.value


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


# --- what is sent ---------------------------------------------------------------------------------


def test_a_get_is_signed_and_gives_the_body(web: Web) -> None:
    """Path below the base address, parameters, the file's headers, and the credential."""
    web.answers = [Say({"ok": True}, headers={"X-Seen": "yes"})]
    with client(f"{web.url}/api/v3/", headers={"Stripe-Version": "2026-01-01"}) as http:
        reply = http.fetch(ask("/things", **{"created[gte]": 5, "all": True, "q": "a b&c"}))
        assert http.requests == 1
    (call,) = web.calls
    assert call.path == "/api/v3/things"
    assert call.params == {"created[gte]": "5", "all": "true", "q": "a b&c"}
    assert call.headers["Authorization"] == f"Bearer {VALUE}"
    assert call.headers["Stripe-Version"] == "2026-01-01"
    assert reply.body == b'{"ok": true}'
    assert reply.headers["x-seen"] == "yes"
    assert reply.seen_at == NOW


def test_a_whole_url_keeps_its_query_as_it_is(web: Web) -> None:
    """A vendor's next link is not rewritten."""
    web.answers = [Say({})]
    with client(web.url) as http:
        http.fetch(ask(f"{web.url}/v1/things?cursor=a%2Fb%3D&x=http://y"))
    assert web.calls[0].target == "/v1/things?cursor=a%2Fb%3D&x=http://y"


def test_a_compressed_body_is_unpacked(web: Web) -> None:
    """The bytes of a page are those of the JSON."""
    web.answers = [Say(gzip.compress(b'{"a": 1}'), headers={"Content-Encoding": "gzip"})]
    with client(web.url) as http:
        assert http.fetch(ask("/x")).body == b'{"a": 1}'


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A company's proxy could not reach a server on 127.0.0.1."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    web.answers = [Say({})]
    with client(web.url) as http:
        assert http.fetch(ask("/x")).body == b"{}"


def test_without_tls_nobody_is_trusted() -> None:
    """And with it the usual authorities are: the check is never turned off."""
    plain, usual = trusted("http"), trusted("https")
    assert (plain.verify_mode, plain.get_ca_certs()) == (ssl.CERT_REQUIRED, [])
    assert (usual.verify_mode, usual.check_hostname) == (ssl.CERT_REQUIRED, True)


# --- where it does not go -------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_within_the_origin_is_followed_and_signed(status: int, web: Web) -> None:
    """Both requests count, and both carry the credential; the query is the redirect's own."""
    web.answers = [Say(status=status, headers={"Location": "../v2/things?page=2"}), Say({"a": 1})]
    with client(web.url) as http:
        reply = http.fetch(ask("/v1/things", page=1))
        assert http.requests == 2
    assert reply.url == f"{web.url}/v2/things?page=2"
    assert [call.target for call in web.calls] == ["/v1/things?page=1", "/v2/things?page=2"]
    assert all(call.headers["Authorization"] == f"Bearer {VALUE}" for call in web.calls)


@pytest.mark.parametrize("auth", [KEY, ApiKey(type="api_key", secret="api_key", header="X-Key")])
def test_a_redirect_to_another_origin_is_not_followed(auth: Auth, web: Web, other: Web) -> None:
    """The other server hears nothing at all, so also no header with a key."""
    web.answers = [Say(status=307, headers={"Location": f"{other.url}/steal"})]
    other.answers = [Say({})]
    error = failure(web.url, auth=auth)
    assert isinstance(error, StopStream)
    assert other.url in str(error)
    assert other.calls == []


def elsewhere(web: Web, other: Web) -> list[str]:
    port = web.url.rsplit(":", 1)[1]
    return [
        f"{other.url}/v1/things",
        f"http://localhost:{port}/v1/things",
        f"https://127.0.0.1:{port}/v1/things",
        f"http://127.0.0.1:{port}@{other.url.removeprefix('http://')}/v1",
        f"http://user:{VALUE}@127.0.0.1:{port}/v1/things",
        "http://127.0.0.1/v1/things",
        "ftp://127.0.0.1/v1",
        "http://[::1/v1",
        "http://127.0.0.1:port/v1",
    ]


@pytest.mark.parametrize("case", range(9))
@pytest.mark.parametrize("by", ["redirect", "target"])
def test_another_origin_is_another_scheme_host_or_port(
    case: int, by: str, web: Web, other: Web
) -> None:
    """Whichever differs, and also with a user of its own: refused before anything is sent."""
    url = elsewhere(web, other)[case]
    web.answers = [Say(status=302, headers={"Location": url}), Say({})]
    other.answers = [Say({})]
    error = failure(web.url) if by == "redirect" else failure(web.url, url)
    if "[" in url or ":port" in url:
        assert isinstance(error, StopStream | RetryLater)  # an address that is none
    else:
        assert isinstance(error, StopStream)
        assert "another origin" in str(error)
    assert (len(web.calls), other.calls) == (1 if by == "redirect" else 0, [])


def test_endless_redirects_are_left(web: Web) -> None:
    """Five are followed, the sixth is not."""
    web.answers = [Say(status=302, headers={"Location": "/v1/things"})]
    error = failure(web.url)
    assert isinstance(error, StopStream)
    assert "redirected more than 5 times" in str(error)
    assert len(web.calls) == 6


# --- what its errors are --------------------------------------------------------------------------

STATUSES = [
    (201, StopStream),
    (204, StopStream),
    (206, StopStream),
    (304, StopStream),
    (302, StopStream),  # without a Location
    (400, StopStream),
    (401, StopConnection),
    (402, StopStream),
    (403, Barred),
    (404, StopStream),
    (408, RetryLater),
    (409, StopStream),
    (410, StopStream),
    (422, StopStream),
    (425, RetryLater),
    (429, RetryLater),
    (451, StopStream),
    (500, RetryLater),
    (501, RetryLater),
    (502, RetryLater),
    (503, RetryLater),
    (504, RetryLater),
    (529, RetryLater),
    (599, RetryLater),
]


@pytest.mark.parametrize(("status", "expected"), STATUSES)
def test_a_status_becomes_the_error_that_says_its_remedy(
    status: int, expected: type[IntegrationError], web: Web
) -> None:
    """With method, path, status and the request's id, and no query."""
    web.answers = [Say(status=status, headers={"Request-Id": "req_7"})]
    error = failure(web.url, request_id_header="Request-Id")
    assert type(error) is expected
    assert f"GET /v1/things (request req_7) answered {status}" in str(error)


def test_a_refused_credential_names_its_secrets(web: Web) -> None:
    """By the names that the file gives them."""
    web.answers = [Say({"error": {"message": "Invalid API Key"}}, status=401)]
    error = failure(web.url)
    assert str(error) == (
        "GET /v1/things answered 401: Invalid API Key. Check the credential (its secrets: api_key)."
    )


@pytest.mark.parametrize(
    ("status", "said", "expected"),
    [
        (409, "true", RetryLater),
        (400, "TRUE", RetryLater),
        (401, "true", RetryLater),
        (429, "false", StopStream),
        (500, " false ", StopStream),
        (401, "false", StopConnection),
        (500, "maybe", RetryLater),
        (409, "", StopStream),
        (204, "true", StopStream),
    ],
)
def test_a_vendor_may_say_whether_to_retry(
    status: int, said: str, expected: type[IntegrationError], web: Web
) -> None:
    """The configured header overrules the status of an error."""
    web.answers = [Say(status=status, headers={"Stripe-Should-Retry": said})]
    assert type(failure(web.url, should_retry_header="Stripe-Should-Retry")) is expected


def test_without_that_setting_the_header_says_nothing(web: Web) -> None:
    """Only the header that the file names is read."""
    web.answers = [Say(status=500, headers={"Stripe-Should-Retry": "false"})]
    assert type(failure(web.url)) is RetryLater


def test_a_wait_that_is_asked_for_is_told_with_its_end(web: Web) -> None:
    """In seconds for the retry, as a time for the reader."""
    web.answers = [Say(status=429, headers={"Retry-After": "90"})]
    error = failure(web.url)
    assert isinstance(error, RetryLater)
    assert error.retry_after == 90
    assert "until 2026-01-01 12:01:30 UTC" in str(error)


DATES = {"date": format_datetime(datetime(2026, 1, 1, 11, 0, tzinfo=UTC), usegmt=True)}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 7 "}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "-5"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e3"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "5, 7"}, None),
        ({"retry-after": "9" * 400}, 315_360_000.0),
        ({"retry-after": "Thu, 01 Jan 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Thursday, 01-Jan-26 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Thu Jan  1 12:00:30 2026"}, 30.0),
        ({"retry-after": "Thu, 01 Jan 2026 13:00:30 +0100"}, 30.0),
        ({"retry-after": "Thu, 01 Jan 2026 11:59:59 GMT"}, None),
        ({"retry-after": "Thu, 99 Jan 2026 12:00:30 GMT"}, None),
        # The server's clock is an hour behind ours: its date is measured by its own.
        ({"retry-after": "Thu, 01 Jan 2026 11:00:30 GMT", **DATES}, 30.0),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, 315_360_000.0),
    ],
)
def test_retry_after_is_read_in_all_its_shapes(
    headers: dict[str, str], expected: float | None
) -> None:
    """Seconds or one of HTTP's three dates; what is negative or garbage is ignored."""
    assert expected == retry_after(headers, now=NOW)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", ""),
        (b'{"error": {"type": "x", "message": "No such charge"}}', "No such charge"),
        (b'{"errors": [{"detail": "Bad date", "status": "400"}]}', "Bad date"),
        (b'{"error": "invalid_grant", "error_description": "Too old"}', "Too old"),
        (b'{"error": "invalid_grant"}', "invalid_grant"),
        (b'{"code": 7}', '{"code": 7}'),
        (b"[]", "[]"),
        (b"<html><style>x{}</style><h1>502</h1>\n\n<p>Bad Gateway</p></html>", "502 Bad Gateway"),
        pytest.param(b"Busy <b>now</b> " + b"<style" * 170_000, "Busy now", id="no tag ends"),
        (b"a < b " + b"<" * 10, "a < b <<<<<<<<<<"),
        (b"two\r\nlines\x00\x1b[31m", "two lines [31m"),
        (b"\xff\xfe", "��"),
        (b"x" * 400, "x" * 300),
        (b"x" * 290 + VALUE.encode(), "x" * 290 + MASK),
        (b'{"message": "%s is wrong"}' % VALUE.encode(), f"{MASK} is wrong"),
        (b"<b>%s</b> is wrong" % TAGGED.reveal().encode(), f"{MASK} is wrong"),
        (b"[" * 5_000, "[" * 300),
        (b'{"message": "caf\xe9"}', '{"message": "caf\ufffd"}'),
    ],
)
def test_a_vendors_words_are_quoted_on_one_line(body: bytes, expected: str) -> None:
    """Its message where it has one, redacted before it is cut at 300 characters."""
    assert expected == vendor_words(body)


def test_an_error_with_a_cut_body_keeps_its_status(web: Web) -> None:
    """The status says what matters."""
    web.answers = [Say(raw=b"HTTP/1.1 403 Forbidden\r\nContent-Length: 99\r\n\r\nno rig")]
    error = failure(web.url)
    assert type(error) is Barred
    assert "answered 403: no rig" in str(error)


# --- httpx's exceptions ---------------------------------------------------------------------------

EXCEPTIONS: dict[type[Exception], type[IntegrationError]] = {
    httpx.HTTPError: StopStream,
    httpx.RequestError: StopStream,
    httpx.TransportError: RetryLater,
    httpx.TimeoutException: RetryLater,
    httpx.ConnectTimeout: RetryLater,
    httpx.ReadTimeout: RetryLater,
    httpx.WriteTimeout: RetryLater,
    httpx.PoolTimeout: RetryLater,
    httpx.NetworkError: RetryLater,
    httpx.ConnectError: RetryLater,
    httpx.ReadError: RetryLater,
    httpx.WriteError: RetryLater,
    httpx.CloseError: RetryLater,
    httpx.ProxyError: RetryLater,
    httpx.ProtocolError: RetryLater,
    httpx.RemoteProtocolError: RetryLater,
    httpx.LocalProtocolError: StopStream,
    httpx.UnsupportedProtocol: StopStream,
    httpx.DecodingError: RetryLater,
    httpx.TooManyRedirects: StopStream,
    httpx.HTTPStatusError: StopStream,
    httpx.InvalidURL: StopStream,
    httpx.CookieConflict: StopStream,
    httpx.StreamError: StopStream,
    httpx.StreamConsumed: StopStream,
    httpx.StreamClosed: StopStream,
    httpx.ResponseNotRead: StopStream,
    httpx.RequestNotRead: StopStream,
}


def every_exception() -> set[type[Exception]]:
    return {
        each
        for each in vars(httpx).values()
        if inspect.isclass(each) and issubclass(each, Exception)
    }


def test_the_table_has_every_exception_of_httpx() -> None:
    """A new version with a new exception fails here, not at night."""
    assert set(EXCEPTIONS) == every_exception()


def test_nothing_of_what_lies_below_httpx_comes_through_as_it_is() -> None:
    """All of httpcore's is made one of httpx's, but for what its own pool raises and catches."""
    known = tuple(default._load_httpcore_exceptions())
    below = {
        name
        for name, kind in vars(httpcore).items()
        if inspect.isclass(kind) and issubclass(kind, BaseException) and not issubclass(kind, known)
    }
    assert below == {"ConnectionNotAvailable"}


def made(kind: type[Exception]) -> Exception:
    """An exception of this class, with the secret in its message where it takes one."""
    if kind is httpx.HTTPStatusError:
        request = httpx.Request("GET", "http://x")
        return httpx.HTTPStatusError(VALUE, request=request, response=httpx.Response(500))
    try:
        return kind(VALUE)
    except TypeError:
        return kind()


@pytest.mark.parametrize("kind", EXCEPTIONS)
def test_each_exception_of_httpx_has_its_remedy(kind: type[Exception]) -> None:
    """Translated, with the call named, and no secret in it or in its cause."""
    cause = made(kind)
    error = translated(cause, call="GET /v1/things")
    assert type(error) is EXCEPTIONS[kind]
    assert str(error).startswith("GET /v1/things brought no whole answer")
    assert kind.__name__ in str(error)
    assert VALUE not in str(error) + str(cause)


@pytest.mark.parametrize("kind", EXCEPTIONS)
def test_each_exception_of_httpx_is_caught_at_the_door(
    kind: type[Exception], web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of them reaches a caller, raised by the transport where httpx raises it."""

    def fail(*args: object, **kwargs: object) -> None:
        raise made(kind)

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", fail)
    error = failure(web.url)
    assert type(error) is EXCEPTIONS[kind]
    assert type(error.__cause__) is kind


def _reset(handler: Any) -> None:
    """Ends the connection with a reset instead of an orderly close."""
    handler.wfile.flush()
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("say", "cause"),
    [
        (Say(raw=OK + b"Content-Length: 100\r\n\r\n" + b'{"data": ['), httpx.RemoteProtocolError),
        (
            Say(raw=OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\n[1,2\r\n"),
            httpx.RemoteProtocolError,
        ),
        (Say(raw=b""), httpx.RemoteProtocolError),
        (Say(raw=b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), httpx.RemoteProtocolError),
        (Say(raw=OK + b"Content-Length: 100\r\n\r\n{", then=_reset), httpx.ReadError),
        (Say(b"no gzip", headers={"Content-Encoding": "gzip"}), httpx.DecodingError),
        (Say(raw=OK, then=lambda handler: time.sleep(0.5)), httpx.ReadTimeout),
    ],
)
def test_a_broken_answer_is_a_passing_fault(say: Say, cause: type[Exception], web: Web) -> None:
    """Cut, reset, silent or garbled by a real server: never a short page, always `RetryLater`."""
    web.answers = [say]
    error = failure(web.url, timeout_s=0.2)
    assert type(error) is RetryLater
    assert type(error.__cause__) is cause


def test_what_could_not_be_read_is_not_quoted(web: Web) -> None:
    """After a length that is too short, the next status line is a piece of a record."""
    web.answers = [Say(raw=b'"name":"Ada Lovelace"}HTTP/1.1 200 OK\r\n\r\n')]
    error = failure(web.url)
    assert "illegal status line" in str(error)
    assert "Lovelace" not in "".join(traceback.format_exception(error))


def test_nobody_listening_is_a_passing_fault() -> None:
    """As after a restart of the other side."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    error = failure(f"http://127.0.0.1:{port}")
    assert type(error) is RetryLater
    assert type(error.__cause__) is httpx.ConnectError


def test_an_answer_that_drips_for_ever_is_left(web: Web) -> None:
    """Each byte comes in time, the whole never: the bound on the answer ends it."""

    def drip(handler: Any) -> None:
        for _ in range(40):
            handler.wfile.write(b" ")
            time.sleep(0.05)

    web.answers = [Say(raw=OK + b"Content-Length: 1000\r\n\r\n", then=drip)]
    began = time.monotonic()
    error = failure(web.url, timeout_s=1.0, answer_s=0.2)
    assert type(error) is RetryLater
    assert "still sending after 0.2 s" in str(error)
    assert time.monotonic() - began < 1.5


# --- no secret anywhere ---------------------------------------------------------------------------


def echo(status: int) -> Callable[[Call], Say]:
    def route(call: Call) -> Say:
        return Say(str(call.headers).encode(), status=status, headers={"Request-Id": VALUE})

    return route


@pytest.mark.parametrize("auth", [KEY, Basic(type="basic", username="api_key")])
@pytest.mark.parametrize("status", [204, 301, 400, 401, 403, 429, 500])
def test_a_vendor_that_repeats_our_headers_shows_no_secret(
    status: int, auth: Auth, web: Web, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in the error, its traceback, or the log, in plain or in base64."""
    before = logging.getLogRecordFactory()
    install_redactor()
    caplog.set_level(logging.DEBUG)
    web.route = echo(status)
    try:
        error = failure(web.url, f"/v1/{VALUE}", auth=auth, request_id_header="Request-Id")
        logging.getLogger("any").error("failed: %r", error, exc_info=error)
    finally:
        logging.setLogRecordFactory(before)
    sent = web.calls[0].headers["Authorization"].split()[1]
    written = caplog.text + redacted(error) + str(error) + repr(error)
    assert sent not in written
    assert VALUE not in written
    assert "httpx" in caplog.text  # its own line with the URL was logged, and masked
    assert MASK in caplog.text


def test_a_missing_secret_stops_before_the_call(web: Web) -> None:
    """Nothing is sent unsigned."""
    error = failure(web.url, auth=ApiKey(type="api_key", secret="absent"))
    assert isinstance(error, FixConfig)
    assert web.calls == []


def test_no_credential_sends_none(web: Web) -> None:
    """`none` is a choice."""
    web.answers = [Say({})]
    with client(web.url, auth=NoAuth(type="none")) as http:
        http.fetch(ask("/x"))
    assert "Authorization" not in web.calls[0].headers
