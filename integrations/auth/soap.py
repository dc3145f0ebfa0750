"""Who we are in a SOAP call, which may be asked in four places at once: HTTP, a WS-Security token,
a header block, and the message itself."""

import re
from collections.abc import Generator, Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from integrations.auth import Memory, Post, Request, Response
from integrations.auth.static import ApiKey, Basic, value_of
from integrations.errors import FixConfig
from integrations.secrets import Secret

Place = Annotated[str, Field(pattern=r"^[^.@]+(\.[^.@]+)*$")]
"""Names of elements joined by dots."""
_XML_TEXT = r"[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*"
"""What can stand in XML 1.0 (section 2.2)."""


class UsernameToken(BaseModel):
    """A WS-Security UsernameToken (OASIS, profile 1.1): `username` and `password` are names of
    secrets. With `digest` the password is sent as a hash of a nonce, the time and itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    username: str
    password: str
    digest: bool = False


class SoapLogin(BaseModel):
    """Credentials of SOAP calls; at least one of the four is given.

    `http` signs every request, that for the WSDL too. `token` is a WS-Security token, `header` and
    `body` say for places in the header blocks and in the message which secret stands there:
    `{Header.UserName: user}`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["soap"]
    http: Annotated[Basic | ApiKey, Field(discriminator="type")] | None = None
    token: UsernameToken | None = None
    header: dict[Place, str] = {}
    body: dict[Place, str] = {}

    def secret_names(self) -> frozenset[str]:
        """Those of all places."""
        http = self.http.secret_names() if self.http else frozenset()
        token = {self.token.username, self.token.password} if self.token else set()
        return frozenset({*http, *token, *self.header.values(), *self.body.values()})

    def flow(
        self, request: Request, secrets: Mapping[str, Secret], memory: Memory
    ) -> Generator[Request | Post, Response, None]:
        """As `http` does; what stands in the message is put there by who writes it."""
        if self.http is None:
            yield request
        else:
            yield from self.http.flow(request, secrets, memory)


def text_of_secret(name: str, secrets: Mapping[str, Secret]) -> str:
    """A secret's value as text of XML. Raises `FixConfig` for one that is missing, and one that XML
    cannot hold."""
    value = value_of(name, secrets)
    if not re.fullmatch(_XML_TEXT, value):
        raise FixConfig(
            f"the secret {name!r} holds characters that XML cannot carry",
            todo="Look for a control character in it.",
        )
    return value
