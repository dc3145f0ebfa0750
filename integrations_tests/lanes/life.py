"""A source that a test changes as it goes: Stripe's API over objects with a life of their own.

The twin of Stripe is a function of its clock, so nothing unforeseen can happen in it. Here a test
says what happens (or rolls dice for it), asks what is true now, and compares that with the tables.
The API is the twin's own front, so both answer and refuse alike.
"""

import threading
from bisect import insort
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from hashlib import blake2b
from random import Random
from secrets import token_hex
from types import MappingProxyType
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from integrations.sandbox.faults import Clock, Faults, Gate
from integrations.sandbox.stripe_api import stripe_app
from integrations.sandbox.stripe_lists import Place, page_of
from integrations.sandbox.stripe_names import API_VERSION, DAY
from integrations.sandbox.stripe_objects import body
from integrations.sandbox.stripe_query import ListQuery, StripeError, missing
from integrations_tests.lanes.life_objects import CHANGES, FACTS, Object

NOUNS = {"charges": "charge", "refunds": "refund", "payouts": "payout", "customers": "customer"}
"""What a test can make, and how events call it."""
PREFIXES = {"charges": "ch", "refunds": "re", "payouts": "po", "customers": "cus", "events": "evt"}
EVENTS = "events"
KINDS = (*NOUNS, "balance_transactions", EVENTS)
"""What is served; balance transactions are an empty list, so that a whole connector can be read."""
MADE = {"charges": "charge.succeeded"}
"""The type of the event of a creation, where it is not `<noun>.created`."""


class Life:
    """An ASGI app with the shape of Stripe's API, whose truth its methods change at once.

    `clock` gives the source's time, aware UTC. Events are at whole seconds of it and never before
    the event before them, whatever the clock does; they stand in the feed in the order in which
    things happened, and can be found for `kept_s` seconds, which a test may set at any time. All
    methods may be called from any thread while the app is served.
    """

    def __init__(self, *, clock: Clock, kept_s: int = 30 * DAY) -> None:
        self.secrets: Mapping[str, str] = MappingProxyType({"api_key": f"sk_test_{token_hex(24)}"})
        self.kept_s = kept_s
        self._clock = clock
        self._lock = threading.RLock()
        self._mood = threading.local()
        self._objects: dict[str, dict[str, Object]] = {kind: {} for kind in KINDS}
        self._places: dict[str, list[Place]] = {kind: [] for kind in KINDS}
        self._gone: dict[tuple[str, str], None] = {}
        self._made = 0
        self._told_at = 0
        self._paths: Counter[str] = Counter()
        self._gate = Gate(stripe_app(self, kinds=KINDS, key=self.secrets["api_key"]), clock=clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._lock:
            self._paths[scope.get("path", "")] += 1
        await self._gate(scope, receive, send)

    @property
    def faults(self) -> Faults:
        return self._gate.faults

    @property
    def requests(self) -> int:
        return self._gate.requests

    def requests_of(self, prefix: str) -> int:
        """How many requests came for paths that begin so, refused ones included."""
        with self._lock:
            return sum(count for path, count in self._paths.items() if path.startswith(prefix))

    # What happens

    def create(
        self,
        kind: str,
        id: str | None = None,  # noqa: A002  # the API's word
        *,
        created: int | None = None,
        event: bool = True,
        **values: Any,
    ) -> str:
        """Makes an object and gives its id; `created` (epoch seconds) may lie in the past."""
        with self._lock:
            ident = id or self._ident(kind)
            if ident in self._objects[kind]:
                raise ValueError(f"{kind} has {ident} already")
            at = self._now() if created is None else created
            made = body(FACTS[kind](ident, at, self._made), now=at)
            insort(self._places[kind], (at, ident))
            self._set(kind, {**made, **values})
            self._tell(kind, ident, MADE.get(kind, f"{NOUNS[kind]}.created"), event=event)
            return ident

    def change(
        self,
        kind: str,
        ident: str,
        *,
        event: bool = True,
        without: Collection[str] = (),
        **values: Any,
    ) -> None:
        """Gives attributes of an object that exists other values, and takes some away; `created`
        never changes."""
        if values.keys() & {"id", "object", "created"}:
            raise ValueError("an object keeps its id, its kind and its creation")
        with self._lock:
            before = self._existing(kind, ident)
            before = {name: value for name, value in before.items() if name not in without}
            was = {name: before.get(name) for name in values}
            self._set(kind, {**before, **values})
            self._tell(kind, ident, f"{NOUNS[kind]}.updated", event=event, was=was)

    def delete(self, kind: str, ident: str, *, event: bool = True) -> None:
        """Takes an object away; its event carries it as it last was.

        Stripe deletes customers only, and leaves a stub of them; other kinds leave nothing.
        """
        with self._lock:
            self._existing(kind, ident)
            self._gone[kind, ident] = None
            self._tell(kind, ident, f"{NOUNS[kind]}.deleted", event=event)

    def revive(self, kind: str, ident: str, *, event: bool = True, **values: Any) -> None:
        """Brings a deleted object back, with its old id and creation, changed by `values`."""
        with self._lock:
            del self._gone[kind, ident]
            self._set(kind, {**self._objects[kind][ident], **values})
            self._tell(kind, ident, f"{NOUNS[kind]}.updated", event=event, was={})

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """What this thread does inside happens without events."""
        before, self._mood.quiet = getattr(self._mood, "quiet", False), True
        try:
            yield
        finally:
            self._mood.quiet = before

    def live(
        self,
        rng: Random,
        steps: int,
        *,
        kinds: Sequence[str] = ("charges", "customers"),
        deletes: Collection[str] = ("customers",),
        back_s: int = 20 * DAY,
    ) -> list[tuple[str, str, str]]:
        """Lets so many things happen: creations, some back-dated by up to `back_s`, changes,
        deletions and revivals of the kinds in `deletes`.

        All of it happens in the second in which the clock stands. Gives what was done, as (verb,
        kind, id); the same dice on the same state do the same.
        """
        return [self._step(rng, rng.choice(kinds), deletes, back_s) for _ in range(steps)]

    def truth(self, kind: str) -> dict[str, Object]:
        """What exists now, by id."""
        with self._lock:
            known = self._objects[kind].items()
            return {ident: dict(one) for ident, one in known if (kind, ident) not in self._gone}

    # What the API shows

    def page(self, kind: str, *, query: ListQuery) -> tuple[Sequence[bytes], bool]:
        _refuse(query.expand)
        with self._lock:
            known, places = self._objects[kind], self._places[kind]
            cursor = self._cursor(kind, query) if query.cursor else None
            query = replace(query, first=max(query.first, self._oldest(kind)))
            indices, more = page_of(
                places, query, cursor=cursor, fits=lambda i: self._fits(kind, places[i][1], query)
            )
            return [msgspec.json.encode(known[places[i][1]]) for i in indices], more

    def one(self, kind: str, *, ident: str, expand: frozenset[str]) -> bytes:
        _refuse(expand)
        with self._lock:
            found = self._objects[kind].get(ident)
            gone = (kind, ident) in self._gone
            if gone and kind == "customers":
                return msgspec.json.encode({"id": ident, "object": "customer", "deleted": True})
            if found is None or gone or found["created"] < self._oldest(kind):
                raise missing(kind, ident=ident, param="id")
            return msgspec.json.encode(found)

    def _cursor(self, kind: str, query: ListQuery) -> Place:
        found = self._objects[kind].get(query.cursor)
        if found is None or found["created"] < self._oldest(kind):
            param = "starting_after" if query.starting_after else "ending_before"
            raise missing(kind, ident=query.cursor, param=param)
        return (found["created"], query.cursor)

    def _fits(self, kind: str, ident: str, query: ListQuery) -> bool:
        one = self._objects[kind][ident]
        if (kind, ident) in self._gone or (query.types and not query.types.fullmatch(one["type"])):
            return False
        return all(one.get(name) == value for name, value in query.equal)

    def _oldest(self, kind: str) -> int:
        return self._now() - self.kept_s if kind == EVENTS else 0

    # How it is kept

    def _now(self) -> int:
        return int(self._clock().timestamp())

    def _ident(self, kind: str) -> str:
        """A fresh id; the order of ids says nothing, as at Stripe, but of events."""
        self._made += 1
        digest = blake2b(str(self._made).encode(), digest_size=6).hexdigest()
        stem = f"{self._made:012d}{digest}" if kind == EVENTS else f"{digest}{self._made:012d}"
        return f"{PREFIXES[kind]}_1{stem}"

    def _set(self, kind: str, one: Object) -> None:
        self._objects[kind][one["id"]] = one

    def _existing(self, kind: str, ident: str) -> Object:
        if (kind, ident) in self._gone:
            raise KeyError(f"{ident} is deleted")
        return self._objects[kind][ident]

    def _tell(
        self, kind: str, ident: str, type_: str, *, event: bool, was: Object | None = None
    ) -> None:
        if not event or getattr(self._mood, "quiet", False):
            return
        self._told_at = at = max(self._told_at, self._now())
        told = self._ident(EVENTS)
        self._places[EVENTS].append((at, told))
        one = {"id": told, "object": "event", "api_version": API_VERSION, "created": at}
        data = {"object": self._objects[kind][ident]}
        one["data"] = data if was is None else {**data, "previous_attributes": was}
        one |= {"livemode": False, "pending_webhooks": 0}
        self._set(EVENTS, one | {"request": None, "type": type_})

    def _step(
        self, rng: Random, kind: str, deletes: Collection[str], back_s: int
    ) -> tuple[str, str, str]:
        with self._lock:
            living = [one for one in self._objects[kind] if (kind, one) not in self._gone]
            gone = [ident for its, ident in self._gone if its == kind]
            may = {"create": 30, "back-date": 15}
            may |= {"change": 40} if living else {}
            may |= {"delete": 10} if living and kind in deletes else {}
            may |= {"revive": 8} if gone and kind in deletes else {}
            (verb,) = rng.choices([*may], [*may.values()])
            if verb in ("create", "back-date"):
                created = self._now() - (rng.randint(1, back_s) if verb == "back-date" else 0)
                return verb, kind, self.create(kind, created=created, **CHANGES[kind](rng))
            ident = rng.choice(gone if verb == "revive" else living)
            if verb == "delete":
                self.delete(kind, ident)
            else:
                act = self.change if verb == "change" else self.revive
                act(kind, ident, **CHANGES[kind](rng))
            return verb, kind, ident


def _refuse(expand: frozenset[str]) -> None:
    if expand:
        raise StripeError("Nothing expands here.", param="expand")
