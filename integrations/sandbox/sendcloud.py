"""The twin of Sendcloud: a depot's shipments, parcels and returns, by the APIs v3 and v2.

Its data is a function of the seed and the clock alone. It speaks all the dialects of the real
thing: five ways to write a moment, weights in three units, numbers as texts and floats, three
shapes of pages; and now and then an object that no contract allows.
"""

import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from secrets import token_hex
from types import MappingProxyType

import msgspec
from starlette.types import Receive, Scope, Send

from integrations.sandbox.faults import Clock, Faults, Gate
from integrations.sandbox.sendcloud_api import sendcloud_app
from integrations.sandbox.sendcloud_contract import violation
from integrations.sandbox.sendcloud_depot import Depot, Fact, Shipment
from integrations.sandbox.sendcloud_dialects import micros
from integrations.sandbox.sendcloud_objects import body
from integrations.sandbox.sendcloud_query import Asked

EPOCH = datetime(2026, 10, 1, tzinfo=UTC)
KINDS = ("shipments", "parcels", "returns")
SAMPLE = 100
"""Objects of each kind that the twin holds against the contract when it starts."""


class SendcloudTwin:
    """A stateful local Sendcloud; give it to `server.running` or any ASGI server.

    `clock` gives the time, aware UTC; it may jump either way. `per_day` is the number of shipments
    a day in the first 54 days from `epoch` (midnight UTC); a trickle follows. Raises RuntimeError
    when the twin's own good answers break the contract.
    """

    def __init__(
        self, seed: int, *, clock: Clock, epoch: datetime = EPOCH, per_day: int = 20
    ) -> None:
        self.secrets: Mapping[str, str] = MappingProxyType(
            {"public_key": token_hex(16), "secret_key": token_hex(16)}
        )
        self._clock = clock
        self._depot = Depot(seed, epoch=epoch, per_day=per_day)
        self._facts: dict[str, list[Fact]] = {kind: [] for kind in KINDS}
        self._by_id: dict[tuple[str, str], Fact] = {}
        self._bytes: dict[tuple[str, int, int], bytes] = {}
        self._growing = threading.Lock()
        self._gate = Gate(sendcloud_app(self, secrets=self.secrets), clock=clock)
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
        """The last requests, as `GET /api/v3/shipments?page_size=100`."""
        return tuple(self._gate.log)

    def shown(self, kind: str) -> dict[str, str]:
        """What a list holds now, newest first: from the id to how the object is bad, or ''."""
        now = self._now()
        return {ident(f): f.bad for f in reversed(self._facts[kind]) if f.created <= now}

    def _now(self) -> int:
        """The clock's time, with the depot's days lived up to it."""
        now = micros(self._clock())
        # an app may be asked from its server's thread and a test's own at once
        with self._growing:
            new = self._depot.live_until(now)
            for kind in KINDS:
                facts: Sequence[Fact] = getattr(new, kind)
                self._facts[kind].extend(facts)
                self._by_id.update(((kind, ident(fact)), fact) for fact in facts)
        return now

    def _check_contract(self) -> None:
        now = self._now()
        for kind, facts in self._facts.items():
            for fact in [fact for fact in facts if fact.created <= now][-SAMPLE:]:
                wrong = violation(kind, body=self.encoded(kind, fact))
                if wrong and not fact.bad:
                    said = f"the twin of Sendcloud breaks its contract: {kind} {fact.place} {wrong}"
                    raise RuntimeError(said)

    def page(self, kind: str, asked: Asked) -> tuple[Sequence[Fact], bool, bool]:
        """One page of a list as it is now, and whether there are older and newer facts."""
        now = self._now()
        fits = [fact for fact in self._facts[kind] if asked.fits(fact, now)]
        edge = asked.place
        if asked.backwards and edge is not None:
            low = sum(fact.place <= edge for fact in fits)
            high = min(len(fits), low + asked.size)
        else:
            high = len(fits) if edge is None else sum(fact.place < edge for fact in fits)
            low = max(0, high - asked.size)
        found = fits[low:high][::-1]
        return found, bool(found) and low > 0, bool(found) and high < len(fits)

    def one(self, kind: str, ident: str) -> Fact | None:
        """The fact with this id, if it is there by now."""
        now = self._now()
        fact = self._by_id.get((kind, ident))
        return fact if fact is not None and fact.created <= now else None

    def encoded(self, kind: str, fact: Fact) -> bytes:
        """The object's JSON as it looks now; made once for each look."""
        now = self._now()
        key = (kind, fact.place, len(fact.past(now)))
        made = self._bytes.get(key)
        if made is None:
            made = self._bytes[key] = msgspec.json.encode(body(fact, now=now))
        return made


def ident(fact: Fact) -> str:
    """What its list knows it by."""
    return fact.id if isinstance(fact, Shipment) else str(fact.place)
