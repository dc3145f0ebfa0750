"""Every way in which a source may cut a list into pages, each a column of the matrix.

A shape is one line of `SHAPES`: its paging as a connector's file has it, how a request says where
its page begins, and how an answer tells where the next one is. The rest follows from it: the
stream that is read (`connectors`), the source that answers (`shelf`), and the lies that are told
of its pages (`pages`). A test holds the lines equal to the kinds of paging that the code has.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

SIZE = 5
STEP = 3
"""Sequence numbers have holes: each is so much more than the one before."""


@dataclass(frozen=True)
class Part:
    """What an answer holds of a list: the records from `start` on and before `stop`, of `total`.

    `onward` is what asks for the next page: the value of the shape's parameter, and an address.
    """

    start: int
    stop: int
    total: int
    onward: tuple[Any, str] = ("", "")

    @property
    def more(self) -> bool:
        return self.stop < self.total


@dataclass(frozen=True)
class Word:
    """What an answer says beside its records, in the body, in headers and by its status."""

    body: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True)
class Place:
    """How a request says after how many records its page begins: the value of a parameter, or of
    the header `Range`."""

    param: str
    spelled: Callable[[int], Any] = int
    read: Callable[[Any], int] = int
    header: bool = False


@dataclass(frozen=True)
class Shape:
    """A way of paging: `says` is the truth of a page, `garbled` one that nobody can read.

    `blind`: no answer says that it is the last, an empty one is the end. `way` is how it is asked for and what
    is around its records; `sync` how its stream is read, and so who brings what nobody could see.
    """

    paging: Mapping[str, Any]
    place: Place
    says: Callable[[Part], Word] = lambda part: Word()
    garbled: Word = Word()
    sync: Literal["cursor", "full"] = "cursor"
    way: Literal["get", "post", "relay", "listed"] = "get"

    @property
    def blind(self) -> bool:
        one, other = (self.says(Part(0, SIZE, total)) for total in (SIZE, 2 * SIZE))
        return one == other

    @property
    def names(self) -> bool:
        """Whether an answer names the next page, by a token or an address."""
        one, other = (self.says(Part(0, SIZE, 2 * SIZE, (word, word))) for word in "ab")
        return one != other

    @property
    def graphql(self) -> bool:
        return self.way in ("relay", "listed")


def _token(param: str = "token") -> Place:
    return Place(param, lambda start: f"t{start}", lambda value: int(value[1:]))


def _number(*, first: int = 1) -> Place:
    return Place(
        "page",
        lambda start: start // SIZE + first,
        lambda value: (int(value) - first) * SIZE,
    )


def _total(part: Part) -> Word:
    return Word({"total": part.total})


def _total_header(part: Part) -> Word:
    return Word(headers={"X-Total": str(part.total)})


def _pages(part: Part) -> Word:
    return Word({"pages": -(-part.total // SIZE)})


def _highest(part: Part) -> Word:
    return Word(headers={"X-Highest": str(STEP * part.total)})


def _next(part: Part) -> Word:
    return Word({"next": part.onward[0] if part.more else None})


def _next_url(part: Part) -> Word:
    return Word({"next": part.onward[1] if part.more else None})


def _next_header(part: Part) -> Word:
    return Word(headers={"X-Next": part.onward[0]} if part.more else {})


def _link(part: Part) -> Word:
    return Word(headers={"Link": f'<{part.onward[1]}>; rel="next"'} if part.more else {})


def _page_info(part: Part) -> Word:
    cursor = part.onward[0] if part.more else None
    return Word({"pageInfo": {"hasNextPage": part.more, "endCursor": cursor}})


def _ranged(part: Part, total: int | str) -> Word:
    if part.start == part.stop:
        return Word(headers={"Content-Range": f"items */{part.total}"}, status=416)
    said = f"items {part.start}-{part.stop - 1}/{total}"
    return Word(headers={"Content-Range": said}, status=206)


def _range(part: Part) -> Word:
    return _ranged(part, "*")


def _range_total(part: Part) -> Word:
    return _ranged(part, part.total)


_RANGE = Place(
    "Range",
    lambda start: f"items={start}-{start + SIZE - 1}",
    lambda value: int(value.removeprefix("items=").partition("-")[0]),
    header=True,
)
_NO_RANGE = Word(headers={"Content-Range": "items some"}, status=206)
_SEQ = Place("seq", lambda start: STEP * start, lambda value: int(value) // STEP)
_ADDRESS = Word({"next": {"page": 2}})

SHAPES: Mapping[str, Shape] = {
    "page_number": Shape({"type": "page_number", "first": 0}, _number(first=0), sync="full"),
    "pages": Shape({"type": "page_number", "pages": "pages"}, _number(), _pages, Word({"pages": "some"})),
    "pages_total": Shape({"type": "page_number", "total_header": "X-Total", "size": SIZE}, _number(), _total_header, Word(headers={"X-Total": "some"}), "full"),
    "offset": Shape({"type": "offset"}, Place("offset")),
    "offset_total": Shape({"type": "offset", "total": "total", "size": SIZE}, Place("offset"), _total, Word({"total": "some"}), "full"),
    "sequence": Shape({"type": "sequence", "param": "seq", "number": "seq", "highest_header": "X-Highest", "size": SIZE}, _SEQ, _highest, Word(headers={"X-Highest": "some"}), "full"),
    "body_token": Shape({"type": "body_token", "next": "next", "param": "token"}, _token(), _next, _ADDRESS, way="post"),
    "header_token": Shape({"type": "header_token", "next": "X-Next", "param": "token", "alone": True}, _token(), _next_header, Word(headers={"X-Next": "?"}), "full"),
    "next_url": Shape({"type": "next_url", "next": "next", "param": "token"}, _token(), _next_url, _ADDRESS, "full"),
    "link_header": Shape({"type": "link_header"}, _token(), _link, Word(headers={"Link": "</lists>; rel=next, and more"})),
    "range": Shape({"type": "range", "size": SIZE}, _RANGE, _range, _NO_RANGE),
    "range_total": Shape({"type": "range", "size": SIZE}, _RANGE, _range_total, _NO_RANGE, "full"),
    "single": Shape({"type": "single"}, Place(""), sync="full"),
    "relay": Shape({"type": "relay"}, _token("after"), _page_info, Word({"pageInfo": {"hasNextPage": "perhaps"}}), way="relay"),
    "offset_variables": Shape({"type": "offset_variables", "size": SIZE}, Place("offset"), sync="full", way="listed"),
}  # fmt: skip
"""Those that Stripe's lists and the address book have are read by the four kinds."""
ELSEWHERE = ("last_id", "id_cursor")
"""The types of paging that only the kinds of `cases` read: Stripe's."""
