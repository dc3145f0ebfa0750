"""How a GraphQL answer tells where the next page is: by Relay's connections, or by an offset."""

from typing import Literal

import msgspec
from pydantic import Field

from integrations.errors import StopStream
from integrations.transport.answer import Answer, Next, Paged

VARIABLE = r"^[_A-Za-z][_0-9A-Za-z]*$"


class PageInfo(msgspec.Struct, rename="camel"):
    """What Relay says about a page."""

    has_next_page: bool
    end_cursor: str | None = None


_INFO = msgspec.json.Decoder(PageInfo)


def cursor_after(info: bytes | msgspec.Raw | None, *, asked: object, place: str) -> str | None:
    """The cursor for the next page of the connection at `place`, None at its end.

    `asked` is the cursor of this page. Raises `StopStream` for a connection that does not say
    whether it goes on, or that does so without a new cursor.
    """
    if info is None:
        raise StopStream(
            f"the connection {place} has no pageInfo: it does not say whether there is more",
            todo="Ask for pageInfo { hasNextPage endCursor } in the query.",
        )
    try:
        page = _INFO.decode(info)
    except msgspec.DecodeError as error:
        raise StopStream(f"the pageInfo of {place} has another shape: {error}") from error
    if not page.has_next_page:
        return None
    if not page.end_cursor:
        raise StopStream(f"{place} says that there is more, and gives no endCursor to ask for it")
    if page.end_cursor == asked:
        raise StopStream(
            f"the paging goes in a circle: {place} gives the endCursor that it was asked with"
        )
    return page.end_cursor


class Relay(Paged):
    """Ask for what follows `pageInfo.endCursor` while `pageInfo.hasNextPage` is true; the cursor
    goes into `variable` (relay.dev/graphql/connections.htm)."""

    type: Literal["relay"]
    variable: str = Field(default="after", pattern=VARIABLE)

    def first(self) -> dict[str, int]:
        """The variables of the first request that are the paging's: none."""
        return {}

    def follow(self, answer: Answer) -> Next | None:
        """None at the end. Raises as `cursor_after` does."""
        asked = answer.params.get(self.variable)
        info = answer.body or None
        cursor = cursor_after(info, asked=asked, place="of the records")
        return None if cursor is None else Next(params={self.variable: cursor})


class OffsetVariables(Paged):
    """Ask for the `first` records from `offset` on, until there are none.

    The next offset is what came in: a server that caps the page's size below `size` loses nothing.
    """

    type: Literal["offset_variables"]
    offset: str = Field(default="offset", pattern=VARIABLE)
    first_: str = Field(default="first", pattern=VARIABLE, alias="first")
    size: int = Field(default=50, ge=1)

    def first(self) -> dict[str, int]:
        """The variables of the first request that are the paging's."""
        return {self.offset: 0, self.first_: self.size}

    def follow(self, answer: Answer) -> Next | None:
        """None after an empty page."""
        if not answer.records:
            return None
        reached = int(answer.params.get(self.offset, 0)) + len(answer.records)
        return Next(params={self.offset: reached})
