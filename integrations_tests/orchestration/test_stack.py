"""The processes of a home: who starts them, who ends them, and which are taken for ours."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from integrations.cli import main
from integrations.commands import serve
from integrations.errors import FixConfig
from integrations.orchestration import drain, stack
from integrations.processes import living, named, process_id
from integrations.sandbox import address
from integrations.settings import Settings
from integrations_tests.conftest import make_settings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = make_settings(tmp_path / "home").home
    monkeypatch.setenv("INTEGRATIONS_HOME", str(made))
    return made


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that would pass for one of ours by its command line."""
    code = "import sys; print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, "integrations"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        yield child
        child.kill()


def test_the_twins_end_with_the_last_who_uses_them(tmp_path: Path) -> None:
    """The one that started them goes first, and takes them from nobody."""
    settings = make_settings(tmp_path / "home")
    with ExitStack() as second:
        with stack.twins(settings):
            known = address.said(settings.home)
            second.enter_context(stack.twins(settings))
        assert address.serving(settings.home)
        assert address.said(settings.home) == known, "there are not two of them"
    assert process_id(known["pid"]) is None
    assert not address.serving(settings.home)


def test_twins_of_another_kind_are_left_alone(home: Path) -> None:
    """Those that somebody else serves, for a time of his own, are used and not ended."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        (home / address.FILE).write_text(json.dumps({"x": {"url": url}} | named()))
        with stack.twins(Settings.find()):
            assert address.urls(home) == [url]
        assert address.urls(home) == [url]


@pytest.mark.parametrize(
    ("changes", "port", "serves"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"pid": 1}, True, False),
        ({"process": "1-1"}, True, False),
        ({"boot": "another"}, True, False),
    ],
)
def test_an_old_file_is_not_believed(
    home: Path, changes: dict[str, Any], port: bool, serves: bool
) -> None:
    """Twins serve when the very process that wrote the file lives, and its ports answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        (home / address.FILE).write_text(json.dumps({"x": {"url": url}} | named() | changes))
        if not port:
            server.close()
        assert address.serving(home) is serves


@pytest.mark.parametrize("ours", [True, False])
def test_down_ends_only_what_the_file_means(
    home: Path, sleeper: "subprocess.Popen[bytes]", ours: bool
) -> None:
    """A later process with the pid of one of ours is not ours, whatever its command line says."""
    said = named(sleeper.pid) | ({} if ours else {"process": f"{sleeper.pid}-1"})
    (home / stack.STATE).write_text(json.dumps(said))
    done = CliRunner().invoke(main, ["down"])
    assert done.exit_code == 0
    assert done.stdout == ("Stopped Dagster.\n" if ours else "Nothing was running.\n")
    assert (sleeper.poll() is not None) is ours
    assert (living(named(sleeper.pid)) is None) is ours


def test_down_ends_what_drains(home: Path, sleeper: "subprocess.Popen[bytes]") -> None:
    """Each of them, before the server: it would start that again. Old files go."""
    (home / f"drain-{sleeper.pid}.json").write_text(json.dumps(named(sleeper.pid)))
    (home / "drain-1.json").write_text(json.dumps(named(sleeper.pid) | {"process": "1-1"}))
    done = CliRunner().invoke(main, ["down"])
    assert (done.exit_code, done.stdout) == (0, "Stopped a drain.\n")
    assert sleeper.poll() is not None
    assert list(home.glob("drain-*")) == []


def test_who_drains_says_so(home: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it does, in a file of its own."""
    monkeypatch.setenv("INTEGRATIONS_DATABASE_URL", database)
    seen: list[dict[str, Any]] = []

    def wait(*_: object) -> None:
        (file,) = home.glob(serve.DRAINS)
        seen.append(json.loads(file.read_text()))

    monkeypatch.setattr(drain.Drains, "wait", wait)
    monkeypatch.setattr(drain.Drains, "__enter__", lambda self: self)
    monkeypatch.setattr(drain.Drains, "__exit__", lambda *_: None)
    monkeypatch.setattr(stack, "twins", lambda _: nullcontext())
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    done = CliRunner().invoke(main, ["drain", "stripe/sandbox/events"])
    assert (done.exit_code, seen) == (0, [named()]), done.output
    assert list(home.glob(serve.DRAINS)) == []


@pytest.mark.parametrize("ready", [True, False])
def test_what_answers_for_a_child_that_ended_is_not_it(ready: bool) -> None:
    """Another server on the port would pass for ours."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    with pytest.raises(FixConfig, match="does not start"):
        stack._wait(lambda: ready, child, "it does not start")


def test_the_home_that_was_found_holds_for_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a folder without a project, what is started later finds the same home."""
    project = tmp_path / "project"
    project.mkdir()
    (project / stack.INSTANCE_FILE).touch()
    monkeypatch.setattr(stack, "root", lambda: project)
    monkeypatch.setenv("INTEGRATIONS_HOME", "")
    monkeypatch.chdir(tmp_path)
    settings = stack.project()
    assert settings.home == project / ".integrations"
    assert Settings.find() == settings
    assert os.environ["INTEGRATIONS_HOME"] == str(settings.home)
