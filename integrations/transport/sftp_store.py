"""The files of an SFTP server, listed and fetched by paramiko."""

import posixpath
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import IO

import paramiko

from integrations.auth.ssh import Login
from integrations.errors import StopStream
from integrations.transport.file_listing import Listed, Unread
from integrations.transport.sftp_protocol import names, pieces
from integrations.transport.ssh_connection import SSH_ERRORS, connected, translated

_DEEPEST = 32
"""Folders within folders: a mount that holds itself ends."""


class SftpStore:
    """The files of a server; connects when it is first asked, and anew after a failure."""

    grows = True

    def __init__(
        self,
        address: tuple[str, int],
        login: Login,
        *,
        names: frozenset[str],
        timeout_s: float,
        links: bool,
    ) -> None:
        self._address, self._login, self._names = address, login, names
        self._timeout_s, self._links = timeout_s, links
        self._client: paramiko.SFTPClient | None = None
        self.requests = 0

    def listing(self, folder: str, *, deep: bool, needed: bool = True) -> Iterator[Listed]:
        """As `Store.listing`."""
        try:
            yield from self._below(folder or ".", "", _DEEPEST if deep else 0, needed=needed)
        except SSH_ERRORS as error:
            self.close()
            raise translated(error, f"listing {folder or '/'}", self._place) from error

    def _below(
        self, folder: str, prefix: str, depth: int, *, needed: bool = False
    ) -> Iterator[Listed]:
        for name, about in self._entries(folder, needed=needed):
            path = prefix + name
            mode = about.st_mode or 0
            if stat.S_ISDIR(mode):
                if depth:
                    yield from self._below(posixpath.join(folder, name), f"{path}/", depth - 1)
                continue
            yield self._listed(posixpath.join(folder, name), path, about)

    def _entries(self, folder: str, *, needed: bool) -> list[tuple[str, paramiko.SFTPAttributes]]:
        client = self._connected()
        self.requests += 1
        try:
            found = names(client, _sent(folder))
        except FileNotFoundError:
            if not needed:
                return []
            raise StopStream(
                f"there is no folder {folder!r} at {self._place}",
                todo="Correct `folder`, or have the folder made.",
            ) from None
        except PermissionError:
            raise StopStream(
                f"the folder {folder!r} at {self._place} may not be read",
                todo="Give the account the permission to list it.",
            ) from None
        return [(_shown(name), about) for name, about in found]

    def _listed(self, whole: str, path: str, about: paramiko.SFTPAttributes) -> Listed:
        problem = ""
        if stat.S_ISLNK(about.st_mode or 0):
            if self._links:
                try:
                    about = self._stat(whole)
                except FileNotFoundError:
                    problem = "is a symbolic link to nothing"
            else:
                problem = "is a symbolic link"
        if not problem and about.st_mode is not None and not stat.S_ISREG(about.st_mode):
            problem = "is no regular file"
        time = about.st_mtime
        return Listed(
            path=path,
            size=about.st_size or 0,
            tag=str(time or ""),
            modified_at=None if time is None else datetime.fromtimestamp(time, UTC),
            problem=problem,
        )

    def fetch(self, folder: str, file: Listed, into: IO[bytes]) -> None:
        """As `Store.fetch`. A download that broke goes on where it did, if the file is the same."""
        whole = posixpath.join(folder or ".", file.path)
        try:
            self._same(whole, file)
            self.requests += 1
            begin = into.seek(0, 2)
            for piece in pieces(self._connected(), _sent(whole), begin=begin, size=file.size):
                into.write(piece)
            self._same(whole, file)
            if into.tell() != file.size:
                raise Unread(f"has {into.tell()} bytes of {file.size}", waiting=True)
        except FileNotFoundError:
            raise Unread("went away before it was read", waiting=True) from None
        except PermissionError:
            raise Unread("may not be read by this account", again=True) from None
        except SSH_ERRORS as error:
            self.close()
            raise translated(error, f"reading {file.path}", self._place) from error

    def _same(self, whole: str, file: Listed) -> None:
        about = self._stat(whole)
        if (about.st_size, str(about.st_mtime or "")) != (file.size, file.tag):
            raise Unread("was changed while it was read", waiting=True)

    def _stat(self, whole: str) -> paramiko.SFTPAttributes:
        client = self._connected()
        self.requests += 1
        return client.stat(_sent(whole))

    def _connected(self) -> paramiko.SFTPClient:
        if self._client is None:
            self.requests += 1
            self._client = connected(
                self._address, self._login, names=self._names, timeout_s=self._timeout_s
            )
        return self._client

    @property
    def _place(self) -> str:
        return f"{self._address[0]}:{self._address[1]}"

    def close(self) -> None:
        """Ends the connection; the next request makes another."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(*SSH_ERRORS):
                client.get_channel().get_transport().close()


def _shown(name: bytes) -> str:
    """A name as text: bytes that are no UTF-8 as `\\xe9`, and so a backslash as `\\x5c`."""
    return (
        name.replace(b"\\", b"\\x5c").replace(b"\0", b"\\x00").decode("utf-8", "backslashreplace")
    )


def _sent(path: str) -> bytes:
    """The bytes of a path as the server knows it."""
    return re.sub(rb"\\x([0-9a-f]{2})", lambda found: bytes([int(found[1], 16)]), path.encode())
