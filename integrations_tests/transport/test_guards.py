"""What stands around every request: it hears how each ended, and may hold it back."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

from integrations.auth.static import ApiKey
from integrations.error_handling.guard import Exchange
from integrations.errors import IntegrationError, RetryLater, StopStream
from integrations.secrets import Secret
from integrations.transport.call import Call
from integrations.transport.http import HttpClient, HttpOptions
from integrations_tests.transport.conftest import Say, Time, Web

ASKED = Call(target="/things", endpoint="GET /things")


class Watcher:
    """Notes what it hears; holds requests back when it is told to."""

    def __init__(self, heard: list[tuple[str, Exchange]], name: str) -> None:
        self._heard, self._name = heard, name
        self.shut = False

    @contextmanager
    def around(self, exchange: Exchange) -> Iterator[None]:
        if self.shut:
            raise RetryLater("not now", retry_after=7)
        try:
            yield
        finally:
            self._heard.append((self._name, replace(exchange, headers=dict(exchange.headers))))


def angry(body: bytes, *, call: str) -> None:
    if b"angry" in body:
        raise StopStream(f"{call} is angry")


def heard_of(web: Web, *answers: Say, shut: bool = False) -> list[tuple[str, Exchange]]:
    """What an outer and an inner guard heard of the calls that a client made, one for each answer
    but redirects."""
    web.answers = list(answers)
    heard: list[tuple[str, Exchange]] = []
    outer, inner = Watcher(heard, "outer"), Watcher(heard, "inner")
    inner.shut = shut
    http = HttpClient(
        web.url,
        auth=ApiKey(type="api_key", secret="key"),
        secrets={"key": Secret("sk_test_guarded_value")},
        options=HttpOptions(headers={}, timeout_s=5.0, answer_s=10.0),
        clock=Time().clock,
        check=angry,
        guards=(outer, inner),
    )
    with http:
        for _ in [say for say in answers if say.status < 300 or say.status >= 400]:
            with suppress(IntegrationError):
                http.fetch(ASKED)
    return heard


CASES = [
    (Say({"a": 1}), 200, b'{"a": 1}', None),
    (Say(b'"angry"'), 200, b'"angry"', StopStream),
    (Say(status=503), 503, b"", RetryLater),
    (Say(status=404), 404, b"", StopStream),
    (Say(raw=b""), None, b"", RetryLater),
    (Say(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut"), 200, b"", RetryLater),
]


@pytest.mark.parametrize(("say", "status", "body", "error"), CASES)
def test_a_guard_hears_how_each_request_ended(
    say: Say, status: int | None, body: bytes, error: type[IntegrationError] | None, web: Web
) -> None:
    """The status where there was one, a whole body, and our error for what was none."""
    (_, inner), (_, outer) = heard_of(web, say)
    assert inner == outer
    assert (inner.endpoint, inner.status, inner.body) == ("GET /things", status, body)
    assert type(inner.error) is (error or type(None))


def test_a_guard_finds_headers_in_any_case(web: Web) -> None:
    """As httpx gives them: a vendor's spelling is not to be relied on."""
    web.answers = [Say({}, headers={"X-Left": "3"})]
    found: list[str] = []

    class Reader:
        @contextmanager
        def around(self, exchange: Exchange) -> Iterator[None]:
            yield
            found.append(exchange.headers["x-lEFT"])

    with HttpClient(
        web.url,
        auth=ApiKey(type="api_key", secret="key"),
        secrets={"key": Secret("sk_test_guarded_value")},
        options=HttpOptions(headers={}, timeout_s=5.0, answer_s=10.0),
        clock=Time().clock,
        guards=[Reader()],
    ) as http:
        http.fetch(ASKED)
    assert found == ["3"]


def test_a_redirect_is_two_requests(web: Web) -> None:
    """Each costs of a quota."""
    heard = heard_of(web, Say(status=302, headers={"Location": "/there"}), Say({}))
    assert [(name, exchange.status) for name, exchange in heard] == [
        ("inner", 302),
        ("outer", 302),
        ("inner", 200),
        ("outer", 200),
    ]


def test_what_a_guard_holds_back_is_not_sent(web: Web) -> None:
    """And who let it pass before hears that: nothing was answered, and nothing went wrong."""
    ((name, exchange),) = heard_of(web, Say({}), shut=True)
    assert (name, exchange.status, exchange.error) == ("outer", None, None)
    assert web.calls == []
