"""A token for a name and a password: kept for a session, renewed when the source refuses it."""

import json
import re
from collections.abc import Generator, Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from integrations.auth import Memory, Post, Request, Response
from integrations.auth.static import HEADER_TEXT, value_of
from integrations.errors import FixConfig, RetryLater, StopConnection
from integrations.secrets import Secret

Place = Annotated[str, Field(pattern=r"^/[^?#\s]*$")]
"""A path of the source's origin."""
Flow = Generator[Request | Post, Response, Secret | None]
"""Gives the token; None where the last answer is a refusal that the transport has words for."""
_TOKEN, _REFRESH = "access_token", "refresh_token"
_CHECK = "Check the name and the password, and the paths in auth_handler."
_PASSING = frozenset({408, 425, 429})
_REFUSED = frozenset({400, 401, 403})


class PasswordToken(BaseModel):
    """A bearer token for a name and a password, which are names of secrets.

    `login` is the path that takes `{"username", "password"}` and answers `{"access_token"}`. With
    `refresh`, the path that takes the `{"refresh_token"}` that came along, no password is sent for
    another token, unless that is refused. A call that is answered 401 is made once more, with a new
    token. A login that is refused is not tried again in the session: sources lock accounts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["password_token"]
    username: str
    password: str
    login: Place
    refresh: Place | None = None

    def secret_names(self) -> frozenset[str]:
        """The two secrets."""
        return frozenset({self.username, self.password})

    def flow(
        self, request: Request, secrets: Mapping[str, Secret], memory: Memory
    ) -> Generator[Request | Post, Response, None]:
        """Logs in where nobody has, signs, and once more when the token is refused.

        Raises `FixConfig`, `StopConnection` for a login that is refused or gives no token, and
        `RetryLater` for one that is not answered in JSON.
        """
        with memory.lock:
            token = memory.held.get(_TOKEN) or (yield from self._bought(secrets, memory))
        if token is None:
            return
        _sign(request, token)
        response = yield request
        if response.status_code != 401:
            return
        with memory.lock:
            newer = memory.held[_TOKEN]
            if newer is token:  # another thread may have been first
                renewed = yield from self._renewed(secrets, memory)
            else:
                renewed = newer
        if renewed is not None:
            _sign(request, renewed)
            yield request

    def _renewed(self, secrets: Mapping[str, Secret], memory: Memory) -> Flow:
        known = memory.held.get(_REFRESH)
        if self.refresh is None or known is None:
            return (yield from self._bought(secrets, memory))
        response = yield Post(self.refresh, {_REFRESH: known})
        if response.status_code in _REFUSED:  # it is too old: the password is still there
            del memory.held[_REFRESH]
            return (yield from self._bought(secrets, memory))
        return _taken(response, self.refresh, memory)

    def _bought(self, secrets: Mapping[str, Secret], memory: Memory) -> Flow:
        if self.login in memory.refused:
            raise StopConnection(f"the login at {self.login} was refused before", todo=_CHECK)
        pair = {"username": self.username, "password": self.password}
        body = {field: _sendable(name, secrets) for field, name in pair.items()}
        return _taken((yield Post(self.login, body)), self.login, memory)


def _sendable(name: str, secrets: Mapping[str, Secret]) -> Secret:
    value = value_of(name, secrets)
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise FixConfig(
            f"the secret {name!r} is no UTF-8, and JSON cannot carry it",
            todo="Look for a foreign character in it.",
        )
    return secrets[name]


def _taken(response: Response, path: str, memory: Memory) -> Secret | None:
    """The token of an answer, kept; None for one that the transport has words for."""
    status, what = response.status_code, f"the login at {path} was answered"
    if 300 <= status < 500 and status not in _PASSING:
        memory.refused.add(path)
    if status == 401 or status in _PASSING or status >= 500:
        return None
    if not 200 <= status < 300:
        raise StopConnection(f"{what} {status}", todo=_CHECK)
    try:
        said = json.loads(response.content)
    except ValueError:  # with the body in it
        raise RetryLater(f"{what} {status} without JSON") from None
    known = said if isinstance(said, dict) else {}
    token = known.get(_TOKEN)
    if not isinstance(token, str) or not token or not re.fullmatch(HEADER_TEXT, token):
        raise StopConnection(f"{what} {status} without a usable {_TOKEN}", todo=_CHECK)
    memory.held[_TOKEN] = Secret(token)
    if isinstance(again := known.get(_REFRESH), str) and again:
        memory.held[_REFRESH] = Secret(again)
    return memory.held[_TOKEN]


def _sign(request: Request, token: Secret) -> None:
    request.headers["Authorization"] = f"Bearer {token.reveal()}"
