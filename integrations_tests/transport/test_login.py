"""A credential that logs in, over real HTTP: what it sends, and what comes of a refusal."""

from typing import Any

import pytest

from integrations.auth.password_token import PasswordToken
from integrations.errors import IntegrationError, RetryLater, StopConnection
from integrations.secrets import Secret
from integrations.transport.call import Call as Asked
from integrations.transport.http import HttpClient, HttpOptions
from integrations_tests.transport.conftest import Call, Say, Time, Web

SECRETS = {"user": Secret("florist-name"), "word": Secret("florist-pass-word")}
AUTH = PasswordToken(
    type="password_token", username="user", password="word", login="/token", refresh="/refresh"
)


def client(web: Web) -> HttpClient:
    """Its base address has a path, which is not the login's."""
    options = HttpOptions(headers={"X-Florist": "yes"}, timeout_s=5.0, answer_s=10.0)
    return HttpClient(
        f"{web.url}/api/v1", auth=AUTH, secrets=SECRETS, options=options, clock=Time().clock
    )


def told(web: Web) -> list[tuple[str, Any, str | None]]:
    return [(call.path, call.body, call.headers.get("Authorization")) for call in web.calls]


LOGIN = ("/token", {"username": "florist-name", "password": "florist-pass-word"}, None)


def test_a_session_logs_in_and_renews_what_ran_out(web: Web) -> None:
    """To the origin's own paths, the password once, and every request is counted."""
    valid = ["first-token"]

    def route(call: Call) -> Say:
        if call.path in ("/token", "/refresh"):
            return Say({"access_token": valid[-1], "refresh_token": "refresh-token"})
        good = call.headers["Authorization"] == f"Bearer {valid[-1]}"
        return Say({"n": len(web.calls)}) if good else Say({"message": "expired"}, status=401)

    web.route = route
    with client(web) as http:
        bodies = [http.fetch(Asked(target="/things")).body for _ in range(2)]
        valid.append("second-token")
        bodies.append(http.fetch(Asked(target="/things", method="POST", params={"a": 1})).body)

        assert http.requests == len(web.calls) == 6
    assert bodies == [b'{"n": 2}', b'{"n": 3}', b'{"n": 6}']
    assert told(web) == [
        LOGIN,
        ("/api/v1/things", None, "Bearer first-token"),
        ("/api/v1/things", None, "Bearer first-token"),
        ("/api/v1/things", {"a": 1}, "Bearer first-token"),
        ("/refresh", {"refresh_token": "refresh-token"}, None),
        ("/api/v1/things", {"a": 1}, "Bearer second-token"),
    ]
    assert {call.headers["X-Florist"] for call in web.calls} == {"yes"}


@pytest.mark.parametrize(
    ("say", "error", "said"),
    [
        (Say({"message": "no"}, status=401), StopConnection, "POST /token answered 401: no. Check"),
        (Say(b"", status=503), RetryLater, "POST /token answered 503"),
        (Say(b"<html>", status=200), RetryLater, "/token was answered 200 without JSON"),
        (Say(b"", status=302, headers={"Location": "/x"}), StopConnection, "answered 302"),
    ],
)
def test_a_login_that_is_refused(
    say: Say, error: type[IntegrationError], said: str, web: Web
) -> None:
    """Is asked once, and the call itself never."""
    web.answers = [say]
    with client(web) as http, pytest.raises(error) as caught:
        http.fetch(Asked(target="/things"))
    assert said in str(caught.value)
    assert told(web) == [LOGIN]


def test_a_token_that_is_refused_again_stops_the_connection(web: Web) -> None:
    """After one renewal: sources lock accounts that keep on trying."""
    web.route = lambda call: (
        Say({"message": "no"}, status=401)
        if call.path == "/api/v1/things"
        else Say({"access_token": "a-token", "refresh_token": "refresh-token"})
    )
    with client(web) as http, pytest.raises(StopConnection, match=r"secrets: user, word") as caught:
        http.fetch(Asked(target="/things"))
    assert "GET /api/v1/things answered 401" in str(caught.value)
    assert [call.path for call in web.calls] == [
        "/token", "/api/v1/things", "/refresh", "/api/v1/things",
    ]  # fmt: skip
