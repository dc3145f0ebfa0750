"""How an answer tells where the next page is. Each kind is one frozen model with one verb.

What drives them, and notices when they go in a circle, is the session. `immutable` says whether the
order of the list is one that changes do not move: then a record that stays is in every reading.
"""

import re
from collections.abc import Sequence
from itertools import islice
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import parse_qs, urljoin, urlsplit

import msgspec
from pydantic import BaseModel, ConfigDict, Field, model_validator

from integrations.errors import StopStream
from integrations.transport.answer import (
    Answer,
    FieldPath,
    HeaderName,
    Next,
    Paged,
    plain,
    shown,
)
from integrations.transport.body import text_of, value_at
from integrations.transport.counted import Offset, PageNumber, total_of
from integrations.transport.ranged import Range


class LastId(Paged):
    """Ask for what follows the last record's id, while the body says that there is more.

    `id` is a place in the record, `more` in the body; Stripe's names are the defaults. With `more`
    null the body says nothing, and the first empty page is the end.
    """

    immutable: ClassVar[bool] = True

    type: Literal["last_id"]
    param: str = Field(default="starting_after", min_length=1)
    id: FieldPath = "id"
    more: FieldPath | None = "has_more"

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
    `more` in the body; Stripe's names are the defaults. With `more` null the first empty page is
    the end.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    immutable: ClassVar[bool] = True
    newest_first: ClassVar[bool] = True

    type: Literal["id_cursor"]
    older: str = Field(default="starting_after", min_length=1)
    newer: str = Field(default="ending_before", min_length=1)
    id: FieldPath = "id"
    more: FieldPath | None = "has_more"

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


class SequenceNumber(BaseModel):
    """Ask for what comes after a number, until the highest one that the source tells of.

    `number` is the place of its number in a record, `highest` where the body tells the highest one,
    `highest_header` the header that does. An empty page is not the end: the next is asked for from
    `size` numbers on. A request without `param` is for what comes after `first`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    immutable: ClassVar[bool] = False
    newest_first: ClassVar[bool] = False

    type: Literal["sequence"]
    param: str = Field(default="sequence", min_length=1)
    number: FieldPath
    highest: FieldPath | None = None
    highest_header: HeaderName | None = None
    size: int = Field(ge=1)
    first: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _can_end(self) -> Self:
        if (self.highest is None) == (self.highest_header is None):
            raise ValueError("it needs one of highest and highest_header")
        return self

    def follow(self, answer: Answer) -> Next | None:
        """None at the end. Raises `StopStream` for records that do not come after what was asked
        for, and when the answer does not tell the highest number."""
        asked = int(answer.params.get(self.param, self.first))
        highest = total_of(answer, place=self.highest, header=self.highest_header)
        reached = asked + self.size
        if answer.records:
            first, reached = (self._numbered(answer.records[at]) for at in (0, -1))
            if not asked < first <= reached:
                raise StopStream(
                    f"the records from {first} to {reached} in {self.number!r} are no answer to "
                    f"what comes after {asked}, in ascending order"
                )
        return Next(params={self.param: reached}) if reached < highest else None

    def _numbered(self, record: msgspec.Raw) -> int:
        text = id_of(record, self.number)
        if not _WHOLE.fullmatch(text):
            raise StopStream(f"a record's {self.number!r} should be a number, it is {shown(text)}")
        return int(text)


class BodyToken(Paged):
    """The body holds a token at `next`, which goes into the parameter `param` for the next page.

    It is a text or a whole number. Null, empty and absent mean the end: vendors use all three.
    """

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


class HeaderToken(Paged):
    """The header `next` holds a token, which goes into the parameter `param` for the next page.

    Empty and absent mean the end. With `alone` the token replaces all other parameters, as it does
    at The Things Stack.
    """

    type: Literal["header_token"]
    next: HeaderName
    param: str = Field(default="cursor", min_length=1)
    alone: bool = False

    def follow(self, answer: Answer) -> Next | None:
        """None at the end."""
        token = answer.headers.get(self.next.lower(), "").strip()
        return Next(params={self.param: token}, alone=self.alone) if token else None


class NextUrl(Paged):
    """The body holds the next page's address at `next`, absolute or relative.

    Null, empty and absent mean the end: vendors use all three. With `param` only that parameter is
    taken out of the address: some addresses leave out what the first request asked for, or name
    another scheme or host.
    """

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


class LinkHeader(Paged):
    """The `Link` header holds the next page's address, with `rel="next"` (RFC 8288).

    With `param` only that parameter is taken out of the address, as for `next_url`.
    """

    type: Literal["link_header"]
    param: str | None = Field(default=None, min_length=1)

    def follow(self, answer: Answer) -> Next | None:
        """None when no link says `next`."""
        for target, relations in _links(answer.headers.get("link", "")):
            if "next" in relations:
                return _onward(answer.url, target, param=self.param)
        return None


class Single(Paged):
    """The first answer holds everything.

    Where the body says at `total`, or the header `total_header`, how many records there are, it is
    held to that.
    """

    immutable: ClassVar[bool] = True

    type: Literal["single"]
    total: FieldPath | None = None
    total_header: HeaderName | None = None

    @model_validator(mode="after")
    def _one_total(self) -> Self:
        if self.total is not None and self.total_header is not None:
            raise ValueError("total and total_header say the same: give one of them")
        return self

    def follow(self, answer: Answer) -> Next | None:
        """Always None. Raises `StopStream` for an answer that holds less than there is."""
        if self.total is not None or self.total_header is not None:
            total = total_of(answer, place=self.total, header=self.total_header)
            held = answer.earlier + len(answer.records)
            if held < total:
                raise StopStream(
                    f"the answer holds {held} of {total} records",
                    todo="The source gives no more at a time: choose another paging.",
                )
        return None


Paging = Annotated[
    LastId
    | IdCursor
    | PageNumber
    | Offset
    | Range
    | SequenceNumber
    | BodyToken
    | HeaderToken
    | NextUrl
    | LinkHeader
    | Single,
    Field(discriminator="type"),
]


def known(paging: Paging, answer: Answer, *, most: int) -> Sequence[Next]:
    """The requests that follow, as far as the answer tells them, at most so many. Raises as
    `follow` does."""
    if isinstance(paging, PageNumber | Offset | Range):
        return list(islice(paging.rest(answer), most))
    onward = paging.follow(answer)
    return [] if onward is None else [onward]


def falls(paging: Paging, answer: Answer) -> bool:
    """Whether what follows the answer was made or changed before it."""
    return paging.newest_first and not (isinstance(paging, IdCursor) and paging.upwards(answer))


_WHOLE = re.compile(r"[0-9]{1,18}")
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


def _is_more(answer: Answer, place: str | None) -> bool:
    """What the body says at `place`; where it says that there is more, there are records. Without a
    place there is more after each page that is not empty."""
    if place is None:
        return bool(answer.records)
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
