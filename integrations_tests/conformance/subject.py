"""A connector under test, with its twin on a real socket, and the verbs that tests drive it by."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import httpx
import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from integrations.connector_template import family, loading, pull
from integrations.connector_template.config_schema import SANDBOX
from integrations.connector_template.connector import BoundFeed, BoundStream, Connector
from integrations.connector_template.run import Run
from integrations.names import StreamId, Window
from integrations.sandbox.faults import Fault
from integrations.sandbox.twin import Twin
from integrations.secrets import Secret
from integrations.storage import positions
from integrations.storage.landing import LandingZone
from integrations.storage.ledger import LedgerEntry
from integrations.storage.manifest import Manifest
from integrations.sync_state.windows import OVERLAP, WindowSync, floor
from integrations.transport.graphql_request import GraphqlRequest
from integrations.transport.rest_session import RestSession
from integrations.transport.soap import SoapTransport
from integrations_tests.conformance.oracles import Oracle, Record
from integrations_tests.conformance.wire import Put, changed, dumped, value_at

DAYS = timedelta(days=3, hours=12)
"""How long after its sandbox's start a connector is read."""
MOST_WINDOWS = 3


@dataclass(frozen=True)
class Subject:
    """A connector, its twin and where it serves, and the oracle that knows what is right."""

    connector: Connector
    twin: Twin
    url: str
    oracle: Oracle
    now: datetime

    @property
    def streams(self) -> list[BoundStream]:
        """The streams of the sandbox connection that are read; their children come with them."""
        mine = [s for s in self.connector.streams() if s.id.connection == SANDBOX]
        return [stream for stream in mine if stream.parent is None]

    @property
    def feeds(self) -> list[BoundFeed]:
        """The feeds of the sandbox connection."""
        return [f for f in self.connector.feeds() if f.id.connection == SANDBOX]

    @property
    def windowed(self) -> list[BoundStream]:
        return [s for s in self.streams if isinstance(s.stream.sync, WindowSync)]

    def windows(self, stream: BoundStream) -> list[Window | None]:
        """The last windows that have passed; a None for a stream that is read in full."""
        sync = stream.stream.sync
        if not isinstance(sync, WindowSync):
            return [None]
        return [*sync.windows(stream.connection.begins_at, self.now)][-MOST_WINDOWS:]

    def span(self, stream: BoundStream, windows: list[Window | None]) -> Window | None:
        """All that the pulls of these windows ask for, what lies before the first included."""
        known = [window for window in windows if window]
        return Window(self.before(stream, known[0]).start, known[-1].end) if known else None

    def before(self, stream: BoundStream, window: Window) -> Window:
        """What a pull of the window brings that lies before it."""
        start = window.start - OVERLAP
        by_day = stream.id.stream in getattr(self.oracle, "BY_DAY", ())
        return Window(floor(start, "daily") if by_day else start, window.start)

    def held(self, stream: BoundStream, window: Window | None) -> dict[str, Any]:
        """What the twin holds: source id to the row it must become, None where it must not pass."""
        with httpx.Client(base_url=self.url, trust_env=False) as client:
            client.headers.update(self.oracle.let_in(client, self.twin.secrets))
            found = list(self.oracle.records(client, stream.id.stream, window))
        units = [unit for record in found for unit in self.units(stream, record)]
        return {self.key(stream, one): self.oracle.expected(stream.id.stream, one) for one in units}

    def units(self, stream: BoundStream, record: Record) -> Iterator[Record]:
        """What becomes a row: the record, or each element of its list, as `item`, beside it."""
        each = stream.mapping.mapping.each
        if each is None:
            yield record
            return
        for number, item in enumerate(value_at(record, each) or ()):
            yield {**record, "item": item, "item_no": number}

    def key(self, stream: BoundStream, record: Record) -> str:
        """The record's id at the source, as the mapping's key has it."""
        if (own := getattr(self.oracle, "key", None)) is not None:
            return str(own(stream.id.stream, record))
        paths = [path for rule in stream.mapping.key for path in rule.reads()]
        return "/".join(str(value_at(record, path)) for path in paths)


class Ticking:
    """A clock that starts at a moment and goes on by a millisecond whenever it is read, so that
    what was done later has a later time."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def __call__(self) -> datetime:
        self._now += timedelta(milliseconds=1)
        return self._now


@dataclass
class Case:
    """One test's own connection: the same connector and twin, its own rows, landings and ledger."""

    subject: Subject
    name: str
    connection: psycopg.Connection[Any]
    zone: LandingZone
    clock: Callable[[], datetime]
    slept: list[float] = field(default_factory=list)
    of_children: list[LedgerEntry] = field(default_factory=list)
    runs: Iterator[int] = field(default_factory=lambda: iter(range(1, 1_000)))

    def own(self, stream: BoundStream) -> BoundStream:
        """The stream, and its children, under this case's connection."""
        alone = replace(stream, id=replace(stream.id, connection=self.name), children=())
        ids = (replace(one.id, connection=self.name) for one in stream.children)
        told = zip(stream.children, ids, strict=True)
        children = tuple(replace(one, id=id_, parent=alone) for one, id_ in told)
        return replace(alone, children=children)

    def session(self) -> RestSession:
        """Logged in to the twin; waiting takes no time and is noted."""
        config = self.subject.connector.config
        return config.sync_handler.transport.open(
            config.auth_handler,
            {name: Secret(value) for name, value in self.subject.twin.secrets.items()},
            base_url=self.subject.url,
            clock=self.clock,
            sleep=self.slept.append,
            random=lambda: 0.5,
        )

    def run(self, *, accept: bool = False) -> Run:
        """A run that nobody has retried."""
        run_id = f"{self.name}-{next(self.runs)}"
        return Run(run_id, run_id, "sync", accept)

    def land(self, stream: BoundStream, window: Window | None, run: Run) -> Manifest:
        with self.session() as session:
            return pull.land(
                self.own(stream), window, generation=0,
                session=session, zone=self.zone, run=run, clock=self.clock,
            )  # fmt: skip

    def load(self, stream: BoundStream, manifest: Manifest, run: Run) -> LedgerEntry:
        load = family.load if stream.children else loading.load
        found, entry = load(
            self.own(stream), manifest,
            connection=self.connection, zone=self.zone, run=run, clock=self.clock,
        )  # fmt: skip
        assert entry is not None, "only a cursor can be passed by another run"
        self.of_children += [child.entry for child in found.children if child.entry]
        return entry

    def sync(self, stream: BoundStream, window: Window | None) -> LedgerEntry:
        """Lands and loads a window, as a run of its own."""
        run = self.run()
        return self.load(stream, self.land(stream, window, run), run)

    def go_on(self, stream: BoundStream) -> list[LedgerEntry]:
        """Lands and loads what follows the stream's position, as a run of its own."""
        own, run = self.own(stream), self.run()
        with self.connection.transaction():
            position = positions.at(self.connection, own.id)
        with self.session() as session:
            onward = pull.Onward(
                own, position, generation=0,
                session=session, zone=self.zone, run=run, clock=self.clock,
            )  # fmt: skip
            return [self.load(stream, manifest, run) for manifest in onward.landings()]

    def rows(self, stream: BoundStream) -> dict[str, Record]:
        """The stream's rows in its canonical table, by source id."""
        leaf = sql.Identifier("canonical", stream.mapping.entity.entity_name())
        query = sql.SQL("SELECT * FROM {} WHERE (connection, stream) = (%s, %s)").format(leaf)
        there = "SELECT to_regclass(%s) IS NOT NULL"
        name = f"canonical.{stream.mapping.entity.entity_name()}"
        with self.connection.transaction(), self.connection.cursor(row_factory=dict_row) as cursor:
            if not self._one(there, name):
                return {}
            found = cursor.execute(query, [self.name, stream.id.stream]).fetchall()
        assert len({row["source_id"] for row in found}) == len(found)
        return {row["source_id"]: row for row in found}

    def quarantined(self, stream: BoundStream) -> dict[str, Record]:
        """The stream's open quarantine entries, by key."""
        query = (
            "SELECT * FROM integrations.quarantine WHERE (connection, stream) = (%s, %s)"
            " AND closed_at IS NULL"
        )
        with self.connection.transaction(), self.connection.cursor(row_factory=dict_row) as cursor:
            found = cursor.execute(query, [self.name, stream.id.stream]).fetchall()
        return {row["key"]: row for row in found}

    def nothing_committed(self, stream: BoundStream, window: Window | None) -> bool:
        """Whether no landing, row, refusal, position or ledger line of the stream is there."""
        own = self.own(stream).id
        kept = [
            self._one(
                f"SELECT count(*) FROM integrations.{table} WHERE (connection, stream) = (%s, %s)",
                own.connection, own.stream,
            )
            for table in ("positions", "ledger", "quarantine", "streams")
        ]  # fmt: skip
        landed = self.zone.newest(own, window=window)
        return landed is None and not any(kept) and not self.rows(stream)

    def positions(self, stream: BoundStream) -> int:
        own: StreamId = self.own(stream).id
        query = "SELECT count(*) FROM integrations.positions WHERE (connection, stream) = (%s, %s)"
        return int(self._one(query, own.connection, own.stream))

    def _one(self, query: str, *values: str) -> Any:
        with self.connection.transaction():
            row = self.connection.execute(query, values).fetchone()
        assert row is not None
        return row[0]


def difference(rows: dict[str, Record], held: dict[str, Any]) -> list[str]:
    """How a table differs from what the source holds: empty where it is equal, types included."""
    must = {key: row for key, row in held.items() if row is not None}
    found = [f"{key} is missing" for key in must.keys() - rows.keys()]
    found += [f"{key} should not be there" for key in rows.keys() - must.keys()]
    for key in must.keys() & rows.keys():
        for column, value in must[key].items():
            given = rows[key][column]
            if given != value or type(given) is not type(value):
                found.append(f"{key}.{column} is {given!r}, the source holds {value!r}")
    return sorted(found)


def pattern(stream: BoundStream) -> str:
    """Which paths of the twin are this stream's."""
    request, transport = stream.stream.request, stream.config.sync_handler.transport
    if isinstance(transport, SoapTransport):
        return f"POST {transport.path}"
    if isinstance(request, GraphqlRequest):
        return str(transport.path)
    return re.sub(r"\{.*?\}", "*", request.path)


class Spoiler:
    """Breaks good records on their way from the twin: a required value becomes an empty list.

    Every connector's records can be broken so, whatever they are made of. `spoilt` holds the bytes
    that were sent, by the record's key; each record is broken the same way however often it is
    sent.
    """

    def __init__(self, subject: Subject, stream: BoundStream, *, most: int = 10**9, nth: int = 1):
        self.subject, self.stream, self.most, self.nth = subject, stream, most, nth
        self.column, self.path = required(stream)
        self.spoilt: dict[str, bytes] = {}
        self._seen: dict[str, int] = {}

    def order(self) -> None:
        """From now on the twin's pages of this stream are spoilt."""
        fault = Fault(path=pattern(self.stream), times=10**6, rewrite=self.page)
        self.subject.twin.faults.append(fault)

    def page(self, body: bytes) -> bytes:
        return changed(body, self.stream, self.subject.oracle, self._record)

    def _record(self, record: Record, put: Put) -> None:
        nested = getattr(self.stream.stream.request, "nested", None)
        assert not nested, "of a record that is read on the bytes are not as sent"
        assert self.stream.mapping.mapping.each is None, "of an element the bytes are not as sent"
        key = self.subject.key(self.stream, record)
        if self.subject.oracle.expected(self.stream.id.stream, record) is None:
            return
        place = self._seen.setdefault(key, len(self._seen))
        if key in self.spoilt or (place % self.nth == 0 and len(self.spoilt) < self.most):
            put(self.path, [])
            self.spoilt[key] = dumped(record)


def required(stream: BoundStream) -> tuple[str, str]:
    """A column that must be filled, and the path that its rule reads, which is no key and no page's
    cursor."""
    taken = {path for rule in stream.mapping.key for path in rule.reads()}
    for bound in stream.mapping.fields:
        paths = [path for path in bound.rule.reads() if path not in taken]
        if paths and not bound.column.nullable:
            return bound.column.name, paths[0]
    for bound in stream.mapping.fields:  # an entity that requires nothing still has types
        paths = [path for path in bound.rule.reads() if path not in taken]
        if paths:
            return bound.column.name, paths[0]
    raise AssertionError(f"{stream.id} maps nothing but its key")
