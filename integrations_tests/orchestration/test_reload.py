"""A changed connection shows in a Dagster that runs, and what keeps it from that is said."""

import json
import os
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from click.testing import CliRunner

from integrations.cli import main
from integrations.errors import FixConfig, IntegrationError, RetryLater
from integrations.names import StreamId
from integrations.orchestration import stack
from integrations.orchestration.reload import reload, served, stopped
from integrations.processes import named
from integrations_tests.conftest import make_settings
from integrations_tests.ui.stack import free_port

REPOSITORY = Path(__file__).parents[2]
STREAMS = [StreamId("shop", "east", name) for name in ("orders", "buyers")]
LOADED = {"__typename": "WorkspaceLocationEntry", "locationOrLoadError": {"__typename": "X"}}
BROKEN = {"__typename": "PythonError", "message": "SyntaxError: a comma\n  in line 3"}


@contextmanager
def answering(*answers: Any) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server that gives these answers one by one, the last for ever, and what it was asked.

    A number is a status; anything else the `data` of a GraphQL answer.
    """
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            answer = answers[min(len(asked), len(answers)) - 1]
            self.send_response(answer if isinstance(answer, int) else 200)
            self.end_headers()
            self.wfile.write(json.dumps({"data": answer}).encode())

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()


def reloaded(found: object) -> dict[str, object]:
    return {"reloadRepositoryLocation": found}


def nodes(count: int) -> dict[str, list[int]]:
    return {"assetNodes": list(range(count))}


@pytest.mark.parametrize(("there", "seen"), [(2, [0, 1, 2]), (0, [2, 0])])
def test_it_waits_until_the_assets_can_be_asked_for(there: int, seen: list[int]) -> None:
    """Loaded is not enough: all of them must be there, or all gone."""
    with answering(reloaded(LOADED), *map(nodes, seen)) as (url, asked):
        reload(url, STREAMS, there=there, patience_s=20)
    first, *others = asked
    assert first["variables"] == {"location": "integrations"}
    wanted = [{"path": ["shop", "east", "orders"]}, {"path": ["shop", "east", "buyers"]}]
    assert [one["variables"] for one in others] == [{"keys": wanted}] * len(seen)


def test_no_proxy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What serves on this machine is reached directly, whatever the environment names."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    with answering(reloaded(LOADED), nodes(2)) as (url, _):
        reload(url, STREAMS, there=2, patience_s=2)
        assert stack.serves(int(url.rpartition(":")[2]))


def test_which_schedules_do_not_run() -> None:
    """Of these streams only."""
    states = {"orders": "STOPPED", "buyers": "RUNNING", "others": "STOPPED"}
    found = [
        {"name": f"shop__east__{name}__schedule", "scheduleState": {"status": status}}
        for name, status in states.items()
    ]
    with answering({"repositoriesOrError": {"nodes": [{"schedules": found}]}}) as (url, _):
        assert stopped(url, STREAMS) == ["shop__east__orders__schedule"]


@pytest.mark.parametrize(
    ("answers", "kind", "said"),
    [
        ([reloaded(LOADED), nodes(1)], RetryLater, "has not changed yet"),
        ([reloaded(BROKEN)], FixConfig, "cannot load: SyntaxError: a comma. Reload"),
        ([reloaded({"locationOrLoadError": BROKEN})], FixConfig, "cannot load: SyntaxError"),
        ([500], RetryLater, "answered 500"),
        ([None], RetryLater, "understands no GraphQL"),
    ],
)
def test_what_goes_wrong_is_said(
    answers: list[Any], kind: type[IntegrationError], said: str
) -> None:
    """With what a person does about it, and in time."""
    with answering(*answers) as (url, _), pytest.raises(kind, match=said) as raised:
        reload(url, STREAMS, there=2, patience_s=0.5)
    assert "Reload the code location 'integrations' in Dagster's UI" in str(raised.value)


def test_a_ui_that_does_not_answer() -> None:
    """It may be starting: it is waited for, and not for ever."""
    with pytest.raises(RetryLater, match="does not answer"):
        reload(f"http://127.0.0.1:{free_port()}", STREAMS, there=2, patience_s=0.3)


@pytest.mark.parametrize(
    ("said", "url"),
    [
        (named() | {"port": 3456}, "http://127.0.0.1:3456"),
        (named() | {"port": 3456, "process": "1-1"}, None),
        (named(), None),
        ([], None),
        (None, None),
    ],
)
def test_where_a_ui_is_known_to_serve(tmp_path: Path, said: Any, url: str | None) -> None:
    """Where the very process lives that the home's file names, with the port that it was given."""
    if said is not None:
        (tmp_path / stack.STATE).write_text(json.dumps(said))
    assert served(tmp_path) == url


def test_who_serves_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the start of Dagster to its end; any program stands in for it here."""
    program = tmp_path / "dagster"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o700)
    monkeypatch.setattr(stack, "sys", SimpleNamespace(executable=str(program)))
    monkeypatch.setattr(stack, "serves", lambda _: True)
    settings, port = make_settings(tmp_path / "home"), free_port()
    with stack.dagster_dev(settings, port=port):
        assert served(settings.home) == f"http://127.0.0.1:{port}"
    assert served(settings.home) is None


@pytest.fixture
def ui(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The webserver over the repository's own workspace, announced as `integrations up` does it."""
    home, port = make_settings(tmp_path / "home").home, free_port()
    monkeypatch.setenv("INTEGRATIONS_HOME", str(home))
    monkeypatch.setenv("INTEGRATIONS_DATABASE_URL", database)
    command = ["dagster_webserver", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)]
    with (tmp_path / "log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=REPOSITORY,
            env=os.environ | {"DAGSTER_HOME": str(REPOSITORY)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    (home / stack.STATE).write_text(json.dumps(named(child.pid) | {"port": port}))
    try:
        stack._wait(lambda: stack.serves(port), child, f"see {tmp_path / 'log'}")
        yield f"http://127.0.0.1:{port}"
    finally:
        # At once: their database is dropped next, and they hold nothing else.
        family = [*psutil.Process(child.pid).children(recursive=True), psutil.Process(child.pid)]
        for process in family:
            process.kill()
        child.wait()


def test_a_new_connection_shows_in_a_running_dagster(
    ui: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Added on the command line, its assets can be asked for when the command ends."""
    monkeypatch.chdir(REPOSITORY)
    assert shown(ui, "second") == 0 < shown(ui, "main")
    words = ["add", "stripe/second", "--start", "2026-01-01", "--secret", "api_key=env:NO_SUCH_KEY"]
    done = CliRunner().invoke(main, ["connections", *words])
    assert (done.exit_code, done.stdout) == (0, f"Added stripe/second.\n{ui} shows it.\n")
    assert "no env:NO_SUCH_KEY" in done.stderr
    assert "its schedules are stopped: the server has not env:NO_SUCH_KEY" in done.stderr
    monkeypatch.setenv("STRIPE_OTHER", "sk_test_0123456789")  # here, and not there
    words = ["add", "stripe/third", "--start", "2026-01-01", "--secret", "api_key=env:STRIPE_OTHER"]
    done = CliRunner().invoke(main, ["connections", *words])
    assert done.stderr == (
        "warning: its schedules are stopped: the server has not env:STRIPE_OTHER. Use file:…, or"
        " restart `integrations up` where it is set.\n"
    )
    assert shown(ui, "second") == shown(ui, "main")


def shown(ui: str, connection: str) -> int:
    """How many assets of one of Stripe's connections the UI has."""
    body = json.dumps({"query": "{ assetNodes { assetKey { path } } }"}).encode()
    request = urllib.request.Request(f"{ui}/graphql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        nodes = json.load(answer)["data"]["assetNodes"]
    return sum(node["assetKey"]["path"][:2] == ["stripe", connection] for node in nodes)
