"""What paging reads and what it gives: an answer without its records, and the next request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from integrations.redaction import redact

FIELD_PATH = r"^[^.]+(\.[^.]+)*$"
FieldPath = Annotated[str, Field(pattern=FIELD_PATH)]
"""A place in an answer: keys joined by dots."""
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")]
"""A header's name (RFC 9110 section 5.1)."""


@dataclass(frozen=True)
class Answer:
    """What paging reads: the address that answered, the headers, the body without its records, the
    records, and the `content` that they were split from.

    `params` are those of the request, none when it asked for a whole address; `range` is what of
    the list it asked for, as the header has it. `status` is 200, with a range perhaps 206 or 416.
    Of an answer that is read in parts the last one is asked for the next page: `earlier` is how
    many records came before its own. `of_text` says that numbers are texts, as in XML.
    """

    url: str
    headers: Mapping[str, str]
    body: bytes
    records: Sequence[msgspec.Raw]
    params: Mapping[str, str | int | bool] = field(default_factory=dict)
    content: bytes | memoryview = b""
    range: str | None = None
    status: int = 200
    earlier: int = 0
    of_text: bool = False


@dataclass(frozen=True)
class Next:
    """The next request: a whole `url`, or else `params` to merge into those of the first; `alone`
    says that they replace those. `range` is what of the list is asked for."""

    url: str | None = None
    params: Mapping[str, str | int] = field(default_factory=dict)
    alone: bool = False
    range: str | None = None


class Paged(BaseModel):
    """What the kinds of paging have in common that leave the list's order to the source.

    With `newest_first` the list begins with what was made or changed last: of two versions of a
    record in one pull the one that comes first counts, else the one that comes last.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    immutable: ClassVar[bool] = False

    newest_first: bool = False


def plain(raw: bytes | msgspec.Raw | None) -> object:
    """A value decoded, to be looked at or told; what is no JSON as its bytes."""
    try:
        return None if raw is None else msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None if raw is None else bytes(raw)


def shown(value: object) -> str:
    """A source's value for a message: redacted and short."""
    if value is None:
        return "missing or null"
    return redact(repr(value))[:80]
