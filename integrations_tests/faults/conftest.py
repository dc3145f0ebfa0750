"""The warm process, one twin for all histories, and a database and a home for each."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from integrations.processes import named
from integrations.sandbox.address import FILE
from integrations.sandbox.server import running
from integrations.sandbox.stripe import StripeTwin
from integrations.storage.database import connect
from integrations_tests.conftest import make_settings, url_of
from integrations_tests.faults.template import EPOCH, NOW, Place, Template

PER_DAY = 170
"""Two pages a window, and one bad charge in 333."""


@pytest.fixture(scope="package")
def twin() -> Iterator[tuple[StripeTwin, str]]:
    """A small twin whose clock stands still, and its URL."""
    twin = StripeTwin(7, clock=lambda: NOW, epoch=EPOCH, per_day=PER_DAY)
    with running(twin) as url:
        yield twin, url


@pytest.fixture(scope="package")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Template]:
    started = Template.start(tmp_path_factory.mktemp("warm"))
    yield started
    started.stop()


@pytest.fixture(scope="package")
def places(
    server: str,
    template: str,
    warm: Template,
    twin: tuple[StripeTwin, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator["Places"]:
    """Makes places; their databases are dropped at the end."""
    made = Places(server, twin, tmp_path_factory.mktemp("places"))
    first = made.copy(template)
    warm.prepare(first)
    made.original = made.names[-1]
    yield made
    made.drop()


def serve(home: Path, twin: StripeTwin, url: str) -> None:
    """Says in a home where the twin is, as the sandbox's own process does."""
    served = {"url": url, "secrets": dict(twin.secrets)}
    (home / FILE).write_text(json.dumps({"stripe": served, **named()}))


class Places:
    """Copies of a migrated database with Dagster's tables in it, each with a home."""

    def __init__(self, server: str, twin: tuple[StripeTwin, str], folder: Path) -> None:
        self.original = ""
        self._server, self._twin, self._folder = server, twin, folder
        self.names: list[str] = []

    def new(self) -> Place:
        return self.copy(self.original)

    def copy(self, original: str) -> Place:
        name = f"faults_{secrets.token_hex(4)}"
        with connect(self._server, autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name} TEMPLATE {original} STRATEGY file_copy")
        self.names.append(name)
        home = make_settings(self._folder / name).home
        twin, url = self._twin
        serve(home, twin, url)
        return Place(url_of(self._server, name), home)

    def drop(self) -> None:
        with connect(self._server, autocommit=True) as admin:
            for name in self.names:
                admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
