"""Servers that were not written here, each a process of its own on 127.0.0.1."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from integrations.cli import main
from integrations_tests.conftest import make_settings
from integrations_tests.faults.template import REPOSITORY
from integrations_tests.interop import apps, shop


@contextmanager
def started(log: Path, *command: str, **environment: str) -> Iterator[str]:
    """The address of what a command serves at the listening socket whose number stands in it in place
    of `{socket}`. Who connects before it answers waits, so nobody has to ask whether it is up."""
    with socket.create_server(("127.0.0.1", 0)) as listener, log.open("wb") as said:
        number = listener.fileno()
        child = subprocess.Popen(
            [sys.executable, *(part.format(socket=number) for part in command)],
            stdout=said,
            stderr=said,
            cwd=REPOSITORY,
            env=os.environ | environment,
            pass_fds=[number],
        )
        port = listener.getsockname()[1]
    try:  # the socket is the child's alone: where that has died, nobody waits
        yield f"http://127.0.0.1:{port}"
    finally:
        child.kill()  # it has nothing that should outlive it
        child.wait()


def asgi(name: str) -> tuple[str, ...]:
    """The command that serves an app of `apps`."""
    app = f"{apps.__name__}:{name}"
    return ("-m", "uvicorn", "--fd", "{socket}", "--factory", app)


@pytest.fixture(scope="session")
def orders(file: Path) -> list[dict[str, Any]]:
    """The orders in the file that is served."""
    return shop.write(file)


@pytest.fixture(scope="session")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shop") / "shop.sqlite"


@pytest.fixture(scope="session")
def serve(
    file: Path, orders: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], str]]:
    """Gives the address of an app of `apps`, which serves the orders until the session's end."""
    served: dict[str, str] = {}
    with ExitStack() as stack:

        def address(name: str) -> str:
            if name not in served:
                log = tmp_path_factory.mktemp(name) / "log"
                child = started(log, *asgi(name), **{apps.FILE: str(file)})
                served[name] = stack.enter_context(child)
            return served[name]

        yield address


@pytest.fixture
def home(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a database of its own, and connectors of its own in `own`."""
    home = make_settings(tmp_path / "home").home
    monkeypatch.setenv("INTEGRATIONS_HOME", str(home))
    monkeypatch.setenv("INTEGRATIONS_DATABASE_URL", database)
    (tmp_path / "own").mkdir()
    monkeypatch.setenv("INTEGRATIONS_CONNECTORS_PATH", str(tmp_path / "own"))
    return home


def synced(*arguments: str) -> dict[str, dict[str, Any]]:
    """What `integrations sync --json` says of each stream; all is well."""
    result = CliRunner().invoke(main, ["sync", "--json", *arguments])
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    return {f"{line['connector']}/{line['stream']}": line for line in lines}
