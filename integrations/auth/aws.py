"""Credentials of AWS, and of whatever speaks S3: a pair of keys, a role, or what the machine has.

They sign no requests here: the transport takes them as they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from integrations.auth.static import value_of
from integrations.secrets import Secret


@dataclass(frozen=True)
class AwsLogin:
    """Whose requests they are: those of the keys, or else of what boto3 finds on this machine; and
    `role`, if one is to be taken on first."""

    access_key_id: str | None = None
    secret_access_key: Secret | None = None
    session_token: Secret | None = None
    role: str | None = None
    external_id: str | None = None


class AwsKeys(BaseModel):
    """An access key and its secret; `session_token` where they are temporary. All are names of
    secrets."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["aws_keys"]
    access_key_id: str
    secret_access_key: str
    session_token: str | None = None

    def secret_names(self) -> frozenset[str]:
        """Two or three."""
        names = {self.access_key_id, self.secret_access_key}
        return frozenset(names | ({self.session_token} if self.session_token else set()))

    def aws_login(self, secrets: Mapping[str, Secret]) -> AwsLogin:
        """Raises `FixConfig` for a secret that is missing."""
        return AwsLogin(
            value_of(self.access_key_id, secrets),
            Secret(value_of(self.secret_access_key, secrets)),
            Secret(value_of(self.session_token, secrets)) if self.session_token else None,
        )


class AwsRole(BaseModel):
    """A role that is taken on by what the machine has: its ARN, and the external id if its owner
    asks for one. Both are names of secrets; the ARN is none, but each connection has its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["aws_role"]
    role: str
    external_id: str | None = None

    def secret_names(self) -> frozenset[str]:
        """One or two."""
        return frozenset({self.role, self.external_id or self.role})

    def aws_login(self, secrets: Mapping[str, Secret]) -> AwsLogin:
        """Raises `FixConfig` for a secret that is missing."""
        external = value_of(self.external_id, secrets) if self.external_id else None
        return AwsLogin(role=value_of(self.role, secrets), external_id=external)


class AwsDefault(BaseModel):
    """What boto3 finds by itself: environment variables, the profile, the machine's own role."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["aws_default"]

    def secret_names(self) -> frozenset[str]:
        """None of ours."""
        return frozenset()

    def aws_login(self, secrets: Mapping[str, Secret]) -> AwsLogin:
        """Nobody."""
        return AwsLogin()
