"""The source of the shapes: one list that it gives in every way there is; and the connectors that
read it."""

import json
from collections.abc import Mapping
from dataclasses import replace
from secrets import token_hex
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from integrations_tests.faults.bench.shapes import SHAPES, SIZE, STEP, Part, Shape, Word
from integrations_tests.faults.bench.wire import Asked

GRAPHQL = "/graphql"
PART = "x-part"
"""The header in which an answer says what it holds: shape, start, stop and total."""
Records = list[dict[str, Any]]
_FIELDS = "seq id name"
_QUERIES = {
    "relay": """query ($since: String, $after: String) { %s(since: $since, first: 5, after: $after) {
        pageInfo { hasNextPage endCursor } edges { node { %s } } } }""",
    "listed": """query ($offset: Int!, $first: Int!) { %s(offset: $offset, first: $first) { %s } }""",
}


def connector_of(name: str) -> str:
    """The connector whose stream of the same name a shape is read by."""
    return "graph" if SHAPES[name].graphql else "shelf"


def path_of(name: str) -> str:
    """Where its list is."""
    return GRAPHQL if SHAPES[name].graphql else f"/lists/{name}"


def connectors() -> Mapping[str, dict[str, Any]]:
    """The files of the connectors, but for what all of the bench have."""
    return {
        name: {
            "type": "integrations.orchestration.component.Connector",
            "attributes": {
                "title": f"Shelf ({transport})",
                "auth_handler": {"type": "api_key", "secret": "api_key"},
                "sync_handler": {
                    "transport": {"type": transport, "base_url": "https://shelf.example"},
                    "streams": {
                        shape: _stream(shape) for shape in SHAPES if connector_of(shape) == name
                    },
                },
                "transformer": {
                    shape: {"entity": "customer", "key": "id", "fields": {"name": "name"}}
                    for shape in SHAPES
                    if connector_of(shape) == name
                },
                "event_handler": "none",
            },
        }
        for name, transport in (("shelf", "rest"), ("graph", "graphql"))
    }


def _stream(name: str) -> dict[str, Any]:
    shape = SHAPES[name]
    cursor = shape.sync == "cursor"
    params = {"since": "{position}"} if cursor else {}
    request: dict[str, Any] = {"paging": dict(shape.paging)}
    if shape.graphql:
        query = _QUERIES[shape.way] % (name, _FIELDS)
        request |= {"query": query, "records": f"data.{name}", "variables": params}
    else:
        method = "POST" if shape.way == "post" else "GET"
        request |= {"path": path_of(name), "method": method, "records": "items", "params": params}
    sync = {"type": "cursor", "position": "seq"} if cursor else {"type": "full"}
    return {"sync": sync, "request": request}


def shape_of(asked: Asked) -> str:
    """The shape that a request asks for."""
    if urlsplit(asked.target).path == GRAPHQL:
        query = json.loads(asked.body)["query"]
        return next(name for name in SHAPES if f"{name}(" in query)
    return asked.path.rpartition("/")[2]


def params_of(asked: Asked) -> dict[str, Any]:
    """What a request asks with."""
    if not asked.body:
        return dict(parse_qsl(urlsplit(asked.target).query))
    body: dict[str, Any] = json.loads(asked.body)
    return dict(body.get("variables") or {}) if "query" in body else body


def asking(asked: Asked, start: int) -> Asked:
    """The request for the page of the same list that begins after so many records."""
    place = SHAPES[shape_of(asked)].place
    if place.header:
        return replace(asked, range=place.spelled(start))
    params = params_of(asked) | {place.param: place.spelled(start)}
    if not asked.body:
        return Asked(f"{asked.path}?{urlencode(params)}")
    body = json.loads(asked.body)
    body = {**body, "variables": params} if "query" in body else params
    return Asked(asked.target, json.dumps(body).encode())


def start_of(asked: Asked) -> int:
    """After how many records its page begins. Raises `ValueError` for what it cannot read."""
    place = SHAPES[shape_of(asked)].place
    value = asked.range if place.header else params_of(asked).get(place.param)
    return 0 if value is None else place.read(value)


def packed(name: str, records: Records, word: Word) -> dict[str, Any]:
    """The body of an answer."""
    match SHAPES[name].way:
        case "relay":
            return {"data": {name: {"edges": [{"node": one} for one in records], **word.body}}}
        case "listed":
            return {"data": {name: records}}
        case _:
            return {"items": records, **word.body}


def unpacked(name: str, body: dict[str, Any]) -> Records:
    """The records of one."""
    match SHAPES[name].way:
        case "relay":
            return [edge["node"] for edge in body["data"][name]["edges"]]
        case "listed":
            return list(body["data"][name])
        case _:
            return list(body["items"])


class Shelf:
    """A source whose list only grows, so that a record's number tells its place."""

    def __init__(self, kind: str) -> None:
        self.app: ASGIApp = self._answer
        self.key = f"shelf_{token_hex(24)}"
        self._kind = kind
        self._records: dict[str, dict[str, Any]] = {}

    def truth(self) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
        return {self._kind: dict(self._records)}

    def begin(self) -> None:
        self._write(*(f"b{number}" for number in range(4)))

    def news(self) -> None:
        self._write(*(f"n{number}" for number in range(22)))

    def later(self) -> None:
        self._write("z0", "z1")

    def _write(self, *ids: str) -> None:
        for seq, ident in enumerate(ids, len(self._records) + 1):
            self._records[ident] = {"seq": STEP * seq, "id": ident, "name": f"{ident}, {seq}"}

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        target = request.url.path + f"?{request.url.query}"
        asked = Asked(target, await request.body(), request.headers.get("range"))
        await self._said(request, asked)(scope, receive, send)

    def _said(self, request: Request, asked: Asked) -> JSONResponse:
        if request.headers.get("authorization") != f"Bearer {self.key}":
            return JSONResponse({"error": "who are you?"}, 401)
        name = shape_of(asked)
        shape, since = SHAPES[name], int(params_of(asked).get("since") or 0)
        listed = [one for one in self._records.values() if one["seq"] > since]
        try:
            start = start_of(asked)
        except ValueError:
            return JSONResponse({"error": "there is no such page"}, 400)
        return self._page(request, asked, shape, name, listed, start)

    def _page(
        self, request: Request, asked: Asked, shape: Shape, name: str, listed: Records, start: int
    ) -> JSONResponse:
        """What stands from `start` on."""
        records = listed[start : start + (SIZE if shape.place.param else len(listed))]
        stop = start + len(records)
        onward = str(request.base_url).rstrip("/") + asking(asked, stop).target
        part = Part(start, stop, len(listed), (shape.place.spelled(stop), onward))
        word = shape.says(part)
        headers = {**word.headers, PART: f"{name} {start} {stop} {len(listed)} {onward}"}
        return JSONResponse(packed(name, records, word), word.status, headers)
