"""What `integrations up` runs, in the pieces that these tests need to start one after the other.

`dagster dev` starts the daemon with the webserver, and the daemon looks for new backfills twice a
minute. Started after the backfill was asked for, it finds it at once.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Receive, Scope, Send

from integrations.orchestration.stack import serves

REPOSITORY = Path(__file__).parents[2]
WORKSPACE = """\
load_from:
  - grpc_server: {{host: localhost, port: {port}, location_name: integrations}}
"""
START_S = 60.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@dataclass
class Services:
    """The processes of a Dagster deployment, stopped together; `port` is the UI's."""

    env: Mapping[str, str]
    folder: Path
    port: int = field(default_factory=free_port)
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *command: str) -> None:
        """One more process, in the repository's folder; what it prints is in a file of its own."""
        with (self.folder / f"{len(self.children)}.log").open("wb") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=REPOSITORY,
                env=dict(self.env),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.children.append(child)

    def start_ui(self) -> None:
        """The code server and the webserver, until the assets can be asked for."""
        code = free_port()
        workspace = self.folder / "workspace.yaml"
        workspace.write_text(WORKSPACE.format(port=code))
        module = ["-m", "integrations.definitions", "--location-name", "integrations"]
        self.start("dagster", "api", "grpc", "-p", str(code), "--host", "localhost", *module)
        self._wait(lambda: listens(code))
        self.start("dagster_webserver", "-w", str(workspace), "-p", str(self.port))
        self._wait(lambda: serves(self.port))

    def start_daemon(self) -> None:
        """From here on runs leave the queue and backfills become runs."""
        self.start("dagster._daemon", "run", "-w", str(self.folder / "workspace.yaml"))

    def ask(self, query: str, **variables: object) -> dict[str, Any]:
        """The data of a GraphQL answer."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            found: dict[str, Any] = json.load(answer)
        assert "errors" not in found, found
        return found["data"]  # type: ignore[no-any-return]  # JSON

    def until(self, query: str, done: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The answer to a query once it is as wanted."""
        answers: list[dict[str, Any]] = []

        def asked() -> bool:
            answers.append(self.ask(query))
            return done(answers[-1])

        self._wait(asked)
        return answers[-1]

    def stop(self) -> None:
        # At once: their database is dropped next, and they hold nothing else.
        for child in self.children:
            child.kill()
        for child in self.children:
            child.wait()

    def _wait(self, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_S
        while not ready():
            ended = [child.args for child in self.children if child.poll() is not None]
            assert not ended, f"{ended} ended; see {self.folder}"
            assert time.monotonic() < deadline, f"not ready after {START_S} s; see {self.folder}"
            time.sleep(0.2)


@contextmanager
def services(folder: Path, *, home: Path, database: str) -> Iterator[Services]:
    """Dagster over the repository's own dagster.yaml, with the UI up and the daemon not yet."""
    ours = ("INTEGRATIONS_", "DAGSTER_", "STRIPE_", "PG")
    env = {name: value for name, value in os.environ.items() if not name.startswith(ours)} | {
        "DAGSTER_HOME": str(REPOSITORY),
        "INTEGRATIONS_HOME": str(home),
        "INTEGRATIONS_DATABASE_URL": database,
    }
    with ExitStack() as stack:
        made = Services(env, folder)
        stack.callback(made.stop)
        made.start_ui()
        yield made


def refusing(app: ASGIApp, *, created_from: int, status: int = 404) -> ASGIApp:
    """The app, but for the requests of the one window that begins (with its overlap) there."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        asked = parse_qs(scope.get("query_string", b"").decode())
        if asked.get("created[gte]") != [str(created_from)]:
            await app(scope, receive, send)
            return
        body = b'{"error": {"type": "api_error", "message": "The wires are down."}}'
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return answer


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("localhost", port), timeout=1):
        return True
    return False
