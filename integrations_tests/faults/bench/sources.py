"""What stands behind the proxy: for each kind of stream a small source with a life in three acts.

`begin` is what there is when a stream is first read, `news` what happens before the sync that meets
a fault, `later` what happens before the one after it. The same happens in every cell.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any, Protocol

import yaml
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from integrations.connector_template.folders import SHIPPED
from integrations.settings import CONNECTOR_FILE
from integrations_tests.faults.bench import shelf
from integrations_tests.faults.bench.cases import Kind
from integrations_tests.faults.bench.clock import EPOCH
from integrations_tests.faults.bench.shapes import SHAPES
from integrations_tests.faults.bench.shelf import Shelf
from integrations_tests.lanes.life import Life

DAY = timedelta(days=1)
READ_FIRST = EPOCH + DAY + timedelta(minutes=10)
"""When all is read for the first time, then a day later, and again: each time one window more has
passed, and everything else is due."""
PAGE = 5
SECRET = "BENCH_API_KEY"
"""The environment variable that the connectors find their key in."""

BOOK = """\
type: integrations.orchestration.component.Connector
attributes:
  title: Address book (buyers)
  connections:
    main: {}
  auth_handler: {type: api_key, secret: api_key}
  sync_handler:
    transport: {type: rest, base_url: "https://book.example"}
    streams:
      buyers:
        sync: {type: cursor, every: hourly, position: seq}
        request:
          path: /changes
          params: {after: "{position}", limit: 5}
          records: items
          paging: {type: next_url, next: next}
  transformer:
    buyers: {entity: customer, key: id, fields: {name: name}}
  event_handler: none
"""
TRANSPORT = {
    "timeout_s": 0.25,  # a stall costs so much, and an answer of ours takes milliseconds
    "answer_s": 0.5,
    "retry": {"budget_s": 30},  # five tries and more, of fake seconds
}


def write_connectors(folder: Path, url: str) -> None:
    """Stripe as it is shipped, a source that is read by cursor, and one with a list in every shape:
    pages are small, and the waits for them short."""
    stripe = yaml.safe_load((SHIPPED / "stripe" / CONNECTOR_FILE).read_text())
    handlers = stripe["attributes"]["sync_handler"]["streams"].values()
    for request in [
        *(one["request"] for one in handlers),
        stripe["attributes"]["event_handler"]["feeds"]["events"]["request"],
    ]:
        request["params"]["limit"] = PAGE
    files = {"stripe": stripe, "book": yaml.safe_load(BOOK), **shelf.connectors()}
    for name, file in files.items():
        parts = file["attributes"]
        parts["sync_handler"]["transport"] |= TRANSPORT
        parts["connections"] = {
            "main": {
                "start": EPOCH.date(),
                "base_url": url,
                "secrets": {"api_key": {"env": SECRET}},
            }
        }
        (folder / name).mkdir(parents=True)
        (folder / name / CONNECTOR_FILE).write_text(yaml.safe_dump(file))
    (folder / "stripe/transformer.py").write_bytes((SHIPPED / "stripe/transformer.py").read_bytes())


class Source(Protocol):
    """A source: an app, the key that lets one in, and what is true in it."""

    app: ASGIApp
    key: str

    def truth(self) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
        """By stream the objects that exist, by id."""

    def begin(self) -> None: ...
    def news(self) -> None: ...
    def later(self) -> None: ...


class Shop:
    """Stripe's API. Of it one kind of stream is used: `window` is charges, `full` is customers,
    `feed` the events of both."""

    def __init__(self, kind: Kind, clock: Callable[[], datetime]) -> None:
        self._kind, self._clock = kind, clock
        self._life = Life(clock=clock)
        self.app, self.key = self._life, self._life.secrets["api_key"]
        self._streams = {"window": ("charges",), "full": ("customers",)}.get(
            kind, ("charges", "customers")
        )

    def truth(self) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
        return {name: self._life.truth(name) for name in self._streams}

    def begin(self) -> None:
        """Of all that the feed tells one event only: its position from then on."""
        with self._life.quiet():
            for name in self._streams:
                self._create(name, 14, day=0)
        self._change(self._streams[-1], 1)

    def news(self) -> None:
        if self._kind == "window":
            self._create("charges", 23, day=1)
        elif self._kind == "full":
            self._change("customers", 2)
            self._create("customers", 16, day=1)
        else:
            for name in self._streams:
                self._create(name, 5, day=1)
                self._change(name, 4)
        if self._kind != "window":
            self._life.delete("customers", self._oldest("customers")[0])

    def later(self) -> None:
        last_noon = (self._clock() - DAY / 2 - EPOCH) // DAY
        for name in self._streams:
            self._create(name, 2, day=last_noon)

    def _create(self, name: str, count: int, *, day: int) -> None:
        noon = int((EPOCH + day * DAY + DAY / 2).timestamp())
        for number in range(count):
            self._life.create(name, created=noon + 60 * number)

    def _change(self, name: str, count: int) -> None:
        """Changes what a window or a reading would not show anew: the oldest."""
        what = {"charges": "description", "customers": "name"}[name]
        for number, ident in enumerate(self._oldest(name)[2 : 2 + count]):
            self._life.change(name, ident, **{what: f"changed {number}"})

    def _oldest(self, name: str) -> list[str]:
        """The ids, those first that were there from the beginning."""
        found = self._life.truth(name)
        return sorted(found, key=lambda ident: (found[ident]["created"], ident))


class Book:
    """A source that gives every change a number, and lists what comes after one."""

    def __init__(self) -> None:
        self.app: ASGIApp = self._answer
        self.key = f"book_{token_hex(24)}"
        self._changes: list[dict[str, Any]] = []

    def truth(self) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
        return {"buyers": {one["id"]: one for one in self._changes}}

    def begin(self) -> None:
        self._write(*(f"b{number}" for number in range(4)))

    def news(self) -> None:
        self._write("b0", "b1", *(f"n{number}" for number in range(20)))

    def later(self) -> None:
        self._write("b2", "z0")

    def _write(self, *ids: str) -> None:
        for ident in ids:
            seq = len(self._changes) + 1
            self._changes.append({"seq": seq, "id": ident, "name": f"{ident} in {seq}"})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        if request.headers.get("authorization") != f"Bearer {self.key}":
            await JSONResponse({"error": "who are you?"}, 401)(scope, receive, send)
            return
        after, limit = int(request.query_params.get("after", 0)), int(request.query_params["limit"])
        more = after + limit < len(self._changes)
        onward = str(request.base_url) + f"changes?after={after + limit}&limit={limit}"
        body = {"items": self._changes[after : after + limit], "next": onward if more else None}
        await JSONResponse(body)(scope, receive, send)


def source(kind: Kind, clock: Callable[[], datetime]) -> Source:
    """A new source, in which nothing has happened."""
    if kind in SHAPES:
        return Shelf(kind)
    return Book() if kind == "cursor" else Shop(kind, clock)
