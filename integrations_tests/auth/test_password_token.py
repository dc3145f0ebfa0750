"""A login is a flow of requests: it is tried without a network, answer by answer."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import ValidationError

from integrations.auth import Memory, Post
from integrations.auth.password_token import PasswordToken
from integrations.errors import FixConfig, IntegrationError, RetryLater, StopConnection
from integrations.secrets import Secret

SECRETS = {"user": Secret("florist-name"), "word": Secret("florist-pass\nword")}
AUTH = PasswordToken(
    type="password_token", username="user", password="word", login="/token", refresh="/refresh"
)
NAMES: dict[str, Any] = {"type": "password_token", "username": "user", "password": "word"}
LOGIN = ("/token", {"username": "florist-name", "password": "florist-pass\nword"})


@dataclass
class Unsent:
    """A request that only has headers."""

    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What a source said; a body that is no bytes is sent as JSON."""

    status_code: int = 200
    body: Any = b""

    @property
    def headers(self) -> dict[str, str]:
        return {}

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def token(name: str, again: str | None = None) -> Answer:
    return Answer(body={"access_token": name} | ({"refresh_token": again} if again else {}))


def sent(answers: Sequence[Answer], memory: Memory, auth: PasswordToken = AUTH) -> list[Any]:
    """What one call sends when it is answered so: of the call itself what it is signed with, of a
    login its path and body."""
    told: list[Any] = []
    flow, left = auth.flow(Unsent(), SECRETS, memory), iter(answers)
    asked = next(flow)
    while True:
        if isinstance(asked, Post):
            told.append((asked.path, {name: one.reveal() for name, one in asked.body.items()}))
        else:
            told.append(asked.headers["Authorization"])
        try:
            asked = flow.send(next(left))
        except StopIteration:
            assert next(left, None) is None, "it asked for fewer answers"
            return told


def test_a_session_logs_in_once() -> None:
    """The token is bought with the first call, and signs all that follow."""
    memory = Memory()
    assert sent([token("aaaaaa"), Answer()], memory) == [LOGIN, "Bearer aaaaaa"]
    assert sent([Answer()], memory) == ["Bearer aaaaaa"]


@pytest.mark.parametrize(
    ("auth", "bought", "renewal"),
    [
        (AUTH, token("aaaaaa", "rrrrrr"), ("/refresh", {"refresh_token": "rrrrrr"})),
        (AUTH, token("aaaaaa"), LOGIN),
        (AUTH.model_copy(update={"refresh": None}), token("aaaaaa", "rrrrrr"), LOGIN),
    ],
)
def test_a_token_that_ran_out_is_renewed_once(
    auth: PasswordToken, bought: Answer, renewal: tuple[str, Any]
) -> None:
    """By what the source gave for it, or with the password; a second refusal is the answer."""
    memory = Memory()
    sent([bought, Answer()], memory, auth)

    assert sent([Answer(401), token("bbbbbb"), Answer(401)], memory, auth) == [
        "Bearer aaaaaa", renewal, "Bearer bbbbbb",
    ]  # fmt: skip
    assert sent([Answer()], memory, auth) == ["Bearer bbbbbb"]


def test_two_calls_that_are_refused_together_renew_it_once() -> None:
    """The one that comes second takes the other's token."""
    memory = Memory()
    sent([token("aaaaaa", "rrrrrr"), Answer()], memory)
    first, second = (AUTH.flow(Unsent(), SECRETS, memory) for _ in range(2))
    request = [next(first), next(second)][1]
    first.send(Answer(401))
    first.send(token("bbbbbb"))

    assert second.send(Answer(401)) is request
    assert not isinstance(request, Post)
    assert request.headers["Authorization"] == "Bearer bbbbbb"


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refresh_that_is_refused_leads_back_to_the_password(status: int) -> None:
    """It may be too old, or used by somebody else; it is not sent again."""
    memory = Memory()
    sent([token("aaaaaa", "rrrrrr"), Answer()], memory)
    asked = sent([Answer(401), Answer(status), token("bbbbbb"), Answer()], memory)
    assert asked[1:3] == [("/refresh", {"refresh_token": "rrrrrr"}), LOGIN]
    assert "refresh_token" not in memory.held


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404])
def test_a_login_that_is_refused_is_not_tried_again(status: int) -> None:
    """By the other calls of the session, which may be under way: sources lock accounts."""
    memory = Memory()
    sent([token("aaaaaa"), Answer()], memory)
    first, second = (AUTH.flow(Unsent(), SECRETS, memory) for _ in range(2))
    assert [next(first), next(second)] != []
    assert isinstance(first.send(Answer(401)), Post)
    with pytest.raises(StopIteration if status == 401 else StopConnection):
        first.send(Answer(status))

    with pytest.raises(StopConnection, match="/token was refused before"):
        second.send(Answer(401))
    assert not memory.lock.locked()


@pytest.mark.parametrize("status", [401, 408, 425, 429, 500, 503])
def test_some_refusals_of_a_login_are_the_transport_s_to_tell(status: int) -> None:
    """The call itself is not sent; the login's answer stands for it."""
    assert sent([Answer(status)], Memory()) == [LOGIN]


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (Answer(400, {"error": "florist-pass"}), StopConnection, "/token was answered 400. Check"),
        (Answer(302), StopConnection, "answered 302"),
        (Answer(404), StopConnection, "answered 404"),
        (Answer(200, b"<html>Busy</html>"), RetryLater, "200 without JSON"),
        (Answer(200, b'{"access_token": "a'), RetryLater, "200 without JSON"),
        (Answer(200, b"\xff"), RetryLater, "200 without JSON"),
        (Answer(200, []), StopConnection, "without a usable access_token"),
        (Answer(200, {"access_token": 7}), StopConnection, "without a usable access_token"),
        (Answer(200, {"access_token": "a\nb"}), StopConnection, "without a usable access_token"),
        (Answer(200, {"access_token": ""}), StopConnection, "without a usable access_token"),
    ],
)
def test_a_login_that_brings_no_token(
    answer: Answer, error: type[IntegrationError], said: str
) -> None:
    """Refused for good or not to be read for now; its body, which may repeat the password, is not
    quoted."""
    with pytest.raises(error) as caught:
        sent([answer], memory := Memory())
    assert said in str(caught.value)
    assert "florist" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert not memory.lock.locked()


@pytest.mark.parametrize(
    ("secrets", "said"),
    [
        ({"user": SECRETS["user"]}, "needs a secret named 'word'"),
        (SECRETS | {"word": Secret("\udcff-florist")}, "the secret 'word' is no UTF-8"),
    ],
)
def test_a_secret_that_cannot_be_sent(secrets: dict[str, Secret], said: str) -> None:
    """Named, and not shown."""
    with pytest.raises(FixConfig, match=said):
        next(AUTH.flow(Unsent(), secrets, Memory()))


@pytest.mark.parametrize("path", ["token", "/token?a=b", "/to ken", "https://other.example/", ""])
def test_a_login_is_a_path(path: str) -> None:
    """Below the source's own origin: the password goes nowhere else."""
    with pytest.raises(ValidationError):
        PasswordToken(**NAMES, login=path)


def test_it_tells_the_names_of_its_secrets() -> None:
    """Both of them."""
    assert AUTH.secret_names() == {"user", "word"}
