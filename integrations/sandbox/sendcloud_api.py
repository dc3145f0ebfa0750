"""The front of a Sendcloud: routes, Basic credentials, three shapes of pages, errors in two.

v3's shipments say the next page in a `Link` header, its returns in a URL of the body, v2's parcels
in a token. The addresses hold the cursor and not the filters, as those of the reference do.
"""

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence
from typing import Protocol
from urllib.parse import urlencode

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from integrations.sandbox.sendcloud_depot import Fact
from integrations.sandbox.sendcloud_names import STATUSES
from integrations.sandbox.sendcloud_query import (
    Asked,
    SendcloudError,
    cursor_of,
    parcels,
    returns,
    shipments,
)


class Store(Protocol):
    """What there is; `kind` is shipments, parcels or returns."""

    def page(self, kind: str, asked: Asked) -> tuple[Sequence[Fact], bool, bool]:
        """The facts of a page, newest first, and whether there are older and newer ones."""

    def encoded(self, kind: str, fact: Fact) -> bytes:
        """Its JSON as it looks now."""

    def one(self, kind: str, ident: str) -> Fact | None:
        """The fact with this id, if it is there by now."""


def sendcloud_app(store: Store, *, secrets: Mapping[str, str]) -> Starlette:
    """The API over `store`, read only, for who brings the pair of keys."""
    front = _Front(store, f"{secrets['public_key']}:{secrets['secret_key']}")
    routes = [
        Route(path, endpoint, methods=["GET"])
        for path, endpoint in (
            ("/api/v3/shipments", front.shipments),
            ("/api/v3/shipments/", front.shipments),
            ("/api/v3/shipments/{ident}", front.shipment),
            ("/api/v3/returns", front.returns),
            ("/api/v3/returns/{ident}", front.one_return),
            ("/api/v3/parcels/statuses", front.statuses),
            ("/api/v2/parcels", front.parcels),
            ("/api/v2/parcels/{ident}", front.parcel),
        )
    ]
    refusals = {SendcloudError: _refuse, 404: _unrouted, 405: _unrouted}
    return Starlette(routes=routes, exception_handlers=refusals)


class _Front:
    def __init__(self, store: Store, pair: str) -> None:
        self._store, self._pair = store, pair.encode()

    async def shipments(self, request: Request) -> Response:
        self._let_in(request)
        asked = shipments(request.query_params)
        facts, older, newer = self._store.page("shipments", asked)
        links = []
        for rel, there in (("prev", newer), ("next", older)):
            if there:
                url = _address(request, facts, asked, rel=rel, slash="/")
                links.append(f'<{url}>; rel="{rel}"')
        headers = {"link": ", ".join(links)} if links else {}
        return _answer(b'{"data":[' + self._joined("shipments", facts) + b"]}", headers=headers)

    async def returns(self, request: Request) -> Response:
        self._let_in(request)
        asked = returns(request.query_params)
        facts, older, newer = self._store.page("returns", asked)
        urls = {
            word: _address(request, facts, asked, rel=rel) if there else None
            for word, rel, there in (("next", "next", older), ("previous", "prev", newer))
        }
        head = msgspec.json.encode(urls)[:-1]
        return _answer(head + b',"data":[' + self._joined("returns", facts) + b"]}")

    async def parcels(self, request: Request) -> Response:
        self._let_in(request)
        facts, older, newer = self._store.page("parcels", parcels(request.query_params))
        tokens = {
            "next": facts[-1].place if older else None,
            "previous": -facts[0].place if newer else None,
        }
        head = msgspec.json.encode(tokens)[:-1]
        return _answer(head + b',"parcels":[' + self._joined("parcels", facts) + b"]}")

    async def statuses(self, request: Request) -> Response:
        self._let_in(request)
        known = [{"code": one.code, "message": one.message} for one in STATUSES.values()]
        return _answer(msgspec.json.encode({"data": known}))

    async def shipment(self, request: Request) -> Response:
        return _answer(b'{"data":' + self._one("shipments", request) + b"}")

    async def parcel(self, request: Request) -> Response:
        return _answer(b'{"parcel":' + self._one("parcels", request) + b"}")

    async def one_return(self, request: Request) -> Response:
        return _answer(self._one("returns", request))

    def _one(self, kind: str, request: Request) -> bytes:
        self._let_in(request)
        fact = self._store.one(kind, request.path_params["ident"])
        if fact is None:
            raise SendcloudError("Not found.", status=404, code="not_found")
        return self._store.encoded(kind, fact)

    def _joined(self, kind: str, facts: Sequence[Fact]) -> bytes:
        return b",".join(self._store.encoded(kind, fact) for fact in facts)

    def _let_in(self, request: Request) -> None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        try:
            pair = base64.b64decode(given.strip(), validate=True)
        except binascii.Error:
            pair = b""
        if scheme.lower() != "basic" or not hmac.compare_digest(pair, self._pair):
            said = "Invalid username/password."
            raise SendcloudError(said, status=401, code="authentication_failed")


def _address(
    request: Request, facts: Sequence[Fact], asked: Asked, *, rel: str, slash: str = ""
) -> str:
    """A page's address: cursor and size, and none of the filters that led here."""
    edge = facts[-1] if rel == "next" else facts[0]
    cursor = cursor_of(edge.place, backwards=rel == "prev")
    query = urlencode({"cursor": cursor, "page_size": asked.size})
    return f"{request.base_url}{request.url.path.strip('/')}{slash}?{query}"


def _answer(
    content: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(content, status, headers, media_type="application/json")


async def _unrouted(request: Request, _: Exception) -> Response:
    error = SendcloudError("Not found.", status=404, code="not_found")
    return await _refuse(request, error)


async def _refuse(request: Request, error: Exception) -> Response:
    if not isinstance(error, SendcloudError):
        raise error
    content = msgspec.json.encode(error.body(request.url.path))
    return _answer(content, status=error.status)
