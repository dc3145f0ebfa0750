"""SFTP: files over SSH, from a server whose key is known beforehand."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Protocol
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from integrations.auth.ssh import Login
from integrations.error_handling.breaker import Breaker
from integrations.error_handling.guard import Guard
from integrations.error_handling.limits import Limit
from integrations.error_handling.retry import Retry
from integrations.errors import FixConfig
from integrations.secrets import Secret
from integrations.transport import Clock, Random, Sleep
from integrations.transport.files import LONGEST_S, FileSession


def _is_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme != "sftp" or not parts.hostname or re.search(r"\s", value):
        raise ValueError("the base_url should begin with sftp:// and name a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("the base_url holds a user or password: these belong into auth_handler")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("the base_url ends with the host and its port; folders are the requests'")
    _ = parts.port  # or it cannot be one
    return value


class SshAuth(Protocol):
    """A credential for SSH."""

    def login(self, secrets: Mapping[str, Secret]) -> Login: ...
    def secret_names(self) -> frozenset[str]: ...


class SftpTransport(BaseModel):
    """How an SFTP server is reached: `base_url` is `sftp://host` or `sftp://host:port`.

    `timeout_s` bounds each silence. A file that was written to in the last minutes is looked at
    again after `settle_s`, and left alone for this time where it has grown. `links` says whether a
    symbolic link to a file is read or refused; one to a folder is never gone into.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["sftp"]
    base_url: Annotated[str, AfterValidator(_is_address)]
    timeout_s: float = Field(default=30.0, gt=0)
    settle_s: float = Field(default=5.0, ge=0)
    links: Literal["refuse", "read"] = "refuse"
    retry: Retry = Retry()
    breaker: Breaker = Breaker()
    quota: tuple[Limit, ...] = ()

    @property
    def longest_s(self) -> float:
        """How long a call may take: a file has no size that is known beforehand."""
        return LONGEST_S

    def open(
        self,
        auth: SshAuth,
        secrets: Mapping[str, Secret],
        *,
        base_url: str | None = None,
        offset_s: float = 0.0,
        clock: Clock,
        sleep: Sleep,
        random: Random,
        guards: Sequence[Guard] = (),
    ) -> FileSession:
        """A session; it logs in with its first request. `base_url` replaces the configured one."""
        try:
            address = urlsplit(_is_address(base_url or self.base_url))
        except ValueError as error:
            raise FixConfig(str(error)) from error
        from integrations.transport.sftp_store import SftpStore  # paramiko takes long to import

        store = SftpStore(
            (address.hostname or "", address.port or 22),
            auth.login(secrets),
            names=auth.secret_names(),
            timeout_s=self.timeout_s,
            links=self.links == "read",
        )
        return FileSession(
            store, retry=self.retry, settle_s=self.settle_s,
            clock=clock, sleep=sleep, random=random, guards=guards,
        )  # fmt: skip
