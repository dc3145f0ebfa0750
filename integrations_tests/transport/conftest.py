"""A real HTTP server on 127.0.0.1 that answers as a test says, and a time that a test moves."""

import json
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest


@dataclass(frozen=True)
class Call:
    """A request as the server got it: its body decoded, XML as bytes."""

    path: str
    params: dict[str, str]
    headers: dict[str, str]
    target: str
    body: Any = None


@dataclass(frozen=True)
class Say:
    """An answer: `raw` bytes instead of everything else, sent as they are; then closed."""

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    then: Callable[[Any], None] | None = None

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class Server(ThreadingHTTPServer):
    """One that says nothing when a client goes away in the middle, as ours should."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class Web:
    """The server: `answers` in turn, the last one again and again, or `route` for each call."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.calls: list[Call] = []
        self.answers: list[Say] = []
        self.route: Callable[[Call], Say] | None = None
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # or each answer's body waits 40 ms for an ACK

            def do_GET(self) -> None:
                web._answer(self)

            def do_POST(self) -> None:
                web._answer(self)

            def log_message(self, *args: Any) -> None:
                """Says nothing."""

        self._server = Server(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._server.server_port}"

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        sent = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        call = Call(
            parts.path,
            dict(parse_qsl(parts.query)),
            dict(handler.headers),
            handler.path,
            sent
            if "xml" in handler.headers.get("Content-Type", "")
            else json.loads(sent or "null"),
        )
        self.calls.append(call)
        if self.route is not None:
            say = self.route(call)
        else:
            say = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if say.raw is not None:
            handler.wfile.write(say.raw)
            handler.close_connection = True
        else:
            handler.send_response_only(say.status)  # without a date of its own
            for name, value in {"Content-Length": str(len(say.content)), **say.headers}.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(say.content)
        if say.then is not None:
            say.then(handler)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Time:
    """A clock that stands still but for `sleep`, and chance at the top of its range."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, 12, tzinfo=UTC)
        self.waits: list[float] = []

    def clock(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += timedelta(seconds=seconds)

    def random(self) -> float:
        return 1.0


@pytest.fixture
def web() -> Iterator[Web]:
    """A server of this test's own."""
    server = Web()
    yield server
    server.close()


@pytest.fixture
def other() -> Iterator[Web]:
    """A second one: another port, so another origin."""
    server = Web()
    yield server
    server.close()


@pytest.fixture
def time_() -> Time:
    """The test's time: 2026-01-01 12:00 UTC."""
    return Time()
