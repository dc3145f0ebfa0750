"""How an answer tells where the next page is. Each kind is one frozen model with one verb.

What drives them, and notices when they go in a circle, is the session.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal
from urllib.parse import urljoin

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from integrations.errors import StopStream
from integrations.redaction import redact
from integrations.transport.body import value_at

FIELD_PATH = r"^[^.]+(\.[^.]+)*$"
FieldPath = Annotated[str, Field(pattern=FIELD_PATH)]
"""A place in an answer: keys joined by dots."""


@dataclass(frozen=True)
class Answer:
    """What paging reads: the address that answered, the headers, the body, and its records."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    records: Sequence[msgspec.Raw]


@dataclass(frozen=True)
class Next:
    """The next request: a whole `url`, or else `params` to merge into those of the first."""

    url: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)


class LastId(BaseModel):
    """Ask for what follows the last record's id, while the body says that there is more.

    `id` is a place in the record, `more` in the body; Stripe's names are the defaults.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["last_id"]
    param: str = Field(default="starting_after", min_length=1)
    id: FieldPath = "id"
    more: FieldPath = "has_more"

    def follow(self, answer: Answer) -> Next | None:
        """None at the end. Raises `StopStream` when the body does not say whether it is."""
        more = _plain(value_at(answer.body, self.more))
        if not isinstance(more, bool):
            raise StopStream(
                f"the answer's {self.more!r} should be true or false, it is {_shown(more)}"
            )
        if not more:
            return None
        if not answer.records:
            raise StopStream(f"the page is empty, yet its {self.more!r} says that there is more")
        last = _plain(value_at(answer.records[-1], self.id))
        if isinstance(last, bool) or not isinstance(last, str | int) or last == "":
            raise StopStream(
                f"the page's last record has {_shown(last)} as its {self.id!r}: "
                "the next page cannot be asked for"
            )
        return Next(params={self.param: str(last)})


class NextUrl(BaseModel):
    """The body holds the next page's address at `next`, absolute or relative.

    Null, empty and absent mean the end: vendors use all three.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["next_url"]
    next: FieldPath

    def follow(self, answer: Answer) -> Next | None:
        """None at the end. Raises `StopStream` when the address is no text."""
        found = _plain(value_at(answer.body, self.next))
        if found is None or found == "":
            return None
        if not isinstance(found, str):
            raise StopStream(
                f"the answer's {self.next!r} should be an address, it is {_shown(found)}"
            )
        return Next(url=_joined(answer.url, found))


class LinkHeader(BaseModel):
    """The `Link` header holds the next page's address, with `rel="next"` (RFC 8288)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["link_header"]

    def follow(self, answer: Answer) -> Next | None:
        """None when no link says `next`."""
        for target, relations in _links(answer.headers.get("link", "")):
            if "next" in relations:
                return Next(url=_joined(answer.url, target))
        return None


class Single(BaseModel):
    """The first answer holds everything."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["single"]

    def follow(self, answer: Answer) -> Next | None:
        """Always None."""
        return None


Paging = Annotated[LastId | NextUrl | LinkHeader | Single, Field(discriminator="type")]

_TARGET = re.compile(r"[\s,]*<([^>]*)>")
_PARAM = re.compile(r"""\s*;\s*([^\s=;,"]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*)))?""")


def _links(header: str) -> list[tuple[str, frozenset[str]]]:
    """Targets and their relations (RFC 8288, appendix B.2).

    Raises `StopStream` when a part cannot be read: it might have been the next page.
    """
    links = []
    at = 0
    while target := _TARGET.match(header, at):
        at = target.end()
        params: dict[str, str] = {}
        while param := _PARAM.match(header, at):
            at = param.end()
            name, quoted, token = param.groups()
            # The first of a name counts (RFC 8288 section 3.3).
            params.setdefault(name.lower(), (quoted or token or "").replace("\\", ""))
        if "anchor" not in params:  # such a link speaks of another resource (section 3.2)
            links.append((target.group(1), frozenset(params.get("rel", "").lower().split())))
    if header[at:].strip(" \t,"):
        raise StopStream(f"the answer's Link header cannot be read: {_shown(header[at:])}")
    return links


def _joined(base: str, target: str) -> str:
    try:
        return urljoin(base, target)
    except ValueError as error:
        raise StopStream(f"the next page's address cannot be read: {_shown(target)}") from error


def _plain(raw: msgspec.Raw | None) -> object:
    try:
        return None if raw is None else msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return raw


def _shown(value: object) -> str:
    if value is None:
        return "missing or null"
    return redact(repr(value))[:80]
