"""EDIFACT (ISO 9735), segment by segment: each line of a message becomes a record.

    NAD+FLA+3'LIN+++16207:VBN'RFF+BT:0030'QTY+52:50'
    {"_file": …, "_line": 1, "UNH": {…}, "NAD": {"FLA": "3"}, "LIN": "16207", "RFF": {"BT": "0030"},
     "QTY": {"52": "50"}}

What stands before the first line of a message belongs to all of its lines. A segment is known by
its qualifier, the first thing in it; where it has none, its first thing is the value.

The libraries there are read a file as a whole, and none of them is for these messages: this is
what a stream of any length needs.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from integrations.transport.file_listing import Unread

_AT_ONCE = 2_000
_TAG = r"^[A-Z]{3}$"
_BLOCK = 1 << 16
_LONGEST = 1 << 20
_UNQUALIFIED = frozenset({"BGM", "LIN", "PAC"})
"""Segments that begin with their value, in the messages that are read so far."""
_UTF8 = (b"UNOW", b"UNOY")  # of the syntax identifiers; the others are parts of latin-1 here
Segment = list[list[str]]
"""Elements, each with its components; the first is the tag."""


class EdifactFormat(BaseModel):
    """Messages whose lines begin with the segment `line`. A message that says another number of
    segments than it has is read, and told of.

    A segment of `whole` stands in the record twice, also as `IMD_all`, for a column that takes all
    of its values beside those that take one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["edifact"]
    line: str = Field(default="LIN", pattern=_TAG)
    whole: frozenset[Annotated[str, Field(pattern=_TAG)]] = frozenset()

    def check(self, stream: IO[bytes]) -> None:
        """Raises `Unread` for what is no EDIFACT, or is cut off."""
        open_message = open_interchange = found = False
        for segment in _segments(stream):
            tag = segment[0][0]
            found = found or tag == "UNH"
            open_message = tag == "UNH" or (open_message and tag != "UNT")
            open_interchange = tag == "UNB" or (open_interchange and tag != "UNZ")
        if not found:
            raise Unread("holds no EDIFACT message")
        if open_message or open_interchange:
            raise Unread(f"is cut off: it has no {'UNT' if open_message else 'UNZ'} at its end")
        stream.seek(0)

    def records(self, stream: IO[bytes], *, file: str, notes: list[str]) -> Iterator[list[bytes]]:
        """The lines in blocks."""
        block: list[bytes] = []
        for number, line in enumerate(self._lines(stream, notes), start=1):
            again = {f"{tag}_all": line.get(tag, {}) for tag in self.whole}
            record = {"_file": file, "_line": number, **line, **again}
            block.append(msgspec.json.encode(record))
            if len(block) == _AT_ONCE:
                yield block
                block = []
        if block:
            yield block

    def _lines(self, stream: IO[bytes], notes: list[str]) -> Iterator[dict[str, Any]]:
        message = _Message()
        for segment in _segments(stream):
            tag = segment[0][0]
            if tag == "UNH":
                message = _Message()
            message.count += 1
            if tag in ("UNT", "UNH", self.line) and message.line is not None:
                yield message.whole()
                message.line = None
            if tag == "UNT":
                if (note := message.miscounted(segment)) is not None:
                    notes.append(note)
            elif tag == self.line:
                message.line = {}
                _put(message.line, segment)
            elif tag not in ("UNA", "UNB", "UNZ", "UNG", "UNE", "UNS"):
                _put(message.head if message.line is None else message.line, segment)


@dataclass
class _Message:
    """A message on its way."""

    head: dict[str, Any] = field(default_factory=dict)
    line: dict[str, Any] | None = None
    count: int = 0

    def whole(self) -> dict[str, Any]:
        """The line with what stands above it."""
        made = dict(self.head)
        for tag, told in (self.line or {}).items():
            above: Any = made.get(tag)
            both = isinstance(above, dict) and isinstance(told, dict)
            made[tag] = above | told if both else told
        return made

    def miscounted(self, trailer: Segment) -> str | None:
        """What is odd about how many segments the trailer says there are."""
        said = trailer[1][0] if len(trailer) > 1 else ""
        if said == str(self.count):
            return None
        reference = self.head.get("UNH", {}).get("reference", "")
        return f"message {reference} says that it has {said} segments, and has {self.count}"


def _put(into: dict[str, Any], segment: Segment) -> None:
    tag, *elements = ([*element] for element in segment)
    name = tag[0]
    if name == "UNH":
        kind = elements[1] if len(elements) > 1 else [""]
        into[name] = {"reference": elements[0][0], "type": kind[0], "version": ":".join(kind[1:])}
        return
    things = [thing for element in elements for thing in element if thing]
    if not things:
        return
    if name in _UNQUALIFIED:
        into.setdefault(name, things[0])
    elif len(things) > 1:
        told = into.setdefault(name, {})
        told.setdefault(things[0], things[1])


def _segments(stream: IO[bytes]) -> Iterator[Segment]:
    """The segments of a stream. Raises `Unread` for one that does not end."""
    head = stream.read(_BLOCK).lstrip(b"\xef\xbb\xbf\r\n \t")
    signs = head[3:9].decode("latin-1") if head.startswith(b"UNA") else ":+.? '"
    if head.startswith(b"UNA"):
        head = head[9:]
    component, element, release, end = signs[0], signs[1], signs[3], signs[5]
    coding = "utf-8" if head.lstrip()[:8].endswith(_UTF8) else "latin-1"
    escaped = f"{re.escape(release)}." if release.strip() else r"(?!)"
    whole = re.compile(f"\\s*((?:{escaped}|[^{re.escape(release + end)}])*){re.escape(end)}", re.S)
    parts = _Parts(component, element, release, escaped)
    rest = head
    text, more = "", True
    decode = codecs.getincrementaldecoder(coding)("replace").decode
    while more:
        more = bool(rest)
        text += decode(rest)
        at = 0
        for found in whole.finditer(text):
            if found.start() != at:
                break
            at = found.end()
            if found[1].strip():
                yield parts.of(found[1])
        text = text[at:]
        if len(text) > _LONGEST:
            raise Unread("is no EDIFACT: it has a segment without an end")
        rest = stream.read(_BLOCK) if more else b""
    if text.strip():
        raise Unread("is cut off: its last segment has no end")


@dataclass(frozen=True)
class _Parts:
    """How a segment is taken apart; a released sign stands for itself."""

    component: str
    element: str
    release: str
    escaped: str

    def of(self, segment: str) -> Segment:
        return [
            [self._plain(part) for part in self._split(element, self.component)]
            for element in self._split(segment, self.element)
        ]

    def _split(self, text: str, sign: str) -> list[str]:
        if self.release not in text:
            return text.split(sign)
        pattern = f"(?:{self.escaped}|[^{re.escape(sign + self.release)}])*"
        found, at = [], 0
        while True:
            piece = re.compile(pattern, re.S).match(text, at)
            assert piece is not None, "it matches nothing at all too"
            found.append(piece[0])
            at = piece.end() + 1
            if at > len(text):
                return found

    def _plain(self, text: str) -> str:
        if self.release not in text:
            return text
        return re.sub(f"{re.escape(self.release)}(.)", r"\1", text, flags=re.S)
