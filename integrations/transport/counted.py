"""Pages that are counted, and so known before they are asked for: by number, or by what is before.

A source may quietly give less to a page than it was asked for. Who then counts on in pages passes
over records, so a page that is not full before the end stops the stream.
"""

from collections.abc import Iterator
from typing import Literal, Self

from pydantic import Field, model_validator

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
from integrations.transport.body import value_at

_CAPPED = "If the source gives no larger pages, make that the size that is asked for."


class _Counted(Paged):
    """What the kinds here have in common: a total, in the body or a header, at `size` to a page."""

    total: FieldPath | None = None
    total_header: HeaderName | None = None
    size: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _can_end(self) -> Self:
        if self.total is not None and self.total_header is not None:
            raise ValueError("total and total_header say the same: give one of them")
        if (self.size is not None) != (self.total is not None or self.total_header is not None):
            raise ValueError("size is a page's size for the total: give both or neither")
        return self

    def follow(self, answer: Answer) -> Next | None:
        """None at the end. Raises `StopStream` when the answer does not say where that is."""
        return next(self.rest(answer), None)

    def rest(self, answer: Answer) -> Iterator[Next]:
        """The requests of all pages that follow. Raises as `follow` does, and for a page that holds
        less than it must: what is missing would never be asked for."""
        raise NotImplementedError


class PageNumber(_Counted):
    """Ask for page after page by its number; so, several can be asked for at a time.

    `pages` is where the body says how many there are, `total` how many records, at `size` to a
    page; `total_header` is the header that says the latter. Without any of them the first empty
    page is the end. A request without `param` is for the page `first`.
    """

    type: Literal["page_number"]
    param: str = Field(default="page", min_length=1)
    first: int = Field(default=1, ge=0)
    pages: FieldPath | None = None

    @model_validator(mode="after")
    def _pages_or_total(self) -> Self:
        if self.pages is not None and self.size is not None:
            raise ValueError("pages and a total say the same: give one of them")
        return self

    def rest(self, answer: Answer) -> Iterator[Next]:
        number = int(answer.params.get(self.param, self.first))
        if self.size is None and self.pages is None:
            onward = [Next(params={self.param: number + 1})]
            return iter(onward if answer.records else [])
        pages, least = self._told(answer, before=number - self.first)
        if len(answer.records) < least:
            raise StopStream(
                f"page {number} of {pages} holds {len(answer.records)} records, where there should "
                f"be {least if self.size else 'some'}",
                todo=_CAPPED if self.size else "",
            )
        end = self.first + pages
        return (Next(params={self.param: later}) for later in range(number + 1, end))

    def _told(self, answer: Answer, *, before: int) -> tuple[int, int]:
        """How many pages there are, and how many records one that has so many before it must have
        at least."""
        if self.size is not None:
            count = total_of(answer, place=self.total, header=self.total_header)
            return -(-count // self.size), max(0, min(self.size, count - before * self.size))
        count = _count(plain(value_at(answer.body, self.pages or "")), repr(self.pages))
        if count == 0 and answer.records:
            raise StopStream(f"the answer's {self.pages!r} is 0, and yet there are records")
        return count, 1 if before + 1 < count else 0


class Offset(_Counted):
    """Ask for what follows so many records: `param` counts those before the page.

    `total` is where the body says how many there are in all, or `total_header` the header that
    does, at `size` to a page; then several pages can be asked for at a time. Without a total the
    next page begins where the records that came end, and the first empty page is the end: so
    nothing is passed over where the source gives less than was asked for. A request without
    `param` is for the first page.
    """

    type: Literal["offset"]
    param: str = Field(default="offset", min_length=1)

    def rest(self, answer: Answer) -> Iterator[Next]:
        before, came = int(answer.params.get(self.param, 0)), len(answer.records)
        if self.size is None:
            onward = [Next(params={self.param: before + came})]
            return iter(onward if came else [])
        total = total_of(answer, place=self.total, header=self.total_header)
        least = max(0, min(self.size, total - before))
        if came < least:
            raise StopStream(
                f"the page after {before} of {total} records holds {came}, where there should be "
                f"{least}",
                todo=_CAPPED,
            )
        later = range(before + self.size, total, self.size)
        return (Next(params={self.param: offset}) for offset in later)


def total_of(answer: Answer, *, place: str | None, header: str | None) -> int:
    """How many records there are in all, by the body or by a header."""
    if header is None:
        found = plain(value_at(answer.body, place or ""))
        return _count(_number(found) if answer.of_text else found, repr(place))
    return _count(_number(answer.headers.get(header.lower(), "")), header)


def _number(said: object) -> object:
    """What a text says, as the number that it is if it is one."""
    if not isinstance(said, str):
        return said
    said = said.strip()
    return int(said) if said.isascii() and said.isdigit() else said or None


def _count(found: object, what: str) -> int:
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        raise StopStream(f"the answer's {what} should be a number, it is {shown(found)}")
    return found
