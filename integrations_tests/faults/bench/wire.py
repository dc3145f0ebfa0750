"""What goes over the wire between a test and whom it tests: answers as bytes, and ports."""

import http.client
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Self

SPOKEN_S = 10.0
"""No exchange of a test takes so long; who is silent longer is gone."""
_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Answer:
    """An answer as it is to be sent; `length` is what it says of itself, the truth by default."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    length: int | None = None

    def header(self, name: str, value: str | None) -> Self:
        """The answer with another value of a header, or without it."""
        kept = tuple(one for one in self.headers if one[0].lower() != name.lower())
        return replace(self, headers=kept if value is None else (*kept, (name, value)))

    def wire(self) -> bytes:
        """All of it, as bytes."""
        reason = http.client.responses.get(self.status, "Whatever")
        length = len(self.body) if self.length is None else self.length
        lines = [f"HTTP/1.1 {self.status} {reason}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        lines += [f"Content-Length: {length}", "", ""]
        return "\r\n".join(lines).encode("latin-1") + self.body


@dataclass(frozen=True)
class Asked:
    """What a request asks for: its target, the body that a POST has, and its header `Range`."""

    target: str
    body: bytes = b""
    range: str | None = None

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


class Gone(Exception):
    """The connection is closed: there is nothing more to say on it."""


class Door:
    """A port of 127.0.0.1 that is ours until the end, whether or not anybody listens there."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        self._held = self._bound(0)  # never listens, so it keeps the port and gets no connection
        self.port: int = self._held.getsockname()[1]
        self._listener: socket.socket | None = None
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()

    def listen(self) -> None:
        with self._lock:
            if self._listener is None:
                self._listener = self._bound(self.port)
                self._listener.listen(64)
                threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def refuse(self) -> None:
        """Nobody listens; who is connected is cut off."""
        with self._lock:
            listener, self._listener = self._listener, None
            clients = [*self._open]
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept
            listener.close()
        for client in clients:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.refuse()
        self._held.close()

    def _bound(self, port: int) -> socket.socket:
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind(("127.0.0.1", port))
        return made

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self._open.add(client)
            threading.Thread(target=self._speak, args=(client,), daemon=True).start()

    def _speak(self, client: socket.socket) -> None:
        try:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.settimeout(SPOKEN_S)
            self._serve(client)
        except (OSError, Gone):
            pass
        finally:
            with self._lock:
                self._open.discard(client)
            client.close()


@dataclass
class Elsewhere:
    """Another host: it answers everybody, and keeps every byte that it hears."""

    answer: Answer = Answer(200, (("Content-Type", "application/json"),), b"{}")
    said: list[bytes] = field(default_factory=list)

    def serve(self, client: socket.socket) -> None:
        for head, body in requests(client):
            self.said.append(head + body)
            client.sendall(self.answer.wire())


def requests(client: socket.socket) -> Iterator[tuple[bytes, bytes]]:
    """Heads and bodies of the requests that come on a connection, until it ends."""
    unread = b""
    while True:
        while _END not in unread:
            data = client.recv(65_536)
            if not data:
                return
            unread += data
        head, _, unread = unread.partition(_END)
        named = {name.lower(): value for name, value in headers(head)}
        length = int(named.get("content-length", 0))
        while len(unread) < length:
            data = client.recv(65_536)
            if not data:
                return
            unread += data
        yield head, unread[:length]
        unread = unread[length:]


def headers(head: bytes) -> Sequence[tuple[str, str]]:
    """The headers of a request."""
    lines = head.decode("latin-1").split("\r\n")[1:]
    return [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
