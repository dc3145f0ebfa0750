"""An HTTP proxy that misbehaves: on 127.0.0.1, before any twin, on plain sockets.

What a server does wrong happens mostly below HTTP, where no library lets it happen: so what goes
over the wire is bytes that a fault writes itself. A fault is a function of one `Exchange`.
"""

import http.client
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime
from fnmatch import fnmatchcase
from typing import Any, Self
from urllib.parse import urlsplit

from integrations_tests.conformance.spellings import Text
from integrations_tests.faults.bench.wire import (
    SPOKEN_S,
    Answer,
    Asked,
    Door,
    Elsewhere,
    Gone,
    headers,
    requests,
)

__all__ = ["Answer", "Asked", "Exchange", "Fault", "Planted", "Proxy"]

_LOOK_S = 0.002


@dataclass
class Exchange:
    """A request that came, and all that can be done with it."""

    proxy: "Proxy"
    asked: Asked
    head: bytes
    client: socket.socket

    @property
    def target(self) -> str:
        return self.asked.target

    @property
    def path(self) -> str:
        return self.asked.path

    def ask(self, asked: Asked | None = None) -> Answer:
        """The twin's own answer, to the request or to another one."""
        return self.proxy.ask(asked or self.asked, self.head)

    def send(self, data: bytes) -> None:
        """Raises `Gone` where nobody listens any more."""
        try:
            self.client.sendall(data)
        except OSError as error:
            raise Gone from error

    def pause(self, seconds: float) -> None:
        """Waits in silence; raises `Gone` as soon as the client has hung up."""
        self.client.settimeout(seconds)
        with suppress(TimeoutError):
            try:
                data = self.client.recv(1)
            except TimeoutError:
                raise
            except OSError as error:
                raise Gone from error
            assert not data, "our client asks one thing at a time"
            raise Gone
        self.client.settimeout(SPOKEN_S)

    def close(self) -> None:
        """Ends the connection in order (FIN), whatever is still owed."""
        raise Gone

    def reset(self) -> None:
        """Breaks the connection off (RST)."""
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Gone


Fault = Callable[[Exchange], None]
"""Answers an exchange, or does not."""


@dataclass
class Planted:
    """A fault that waits for requests of `path` (`*` for any part), of those `only` that it is for:
    it lets `after` of them pass and meets the next `times`, or all (None). `met` counts those that
    it met."""

    fault: Fault
    path: str = "*"
    after: int = 0
    times: int | None = None
    only: Callable[[Asked], bool] = lambda asked: True
    seen: int = 0
    met: int = 0

    def takes(self, asked: Asked) -> bool:
        """Whether it meets this request, which is counted."""
        if not fnmatchcase(asked.path, self.path) or not self.only(asked):
            return False
        self.seen += 1
        meets = self.seen > self.after and (self.times is None or self.met < self.times)
        self.met += meets
        return meets


class Proxy:
    """The proxy before the twin at `upstream`; a context manager.

    `url` is where it is, `elsewhere` where another host of ours is, `clock` the source's, which
    dates the answers that are the proxy's own. `asked` are the requests, in their order.
    """

    def __init__(self, upstream: str, *, clock: Callable[[], datetime]) -> None:
        self._upstream, self.clock = urlsplit(upstream).netloc, clock
        self._door, self._other = Door(self._serve), Elsewhere()
        self._foreign = Door(self._other.serve)
        self._planted: list[Planted] = []
        self._lock = threading.Lock()
        self._back_at: datetime | None = None
        self._ended = threading.Event()
        self.asked: list[Asked] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._door.port}"

    @property
    def elsewhere(self) -> str:
        """A host of the same machine at another port: another origin, where no credential goes."""
        return f"http://127.0.0.1:{self._foreign.port}"

    def heard(self, secret: str) -> list[str]:
        """The other host, if the secret came there in any spelling."""
        came = any(Text(said).holds(secret) for said in self._other.said)
        return [self.elsewhere] if came else []

    @property
    def strangers(self) -> int:
        """How many requests came to the other host."""
        return len(self._other.said)

    def plant(self, fault: Fault, **where: Any) -> Planted:
        """Of several faults that a request could meet, the one planted first is met; `where` is as
        `Planted` has it."""
        planted = Planted(fault, **where)
        with self._lock:
            self._planted.append(planted)
        return planted

    @contextmanager
    def planted(self, fault: Fault, **where: Any) -> Iterator[Planted]:
        """The fault for as long as the block runs."""
        try:
            yield self.plant(fault, **where)
        finally:
            self.lift()

    def refuse(self, seconds: float | None = None) -> None:
        """Nobody listens any more, for so many seconds of the source's clock or until `lift`."""
        self._door.refuse()
        self._back_at = None if seconds is None else self.clock() + timedelta(seconds=seconds)

    def lift(self) -> None:
        """All is well again."""
        with self._lock:
            self._planted.clear()
        self._back_at = None
        self.asked.clear()
        self._door.listen()

    def ask(self, asked: Asked, head: bytes) -> Answer:
        """The twin's answer to a request with such headers."""
        method = head.partition(b" ")[0].decode()
        connection = http.client.HTTPConnection(self._upstream, timeout=SPOKEN_S)
        try:
            connection.putrequest(method, asked.target, skip_host=True, skip_accept_encoding=True)
            for name, value in headers(head):
                if name.lower() not in _OWN:
                    connection.putheader(name, value)
            if asked.range is not None:
                connection.putheader("Range", asked.range)
            if asked.body:
                connection.putheader("Content-Length", str(len(asked.body)))
            connection.endheaders(asked.body or None)
            got = connection.getresponse()
            kept = [one for one in got.getheaders() if one[0].lower() not in _HOP]
            return Answer(got.status, tuple(kept), got.read())
        finally:
            connection.close()

    def _serve(self, client: socket.socket) -> None:
        for head, body in requests(client):
            named = {name.lower(): value for name, value in headers(head)}
            target = head.split(b" ", 2)[1].decode("latin-1")
            asked = Asked(target, body, named.get("range"))
            self.asked.append(asked)
            (self._met(asked) or _passed_on)(Exchange(self, asked, head, client))

    def _met(self, asked: Asked) -> Fault | None:
        with self._lock:
            return next((one.fault for one in self._planted if one.takes(asked)), None)

    def _come_back(self) -> None:
        while not self._ended.wait(_LOOK_S):
            if self._back_at is not None and self.clock() >= self._back_at:
                self._back_at = None
                self._door.listen()

    def __enter__(self) -> Self:
        self._door.listen()
        self._foreign.listen()
        self._watch = threading.Thread(target=self._come_back, daemon=True)
        self._watch.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._watch.join()
        self._door.close()
        self._foreign.close()


_OWN = frozenset({"connection", "accept-encoding", "content-length", "range"})
"""The headers of a request that are not passed on as they came."""
_HOP = frozenset({"content-length", "transfer-encoding", "connection", "keep-alive"})


def _passed_on(exchange: Exchange) -> None:
    exchange.send(exchange.ask().wire())


# The faults. Each is a function of one exchange; what takes arguments gives such a function.


def reset(exchange: Exchange) -> None:
    """Breaks off before a byte of an answer."""
    exchange.reset()


def hang_up(exchange: Exchange) -> None:
    """Closes in order before a byte of an answer."""
    exchange.close()


def refuse(seconds: float) -> Fault:
    """Breaks off, and then nobody listens for so long."""

    def fault(exchange: Exchange) -> None:
        exchange.proxy.refuse(seconds)
        exchange.reset()

    return fault


def cut(exchange: Exchange) -> None:
    """Half of the body, then the connection breaks."""
    _half(exchange)
    exchange.reset()


def end_early(exchange: Exchange) -> None:
    """Half of the body, then an end in order."""
    _half(exchange)
    exchange.close()


def cut_in_the_head(exchange: Exchange) -> None:
    """Half of the headers."""
    exchange.send(exchange.ask().wire()[:40])
    exchange.close()


def stall(exchange: Exchange) -> None:
    """Silence, for as long as the client waits."""
    exchange.pause(SPOKEN_S)


def stall_in_body(exchange: Exchange) -> None:
    """Half of the body, then silence."""
    _half(exchange)
    exchange.pause(SPOKEN_S)


def drip(seconds: float, *, pieces: int = 20) -> Fault:
    """The whole answer in small pieces, so long altogether."""

    def fault(exchange: Exchange) -> None:
        data = exchange.ask().wire()
        size = len(data) // pieces + 1
        for begin in range(0, len(data), size):
            exchange.send(data[begin : begin + size])
            time.sleep(seconds / pieces)

    return fault


def garbage(exchange: Exchange) -> None:
    """Something that is not HTTP."""
    exchange.send(b"\x16\x03\x01\x02 220 mail.example ESMTP\r\n\r\n")
    exchange.close()


def _half(exchange: Exchange) -> None:
    answer = exchange.ask()
    missing = len(answer.body) - len(answer.body) // 2
    exchange.send(answer.wire()[:-missing])


def answers(status: int, body: bytes = b"", **more: str) -> Fault:
    """An answer without asking the twin; `more` are headers, `_` for `-`."""
    named = tuple((name.replace("_", "-"), value) for name, value in more.items())

    def fault(exchange: Exchange) -> None:
        date = ("Date", format_datetime(exchange.proxy.clock(), usegmt=True))
        exchange.send(Answer(status, (date, *named), body).wire())

    return fault


def changed(change: Callable[[Answer], Answer]) -> Fault:
    """The twin's answer, changed."""

    def fault(exchange: Exchange) -> None:
        exchange.send(change(exchange.ask()).wire())

    return fault
