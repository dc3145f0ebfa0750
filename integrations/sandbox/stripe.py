"""The twin of Stripe: a shop's charges, refunds, balance, customers, payouts and events, by API.

Its data is a function of the seed and the clock alone. It reads like the real thing: newest
first, cursors that are ids, errors in Stripe's shape, and now and then an object that no contract
allows, because a connector that has not met one has not been tested.
"""

import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from secrets import token_hex
from types import MappingProxyType
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from integrations.sandbox.faults import Clock, Faults, Gate
from integrations.sandbox.stripe_api import stripe_app
from integrations.sandbox.stripe_contract import violation
from integrations.sandbox.stripe_events import Feed, event_body
from integrations.sandbox.stripe_facts import Event, Fact
from integrations.sandbox.stripe_lists import Listing
from integrations.sandbox.stripe_objects import body, deleted, encode
from integrations.sandbox.stripe_query import ListQuery, missing
from integrations.sandbox.stripe_shop import Shop
from integrations.sandbox.stripe_till import BAD_CHARGES

EPOCH = datetime(2026, 10, 1, tzinfo=UTC)
KINDS = ("charges", "refunds", "balance_transactions", "customers", "payouts")
EVENTS = "events"
KIND_OF = {
    "ch": "charges",
    "py": "charges",
    "re": "refunds",
    "pyr": "refunds",
    "txn": "balance_transactions",
    "cus": "customers",
    "po": "payouts",
}
SAMPLE = 100
"""Objects of each kind that the twin holds against the contract when it starts."""


class StripeTwin:
    """A stateful local Stripe; give it to `server.running` or any ASGI server.

    `clock` gives the time, aware UTC; it may jump either way. `per_day` is the number of charges
    a day in the first 54 days from `epoch` (midnight UTC); a trickle follows. `bad_charges`
    are the ways in which 0.3 % of them are bad, in turn. Raises RuntimeError when the twin's own
    good answers break the contract.
    """

    def __init__(
        self,
        seed: int,
        *,
        clock: Clock,
        epoch: datetime = EPOCH,
        per_day: int = 500,
        bad_charges: Sequence[str] = BAD_CHARGES,
    ) -> None:
        self.secrets: Mapping[str, str] = MappingProxyType({"api_key": f"sk_test_{token_hex(24)}"})
        self._clock = clock
        self._shop = Shop(seed, epoch=epoch, per_day=per_day, bad_charges=bad_charges)
        self._lists: dict[str, Listing[Any]] = {kind: Listing() for kind in KINDS}
        self._growing = threading.Lock()
        self._feed = Feed()
        app = stripe_app(self, kinds=(*KINDS, EVENTS), key=self.secrets["api_key"])
        self._gate = Gate(app, clock=clock)
        self._check_contract()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._gate(scope, receive, send)

    @property
    def faults(self) -> Faults:
        return self._gate.faults

    @property
    def requests(self) -> int:
        return self._gate.requests

    @property
    def log(self) -> Sequence[str]:
        """The last requests, as `GET /v1/charges?limit=100`."""
        return tuple(self._gate.log)

    def shown(self, kind: str, *, first: int = 0, last: int = 2**40) -> dict[str, str]:
        """What a list of `kind` holds now of `[first, last]` (created, epoch seconds).

        Newest first, from the id to how the object is bad ('' for a good one), of events the
        object in them: what a test compares a sync with.
        """
        now = self._now()
        return {fact.id: fact.bad for fact in self._listing(kind).between(first, last, now=now)}

    def _listing(self, kind: str) -> Listing[Any]:
        return self._feed.listing() if kind == EVENTS else self._lists[kind]

    def _now(self) -> int:
        """The clock's time in whole seconds, with the shop's days lived up to it."""
        now = int(self._clock().timestamp())
        # an app may be asked from its server's thread and a test's own at once
        with self._growing:
            new = self._shop.live_until(now)
            for kind in KINDS:
                if facts := getattr(new, kind):
                    self._lists[kind].add(facts)
            if new.customers or new.charges:
                self._feed.add(new)
        return now

    def _check_contract(self) -> None:
        now = self._now()
        for kind, listing in self._lists.items():
            for fact, _ in zip(listing.between(0, now, now=now), range(SAMPLE), strict=False):
                wrong = violation(kind, body=listing.encoded(fact, now=now))
                if wrong and not fact.bad:
                    raise RuntimeError(f"the twin of Stripe breaks its contract: {fact.id} {wrong}")

    def page(self, kind: str, *, query: ListQuery) -> tuple[Sequence[bytes], bool]:
        """One page of a list as it is now; raises StripeError for a cursor that is not there."""
        now, listing = self._now(), self._listing(kind)
        if query.cursor and listing.find(query.cursor, now=now) is None:
            param = "starting_after" if query.starting_after else "ending_before"
            raise missing(kind, ident=query.cursor, param=param)
        facts, more = listing.page(query, now=now)
        return [self._encoded(kind, fact, query.expand, now) for fact in facts], more

    def one(self, kind: str, *, ident: str, expand: frozenset[str]) -> bytes:
        """One object as it is now; raises StripeError for an id that is not there."""
        now = self._now()
        fact = self._listing(kind).find(ident, now=now)
        if fact is None:
            raise missing(kind, ident=ident, param="id")
        return self._encoded(kind, fact, expand, now)

    def _encoded(self, kind: str, fact: Fact, expand: frozenset[str], now: int) -> bytes:
        if isinstance(fact, Event):
            return encode(event_body(fact))
        if fact.gone_at is not None and fact.gone_at <= now:
            return msgspec.json.encode(deleted(fact))
        if not expand:
            return self._lists[kind].encoded(fact, now=now)
        made = body(fact, now=now)
        for field in expand:
            made[field] = self._expanded(made[field], now=now)
        return encode(made)

    def _expanded(self, ident: str | None, *, now: int) -> str | msgspec.Raw | None:
        kind = KIND_OF.get(str(ident).partition("_")[0])
        fact = self._lists[kind].find(ident, now=now) if kind and ident else None
        # a dispute is a source that the twin does not serve: its id stays an id
        if kind is None or fact is None:
            return ident
        return msgspec.Raw(self._encoded(kind, fact, frozenset(), now))
