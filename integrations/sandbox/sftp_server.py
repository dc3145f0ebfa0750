"""A real SSH server with the subsystem SFTP, over files in memory: what twins and tests log in to.

It reads only. It can be made to break, as servers do: `Shelf.breaks` ends the connection in the
middle of a file, `Shelf.denied` files may be listed and not read.
"""

import io
import posixpath
import socket
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import paramiko
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from paramiko.sftp import SFTP_EOF, SFTP_NO_SUCH_FILE, SFTP_PERMISSION_DENIED

_SESSION_S = 10.0


@dataclass(frozen=True)
class Item:
    """A file, or a symbolic link where `link` says to what."""

    data: bytes
    at: datetime
    link: str = ""


@dataclass
class Shelf:
    """What the server shows: `items` by their absolute path, those of now. `breaks` are places in
    files at which the connection ends, each once; `reads` has the files that were opened, `logins`
    the names of those who tried to log in."""

    items: Callable[[], Mapping[str, Item]]
    denied: set[str] = field(default_factory=set)
    breaks: list[int] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)


def new_key() -> str:
    """A private key, as ssh-keygen writes it."""
    return (
        Ed25519PrivateKey.generate()
        .private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        .decode()
    )


def key_of(text: str) -> paramiko.PKey:
    """A key that `new_key` made."""
    return paramiko.Ed25519Key.from_private_key(io.StringIO(text))


def public(key: paramiko.PKey) -> str:
    """The public half, as a line of known_hosts has it."""
    return f"{key.get_name()} {key.get_base64()}"


@dataclass(frozen=True)
class Door:
    """Who is let in: a name with a password, a key, or either."""

    username: str
    password: str | None = None
    key: paramiko.PKey | None = None


class _Guard(paramiko.ServerInterface):  # type: ignore[misc]  # it has no types
    def __init__(self, door: Door, logins: list[str]) -> None:
        self._door, self._logins = door, logins

    def get_allowed_auths(self, username: str) -> str:
        ways = {"password": self._door.password, "publickey": self._door.key}
        return ",".join(way for way, there in ways.items() if there)

    def check_auth_password(self, username: str, password: str) -> int:
        self._logins.append(username)
        return _judged((username, password) == (self._door.username, self._door.password))

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self._logins.append(username)
        return _judged(username == self._door.username and key == self._door.key)

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return int(
            paramiko.OPEN_SUCCEEDED
            if kind == "session"
            else paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED
        )


def _judged(well: object) -> int:
    return int(paramiko.AUTH_SUCCESSFUL if well else paramiko.AUTH_FAILED)


class _Files(paramiko.SFTPServerInterface):  # type: ignore[misc]  # it has no types
    def __init__(self, server: Any, shelf: Shelf, end: Callable[[], None]) -> None:
        super().__init__(server)
        self._shelf, self._end = shelf, end

    def list_folder(self, path: str) -> Any:
        items, folder = self._shelf.items(), self.canonicalize(path).rstrip("/") + "/"
        names: dict[str, paramiko.SFTPAttributes] = {}
        for whole, item in items.items():
            if whole.startswith(folder):
                name, below, _ = whole.removeprefix(folder).partition("/")
                names[name] = _folder(name) if below else _attributes(name, item)
        known = folder == "/" or names
        return list(names.values()) if known else SFTP_NO_SUCH_FILE

    def lstat(self, path: str) -> Any:
        whole = self.canonicalize(path)
        items = self._shelf.items()
        if whole in items:
            return _attributes(posixpath.basename(whole), items[whole])
        inside = any(one.startswith(whole.rstrip("/") + "/") for one in items)
        return _folder(posixpath.basename(whole)) if inside else SFTP_NO_SUCH_FILE

    def stat(self, path: str) -> Any:
        found = self._followed(self.canonicalize(path))
        return self.lstat(found) if found else SFTP_NO_SUCH_FILE

    def open(self, path: str, flags: int, attr: Any) -> Any:
        whole = self._followed(self.canonicalize(path))
        item = self._shelf.items().get(whole or "")
        if item is None:
            return SFTP_NO_SUCH_FILE
        if whole in self._shelf.denied:
            return SFTP_PERMISSION_DENIED
        self._shelf.reads.append(whole or "")
        return _Open(item, self._shelf.breaks, self._end)

    def _followed(self, whole: str) -> str | None:
        item = self._shelf.items().get(whole)
        if item is None or not item.link:
            return whole
        target = posixpath.normpath(posixpath.join(posixpath.dirname(whole), item.link))
        return target if target in self._shelf.items() else None


class _Open(paramiko.SFTPHandle):  # type: ignore[misc]  # it has no types
    def __init__(self, item: Item, breaks: list[int], end: Callable[[], None]) -> None:
        super().__init__()
        self._item, self._breaks, self._end = item, breaks, end
        self._ended = False

    def read(self, offset: int, length: int) -> Any:
        if not self._ended and self._breaks and offset + length > self._breaks[0] > offset:
            self._breaks.pop(0)
            self._ended = True
            self._end()
        if self._ended:
            return SFTP_EOF
        return self._item.data[offset : offset + length]

    def stat(self) -> Any:
        return _attributes("", self._item)

    def close(self) -> None:
        return None


def _attributes(name: str, item: Item) -> paramiko.SFTPAttributes:
    found = paramiko.SFTPAttributes()
    found.filename, found.longname = name, name
    found.st_size = len(item.link or item.data)
    found.st_mtime = found.st_atime = int(item.at.timestamp())
    found.st_mode = (stat.S_IFLNK if item.link else stat.S_IFREG) | 0o444
    found.st_uid = found.st_gid = 0
    return found


def _folder(name: str) -> paramiko.SFTPAttributes:
    found = paramiko.SFTPAttributes()
    found.filename, found.longname = name, name
    found.st_size, found.st_mode = 0, stat.S_IFDIR | 0o555
    found.st_mtime = found.st_atime = found.st_uid = found.st_gid = 0
    return found


@contextmanager
def serving(shelf: Shelf, door: Door, *, host_key: paramiko.PKey) -> Iterator[str]:
    """Serves for as long as the block runs; gives the address, `sftp://127.0.0.1:…`."""
    open_: list[paramiko.Transport] = []
    ending = threading.Event()

    def welcome(sock: socket.socket) -> None:
        transport = paramiko.Transport(sock)
        open_.append(transport)
        transport.add_server_key(host_key)
        transport.set_subsystem_handler("sftp", paramiko.SFTPServer, _Files, shelf, transport.close)
        with suppress(paramiko.SSHException, EOFError, OSError):
            transport.start_server(server=_Guard(door, shelf.logins))

    def accept() -> None:
        while not ending.is_set():
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=welcome, args=(sock,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept, name="twin", daemon=True)
        thread.start()
        try:
            yield f"sftp://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            ending.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=_SESSION_S)
            for transport in open_:
                transport.close()
