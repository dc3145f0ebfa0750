"""The front of a Stripe: routes, keys, versions, envelopes and errors, whatever stands behind it.

The twin stands behind it, whose data follows from a seed; so may any other `Store`, and a test's
own source then answers, and refuses, in the very words of the twin.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Collection, Sequence
from secrets import token_hex
from typing import Protocol

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from integrations.sandbox.stripe_names import API_VERSION
from integrations.sandbox.stripe_query import ListQuery, StripeError, read_list, read_one


class Store(Protocol):
    """What there is, as JSON objects; `kind` is the name of a resource in the path."""

    def page(self, kind: str, *, query: ListQuery) -> tuple[Sequence[bytes], bool]:
        """The objects of one page, newest first, and whether more follow in its direction.

        Raises StripeError for a cursor that names nothing.
        """

    def one(self, kind: str, *, ident: str, expand: frozenset[str]) -> bytes:
        """The object with this id, or what is left of it; raises StripeError when there is none."""


def stripe_app(store: Store, *, kinds: Collection[str], key: str) -> Starlette:
    """The API over `store`, read only, for who brings `key`; `kinds` are the resources it has."""
    front = _Front(store, kinds=kinds, key=key)
    routes = [
        Route("/v1/{kind}", front.list, methods=["GET"]),
        Route("/v1/{kind}/{ident}", front.one, methods=["GET"]),
    ]
    refusals = {StripeError: _refuse, 404: _unrouted, 405: _unrouted}
    return Starlette(routes=routes, exception_handlers=refusals)


class _Front:
    def __init__(self, store: Store, *, kinds: Collection[str], key: str) -> None:
        self._store = store
        self._kinds = kinds
        self._key = key.encode()

    async def list(self, request: Request) -> Response:
        kind = self._let_in(request)
        query = read_list(kind, params=request.query_params.multi_items())
        objects, more = self._store.page(kind, query=query)
        head, end = b'{"object":"list","data":[', b"true" if more else b"false"
        tail = b'],"has_more":' + end + f',"url":"/v1/{kind}"}}'.encode()
        return _answer(request, head + b",".join(objects) + tail)

    async def one(self, request: Request) -> Response:
        kind = self._let_in(request)
        expand = read_one(kind, params=request.query_params.multi_items())
        return _answer(
            request, self._store.one(kind, ident=request.path_params["ident"], expand=expand)
        )

    def _let_in(self, request: Request) -> str:
        """The kind asked for, once the key and the version have been looked at."""
        self._check_key(request.headers.get("authorization", ""))
        version = request.headers.get("stripe-version", API_VERSION)
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}(\.[a-z]+)?(; ?\w+=\w+)*", version):
            raise StripeError(f"Invalid Stripe API version: {version}")
        kind = str(request.path_params["kind"])
        if kind not in self._kinds:
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
        if not hmac.compare_digest(key.encode(), self._key):
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
