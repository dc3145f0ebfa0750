"""Reading a JSON answer only as far as needed: each record stays the bytes that the source sent.

A full decode would cost several times the CPU and could not give the bytes back.
"""

import functools
import re
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
import numpy as np

from integrations.errors import RetryLater, StopStream

_Level = TypeVar("_Level")
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)
_WHOLE = re.compile(rb"-?[0-9]+")

Bytes = bytes | msgspec.Raw

_HALF_PAIR = re.compile(
    rb"(\\\\|\\u[dD][89abAB]..\\u[dD][c-fC-F]..)"  # an escaped backslash, or a whole pair: kept
    rb"|\\u[dD][89a-fA-F]..",
    re.DOTALL,
)


def readable(body: bytes) -> bytes:
    """The body with U+FFFD for each half of a surrogate pair, which is no text and which decoders
    refuse with the whole page. Of the same length, so that places in it are places in the body.
    """
    # One byte is looked for thirty times as fast as three, and most bodies have none of it.
    if b"\\" not in body or (b"\\ud" not in body and b"\\uD" not in body):
        return body
    return _HALF_PAIR.sub(lambda found: found[1] or b"\\ufffd", body)


def as_sent(
    records: Sequence[msgspec.Raw], *, text: bytes, body: bytes
) -> Sequence[bytes | msgspec.Raw]:
    """The bytes that the source sent for records which were split from `readable(body)`."""
    if text == body:
        return records
    base = _address(text)
    starts = (_address(record) - base for record in records)
    return [
        body[start : start + len(record)] for start, record in zip(starts, records, strict=True)
    ]


def apart(records: Sequence[msgspec.Raw], *, text: bytes) -> tuple[bytes, memoryview]:
    """The text without the records that were split from it, and what it says of them."""
    if not records:
        return text, memoryview(b"")
    base, last = _address(text), records[-1]
    start, end = _address(records[0]) - base, _address(last) + len(last) - base
    return text[:start] + text[end:], memoryview(text)[start:end]


def _address(buffer: Bytes) -> int:
    """Where a buffer lies: a record is a view into the text that it was split from."""
    data: tuple[int, bool] = np.frombuffer(buffer, np.uint8).__array_interface__["data"]
    return data[0]


def records_in(body: Bytes, path: str) -> Sequence[msgspec.Raw]:
    """The list at `path` (keys joined by dots; "" is the body itself), one element a record.

    Raises `RetryLater` for a body that is no whole JSON (a proxy's HTML, a cut answer), and
    `StopStream` for JSON of another shape.
    """
    found = value_at(body, path) if path else body
    if found is None:
        raise StopStream(f"the answer has no {path!r}, where its records should be")
    return _decoded(_LIST, found, f"{path!r} of the answer" if path else "the answer")


def lines_joined(body: bytes) -> tuple[bytes, int]:
    """The list whose elements stand on the lines of a body, and how many they are; blank lines are
    none."""
    lines = [*filter(None, map(bytes.strip, body.splitlines()))]
    return b"[" + b",".join(lines) + b"]", len(lines)


def records_of_lines(text: bytes, key: str, *, lines: int) -> Sequence[msgspec.Raw]:
    """The values at a key of the objects in `lines_joined`, or those themselves.

    Raises `RetryLater` for a line that is no whole JSON, as the last one of a cut answer, and for
    an object without the key: so a stream tells of an error, when it is too late for a status.
    """
    found = (
        [line.at for line in _decoded(_line_decoder(key), text, "a line of the answer")]
        if key
        else records_in(text, "")
    )
    if len(found) != lines:  # a line that is broken in two may make sense with a comma between
        raise RetryLater(f"the answer has {lines} lines, and {len(found)} JSON objects on them")
    if msgspec.UNSET in found:
        raise RetryLater(
            f"line {found.index(msgspec.UNSET) + 1} of the answer has no {key!r}: "
            "it may tell of an error"
        )
    return found


@functools.cache
def _line_decoder(key: str) -> msgspec.json.Decoder[list[Any]]:
    fields = [("at", msgspec.Raw | msgspec.UnsetType, msgspec.UNSET)]
    return msgspec.json.Decoder(list[msgspec.defstruct("Line", fields, rename={"at": key})])  # type: ignore[misc]


def value_at(body: Bytes, path: str) -> msgspec.Raw | None:
    """The undecoded value at `path` of an object, None when a key on the way is absent or null.

    A key with a dot in it is found too (`@odata.nextLink`). Errors as in `records_in`.
    """
    level = _decoded(_OBJECT, body, "the answer")
    if path in level:
        return level[path]
    head, _, rest = path.partition(".")
    if not rest or head not in level or bytes(level[head]) == b"null":
        return None
    return value_at(level[head], rest)


def record_in(body: Bytes, path: str) -> Bytes:
    """The one record at `path`, undecoded: an object. Errors as in `records_in`."""
    found = value_at(body, path) if path else body
    if found is None:
        raise StopStream(f"the answer has no {path!r}, where its record should be")
    _decoded(_OBJECT, found, f"{path!r} of the answer" if path else "the answer")
    return found


def text_of(raw: Bytes | None) -> str | None:
    """A text, or a whole number's digits as they were sent, however many; None for all else.

    An empty text is none either: what is made of these is asked for again.
    """
    if raw is None:
        return None
    if _WHOLE.fullmatch(raw):
        return bytes(raw).decode()
    try:
        return _TEXT.decode(raw) or None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _decoded(decoder: msgspec.json.Decoder[_Level], body: Bytes, what: str) -> _Level:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise StopStream(f"{what} has another shape: {error}") from error
    except msgspec.DecodeError as error:
        if bytes(body[:64]).lstrip().startswith(b"<"):
            raise RetryLater(
                "the answer is no JSON but a page of HTML or XML",
                todo="Perhaps it is a login, or a proxy's: see what the address shows.",
            ) from error
        raise RetryLater(f"the answer is no JSON, or not all of it: {error}") from error
    except UnicodeDecodeError as error:
        raise StopStream(f"{what} is no UTF-8: {error}") from error
    except RecursionError as error:
        raise StopStream(f"{what} is nested too deeply to be read") from error
