"""What is packed is unpacked: gzip and zip, known by their first bytes, within limits.

All of it goes to disk before anybody reads it, so that a file which is cut, or a bomb, is refused
before a record of it is landed. What is inside of an archive has names that are data: no file is
ever made by one.
"""

import io
import lzma
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, Any

from integrations.transport.file_listing import Unread

Stream = IO[bytes]
_CHUNK = 1 << 18
_GZIP, _ZIP, _EMPTY_ZIP = b"\x1f\x8b", b"PK\x03\x04", b"PK\x05\x06"
_MOST_MEMBERS = 10_000
_BROKEN = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, OSError,
    ValueError, OverflowError,
)  # fmt: skip
"""What zipfile raises for archives that are none: also for names that are no UTF-8 and places
before the file's beginning."""
_SMALL = 16 << 20
"""Below it no ratio is looked at: a short file of zeros is no bomb."""


@dataclass(frozen=True)
class Limits:
    """How much a file may become: so many bytes, and so many times its own."""

    most_bytes: int
    most_times: int

    def check(self, size: int, *, packed: int) -> None:
        """Raises `Unread` for what is too large."""
        if size > self.most_bytes:
            raise Unread(f"becomes larger than {self.most_bytes} bytes when it is unpacked")
        if size > _SMALL and size > self.most_times * max(packed, 1):
            raise Unread(f"becomes more than {self.most_times} times as large when it is unpacked")


@contextmanager
def spooled() -> Iterator[Stream]:
    """A nameless file on disk, gone with the block."""
    with tempfile.TemporaryFile() as file:
        yield file


@contextmanager
def unpacked(spool: Stream, *, limits: Limits) -> Iterator[list[tuple[str, Stream]]]:
    """What a file holds: itself with the name "", or what an archive has inside, by their names.

    Raises `Unread` for what is cut, broken, locked, too large, or has a name that leads elsewhere.
    """
    spool.seek(0)
    head = spool.read(4)
    spool.seek(0)
    with ExitStack() as stack:
        if head.startswith(_GZIP):
            yield [("", _gunzipped(spool, stack, limits))]
        elif head in (_ZIP, _EMPTY_ZIP):
            yield [*_members(spool, stack, limits)]
        else:
            yield [("", spool)]


def _gunzipped(spool: Stream, stack: ExitStack, limits: Limits) -> Stream:
    out = stack.enter_context(spooled())
    packed = spool.seek(0, 2)
    spool.seek(0)
    unpacker, written = zlib.decompressobj(wbits=31), 0
    try:
        while chunk := spool.read(_CHUNK):
            while chunk:
                piece = unpacker.decompress(chunk, _CHUNK)
                written += out.write(piece)
                limits.check(written, packed=packed)
                chunk = unpacker.unconsumed_tail
                if unpacker.eof:  # several in a row are one file (RFC 1952 section 2.2)
                    chunk = unpacker.unused_data.lstrip(b"\0") or spool.read(_CHUNK).lstrip(b"\0")
                    if chunk:
                        unpacker = zlib.decompressobj(wbits=31)
    except zlib.error as error:
        raise Unread(f"is broken gzip: {error}") from error
    if not unpacker.eof:
        raise Unread("is gzip that is cut off")
    out.seek(0)
    return out


def _members(spool: Stream, stack: ExitStack, limits: Limits) -> Iterator[tuple[str, Stream]]:
    packed = spool.seek(0, 2)
    try:
        archive = stack.enter_context(zipfile.ZipFile(spool))
        members = [member for member in archive.infolist() if not member.is_dir()]
        if len(members) > _MOST_MEMBERS:
            raise Unread(f"is an archive of more than {_MOST_MEMBERS} files")
        out = stack.enter_context(spooled())  # one for all: each open file is one of few
        total = 0
        for member in sorted(members, key=lambda one: one.filename):
            _refuse(member)
            begin = total
            with archive.open(member) as inside:
                while piece := inside.read(_CHUNK):
                    out.seek(total)
                    total += out.write(piece)
                    limits.check(total, packed=packed)
            yield member.filename, io.BufferedReader(_Part(out, begin, total - begin), _CHUNK)
    except _BROKEN as error:
        if isinstance(error, OSError) and error.errno is not None:  # a fault of our disk
            raise
        raise Unread(f"is a broken zip archive: {error}") from error


class _Part(io.RawIOBase):
    """A part of a file, to be read as if it were one."""

    def __init__(self, whole: Stream, begin: int, size: int) -> None:
        super().__init__()
        self._whole, self._begin, self._size = whole, begin, size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def readinto(self, into: Any) -> int:
        self._whole.seek(self._begin + self._at)
        piece = self._whole.read(min(len(into), max(0, self._size - self._at)))
        into[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


def _refuse(member: zipfile.ZipInfo) -> None:
    name = member.filename
    if member.flag_bits & 1:
        raise Unread("is an archive with a password")
    if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/") or ":" in name:
        raise Unread(f"is an archive with a name that leads out of it: {name!r}")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise Unread(f"is an archive with a symbolic link in it: {name!r}")
