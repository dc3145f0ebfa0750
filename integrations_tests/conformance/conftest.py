"""Every connector that is shipped, each with its twin: a new folder joins by being there."""

import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from integrations.connector_template.config_schema import SANDBOX
from integrations.connector_template.connector import read_connector
from integrations.connector_template.folders import folders
from integrations.connector_template.sync_handler import OF_FILES
from integrations.names import Window
from integrations.sandbox.server import running
from integrations.sandbox.twins import TWINS
from integrations.storage.database import connect
from integrations.storage.landing import LandingZone
from integrations.storage.ledger import LedgerEntry
from integrations_tests.conformance.oracles import oracle
from integrations_tests.conformance.subject import DAYS, Case, Subject, Ticking
from integrations_tests.storage.conftest import shared_database

__all__ = ["shared_database"]

SEED = 7
_names = itertools.count(1)


def over_http(folder: Path) -> bool:
    """Whether a connector asks over HTTP; those that read files are proven by `test_files`."""
    return read_connector(folder).config.sync_handler.transport.type not in OF_FILES


@pytest.fixture(
    scope="session", params=filter(over_http, folders()), ids=lambda folder: folder.name
)
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    """A shipped connector beside its twin, some days after the start of its sandbox."""
    connector = read_connector(request.param)
    now = connector.config.connections[SANDBOX].begins_at + DAYS
    twin = TWINS[connector.name](SEED, clock=lambda: now)
    with running(twin) as url:
        yield Subject(connector, twin, url, oracle(connector.name), now)


@pytest.fixture(scope="session")
def zone(tmp_path_factory: pytest.TempPathFactory) -> LandingZone:
    return LandingZone(tmp_path_factory.mktemp("conformance").as_uri())


@pytest.fixture
def case(subject: Subject, shared_database: str, zone: LandingZone) -> Iterator[Case]:
    """A connection of this test's own; the faults that it orders do not outlive it."""
    with connect(shared_database) as connection:
        clock = Ticking(subject.now)
        yield Case(subject, f"case{next(_names)}", connection, zone, clock)
    subject.twin.faults.clear()


@dataclass(frozen=True)
class Loaded:
    """All streams and windows of a connector, loaded once; tests only look."""

    case: Case
    entries: dict[tuple[str, Window | None], LedgerEntry]


@pytest.fixture(scope="session")
def loaded(subject: Subject, shared_database: str, zone: LandingZone) -> Iterator[Loaded]:
    with ExitStack() as stack:
        connection = stack.enter_context(connect(shared_database))
        case = Case(subject, f"all{next(_names)}", connection, zone, Ticking(subject.now))
        subject.twin.faults.clear()
        entries = {
            (stream.id.stream, window): case.sync(stream, window)
            for stream in subject.streams
            for window in subject.windows(stream)
        }
        yield Loaded(case, entries)
