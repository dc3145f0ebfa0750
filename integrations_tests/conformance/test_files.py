"""What every connector must do that reads files, against its twin over the real protocol and in a
real PostgreSQL. One takes part by being there; its oracle says what must become of each file."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest

from integrations.connector_template.config_schema import SANDBOX
from integrations.connector_template.connector import BoundStream, read_connector
from integrations.connector_template.folders import folders
from integrations.errors import StopConnection
from integrations.sandbox.server import served
from integrations.sandbox.twins import TWINS
from integrations.secrets import Secret
from integrations.storage import files
from integrations.storage.database import connect
from integrations.storage.landing import LandingZone
from integrations.storage.ledger import FATES
from integrations_tests.conformance.conftest import SEED, over_http
from integrations_tests.conformance.oracles import oracle
from integrations_tests.conformance.subject import DAYS, Case, Subject, Ticking, difference

_of_files = [folder for folder in folders() if not over_http(folder)]


@pytest.fixture(scope="module", params=_of_files, ids=lambda folder: folder.name)
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    """A shipped connector beside its twin, some days after the start of its sandbox."""
    connector = read_connector(request.param)
    now = connector.config.connections[SANDBOX].begins_at + DAYS
    twin: Any = TWINS[connector.name](SEED, clock=lambda: now)
    with served(twin) as url:
        yield Subject(connector, twin, url, oracle(connector.name), now)


@pytest.fixture(scope="module")
def loaded(subject: Subject, shared_database: str, zone: LandingZone) -> Iterator[Case]:
    """All that the twin holds, loaded once; tests only look, and read on."""
    with connect(shared_database) as connection:
        case = Case(
            subject, f"all_{subject.connector.name}"[:24], connection, zone, Ticking(subject.now)
        )
        for stream in subject.streams:
            for entry in case.go_on(stream):
                assert entry.status in ("ok", "warn")
                assert entry.received == sum(getattr(entry, fate) for fate in FATES)
        yield case


def _shown(subject: Subject, stream: BoundStream) -> dict[str, bytes]:
    """What the twin shows of a stream, in the order in which it was written."""
    items: dict[str, Any] = subject.twin.things()  # type: ignore[attr-defined]
    mine = {
        path: item
        for path, item in items.items()
        if _oracle(subject).stream_of(path) == stream.id.stream
    }
    return {path: mine[path].data for path in sorted(mine, key=lambda path: (mine[path].at, path))}


def _oracle(subject: Subject) -> ModuleType:
    return subject.oracle  # type: ignore[return-value]


def test_every_file_is_loaded_refused_or_waits(subject: Subject, loaded: Case) -> None:
    """Rows are exactly those of the files that can be read, and every file is counted once."""
    for stream in subject.streams:
        shown, said = _shown(subject, stream), _oracle(subject)
        states = {path: said.state(path, data) for path, data in shown.items()}
        held: dict[str, Any] = {}
        for path, data in shown.items():
            if states[path] == "loaded":
                held |= said.rows(stream.id.stream, path, data)
        assert held
        assert difference(loaded.rows(stream), held) == []
        with loaded.connection.transaction():
            counts = files.counts(loaded.connection, loaded.own(stream).id)
        every = [*states.values()]
        assert counts == {state: every.count(state) for state in files.STATES}


def test_what_was_read_is_not_read_again(subject: Subject, loaded: Case) -> None:
    """Without news there is no landing, and no file is opened."""
    before = len(subject.twin.opened)  # type: ignore[attr-defined]
    for stream in subject.streams:
        assert loaded.go_on(stream) == []
    assert len(subject.twin.opened) == before  # type: ignore[attr-defined]


def test_a_refused_credential_stops_the_connection(subject: Subject, loaded: Case) -> None:
    """One try, no second: servers lock accounts that keep on trying."""
    config = subject.connector.config
    wrong = {name: Secret(value) for name, value in subject.twin.secrets.items()}
    name = sorted(wrong)[-1]
    wrong[name] = Secret("somebody-else")
    slept: list[float] = []
    transport: Any = config.sync_handler.transport
    with transport.open(
        config.auth_handler, wrong, base_url=subject.url,
        clock=lambda: datetime.now(UTC), sleep=slept.append, random=lambda: 0.5,
    ) as session, pytest.raises(StopConnection, match="credential") as caught:  # fmt: skip
        [*session.pages(subject.streams[0].stream.request, ask=_everything())]
    assert slept == []
    assert name in str(caught.value)


def _everything() -> Any:
    from integrations.transport import Ask

    return Ask()


def test_a_broken_download_goes_on(subject: Subject, loaded: Case) -> None:
    """A connection that ends in the middle of a file costs a wait, and no byte is read wrong."""
    twin: Any = subject.twin
    stream = subject.streams[0]
    path, data = next(reversed(_shown(subject, stream).items()))
    copy = type(twin.things()[path])(data, subject.now - timedelta(hours=1))
    twin.added[_oracle(subject).another(path)] = copy
    twin.break_at(len(data) // 2)
    loaded.slept.clear()
    (entry,) = loaded.go_on(stream)
    assert len(loaded.slept) == 1
    rows = _oracle(subject).rows(stream.id.stream, path, data)
    assert (entry.files, entry.quarantined, entry.inserted) == (1, 0, 0)
    assert entry.received == len(rows)
