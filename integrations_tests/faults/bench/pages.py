"""Untruths of a list: faults of the proxy that know what a page is.

`Listed` reads `data` with `has_more` (Stripe) and `items` with the `next` page's address (the
address book), `Shaped` what the shelf gives in every other shape.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from integrations_tests.faults.bench.proxy import Answer, Asked, Exchange, Fault
from integrations_tests.faults.bench.shapes import SHAPES, SIZE, Part, Word
from integrations_tests.faults.bench.shelf import PART, asking, packed, start_of, unpacked
from integrations_tests.faults.bench.wire import Gone

Records = list[Any]


@dataclass(frozen=True)
class Listed:
    """An answer read as a page of a list; answers that are none are passed on as they are."""

    answer: Answer
    body: dict[str, Any]

    @classmethod
    def of(cls, answer: Answer) -> Self:
        return cls(answer, json.loads(answer.body))

    @property
    def key(self) -> str:
        return "data" if "data" in self.body else "items"

    @property
    def records(self) -> Records:
        found: Records = self.body[self.key]
        return found

    def having(self, records: Records) -> Self:
        return replace(self, body={**self.body, self.key: records})

    def ending(self) -> Self:
        """The page, saying that it is the last."""
        end = {"has_more": False} if self.key == "data" else {"next": None}
        return replace(self, body=self.body | end)

    def endless(self) -> Self:
        """The page, not saying whether it is the last, or saying it in another form."""
        said = {"has_more": "perhaps"} if self.key == "data" else {"next": {"page": 2}}
        return replace(self, body=self.body | said)

    def following(self, asked: Asked) -> Asked | None:
        """What a client asks for next, if it asked so and got this."""
        if self.key == "items":
            onward = self.body["next"]
            return onward and Asked(urlsplit(onward)._replace(scheme="", netloc="").geturl())
        if not self.body["has_more"]:
            return None
        params = dict(parse_qsl(urlsplit(asked.target).query))
        if "ending_before" in params:
            params["ending_before"] = self.records[0]["id"]
        else:
            params["starting_after"] = self.records[-1]["id"]
        return Asked(f"{asked.path}?{urlencode(params)}")

    def wire(self) -> bytes:
        return replace(self.answer, body=_dumped(self.body)).wire()


@dataclass(frozen=True)
class Shaped:
    """An answer of the shelf, taken apart: what it holds, and what it says of the next page."""

    answer: Answer
    name: str
    part: Part
    records: Records
    word: Word

    @classmethod
    def of(cls, answer: Answer) -> Self:
        name, *numbers, onward = dict(answer.headers)[PART].split(" ")
        start, stop, total = map(int, numbers)
        part = Part(start, stop, total, (SHAPES[name].place.spelled(stop), onward))
        records = unpacked(name, json.loads(answer.body))
        return cls(answer, name, part, records, SHAPES[name].says(part))

    def having(self, records: Records) -> Self:
        return replace(self, records=records)

    def ending(self) -> Self:
        """The page, saying that it is the last; where only an empty page says so, that page."""
        records = [] if SHAPES[self.name].blind else self.records
        stop = self.part.start + len(records)
        word = SHAPES[self.name].says(replace(self.part, stop=stop, total=stop))
        return replace(self, records=records, word=word)

    def endless(self) -> Self:
        return replace(self, word=SHAPES[self.name].garbled)

    def looping(self) -> Self:
        """The page, naming itself as the next one."""
        spelled = SHAPES[self.name].place.spelled
        token, address = spelled(self.part.start), self.part.onward[1]
        address = address.replace(str(self.part.onward[0]), str(token))
        word = SHAPES[self.name].says(replace(self.part, onward=(token, address)))
        return replace(self, word=word)

    def following(self, asked: Asked) -> Asked | None:
        return asking(asked, self.part.stop) if self.part.more else None

    def wire(self) -> bytes:
        said = {name.lower() for name in SHAPES[self.name].says(self.part).headers}
        kept = [one for one in self.answer.headers if one[0].lower() not in {*said, PART}]
        headers = (*kept, *self.word.headers.items())
        body = _dumped(packed(self.name, self.records, self.word))
        return Answer(self.word.status, headers, body).wire()


Page = Listed | Shaped


def _dumped(body: Any) -> bytes:
    """As the sources write it: a page that comes again is the same, byte by byte."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _page(exchange: Exchange, asked: Asked | None = None) -> Page:
    """Raises `Gone` for an answer that is no page: then the cell is over."""
    answer = exchange.ask(asked)
    if PART in dict(answer.headers):
        return Shaped.of(answer)
    if answer.status != 200:
        raise Gone
    return Listed.of(answer)


def page(change: Callable[[Page], Page]) -> Fault:
    """A page that is changed."""

    def fault(exchange: Exchange) -> None:
        exchange.send(change(_page(exchange)).wire())

    return fault


def repeat(*pages: int) -> Fault:
    """Answers these pages of its list, one by one, whatever is asked for, and the last of them for
    ever: (1, 1, 2) is page 1 once again, then page 2. Where pages are asked for in any order, each
    in the place of the one that was asked for."""

    def fault(exchange: Exchange) -> None:
        before = [one for one in exchange.proxy.asked if one.path == exchange.path]
        asked, count = next(iter(before), exchange.asked), len(before)
        if isinstance(_page(exchange, asked), Shaped):
            count = start_of(exchange.asked) // SIZE + 1
        for _ in range(1, pages[min(count, len(pages)) - 1]):
            onward = _page(exchange, asked).following(asked)
            assert onward is not None, "the list has not so many pages"
            asked = onward
        exchange.send(_page(exchange, asked).wire())

    return fault


def swapped(exchange: Exchange) -> None:
    """Page 3 of one of the shelf's lists in the place of page 2, and the other way round; each says
    of the next page what it always says."""
    start = start_of(exchange.asked)
    other = {SIZE: 2 * SIZE, 2 * SIZE: SIZE}.get(start)
    exchange.send(_page(exchange, None if other is None else asking(exchange.asked, other)).wire())


def second(asked: Asked) -> bool:
    """Whether it is the second page of one of the shelf's lists that is asked for."""
    return start_of(asked) == SIZE


def skip(exchange: Exchange) -> None:
    """The page after the one that was asked for."""
    onward = _page(exchange).following(exchange.asked)
    assert onward is not None, "there is nothing after it"
    exchange.send(_page(exchange, onward).wire())


def swallow_inside(one: Page) -> Page:
    """Without a record from the middle: what is at the edges is there."""
    middle = len(one.records) // 2
    return one.having(one.records[:middle] + one.records[middle + 1 :])


def swallow_edges(one: Page) -> Page:
    """Without its first and its last record."""
    return one.having(one.records[1:-1])


def empty(one: Page) -> Page:
    """No record, and yet there is more."""
    return one.having([])


def nothing(one: Page) -> Page:
    """An empty list."""
    return one.having([]).ending()


def end_here(one: Page) -> Page:
    """The last page, though more would follow."""
    return one.ending()


def backwards(one: Page) -> Page:
    """The records in the other order."""
    return one.having(one.records[::-1])


def twice(one: Page) -> Page:
    """Each record twice."""
    return one.having([record for record in one.records for _ in range(2)])


def itself(one: Shaped) -> Shaped:
    """A page that names itself as the next one."""
    return one.looping()


def without_end(one: Page) -> Page:
    """A page that does not say whether it is the last, or says it in another form."""
    return one.endless()


def elsewhere(exchange: Exchange) -> None:
    """A page whose next one is at another host, with the key that we sent in its address."""
    here = f"{exchange.proxy.url}{exchange.path}?".encode()
    there = f"{exchange.proxy.elsewhere}{exchange.path}?key={sent_key(exchange)}&".encode()
    answer = exchange.ask()
    headers = tuple(
        (name, value.encode().replace(here, there).decode()) for name, value in answer.headers
    )
    body = answer.body.replace(here, there)
    exchange.send(replace(answer, headers=headers, body=body).wire())


def sent_key(exchange: Exchange) -> str:
    """The credential of a request."""
    line = exchange.head.partition(b"Bearer ")[2]
    return line.partition(b"\r\n")[0].decode()
