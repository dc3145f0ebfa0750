"""Two requests of SFTP that paramiko's own client makes otherwise than we need.

Its listing breaks at a name that is no UTF-8, which any program may have made. Its fetching ahead
needs a thread for each file, which dies aloud when the connection does.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any

import paramiko
from paramiko.sftp import (
    CMD_CLOSE,
    CMD_DATA,
    CMD_HANDLE,
    CMD_OPEN,
    CMD_OPENDIR,
    CMD_READ,
    CMD_READDIR,
    SFTP_FLAG_READ,
    int64,
)

_PIECE = 1 << 15
"""What every server gives at a time (draft-ietf-secsh-filexfer-02 section 3)."""
_AHEAD = 64
"""Pieces that are on their way at a time: 2 MB."""


def names(client: paramiko.SFTPClient, folder: bytes) -> list[tuple[bytes, Any]]:
    """What a folder holds, with paramiko's attributes of each."""
    handle = _handle(client, CMD_OPENDIR, folder)
    found: list[tuple[bytes, Any]] = []
    try:
        while True:
            _, told = client._request(CMD_READDIR, handle)
            for _ in range(told.get_int()):
                name, longname = told.get_binary(), told.get_binary()
                about = paramiko.SFTPAttributes._from_msg(told, name, longname)
                if name not in (b".", b".."):
                    found.append((name, about))
    except EOFError:  # a connection that ends is another error
        client._request(CMD_CLOSE, handle)
    return found


def pieces(client: paramiko.SFTPClient, path: bytes, *, begin: int, size: int) -> Iterator[bytes]:
    """A file from `begin` on, up to `size` or where it ends."""
    handle = _handle(client, CMD_OPEN, path, SFTP_FLAG_READ, paramiko.SFTPAttributes())
    yield from _Ahead(client, handle, size).pieces(begin)
    client._request(CMD_CLOSE, handle)


class _Ahead:
    """The pieces of an open file, many asked for at a time, in their order."""

    def __init__(self, client: paramiko.SFTPClient, handle: bytes, size: int) -> None:
        self._client, self._handle, self._size = client, handle, size
        self._came: dict[int, Any] = {}

    def pieces(self, begin: int) -> Iterator[bytes]:
        asked: deque[tuple[int, int, int]] = deque()
        at = begin
        while True:
            while at < self._size and len(asked) < _AHEAD:
                length = min(_PIECE, self._size - at)
                number = self._client._async_request(
                    self, CMD_READ, self._handle, int64(at), length
                )
                asked.append((number, at, length))
                at += length
            if not asked:
                return
            number, place, length = asked.popleft()
            while number not in self._came:
                self._client._read_response()
            piece = self._data(*self._came.pop(number))
            while piece:
                yield piece
                place, length = place + len(piece), length - len(piece)
                piece = self._rest(place, length) if length else b""

    def _rest(self, place: int, length: int) -> bytes:
        """What a server left out of a piece that it gave in part."""
        try:
            told: tuple[int, Any] = self._client._request(
                CMD_READ, self._handle, int64(place), length
            )
        except EOFError:
            return b""
        return self._data(*told)

    def _data(self, kind: int, told: Any) -> bytes:
        if kind == CMD_DATA:
            return bytes(told.get_string())
        try:
            self._client._convert_status(told)
        except EOFError:
            return b""
        raise paramiko.SFTPError("data was expected")

    def _async_response(self, kind: int, told: Any, number: int) -> None:
        """What paramiko calls with an answer."""
        self._came[number] = (kind, told)


def _handle(client: paramiko.SFTPClient, kind: int, *arguments: Any) -> bytes:
    answer, told = client._request(kind, *arguments)
    if answer != CMD_HANDLE:
        raise paramiko.SFTPError("a handle was expected")
    return bytes(told.get_binary())
