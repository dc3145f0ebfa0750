"""SFTP: files over SSH, from a server whose key is known beforehand."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Protocol
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field

from integrations.auth.ssh import Login
from integrations.secrets import Secret
from integrations.transport.file_transport import FileTransport, no_credentials_in
from integrations.transport.files import Store


def _is_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme != "sftp" or not parts.hostname or re.search(r"\s", value):
        raise ValueError("the base_url should begin with sftp:// and name a host")
    no_credentials_in(parts)
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("the base_url ends with the host and its port; folders are the requests'")
    _ = parts.port  # or it cannot be one
    return value


class SshAuth(Protocol):
    """A credential for SSH."""

    def login(self, secrets: Mapping[str, Secret]) -> Login: ...
    def secret_names(self) -> frozenset[str]: ...


class SftpTransport(FileTransport[SshAuth]):
    """How an SFTP server is reached: `base_url` is `sftp://host` or `sftp://host:port`.

    `timeout_s` bounds each silence. A file that was written to in the last minutes is looked at
    again after `settle_s`, and left alone for this time where it has grown. `links` says whether a
    symbolic link to a file is read or refused; one to a folder is never gone into.
    """

    type: Literal["sftp"]
    base_url: Annotated[str, AfterValidator(_is_address)]
    settle_s: float = Field(default=5.0, ge=0)
    links: Literal["refuse", "read"] = "refuse"

    _address = staticmethod(_is_address)

    @property
    def _settles(self) -> float:
        return self.settle_s

    def _store(self, address: SplitResult, auth: SshAuth, secrets: Mapping[str, Secret]) -> Store:
        from integrations.transport.sftp_store import SftpStore  # paramiko takes long to import

        return SftpStore(
            (address.hostname or "", address.port or 22),
            auth.login(secrets),
            names=auth.secret_names(),
            timeout_s=self.timeout_s,
            links=self.links == "read",
        )
