"""Untruths of a list: faults of the proxy that know what a page is.

They read the two shapes of the bench's sources: `data` with `has_more` (Stripe), `items` with the
`next` page's address.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from integrations_tests.faults.bench.proxy import Answer, Exchange, Fault

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

    def following(self, target: str) -> str | None:
        """What a client asks for next, if it asked for `target` and got this."""
        if self.key == "items":
            onward = self.body["next"]
            return onward and urlsplit(onward)._replace(scheme="", netloc="").geturl()
        if not self.body["has_more"]:
            return None
        path, _, query = target.partition("?")
        asked = dict(parse_qsl(query))
        if "ending_before" in asked:
            asked["ending_before"] = self.records[0]["id"]
        else:
            asked["starting_after"] = self.records[-1]["id"]
        return f"{path}?{urlencode(asked)}"

    def wire(self) -> bytes:
        return replace(self.answer, body=json.dumps(self.body).encode()).wire()


def _page(exchange: Exchange, target: str | None = None) -> Listed:
    return Listed.of(exchange.ask(target))


def page(change: Callable[[Listed], Listed]) -> Fault:
    """A page that is changed."""

    def fault(exchange: Exchange) -> None:
        exchange.send(change(_page(exchange)).wire())

    return fault


def repeat(*pages: int) -> Fault:
    """Answers these pages of its list, one by one, whatever is asked for, and the last of them for
    ever: (1, 1, 2) is page 1 once again, then page 2."""

    def fault(exchange: Exchange) -> None:
        asked = [one for one in exchange.proxy.asked if one.partition("?")[0] == exchange.path]
        target = asked[0]
        for _ in range(1, pages[min(len(asked), len(pages)) - 1]):
            onward = _page(exchange, target).following(target)
            assert onward is not None, "the list has not so many pages"
            target = onward
        exchange.send(_page(exchange, target).wire())

    return fault


def skip(exchange: Exchange) -> None:
    """The page after the one that was asked for."""
    onward = _page(exchange).following(exchange.target)
    assert onward is not None, "there is nothing after it"
    exchange.send(_page(exchange, onward).wire())


def swallow_inside(one: Listed) -> Listed:
    """Without a record from the middle: what is at the edges is there."""
    return one.having(one.records[:2] + one.records[3:])


def swallow_edges(one: Listed) -> Listed:
    """Without its first and its last record."""
    return one.having(one.records[1:-1])


def empty(one: Listed) -> Listed:
    """No record, and yet there is more."""
    return one.having([])


def nothing(one: Listed) -> Listed:
    """An empty list."""
    return one.having([]).ending()


def end_here(one: Listed) -> Listed:
    """The last page, though more would follow."""
    return one.ending()


def backwards(one: Listed) -> Listed:
    """The records in the other order."""
    return one.having(one.records[::-1])


def twice(one: Listed) -> Listed:
    """Each record twice."""
    return one.having([record for record in one.records for _ in range(2)])


def without_end(one: Listed) -> Listed:
    """A page that does not say whether it is the last, or says it in another form."""
    said = {"has_more": "perhaps"} if one.key == "data" else {"next": {"page": 2}}
    return replace(one, body=one.body | said)


def elsewhere(exchange: Exchange) -> None:
    """A page whose next one is at another host, with the key that we sent in its address."""
    one = _page(exchange)
    onward = f"{exchange.proxy.elsewhere}/changes?after=5&limit=5&key={sent_key(exchange)}"
    exchange.send(replace(one, body=one.body | {"next": onward}).wire())


def sent_key(exchange: Exchange) -> str:
    """The credential of a request."""
    line = exchange.head.partition(b"Bearer ")[2]
    return line.partition(b"\r\n")[0].decode()
