"""The lists of the twin of Stripe: sorted once, found by bisection, encoded once.

Stripe gives its lists newest first; objects of one second are ordered by id, downwards as well, so
that a cursor has one place only.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import attrgetter
from typing import Generic, TypeVar

from integrations.sandbox.stripe_facts import Fact
from integrations.sandbox.stripe_objects import body, encode, stage
from integrations.sandbox.stripe_query import ListQuery

FactT = TypeVar("FactT", bound=Fact)
LAST = "~"
"""Sorts after every id."""

_place = attrgetter("created", "id")


class Listing(Generic[FactT]):
    """All facts of one kind, those of the future included, oldest first."""

    def __init__(self) -> None:
        self._facts: list[FactT] = []
        self._places: list[tuple[int, str]] = []
        self._by_id: dict[str, FactT] = {}
        self._bytes: dict[tuple[str, int], bytes] = {}

    def add(self, facts: Iterable[FactT]) -> None:
        self._facts.extend(facts)
        self._facts.sort(key=_place)
        self._places = [_place(fact) for fact in self._facts]
        self._by_id = {fact.id: fact for fact in self._facts}

    def find(self, ident: str, *, now: int) -> FactT | None:
        """The fact with this id, if it exists by `now`; a deleted one is still found."""
        fact = self._by_id.get(ident)
        return fact if fact is not None and fact.created <= now else None

    def encoded(self, fact: Fact, *, now: int) -> bytes:
        """The object's JSON as it looks at `now`; made once for each look."""
        key = (fact.id, stage(fact, now=now))
        made = self._bytes.get(key)
        if made is None:
            made = self._bytes[key] = encode(body(fact, now=now))
        return made

    def between(self, first: int, last: int, *, now: int) -> Iterator[FactT]:
        """What a list shows at `now` of the facts created in `[first, last]`, newest first."""
        low, high = self._range(first, min(last, now))
        return (fact for fact in reversed(self._facts[low:high]) if _is_there(fact, now))

    def page(self, query: ListQuery, *, now: int) -> tuple[Sequence[FactT], bool]:
        """The facts of one page, newest first, and whether more follow in its direction."""
        low, high = self._range(query.first, min(query.last, now))
        if query.starting_after:
            high = min(high, bisect_left(self._places, self._cursor(query.starting_after)))
        if query.ending_before:
            low = max(low, bisect_right(self._places, self._cursor(query.ending_before)))
        backwards = not query.ending_before
        way = range(high - 1, low - 1, -1) if backwards else range(low, high)
        fits = (fact for i in way if self._fits(fact := self._facts[i], query, now))
        found = list(islice(fits, query.limit + 1))
        more = len(found) > query.limit
        found = found[: query.limit]
        return (found if backwards else found[::-1]), more

    def _range(self, first: int, last: int) -> tuple[int, int]:
        return bisect_left(self._places, (first, "")), bisect_right(self._places, (last, LAST))

    def _cursor(self, ident: str) -> tuple[int, str]:
        return _place(self._by_id[ident])

    def _fits(self, fact: FactT, query: ListQuery, now: int) -> bool:
        return _is_there(fact, now) and all(
            _plain(getattr(fact, name)) == value for name, value in query.equal
        )


def _is_there(fact: Fact, now: int) -> bool:
    return fact.gone_at is None or fact.gone_at > now


def _plain(value: object) -> object:
    return value.id if isinstance(value, Fact) else value
