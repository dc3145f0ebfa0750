"""The twin of ShipHero: a warehouse's orders, shipments and returns, over GraphQL.

Its data is a function of the seed and the clock alone. Its lists have no order that a field has,
connections inside an order are cut in silence where a query asks for fewer lines than it has, and
now and then there is an object that no contract allows.
"""

import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from secrets import token_hex
from types import MappingProxyType
from typing import Any

from starlette.types import Receive, Scope, Send

from integrations.sandbox.faults import Clock, Faults, Gate
from integrations.sandbox.shiphero_api import Row, Tokens, shiphero_app
from integrations.sandbox.shiphero_credits import Credits
from integrations.sandbox.shiphero_objects import (
    global_id,
    order_body,
    return_body,
    shipment_body,
)
from integrations.sandbox.shiphero_warehouse import Fact, Order, Shipment, Warehouse

EPOCH = datetime(2026, 11, 1, tzinfo=UTC)
KINDS = ("orders", "shipments", "returns")
TOKEN_S = 28 * 86_400
CREDITS_PER_SECOND = 60
_TYPES = {"orders": "Order", "shipments": "Shipment", "returns": "Return"}


class ShipHeroTwin:
    """A stateful local ShipHero; give it to `server.running` or any ASGI server.

    `clock` gives the time, aware UTC; it may jump either way. `per_day` is the number of orders a
    day in the first 54 days from `epoch` (midnight UTC); a trickle follows. With `credits_` (there
    are 4004 at ShipHero) queries are paid for, and 60 come back a second: without, since a demo
    would spend its time waiting, they cost nothing. A token is good for `token_s` seconds.
    """

    def __init__(
        self,
        seed: int,
        *,
        clock: Clock,
        epoch: datetime = EPOCH,
        per_day: int = 12,
        credits_: int | None = None,
        token_s: int = TOKEN_S,
    ) -> None:
        self.secrets: Mapping[str, str] = MappingProxyType(
            {"username": f"{token_hex(12)}@warehouse.example", "password": token_hex(24)}
        )
        self._clock = clock
        self._warehouse = Warehouse(seed, epoch=epoch, per_day=per_day)
        self._facts: dict[str, list[Fact]] = {kind: [] for kind in KINDS}
        self._by_id: dict[tuple[str, str], Fact] = {}
        self._growing = threading.Lock()
        paid = Credits(clock, most=credits_, per_second=CREDITS_PER_SECOND) if credits_ else None
        tokens = Tokens(self.secrets, clock=clock, token_s=token_s)
        self._gate = Gate(shiphero_app(self, tokens=tokens, credits_=paid), clock=clock)

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
        """The last requests, as `POST /graphql`."""
        return tuple(self._gate.log)

    def shown(self, kind: str) -> dict[str, str]:
        """What a list holds now: from the id to how the object is bad, or ''."""
        now = self._now()
        return {_ident(kind, fact): fact.bad for fact in self._there(kind, now)}

    def listed(self, kind: str, start: int | None, end: int | None) -> list[Row]:
        """The objects of a list whose time lies in `[start, end)`, by their places.

        An order's time is that of its last change, another's that at which it was made.
        """
        now = self._now()
        found = [
            fact
            for fact in self._there(kind, now)
            if (start is None or start <= _time(fact, now))
            and (end is None or _time(fact, now) < end)
        ]
        return [(fact.place, partial(_body, fact, now)) for fact in found]

    def one(self, kind: str, ident: str) -> dict[str, Any] | None:
        """The object with this id, if it is there by now."""
        now = self._now()
        fact = self._by_id.get((kind, ident))
        return _body(fact, now) if fact is not None and fact.created <= now else None

    def _there(self, kind: str, now: int) -> list[Fact]:
        return [fact for fact in self._facts[kind] if fact.created <= now]

    def _now(self) -> int:
        """The clock's time in whole seconds, with the warehouse's days lived up to it."""
        now = int(self._clock().timestamp())
        # an app may be asked from its server's thread and a test's own at once
        with self._growing:
            new = self._warehouse.live_until(now)
            for kind in KINDS:
                facts: Sequence[Fact] = getattr(new, kind)
                if facts:
                    self._facts[kind] = sorted(
                        [*self._facts[kind], *facts], key=lambda fact: fact.place
                    )
                    self._by_id |= {(kind, _ident(kind, fact)): fact for fact in facts}
        return now


def _ident(kind: str, fact: Fact) -> str:
    return global_id(_TYPES[kind], fact.id)


def _time(fact: Fact, now: int) -> int:
    return fact.at(now)[0] if isinstance(fact, Order) else fact.created


def _body(fact: Fact, now: int) -> dict[str, Any]:
    if isinstance(fact, Order):
        return order_body(fact, now)
    if isinstance(fact, Shipment):
        return shipment_body(fact, now)
    return return_body(fact, now)
