"""Credentials of SSH: a name, with a password or a private key, and the key of the host.

They sign no requests: the transport takes them as they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from integrations.auth.static import value_of
from integrations.secrets import Secret


@dataclass(frozen=True)
class Login:
    """What a server asks for, and what it must show: `host_key` is a line as in known_hosts without
    the name, `ssh-ed25519 AAAA…`, or several."""

    username: str
    host_key: str
    password: Secret | None = None
    private_key: Secret | None = None
    passphrase: Secret | None = None


class SshPassword(BaseModel):
    """A name and a password. All three are names of secrets; `host_key` is none, but each
    connection has its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["ssh_password"]
    username: str
    password: str
    host_key: str

    def secret_names(self) -> frozenset[str]:
        """All three."""
        return frozenset({self.username, self.password, self.host_key})

    def login(self, secrets: Mapping[str, Secret]) -> Login:
        """Raises `FixConfig` for a secret that is missing."""
        return Login(
            value_of(self.username, secrets),
            value_of(self.host_key, secrets),
            password=Secret(value_of(self.password, secrets)),
        )


class SshKey(BaseModel):
    """A name and a private key in OpenSSH's or PEM form, with its passphrase if it has one. All are
    names of secrets; `host_key` is none, but each connection has its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["ssh_key"]
    username: str
    private_key: str
    passphrase: str | None = None
    host_key: str

    def secret_names(self) -> frozenset[str]:
        """Three or four."""
        names = {self.username, self.private_key, self.host_key}
        return frozenset(names | ({self.passphrase} if self.passphrase else set()))

    def login(self, secrets: Mapping[str, Secret]) -> Login:
        """Raises `FixConfig` for a secret that is missing."""
        return Login(
            value_of(self.username, secrets),
            value_of(self.host_key, secrets),
            private_key=Secret(value_of(self.private_key, secrets)),
            passphrase=Secret(value_of(self.passphrase, secrets)) if self.passphrase else None,
        )
