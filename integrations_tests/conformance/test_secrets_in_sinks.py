"""A credential is used and never written: not into tables, landings, logs, Dagster or errors."""

import json
import logging
import traceback
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from integrations.connector_template.connector import BoundStream
from integrations.errors import StopConnection
from integrations.names import Window
from integrations.orchestration import stack
from integrations.orchestration.code_location import build
from integrations.orchestration.sync import Outcome, Planned, execute
from integrations.processes import named
from integrations.redaction import install_redactor
from integrations.sandbox.faults import Fault
from integrations.storage.database import connect
from integrations_tests.conformance.sinks import Heard, holding
from integrations_tests.conformance.subject import Case, Subject, pattern
from integrations_tests.conftest import make_settings

pytestmark = pytest.mark.filterwarnings(
    # Dagster asks pydantic for its fields by their old name.
    "ignore::pydantic.warnings.PydanticDeprecatedSince20:dagster"
)


@dataclass(frozen=True)
class Installation:
    """A home and a database that a connector's sandbox has been synced into through Dagster."""

    subject: Subject
    home: Path
    url: str
    heard: Heard
    instance: dg.DagsterInstance
    definitions: dg.Definitions

    def sync(self, stream: BoundStream, windows: list[Window | None]) -> Outcome:
        """One Dagster run, as the command line starts it."""
        planned = Planned(stream, [[window for window in windows if window]])
        return execute(planned, self.definitions, self.instance, on_window=lambda _: None)

    def holding(self, secret: str) -> list[str]:
        return holding(secret, self.url, self.home, self.heard.lines)


@pytest.fixture
def installation(
    subject: Subject, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Installation]:
    """The command line's own surroundings, with the subject's twin as the one that serves."""
    home = make_settings(tmp_path / "home").home
    address = {"url": subject.url, "secrets": dict(subject.twin.secrets)}
    known = {**named(), subject.connector.name: address}
    (home / "sandbox.json").write_text(json.dumps(known))
    monkeypatch.setenv("INTEGRATIONS_HOME", str(home))
    monkeypatch.setenv("INTEGRATIONS_DATABASE_URL", database)
    heard = Heard()
    install_redactor()
    logging.getLogger().addHandler(heard)
    with stack.instance() as instance:
        definitions = build([subject.connector.folder])
        yield Installation(subject, home, database, heard, instance, definitions)
    logging.getLogger().removeHandler(heard)
    subject.twin.faults.clear()


def test_no_secret_is_in_any_sink(installation: Installation, case: Case) -> None:
    """After syncs that worked, and ones whose answers repeated the credential, no place that
    keeps text holds it. The search finds a planted one in every kind of place first."""
    subject = installation.subject
    for secret in subject.twin.secrets.values():
        _plant_and_find(installation, "a planted secret: " + secret[::-1])

    streams = {stream.stream.sync.type: stream for stream in subject.streams}
    done = [installation.sync(one, subject.windows(one)[:1]) for one in streams.values()]
    stream = next(iter(streams.values()))
    windows = subject.windows(stream)
    _echo(subject, stream, status=503, times=1)
    case.sync(stream, windows[0])
    _echo(subject, stream, status=401)
    before = subject.twin.requests
    failed = installation.sync(stream, windows)
    asked = subject.twin.requests - before
    with pytest.raises(StopConnection) as caught:
        case.sync(stream, windows[0])
    errors = "".join(traceback.format_exception(caught.value))

    assert {outcome.status for outcome in done} <= {"ok", "warn"}
    assert sum(outcome.total("inserted") for outcome in done) > 0
    assert (failed.status, asked) == ("failed", 1), "no window is tried after a refused credential"
    assert "answered 401: no entry with •••" in errors
    assert any("answered 503: no entry with •••" in line for line in installation.heard.lines)
    assert "dagster.event_logs" in installation.holding("answered 401")
    for secret in subject.twin.secrets.values():
        assert installation.holding(secret) == []
        assert secret not in errors


def _echo(subject: Subject, stream: BoundStream, *, status: int, times: int = 10**6) -> None:
    """The twin repeats all its secrets in its refusals, as careless systems do."""
    words = "no entry with " + " and ".join(subject.twin.secrets.values())
    subject.twin.faults.clear()
    subject.twin.faults.append(
        Fault(
            path=pattern(stream),
            status=status,
            times=times,
            headers={"Request-Id": words},
            body=json.dumps({"error": {"message": words}}).encode(),
        )
    )


def _plant_and_find(installation: Installation, secret: str) -> None:
    """Puts a text that is no credential where each kind of sink is, finds it, and takes it out."""
    folder = installation.home / "raw"
    landed, printed = folder / "planted.parquet", installation.home / "planted.txt"
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table({"record": [secret.encode()]}), landed, compression="zstd")
    printed.write_text(f"Authorization: Basic {b64encode(f'user:{secret}'.encode()).decode()}")
    line = logging.LogRecord("planted", logging.INFO, "", 1, secret, None, None)
    installation.heard.handle(line)
    with closing(connect(installation.url)) as connection:
        connection.execute("CREATE TABLE canonical.planted (raw bytea)")
        connection.execute("INSERT INTO canonical.planted VALUES (%s)", [secret.encode()])
        connection.commit()
        found = installation.holding(secret)
        connection.execute("DROP TABLE canonical.planted")
        connection.commit()
    landed.unlink()
    printed.unlink()
    installation.heard.lines.clear()
    assert found == ["canonical.planted", "log", "planted.txt", "raw/planted.parquet"]
    assert installation.holding(secret) == []
