"""The twin of Stripe: a shop's charges, refunds, balance, customers and payouts over its API.

Its data is a function of the seed and the clock alone. It reads like the real thing: newest
first, cursors that are ids, errors in Stripe's shape, and now and then an object that no contract
allows, because a connector that has not met one has not been tested.
"""

import base64
import binascii
import hmac
import re
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from secrets import token_hex
from types import MappingProxyType
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from integrations.sandbox.faults import Clock, Faults, Gate
from integrations.sandbox.stripe_contract import violation
from integrations.sandbox.stripe_facts import Fact
from integrations.sandbox.stripe_lists import Listing
from integrations.sandbox.stripe_objects import body, deleted, encode
from integrations.sandbox.stripe_query import StripeError, missing, read_list, read_one
from integrations.sandbox.stripe_shop import Shop
from integrations.sandbox.stripe_till import BAD_CHARGES

EPOCH = datetime(2026, 10, 1, tzinfo=UTC)
API_VERSION = "2026-10-28.endive"
KINDS = ("charges", "refunds", "balance_transactions", "customers", "payouts")
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
        routes = [
            Route("/v1/{kind}", self._list, methods=["GET"]),
            Route("/v1/{kind}/{ident}", self._one, methods=["GET"]),
        ]
        app = Starlette(
            routes=routes,
            exception_handlers={StripeError: _refuse, 404: _unrouted, 405: _unrouted},
        )
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

        Newest first, from the id to how the object is bad ('' for a good one): what a test
        compares a sync with.
        """
        now = self._now()
        return {fact.id: fact.bad for fact in self._lists[kind].between(first, last, now=now)}

    def _now(self) -> int:
        """The clock's time in whole seconds, with the shop's days lived up to it."""
        now = int(self._clock().timestamp())
        # an app may be asked from its server's thread and a test's own at once
        with self._growing:
            new = self._shop.live_until(now)
            for kind in KINDS:
                if facts := getattr(new, kind):
                    self._lists[kind].add(facts)
        return now

    def _check_contract(self) -> None:
        now = self._now()
        for kind, listing in self._lists.items():
            for fact, _ in zip(listing.between(0, now, now=now), range(SAMPLE), strict=False):
                wrong = violation(kind, body=listing.encoded(fact, now=now))
                if wrong and not fact.bad:
                    raise RuntimeError(f"the twin of Stripe breaks its contract: {fact.id} {wrong}")

    async def _list(self, request: Request) -> Response:
        kind = self._let_in(request)
        query = read_list(kind, params=request.query_params.multi_items())
        now = self._now()
        listing = self._lists[kind]
        for param in ("starting_after", "ending_before"):
            ident = getattr(query, param)
            if ident and listing.find(ident, now=now) is None:
                raise missing(kind, ident=ident, param=param)
        facts, more = listing.page(query, now=now)
        objects = b",".join(self._encoded(kind, fact, query.expand, now) for fact in facts)
        head, end = b'{"object":"list","data":[', b"true" if more else b"false"
        return _answer(
            request, head + objects + b'],"has_more":' + end + f',"url":"/v1/{kind}"}}'.encode()
        )

    async def _one(self, request: Request) -> Response:
        kind, ident = self._let_in(request), request.path_params["ident"]
        expand = read_one(kind, params=request.query_params.multi_items())
        now = self._now()
        fact = self._lists[kind].find(ident, now=now)
        if fact is None:
            raise missing(kind, ident=ident, param="id")
        return _answer(request, self._encoded(kind, fact, expand, now))

    def _encoded(self, kind: str, fact: Fact, expand: frozenset[str], now: int) -> bytes:
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

    def _let_in(self, request: Request) -> str:
        """The kind asked for, once the key and the version have been looked at."""
        self._check_key(request.headers.get("authorization", ""))
        version = request.headers.get("stripe-version", API_VERSION)
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}(\.[a-z]+)?(; ?\w+=\w+)*", version):
            raise StripeError(f"Invalid Stripe API version: {version}")
        kind = str(request.path_params["kind"])
        if kind not in KINDS:
            raise _unrecognized(request)
        return kind

    def _check_key(self, header: str) -> None:
        scheme, _, given = header.partition(" ")
        key = given.strip()
        if scheme.lower() == "basic":
            try:
                key = base64.b64decode(key, validate=True).decode().partition(":")[0]
            except (binascii.Error, UnicodeDecodeError):
                key = ""
        if scheme.lower() not in ("basic", "bearer") or not key:
            said = "You did not provide an API key. You need to provide your API key in the"
            raise StripeError(f"{said} Authorization header, using Bearer auth.", status=401)
        if not hmac.compare_digest(key.encode(), self.secrets["api_key"].encode()):
            hidden = f"{key[:8]}{'*' * 12}{key[-4:]}" if len(key) > 24 else "*" * len(key)
            raise StripeError(f"Invalid API Key provided: {hidden}", status=401)


def _headers(request: Request) -> dict[str, str]:
    version = request.headers.get("stripe-version", API_VERSION)
    return {"request-id": f"req_{token_hex(7)}", "stripe-version": version}


def _answer(request: Request, content: bytes, *, status: int = 200) -> Response:
    headers = _headers(request)
    return Response(content, status, headers, media_type="application/json")


def _unrecognized(request: Request) -> StripeError:
    said = f"Unrecognized request URL ({request.method}: {request.url.path})."
    return StripeError(f"{said} Please see https://stripe.com/docs.", status=404)


async def _unrouted(request: Request, _: Exception) -> Response:
    return await _refuse(request, _unrecognized(request))


async def _refuse(request: Request, error: Exception) -> Response:
    if not isinstance(error, StripeError):
        raise error
    return _answer(request, msgspec.json.encode(error.body()), status=error.status)
