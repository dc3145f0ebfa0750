"""JSON, one value after the other: on lines of their own, or with nothing between them at all.

Each value stays the bytes that were sent. What is no JSON is kept too, and so refused by itself:
where lines are, that is one line, and else all that follows.
"""

import json
import re
from collections.abc import Iterator
from typing import IO, Literal

import msgspec
from pydantic import BaseModel, ConfigDict

from integrations.transport.file_listing import Unread

_BLOCK = 1 << 20
_LONGEST = 64 << 20
_BETWEEN = re.compile(rb"[\r\n]+|(?<=\})[ \t]*(?=\{)")
"""Between two objects, unless it is inside of a text."""
_VALUES = msgspec.json.Decoder(list[msgspec.Raw])
_scan = json.JSONDecoder().raw_decode


class JsonFormat(BaseModel):
    """JSON objects, on lines or one right behind the other, as Firehose writes them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["json"]

    def check(self, stream: IO[bytes]) -> None:
        """Anything may be in it."""

    def records(self, stream: IO[bytes], *, file: str, notes: list[str]) -> Iterator[list[bytes]]:
        """The values in blocks. Raises `Unread` for one that is too long to be one."""
        rest = stream.read(3).removeprefix(b"\xef\xbb\xbf")
        while chunk := stream.read(_BLOCK):
            text = rest + chunk
            lines = text.rfind(b"\n") + 1
            end = lines or text.rfind(b"}{") + 1
            values, rest = _values(text[:end]), text[end:]
            if values and not lines and not _are_whole(values[-1:]):  # it was cut inside of a text
                rest = values.pop() + rest
            if len(rest) > _LONGEST:
                raise Unread(f"has a record of more than {_LONGEST >> 20} MB")
            if values:
                yield values
        if values := _values(rest):
            yield values


def _values(text: bytes) -> list[bytes]:
    """The values of a text, and what is none as it stands."""
    if _are_whole(pieces := _pieces(text)):
        return pieces
    found: list[bytes] = []
    for line in filter(None, map(bytes.strip, text.split(b"\n"))):
        pieces = _pieces(line)
        found += pieces if _are_whole(pieces) else _scanned(line)
    return found


def _pieces(text: bytes) -> list[bytes]:
    return [*filter(None, map(bytes.strip, _BETWEEN.split(text)))]


def _are_whole(pieces: list[bytes]) -> bool:
    """Whether each piece is a value: one that is broken in two may make sense with a comma."""
    try:
        return len(_VALUES.decode(b"[" + b",".join(pieces) + b"]")) == len(pieces)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _scanned(line: bytes) -> list[bytes]:
    """The values of a line, found one after the other."""
    text = line.decode("utf-8", "surrogateescape")
    found, at = [], 0
    while at < len(text):
        try:
            end = _scan(text, at)[1]
        except (ValueError, RecursionError):
            end = len(text)
        found.append(text[at:end].encode("utf-8", "surrogateescape"))
        at = end + len(text[end:]) - len(text[end:].lstrip())
    return found
