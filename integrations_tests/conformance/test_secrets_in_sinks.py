"""A credential is used and never written: not into tables, landings, logs, Dagster or errors."""

import base64
import itertools
import json
import logging
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from urllib.parse import quote
from xml.sax.saxutils import escape

import dagster as dg
import pytest
from starlette.types import Message, Receive, Scope, Send

from integrations.connector_template.connector import BoundStream
from integrations.errors import IntegrationError
from integrations.names import Window
from integrations.orchestration import keys, stack
from integrations.orchestration.code_location import build
from integrations.orchestration.partitions import partitions, range_tags
from integrations.orchestration.sync import Outcome, Planned, Reader, execute
from integrations.processes import named
from integrations.redaction import install_redactor
from integrations.sandbox.faults import Fault
from integrations.sandbox.server import running
from integrations.sandbox.twin import Twin
from integrations.storage.database import connect
from integrations.storage.landing import LandingZone
from integrations_tests.conformance.planting import EVERYWHERE, made_up, planted
from integrations_tests.conformance.sinks import Heard, Sinks
from integrations_tests.conformance.spellings import SPELLINGS, Text
from integrations_tests.conformance.subject import (
    Case,
    Subject,
    Ticking,
    pattern,
    required,
)
from integrations_tests.conformance.wire import Put, Record, changed, dumped
from integrations_tests.conftest import make_settings

AWKWARD = "+/=&<>%'k\""
"""All that is spelled otherwise somewhere and that a header can carry."""
COMPUTED = "logs/*/compute_logs/*.err"

pytestmark = pytest.mark.filterwarnings(
    # Dagster asks pydantic for its fields by their old name.
    "ignore::pydantic.warnings.PydanticDeprecatedSince20:dagster"
)


class Careful:
    """A twin behind a key of characters that are spelled otherwise in URLs, JSON, HTML and base64.

    It asks for that key, and lets the twin see its own.
    """

    def __init__(self, twin: Twin) -> None:
        self._twin = twin
        self.faults = twin.faults
        self.secrets = {
            name: f"{value[:9]}{AWKWARD}{value[9:20]}" for name, value in twin.secrets.items()
        }

    @property
    def requests(self) -> int:
        return self._twin.requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = [(name, self._own(value)) for name, value in scope["headers"]]
            scope = {**scope, "headers": headers}
        await self._twin(scope, self._receiving(receive), send)

    def _receiving(self, receive: Receive) -> Receive:
        async def received() -> Message:
            message = await receive()
            if not message.get("body"):
                return message
            return {**message, "body": self._own_words(message["body"])}

        return received

    def _own_words(self, body: bytes) -> bytes:
        """A login's body with the twin's own secrets, in JSON or XML; a small one comes in one
        piece."""
        own = {self.secrets[name]: value for name, value in self._twin.secrets.items()}
        if body.lstrip().startswith(b"<"):
            for secret, value in own.items():
                body = body.replace(escape(secret).encode(), value.encode())
            return body
        asked = json.loads(body)
        return dumped({name: own.get(str(value), value) for name, value in asked.items()})

    def _own(self, value: bytes) -> bytes:
        scheme, _, pair = value.partition(b" ")
        if scheme == b"Basic":
            return b"Basic " + base64.b64encode(self._own(base64.b64decode(pair)))
        for name, secret in self.secrets.items():
            value = value.replace(secret.encode(), self._twin.secrets[name].encode())
        return value


@dataclass(frozen=True)
class Installation:
    """A home and a database that a connector's sandbox has been synced into through Dagster."""

    subject: Subject
    home: Path
    url: str
    heard: Heard
    instance: dg.DagsterInstance
    definitions: dg.Definitions

    def sync(
        self, stream: Reader, windows: list[Window | None], *, faults: Sequence[Fault] = ()
    ) -> Outcome:
        """One Dagster run, as the command line starts it, with these faults and no others."""
        self._order(faults)
        planned = Planned(stream, [[window for window in windows if window]])
        return execute(planned, self.definitions, self.instance, on_window=lambda _: None)

    def run(
        self, stream: BoundStream, windows: list[Window | None], *, faults: Sequence[Fault] = ()
    ) -> bool:
        """One as the UI starts it, whose step prints its log; whether it went well."""
        self._order(faults)
        stretch = [window for window in windows if window]
        job = self.definitions.resolve_job_def(keys.job(stream.id.connector, stream.id.connection))
        return job.execute_in_process(
            instance=self.instance,
            asset_selection=keys.of_stream(stream),
            tags=range_tags(partitions(stream), stretch) if stretch else {},
            raise_on_error=False,
        ).success

    def _order(self, faults: Sequence[Fault]) -> None:
        self.subject.twin.faults.clear()
        for fault in faults:
            self.subject.twin.faults.append(fault)

    def read(self) -> Sinks:
        return Sinks.read(self.url, self.home, self.heard.lines)


@pytest.fixture
def installation(
    subject: Subject, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Installation]:
    """The command line's own surroundings, with the subject's twin as the one that serves."""
    careful = Careful(subject.twin)
    with running(careful) as url:
        yield from _installed(
            replace(subject, twin=careful, url=url), database, tmp_path, monkeypatch
        )
    subject.twin.faults.clear()


def _installed(
    subject: Subject, database: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Installation]:
    home = make_settings(folder / "home").home
    address = {"url": subject.url, "secrets": dict(subject.twin.secrets)}
    known = {**named(), subject.connector.name: address}
    (home / "sandbox.json").write_text(json.dumps(known))
    monkeypatch.setenv("INTEGRATIONS_HOME", str(home))
    monkeypatch.setenv("INTEGRATIONS_DATABASE_URL", database)
    # Of a step's output Dagster keeps what comes to the descriptors; pytest's own lie beside them.
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = open(descriptor, "w", buffering=1, closefd=False)  # noqa: SIM115
        monkeypatch.setattr(sys, name, stream)
    heard = Heard()
    install_redactor()
    logging.getLogger().addHandler(heard)
    with stack.instance() as instance:
        definitions = build([subject.connector.folder])
        yield Installation(subject, home, database, heard, instance, definitions)
    logging.getLogger().removeHandler(heard)


def test_a_planted_secret_is_found_everywhere(installation: Installation) -> None:
    """The search finds what nobody knows for a secret: in each spelling, in each kind of place."""
    here = installation
    secrets = made_up()
    before = here.read()
    with planted(here.url, here.home, heard=here.heard, instance=here.instance, secrets=secrets):
        after = here.read()
    assert [name for name, secret in secrets.items() if before.holding(secret)] == []
    missed = {name: EVERYWHERE - set(after.holding(secret)) for name, secret in secrets.items()}
    assert {name: places for name, places in missed.items() if places} == {}


def test_no_secret_is_in_any_sink(installation: Installation) -> None:
    """After syncs that worked, and ones whose answers repeated the credential in every spelling, no
    place that keeps text holds it, and no error says it."""
    here, subject = installation, installation.subject
    done = [here.sync(one, subject.windows(one)[:1]) for one in subject.streams]
    done += [here.sync(feed, []) for feed in subject.feeds]
    stream = (subject.windowed or subject.streams)[0]
    windows = subject.windows(stream)
    faults = careless(subject, stream, statuses=(400, 403, 404))
    # A 403 ends a run, and of one window nothing is asked after the first.
    of_a_run = 2 if len(windows) > 1 else 1
    refused = [
        here.run(stream, windows, faults=faults[at : at + of_a_run])
        for at in range(0, len(faults), of_a_run)
    ]
    # Who can log in anew does so once.
    failed = here.sync(
        stream, windows, faults=careless(subject, stream, statuses=(401,), times=10**6)
    )
    errors = "".join(told(here, stream))
    sinks = here.read()

    assert {outcome.status for outcome in done} <= {"ok", "warn"}
    assert sum(outcome.total("inserted") for outcome in done) > 0
    assert (set(refused), failed.status) == ({False}, "failed")
    stored = ["dagster.event_logs", "integrations.ledger"]
    for status in (400, 401, 403, 404):
        printed = [COMPUTED] if status != 401 else []  # the command line's runs print nothing
        assert sinks.holding(f"answered {status}: no entry with •••") == stored + printed
    assert sinks.holding("answered 503: no entry with •••") == ["log"], "it was tried again"
    for secret in subject.twin.secrets.values():
        assert sinks.holding(secret) == []
        assert not Text(errors.encode()).holds(secret), errors


def test_a_key_that_a_source_sends_as_data(installation: Installation) -> None:
    """Records are kept as they were sent, whatever they hold; what is said about them is not: a
    key among their values is in raw, tables and quarantine, and in no log, event or metadata."""
    here, subject = installation, installation.subject
    stream = (subject.windowed or subject.streams)[0]
    (secret, *_) = subject.twin.secrets.values()
    _, place = required(stream)

    numbers = itertools.count()

    def repeat(record: Record, put: Put) -> None:
        if (number := next(numbers)) < 2:
            put(place, [secret] if number else secret)

    def page(body: bytes) -> bytes:
        within = partial(_first_unit, subject, stream)
        return changed(body, stream, subject.oracle, repeat, within=within)

    fault = Fault(path=pattern(stream), times=10**6, rewrite=page)
    here.sync(stream, subject.windows(stream)[:1], faults=[fault])
    found = set(here.read().holding(secret))
    landed = {place for place in found if place.startswith(f"raw/{stream.id}/")}
    table = f"canonical.{stream.mapping.entity.entity_name()}"
    leaf = f"{table}__{subject.connector.name}"
    assert landed != set(), "the twin did send it"
    assert found - landed <= {"integrations.quarantine", leaf, table}


def _first_unit(subject: Subject, stream: BoundStream, record: Record) -> Record:
    return next(subject.units(stream, record))


def careless(
    subject: Subject, stream: BoundStream, *, statuses: Sequence[int], times: int = 1
) -> list[Fault]:
    """Refusals, one after the other, that repeat all secrets in all spellings, in JSON or in words,
    in the body and in a header."""
    secrets = subject.twin.secrets.values()
    spelled = [spell(secret) for secret in secrets for spell in SPELLINGS.values()]
    words = f"no entry with {' '.join(spelled)}"
    bodies = (json.dumps({"error": {"message": words}}), words)
    return [
        Fault(
            path=pattern(stream),
            status=status,
            times=times,
            headers={"Request-Id": words},
            body=bodies[number % 2].encode(),
        )
        for number, status in enumerate(statuses)
    ]


def told(here: Installation, stream: BoundStream) -> Iterator[str]:
    """What errors say, with their causes, where no run catches them: after a sync that met a
    passing fault, of a source that stays away, of a refused credential, and of redirects."""
    subject = here.subject
    with connect(here.url) as connection:
        zone = LandingZone((here.home / "raw").as_uri())
        case = Case(subject, "case", connection, zone, Ticking(subject.now))
        window = subject.windows(stream)[0]
        subject.twin.faults.clear()
        subject.twin.faults.append(*careless(subject, stream, statuses=[503]))
        case.sync(stream, window)
        failing = careless(subject, stream, statuses=[500, 401], times=10**6)
        for fault in [*failing, *redirects(subject, stream)]:
            subject.twin.faults.clear()
            subject.twin.faults.append(fault)
            with pytest.raises(IntegrationError) as caught:
                case.sync(stream, window)
            yield "".join(traceback.format_exception(caught.value))


def redirects(subject: Subject, stream: BoundStream) -> Iterator[Fault]:
    """To another origin, to a user of the same, and to a place that is none, with each secret."""
    for secret in subject.twin.secrets.values():
        key = quote(secret, safe="")
        for place in (
            f"https://other.example/{key}?key={key}",
            subject.url.replace("://", f"://user:{key}@"),
            f"/nowhere/{key}?key={key}",
        ):
            yield Fault(path=pattern(stream), status=302, headers={"Location": place})
