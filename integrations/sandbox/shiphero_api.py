"""The front of a ShipHero: tokens for a name and a password, and GraphQL over POST.

Tokens are JWTs that say themselves how long they are good; several may be good at once. An error
of a query is told inside a 200, as is that credits are missing; a token that is not good is a 401.
"""

import base64
import binascii
import hmac
import json
from collections.abc import Callable, Mapping
from functools import partial
from secrets import token_bytes, token_urlsafe
from typing import Any, Protocol
from uuid import uuid4

import graphql
import msgspec
from graphql import DocumentNode
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from integrations.sandbox.faults import Clock
from integrations.sandbox.shiphero_credits import Credits, cost
from integrations.sandbox.shiphero_schema import SCHEMA, connection

Row = tuple[int, Callable[[], dict[str, Any]]]
"""The place of an object in its list, and what makes it."""


class Store(Protocol):
    """What there is; `kind` is orders, shipments or returns."""

    def listed(self, kind: str, start: int | None, end: int | None) -> list[Row]:
        """The objects of a list whose time lies in `[start, end)`, by their places."""

    def one(self, kind: str, ident: str) -> dict[str, Any] | None:
        """The object with this id, if it is there by now."""


class Tokens:
    """Who may come in, and for how long (`token_s` seconds)."""

    def __init__(self, secrets: Mapping[str, str], *, clock: Clock, token_s: int) -> None:
        self._secrets, self._clock, self._token_s = secrets, clock, token_s
        self._key, self._refresh = token_bytes(32), token_urlsafe(48)

    def given(self, username: object, password: object) -> dict[str, Any] | None:
        """New tokens for the right pair."""
        right = [
            isinstance(given, str) and hmac.compare_digest(given.encode(), known.encode())
            for given, known in zip((username, password), self._pair, strict=True)
        ]
        return self._made(refresh_token=self._refresh) if all(right) else None

    def again(self, refresh_token: object) -> dict[str, Any] | None:
        """A new access token for a refresh token."""
        right = isinstance(refresh_token, str) and hmac.compare_digest(
            refresh_token.encode(), self._refresh.encode()
        )
        return self._made() if right else None

    @property
    def _pair(self) -> tuple[str, str]:
        return self._secrets["username"], self._secrets["password"]

    def good(self, authorization: str) -> bool:
        """Whether a header holds a token of ours that is not too old."""
        scheme, _, token = authorization.partition(" ")
        signed, _, seal = token.rpartition(".")
        if scheme != "Bearer" or not hmac.compare_digest(
            seal.encode(), self._seal(signed).encode()
        ):
            return False
        said = signed.partition(".")[2]
        payload = json.loads(base64.urlsafe_b64decode(said + "=" * (-len(said) % 4)))
        return bool(self._clock().timestamp() < payload["exp"])

    def _made(self, **more: str) -> dict[str, Any]:
        now = int(self._clock().timestamp())
        parts = (
            {"alg": "HS256", "typ": "JWT"},
            {"sub": "auth0|7556", "iat": now, "exp": now + self._token_s, "jti": uuid4().hex},
        )
        signed = ".".join(_urlsafe(json.dumps(part).encode()) for part in parts)
        token = f"{signed}.{self._seal(signed)}"
        about = {"expires_in": self._token_s, "scope": "openid", "token_type": "Bearer"}
        return {"access_token": token, **more, **about}

    def _seal(self, signed: str) -> str:
        return _urlsafe(hmac.digest(self._key, signed.encode(), "sha256"))


def shiphero_app(store: Store, *, tokens: Tokens, credits_: Credits | None) -> Starlette:
    """The API over `store`, read only; without `credits_` queries cost nothing."""
    front = _Front(store, tokens, credits_)
    routes = [
        Route(path, endpoint, methods=["POST"])
        for path, endpoint in (
            ("/auth/token", front.token),
            ("/auth/refresh", front.refresh),
            ("/graphql", front.graphql),
        )
    ]
    return Starlette(routes=routes)


class _Front:
    def __init__(self, store: Store, tokens: Tokens, credits_: Credits | None) -> None:
        self._store, self._tokens, self._credits = store, tokens, credits_

    async def token(self, request: Request) -> JSONResponse:
        asked = await _object(request)
        return _told(self._tokens.given(asked.get("username"), asked.get("password")))

    async def refresh(self, request: Request) -> JSONResponse:
        return _told(self._tokens.again((await _object(request)).get("refresh_token")))

    async def graphql(self, request: Request) -> JSONResponse:
        if not self._tokens.good(request.headers.get("authorization", "")):
            return _told(None)
        asked = await _object(request)
        query, variables = asked.get("query"), asked.get("variables") or {}
        if not isinstance(query, str) or not isinstance(variables, dict):
            return JSONResponse({"errors": [{"message": "Must provide query string."}]}, 400)
        return JSONResponse(self._answer(query, variables))

    def _answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        try:
            document = graphql.parse(query)
        except graphql.GraphQLSyntaxError as error:
            return {"errors": [error.formatted]}
        wrong = graphql.validate(SCHEMA, document)
        if wrong:
            return {"errors": [error.formatted for error in wrong]}
        root = _Root(self._store, uuid4().hex, cost(document, variables))
        if refused := self._unpaid(document, root):
            return {"errors": [refused]}
        done = graphql.execute_sync(SCHEMA, document, root, variable_values=variables)
        return dict(done.formatted)

    def _unpaid(self, document: DocumentNode, root: "_Root") -> dict[str, Any] | None:
        if self._credits is None or "analyze: true" in graphql.print_ast(document):
            return None
        if root.complexity > self._credits.most:
            most = self._credits.most
            said = f"The operation's complexity {root.complexity} exceeds the maximum of {most}"
            return {"message": said}
        told = self._credits.spend(root.complexity)
        return told and {**told, "request_id": root.request_id}


class _Root:
    """What a query begins at; its methods are the fields of `Query`."""

    def __init__(self, store: Store, request_id: str, complexity: int) -> None:
        self._store, self.request_id, self.complexity = store, request_id, complexity

    def orders(
        self,
        _info: object,
        updated_from: int | None = None,
        updated_to: int | None = None,
        analyze: bool = False,
    ) -> dict[str, Any]:
        return self._result("orders", updated_from, updated_to, analyze)

    def shipments(
        self,
        _info: object,
        date_from: int | None = None,
        date_to: int | None = None,
        analyze: bool = False,
    ) -> dict[str, Any]:
        return self._result("shipments", _day(date_from), _day(date_to), analyze)

    def returns(
        self,
        _info: object,
        date_from: int | None = None,
        date_to: int | None = None,
        analyze: bool = False,
    ) -> dict[str, Any]:
        return self._result("returns", _day(date_from), _day(date_to), analyze)

    def order(self, _info: object, id: str) -> dict[str, Any]:  # noqa: A002  # the schema's name
        found = self._store.one("orders", id)
        if found is None:
            raise graphql.GraphQLError("Not Found")
        return {**self._about, "data": _resolvable(found)}

    @property
    def _about(self) -> dict[str, Any]:
        return {"request_id": self.request_id, "complexity": self.complexity}

    def _result(
        self, kind: str, start: int | None, end: int | None, analyze: bool
    ) -> dict[str, Any]:
        def data(
            _info: object, first: int | None = None, after: str | None = None
        ) -> dict[str, Any] | None:
            return None if analyze else _page(self._store.listed(kind, start, end), first, after)

        return {**self._about, "data": data}


def _page(rows: list[Row], first: int | None, after: str | None) -> dict[str, Any]:
    makers, info, cursors = connection(rows, first=first, after=after)
    edges = [
        {"node": _resolvable(make()), "cursor": cursor}
        for make, cursor in zip(makers, cursors, strict=True)
    ]
    return {"pageInfo": info, "edges": edges}


def _resolvable(thing: dict[str, Any]) -> dict[str, Any]:
    """The object with its `lines` as a connection that takes `first` and `after`."""
    lines = thing.get("lines")
    if lines is None:
        return thing

    def line_items(
        _info: object, first: int | None = None, after: str | None = None
    ) -> dict[str, Any]:
        return _page([(n, partial(dict, line)) for n, line in enumerate(lines)], first, after)

    return {**thing, "line_items": line_items}


def _day(at: int | None) -> int | None:
    """These filters know days, whatever time they are given."""
    return None if at is None else at - at % 86_400


async def _object(request: Request) -> dict[str, Any]:
    try:
        asked = msgspec.json.decode(await request.body())
    except (msgspec.DecodeError, UnicodeDecodeError, binascii.Error):
        return {}
    return asked if isinstance(asked, dict) else {}


def _told(tokens: dict[str, Any] | None) -> JSONResponse:
    if tokens is None:
        return JSONResponse({"code": "invalid_token", "message": "Unauthorized"}, 401)
    return JSONResponse(tokens)


def _urlsafe(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
