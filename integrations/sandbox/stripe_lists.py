"""The lists of the twin of Stripe: sorted once, found by bisection, encoded once.

Stripe gives its lists newest first; objects of one second are ordered by id, downwards as well, so
that a cursor has one place only.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from operator import attrgetter
from typing import Generic, TypeVar

from integrations.sandbox.stripe_facts import Event, Fact
from integrations.sandbox.stripe_objects import body, encode, stage
from integrations.sandbox.stripe_query import ListQuery

FactT = TypeVar("FactT", bound=Fact)
Place = tuple[int, str]
"""Where an object stands in its list: when it was created (epoch seconds), and its id."""
LAST = "~"
"""Sorts after every id."""

_place = attrgetter("created", "id")


def page_of(
    places: Sequence[Place],
    query: ListQuery,
    *,
    cursor: Place | None,
    fits: Callable[[int], bool],
) -> tuple[list[int], bool]:
    """One page of a list whose objects stand at `places`, which ascend.

    Gives the objects' indices, newest first, and whether more follow in the page's direction.
    `cursor` is the place of the query's cursor, which need not be shown itself; `fits` says
    whether the object of an index is.
    """
    low, high = _range(places, query.first, query.last)
    backwards = not query.ending_before
    if cursor is not None and backwards:
        high = min(high, bisect_left(places, cursor))
    elif cursor is not None:
        low = max(low, bisect_right(places, cursor))
    way = range(high - 1, low - 1, -1) if backwards else range(low, high)
    found = list(islice((i for i in way if fits(i)), query.limit + 1))
    more = len(found) > query.limit
    found = found[: query.limit]
    return (found if backwards else found[::-1]), more


class Listing(Generic[FactT]):
    """All facts of one kind, those of the future included, oldest first.

    `kept_s` is how long after its creation a fact can still be found; None for ever.
    """

    def __init__(self, *, kept_s: int | None = None) -> None:
        self._kept_s = kept_s
        self._facts: list[FactT] = []
        self._places: list[Place] = []
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
        return fact if fact is not None and self._oldest(now) <= fact.created <= now else None

    def encoded(self, fact: Fact, *, now: int) -> bytes:
        """The object's JSON as it looks at `now`; made once for each look."""
        key = (fact.id, stage(fact, now=now))
        made = self._bytes.get(key)
        if made is None:
            made = self._bytes[key] = encode(body(fact, now=now))
        return made

    def between(self, first: int, last: int, *, now: int) -> Iterator[FactT]:
        """What a list shows at `now` of the facts created in `[first, last]`, newest first."""
        low, high = _range(self._places, max(first, self._oldest(now)), min(last, now))
        return (fact for fact in reversed(self._facts[low:high]) if _is_there(fact, now))

    def page(self, query: ListQuery, *, now: int) -> tuple[Sequence[FactT], bool]:
        """The facts of one page, newest first, and whether more follow in its direction.

        The query's cursor must be one that `find` finds.
        """
        first, last = max(query.first, self._oldest(now)), min(query.last, now)
        indices, more = page_of(
            self._places,
            replace(query, first=first, last=last),
            cursor=_place(self._by_id[query.cursor]) if query.cursor else None,
            fits=lambda i: _fits(self._facts[i], query, now),
        )
        return [self._facts[i] for i in indices], more

    def _oldest(self, now: int) -> int:
        return 0 if self._kept_s is None else now - self._kept_s


def _range(places: Sequence[Place], first: int, last: int) -> tuple[int, int]:
    return bisect_left(places, (first, "")), bisect_right(places, (last, LAST))


def _fits(fact: Fact, query: ListQuery, now: int) -> bool:
    if not _is_there(fact, now):
        return False
    if query.types and isinstance(fact, Event) and not query.types.fullmatch(fact.type):
        return False
    return all(_plain(getattr(fact, name)) == value for name, value in query.equal)


def _is_there(fact: Fact, now: int) -> bool:
    return fact.gone_at is None or fact.gone_at > now


def _plain(value: object) -> object:
    return value.id if isinstance(value, Fact) else value
