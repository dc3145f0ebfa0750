"""How an answer tells where the next page is. Each kind is one frozen model with one verb.

What drives them, and notices when they go in a circle, is the session. `immutable` says whether the
order of the list is one that changes do not move: then a record that stays is in every reading.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import parse_qs, urljoin, urlsplit

import msgspec
from pydantic import BaseModel, ConfigDict, Field, model_validator

from integrations.errors import StopStream
from integrations.redaction import redact
from integrations.transport.body import text_of, value_at

FIELD_PATH = r"^[^.]+(\.[^.]+)*$"
FieldPath = Annotated[str, Field(pattern=FIELD_PATH)]
"""A place in an answer: keys joined by dots."""


@dataclass(frozen=True)
class Answer:
    """What paging reads: the address that answered, the headers, the body without its records, the
    records, and the `content` that they were split from.

    `params` are those of the request, none when it asked for a whole address.
    """

    url: str
    headers: Mapping[str, str]
    body: bytes
    records: Sequence[msgspec.Raw]
    params: Mapping[str, str | int | bool] = field(default_factory=dict)
    content: bytes | memoryview = b""


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

    immutable: ClassVar[bool] = True
    newest_first: ClassVar[bool] = False

    type: Literal["last_id"]
    param: str = Field(default="starting_after", min_length=1)
    id: FieldPath = "id"
    more: FieldPath = "has_more"

    def follow(self, answer: Answer) -> Next | None:
        """None at the end. Raises `StopStream` when the body does not say whether it is."""
        if not _is_more(answer, self.more):
            return None
        return Next(params={self.param: id_of(answer.records[-1], self.id)})


class IdCursor(BaseModel):
    """Go from id to id in a list with the newest first, to older records or on to newer ones.

    When the first request has a value for the parameter `newer`, each next page is asked for what
    is newer than the first record's id, and the source must give what is nearest to that id.
    Otherwise each is asked for what is older than the last one's. `id` is a place in the record,
    `more` in the body; Stripe's names are the defaults.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    immutable: ClassVar[bool] = True
    newest_first: ClassVar[bool] = True

    type: Literal["id_cursor"]
    older: str = Field(default="starting_after", min_length=1)
    newer: str = Field(default="ending_before", min_length=1)
    id: FieldPath = "id"
    more: FieldPath = "has_more"

    @model_validator(mode="after")
    def _two_ways(self) -> Self:
        if self.older == self.newer:
            raise ValueError("older and newer should be two parameters")
        return self

    def upwards(self, answer: Answer) -> bool:
        """Whether the answer belongs to a pull that goes on to newer records."""
        return self.newer in answer.params

    def follow(self, answer: Answer) -> Next | None:
        """None at the end. Raises `StopStream` when the body does not say whether it is."""
        if not _is_more(answer, self.more):
            return None
        if self.upwards(answer):
            return Next(params={self.newer: id_of(answer.records[0], self.id)})
        return Next(params={self.older: id_of(answer.records[-1], self.id)})


class PageNumber(BaseModel):
    """Ask for page after page by its number; so, several can be asked for at a time.

    `pages` is where the body says how many there are, or `total` how many records, at `size` to a
    page. A request without `param` is for the page `first`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    immutable: ClassVar[bool] = False
    newest_first: ClassVar[bool] = False

    type: Literal["page_number"]
    param: str = Field(default="page", min_length=1)
    first: int = Field(default=1, ge=0)
    pages: FieldPath | None = None
    total: FieldPath | None = None
    size: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _can_end(self) -> Self:
        if (self.pages is None) == (self.total is None) or (self.total is None) != (
            self.size is None
        ):
            raise ValueError("it needs the place of pages, or that of total and a page's size")
        return self

    def follow(self, answer: Answer) -> Next | None:
        """None at the end. Raises `StopStream` when the body does not say where that is."""
        return next(self.rest(answer), None)

    def rest(self, answer: Answer) -> Iterator[Next]:
        """The requests of all pages that follow. Raises as `follow` does, and for a page that holds
        less than it must: what is missing would never be asked for."""
        number = int(answer.params.get(self.param, self.first))  # set by us, in digits
        pages, least = self._told(answer, before=number - self.first)
        if len(answer.records) < least:
            raise StopStream(
                f"page {number} of {pages} holds {len(answer.records)} records, where there should "
                f"be {least if self.size else 'some'}"
            )
        end = self.first + pages
        return (Next(params={self.param: str(later)}) for later in range(number + 1, end))

    def _told(self, answer: Answer, *, before: int) -> tuple[int, int]:
        """How many pages there are, and how many records one that has so many before it must have
        at least."""
        place = self.pages or self.total or ""
        count = plain(value_at(answer.body, place))
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise StopStream(f"the answer's {place!r} should be a number, it is {shown(count)}")
        if self.size is not None:
            return -(-count // self.size), max(0, min(self.size, count - before * self.size))
        if count == 0 and answer.records:
            raise StopStream(f"the answer's {place!r} is 0, and yet there are records")
        return count, 1 if before + 1 < count else 0


class BodyToken(BaseModel):
    """The body holds a token at `next`, which goes into the parameter `param` for the next page.

    It is a text or a whole number. Null, empty and absent mean the end: vendors use all three.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    immutable: ClassVar[bool] = False
    newest_first: ClassVar[bool] = False

    type: Literal["body_token"]
    next: FieldPath
    param: str = Field(default="cursor", min_length=1)

    def follow(self, answer: Answer) -> Next | None:
        """None at the end. Raises `StopStream` for a token that cannot be sent back as it is."""
        raw = value_at(answer.body, self.next)
        found = plain(raw)
        if found is None or found == "":
            return None
        token = text_of(raw)
        if token is None:
            raise StopStream(f"the answer's {self.next!r} should be a token, it is {shown(found)}")
        return Next(params={self.param: token})


class NextUrl(BaseModel):
    """The body holds the next page's address at `next`, absolute or relative.

    Null, empty and absent mean the end: vendors use all three. With `param` only that parameter is
    taken out of the address: some addresses leave out what the first request asked for, or name
    another scheme or host.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    immutable: ClassVar[bool] = False
    newest_first: ClassVar[bool] = False

    type: Literal["next_url"]
    next: FieldPath
    param: str | None = Field(default=None, min_length=1)

    def follow(self, answer: Answer) -> Next | None:
        """None at the end. Raises `StopStream` when the address is no text."""
        found = plain(value_at(answer.body, self.next))
        if found is None or found == "":
            return None
        if not isinstance(found, str):
            raise StopStream(
                f"the answer's {self.next!r} should be an address, it is {shown(found)}"
            )
        return _onward(answer.url, found, param=self.param)


class LinkHeader(BaseModel):
    """The `Link` header holds the next page's address, with `rel="next"` (RFC 8288).

    With `param` only that parameter is taken out of the address, as for `next_url`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    immutable: ClassVar[bool] = False
    newest_first: ClassVar[bool] = False

    type: Literal["link_header"]
    param: str | None = Field(default=None, min_length=1)

    def follow(self, answer: Answer) -> Next | None:
        """None when no link says `next`."""
        for target, relations in _links(answer.headers.get("link", "")):
            if "next" in relations:
                return _onward(answer.url, target, param=self.param)
        return None


class Single(BaseModel):
    """The first answer holds everything."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    immutable: ClassVar[bool] = True
    newest_first: ClassVar[bool] = False

    type: Literal["single"]

    def follow(self, answer: Answer) -> Next | None:
        """Always None."""
        return None


Paging = Annotated[
    LastId | IdCursor | PageNumber | BodyToken | NextUrl | LinkHeader | Single,
    Field(discriminator="type"),
]


def known(paging: Paging, answer: Answer, *, most: int) -> Sequence[Next]:
    """The requests that follow, as far as the answer tells them, at most so many. Raises as
    `follow` does."""
    if isinstance(paging, PageNumber):
        return list(islice(paging.rest(answer), most))
    onward = paging.follow(answer)
    return [] if onward is None else [onward]


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
        raise StopStream(f"the answer's Link header cannot be read: {shown(header[at:])}")
    return links


def _is_more(answer: Answer, place: str) -> bool:
    """What the body says at `place`; where it says that there is more, there are records."""
    more = plain(value_at(answer.body, place))
    if not isinstance(more, bool):
        raise StopStream(f"the answer's {place!r} should be true or false, it is {shown(more)}")
    if more and not answer.records:
        raise StopStream(f"the page is empty, yet its {place!r} says that there is more")
    return more


def id_of(record: msgspec.Raw, place: str) -> str:
    """A record's id as text. Raises `StopStream` for one that cannot be asked for."""
    raw = value_at(record, place)
    found = text_of(raw)
    if found is None:
        raise StopStream(
            f"a record at the page's edge has {shown(plain(raw))} as its {place!r}: "
            "what follows it cannot be asked for"
        )
    return found


def _onward(base: str, target: str, *, param: str | None) -> Next:
    """The request for the page at this address; with `param`, for what the address says of it."""
    try:
        url = urljoin(base, target)
        given = parse_qs(urlsplit(url).query, errors="strict") if param else {}
    except ValueError as error:
        place = shown(target.partition("?")[0])
        raise StopStream(f"the next page's address cannot be read: {place}") from error
    if param is None:
        return Next(url=url)
    if len(given.get(param, [])) != 1:
        # Names alone: what else stands in an address may be a key, or of a person.
        named = ", ".join(name for name, values in given.items() for _ in values)
        told = shown(named or "none")
        raise StopStream(f"the next page's address should have one {param!r}; it has {told}")
    return Next(params={param: given[param][0]})


def plain(raw: bytes | msgspec.Raw | None) -> object:
    """A value decoded, for a message."""
    try:
        return None if raw is None else msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None if raw is None else bytes(raw)


def shown(value: object) -> str:
    """A source's value for a message: redacted and short."""
    if value is None:
        return "missing or null"
    return redact(repr(value))[:80]
