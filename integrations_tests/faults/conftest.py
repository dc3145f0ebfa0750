"""The warm process, one twin for all histories, and a database and a home for each."""

import json
import secrets
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from integrations.processes import named
from integrations.sandbox.address import FILE
from integrations.sandbox.server import running
from integrations.sandbox.stripe import StripeTwin
from integrations.storage.database import connect
from integrations_tests.conftest import make_settings, url_of
from integrations_tests.faults import kinds
from integrations_tests.faults.histories import Scene
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


@pytest.fixture(scope="package")
def scene(
    warm: Template, places: "Places", tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    """The account that is read in every way, with a past."""
    folder, source = tmp_path_factory.mktemp("kinds"), kinds.Source()
    known = kinds.kinds(
        kinds.write_connectors(folder / "connectors"),
        kinds.write_connectors(folder / "changed", description="id"),
    )
    with running(source.life) as stripe, running(source.orders) as florist:

        def copied(of: Place | None) -> Place:
            place = places.new() if of is None else places.like(of)
            kinds.serve(place.home, source, {"stripe": stripe, "florist": florist})
            return place

        made = Scene(warm, known, source, copied)
        made.prepare()
        yield made


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
            _when_left(admin, f"CREATE DATABASE {name} TEMPLATE {original} STRATEGY file_copy")
        self.names.append(name)
        home = make_settings(self._folder / name).home
        twin, url = self._twin
        serve(home, twin, url)
        return Place(url_of(self._server, name), home)

    def like(self, of: Place) -> Place:
        """A copy of a place in which nothing runs, with what is landed there."""
        made = self.copy(urlsplit(of.database).path[1:])
        shutil.copytree(of.home / "raw", made.home / "raw")
        return made

    def drop(self) -> None:
        with connect(self._server, autocommit=True) as admin:
            for name in self.names:
                admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _when_left(admin: psycopg.Connection[Any], statement: str) -> None:
    """A database is copied when the last session of a process that has ended is gone too."""
    for _ in range(50):
        with suppress(psycopg.errors.ObjectInUse):
            admin.execute(statement)
            return
        time.sleep(0.1)
    admin.execute(statement)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was killed, and what became of it."""
    sums: dict[str, Counter[str]] = {}
    for report in (one for some in terminalreporter.stats.values() for one in some):
        for name, value in getattr(report, "user_properties", ()):
            if name == "kills" and report.when == "call":
                sums.setdefault(value["kind"], Counter()).update(value["counts"])
    if not sums:
        return
    columns = ("at random", "at barriers", "lost", "doubled", "resurrected")
    terminalreporter.section("kills")
    terminalreporter.line(f"{'kind':14}" + "".join(f"{column:>13}" for column in columns))
    for kind, counts in [*sums.items(), ("all", sum(sums.values(), Counter()))]:
        terminalreporter.line(f"{kind:14}" + "".join(f"{counts[one]:13}" for one in columns))
