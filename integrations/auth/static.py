"""Credentials that stay the same from call to call: an API key, a name and password, none."""

import base64
import re
from collections.abc import Generator, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from integrations.auth import Memory, Request, Response
from integrations.errors import FixConfig
from integrations.secrets import Secret

HEADER_NAME = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"  # a token, RFC 9110 section 5.6.2
HEADER_TEXT = r"[\x20-\x7e]*"  # what every server takes in a value, RFC 9110 section 5.5


class ApiKey(BaseModel):
    """A key in a header, `Authorization: Bearer <key>` unless told otherwise.

    `secret` is the name of the secret that holds the key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["api_key"]
    secret: str
    header: str = Field(default="Authorization", pattern=HEADER_NAME)
    prefix: str = Field(default="Bearer ", pattern=f"^{HEADER_TEXT}$")

    def secret_names(self) -> frozenset[str]:
        """The one secret."""
        return frozenset({self.secret})

    def flow(
        self, request: Request, secrets: Mapping[str, Secret], memory: Memory
    ) -> Generator[Request, Response, None]:
        """Sets the header. Raises `FixConfig` for a key that no header can hold."""
        key = value_of(self.secret, secrets)
        if not re.fullmatch(HEADER_TEXT, key):
            # Said here, because an HTTP library would say it with the value.
            raise FixConfig(
                f"the secret {self.secret!r} holds characters that no header can carry",
                todo="Look for a line break or a foreign character in it.",
            )
        request.headers[self.header] = f"{self.prefix}{key}"
        yield request


class Basic(BaseModel):
    """HTTP Basic (RFC 7617). Both fields are names of secrets.

    Without `password` it is empty: the vendors that do so take their key as the user's name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["basic"]
    username: str
    password: str | None = None

    def secret_names(self) -> frozenset[str]:
        """One secret or two."""
        return frozenset({self.username, self.password or self.username})

    def flow(
        self, request: Request, secrets: Mapping[str, Secret], memory: Memory
    ) -> Generator[Request, Response, None]:
        """Sets `Authorization`. Raises `FixConfig` for a name with a colon in it."""
        username = value_of(self.username, secrets)
        password = "" if self.password is None else value_of(self.password, secrets)
        if ":" in username:
            raise FixConfig(
                f"the secret {self.username!r} holds a colon, which a Basic user name cannot",
                todo="Put the part before the colon into it, the rest into the password's secret.",
            )
        pair = f"{username}:{password}".encode("utf-8", "surrogateescape")
        request.headers["Authorization"] = f"Basic {base64.b64encode(pair).decode('ascii')}"
        yield request


class NoAuth(BaseModel):
    """No credential at all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["none"]

    def secret_names(self) -> frozenset[str]:
        """None."""
        return frozenset()

    def flow(
        self, request: Request, secrets: Mapping[str, Secret], memory: Memory
    ) -> Generator[Request, Response, None]:
        """Sends the request as it is."""
        yield request


def value_of(name: str, secrets: Mapping[str, Secret]) -> str:
    """A secret's value. Raises `FixConfig` where the connection does not have it."""
    if name not in secrets:
        known = ", ".join(sorted(secrets)) or "none"
        raise FixConfig(
            f"the credential needs a secret named {name!r}, which the connection does not have",
            todo=f"It has: {known}.",
        )
    return secrets[name].reveal()
