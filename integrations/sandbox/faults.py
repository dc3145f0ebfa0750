"""Faults on order: how a test makes a twin misbehave the way real services do.

The gate stands in front of any twin's app, so each twin has the same faults without knowing them.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from fnmatch import fnmatchcase
from urllib.parse import parse_qsl, urlencode

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Clock = Callable[[], datetime]
"""Gives the time, aware and in UTC; a twin's data is a function of its seed and this."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What goes wrong with the next `times` requests whose path matches `path`, after `after`; it
    may begin with a method, `POST /v1/charges`.

    With `status` the twin is not asked: the answer is `status`, `headers` and `body`. Otherwise
    its own answer is changed: `forget` hides query parameters from it (`("starting_after",)`
    gives the first page for ever), `rewrite` changes the body's bytes, `headers` are added.
    `cut` breaks the connection off after so many bytes of the body, `delay_s` waits first.
    """

    path: str = "*"
    times: int = 1
    after: int = 0
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    forget: tuple[str, ...] = ()
    rewrite: Callable[[bytes], bytes] | None = None
    cut: int | None = None
    delay_s: float = 0.0


class Faults:
    """The faults a twin still has to make; a fault that has hit its `times` is gone."""

    def __init__(self) -> None:
        self._orders: list[tuple[Fault, list[int]]] = []

    def append(self, fault: Fault) -> None:
        """Orders `fault`; of several that match a request, the one ordered first is made."""
        self._orders.append((fault, [0]))

    def clear(self) -> None:
        self._orders.clear()

    def __len__(self) -> int:
        return len(self._orders)

    def next(self, method: str, path: str) -> Fault | None:
        """The fault to make for a request of `path`, counted as made; None for none."""
        for order in list(self._orders):
            fault, met = order
            if not any(fnmatchcase(one, fault.path) for one in (path, f"{method} {path}")):
                continue
            met[0] += 1
            if met[0] <= fault.after:
                continue
            if met[0] == fault.after + fault.times:
                self._orders.remove(order)
            return fault
        return None


class Gate:
    """An ASGI app before another: counts the requests, remembers the last ones, makes the faults.

    It dates every answer by the twin's clock: what a connector learns of the source's time must
    fit the data, or a test with a clock of its own would measure skew that is not there.
    """

    def __init__(self, app: ASGIApp, *, clock: Clock) -> None:
        self._clock = clock
        self.faults = Faults()
        self.requests = 0
        self.log: deque[str] = deque(maxlen=1_000)
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        self.requests += 1
        send = self._dated(send)
        query = scope["query_string"].decode("latin-1")
        self.log.append(f"{scope['method']} {scope['path']}" + (f"?{query}" if query else ""))
        fault = self.faults.next(scope["method"], scope["path"])
        if fault is None:
            await self._app(scope, receive, send)
            return
        await asyncio.sleep(fault.delay_s)
        if fault.status is None:
            start, body = await self._ask(_without(scope, fault.forget), receive)
        else:
            start, body = {"type": "http.response.start", "status": fault.status}, fault.body
        await _answer(send, start, fault.rewrite(body) if fault.rewrite else body, fault=fault)

    def _dated(self, send: Send) -> Send:
        date = format_datetime(self._clock(), usegmt=True).encode("latin-1")

        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", []))
                if not any(name == b"date" for name, _ in headers):
                    message = {**message, "headers": [*headers, (b"date", date)]}
            await send(message)

        return dated

    async def _ask(self, scope: Scope, receive: Receive) -> tuple[Message, bytes]:
        """The twin's own answer, held back: its start and its whole body."""
        sent: list[Message] = []

        async def keep(message: Message) -> None:
            sent.append(message)

        await self._app(scope, receive, keep)
        return sent[0], b"".join(message.get("body", b"") for message in sent[1:])


def _without(scope: Scope, names: tuple[str, ...]) -> Scope:
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    kept = urlencode([(name, value) for name, value in query if name not in names])
    return {**scope, "query_string": kept.encode("latin-1")}


async def _answer(send: Send, start: Message, body: bytes, *, fault: Fault) -> None:
    changed = {name.lower() for name in fault.headers} | {"content-length"}
    own = [(k, v) for k, v in start.get("headers", []) if k.decode("latin-1") not in changed]
    more = {"content-length": str(len(body)), **fault.headers}
    if not any(name == b"content-type" for name, _ in own):
        more = {"content-type": "application/json", **more}
    extra = [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in more.items()]
    await send({**start, "headers": own + extra})
    if fault.cut is None:
        await send({"type": "http.response.body", "body": body})
        return
    # uvicorn closes the connection of an app that returns before its answer is whole
    await send({"type": "http.response.body", "body": body[: fault.cut], "more_body": True})
