"""Streams that are read by cursor: what is landed chains, what is loaded moves the position."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from integrations.connector_template import loading, pull, replaying
from integrations.connector_template.connector import BoundStream, read_connector
from integrations.connector_template.due import due
from integrations.connector_template.pull import Onward
from integrations.connector_template.run import Run
from integrations.errors import StopStream
from integrations.names import StreamId
from integrations.secrets import Secret
from integrations.storage import positions
from integrations.storage.database import connect
from integrations.storage.landing import LandingZone
from integrations.storage.ledger import LedgerEntry
from integrations.storage.manifest import Manifest
from integrations_tests.lanes import barriers
from integrations_tests.lanes.barriers import Interrupted
from integrations_tests.lanes.conftest import NOON, Served
from integrations_tests.lanes.lanes import Clock

FILE = """\
type: integrations.orchestration.component.Connector
attributes:
  title: Address book (buyers)
  connections:
    main: {start: 2026-01-01, secrets: {user: {env: BOOK_USER}, word: {env: BOOK_WORD}}}
  auth_handler: {type: basic, username: user, password: word}
  sync_handler:
    transport: {type: rest, base_url: "https://book.example", concurrency: 1}
    streams:
      buyers:
        sync: {type: cursor, every: hourly, position: seq}
        request:
          path: /changes
          params: {after: "{position}", limit: 2}
          records: items
          paging: {type: next_url, next: next}
  transformer:
    buyers: {entity: customer, key: id, fields: {name: name}}
  event_handler: none
"""


@dataclass
class Book:
    """A source that gives every change a number and lists what comes after one."""

    url: str = ""
    changes: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def write(self, *names: str) -> None:
        """One change each: `ann2` is Ann's, whose key is `ann`."""
        for name in names:
            seq = len(self.changes) + 1
            self.changes.append({"seq": seq, "id": name.rstrip("0123456789"), "name": name})

    def app(self) -> ASGIApp:
        return Starlette(routes=[Route("/changes", self._answer)])

    async def _answer(self, request: Request) -> JSONResponse:
        after, limit = request.query_params.get("after"), int(request.query_params["limit"])
        self.asked.append(after or "-")
        begin = int(after or 0)
        items = self.changes[begin : begin + limit]
        more = begin + limit < len(self.changes)
        onward = f"{self.url}/changes?after={begin + limit}&limit={limit}" if more else None
        return JSONResponse({"items": items, "next": onward})


@dataclass
class Reader:
    """The stream of an account, and the verbs on it."""

    stream: BoundStream
    book: Book
    connection: psycopg.Connection[Any]
    zone: LandingZone
    clock: Clock
    runs: Iterator[int] = field(default_factory=lambda: count(1))

    def run(self) -> Run:
        name = f"run{next(self.runs)}"
        return Run(name, name, "sync")

    @contextmanager
    def onward(self) -> Iterator[Onward]:
        """A pull that is open."""
        at = positions.at(self.connection, self.stream.id)
        generation = positions.generation(self.connection, self.stream.id)
        self.connection.rollback()
        config = self.stream.config
        secrets = {"user": Secret("u"), "word": Secret("w")}
        with config.sync_handler.transport.open(
            config.auth_handler, secrets, base_url=self.book.url,
            clock=self.clock, sleep=lambda _: None, random=lambda: 0.5,
        ) as session:  # fmt: skip
            yield Onward(
                self.stream, at, session=session, zone=self.zone, run=self.run(),
                generation=generation, clock=self.clock,
            )  # fmt: skip

    def land(self) -> Iterator[Manifest]:
        """The landings that are to be loaded, old ones first."""
        with self.onward() as pull:
            yield from pull.landings()

    def load(self, manifest: Manifest, run: Run | None = None) -> LedgerEntry | None:
        return loading.load(
            self.stream, manifest, connection=self.connection, zone=self.zone,
            run=run or self.run(), clock=self.clock,
        )[1]  # fmt: skip

    def sync(self) -> list[LedgerEntry | None]:
        """Landing by landing: lands, loads; then notes that there was nothing more."""
        self.clock.goes(seconds=1)
        with self.onward() as pull:
            entries = [self.load(manifest) for manifest in pull.landings()]
            pull.note_end(connection=self.connection)
        return entries

    @property
    def cursor(self) -> str | None:
        found = positions.at(self.connection, self.stream.id)
        self.connection.rollback()
        return found.cursor if found else None

    def names(self) -> dict[str, str]:
        """The live rows."""
        rows = self.connection.execute(
            "SELECT source_id, name FROM canonical.customer WHERE connector = 'book'"
            " AND connection = %s AND _deleted_at IS NULL",
            [self.stream.id.connection],
        ).fetchall()
        self.connection.rollback()
        return dict(rows)


@pytest.fixture
def reader(served: Served, account: str, shared_database: str, tmp_path: Path) -> Iterator[Reader]:
    folder = tmp_path / "book"
    folder.mkdir()
    (folder / "defs.yaml").write_text(FILE)
    (found,) = read_connector(folder).streams()
    book, clock = Book(served.url), Clock(NOON)
    served.stage.on = book.app()
    zone = LandingZone((tmp_path / "raw").as_uri(), clock=clock)
    with connect(shared_database) as connection:
        yield Reader(
            replace(found, id=StreamId("book", account, "buyers")), book, connection, zone, clock
        )


def inserted(entries: list[LedgerEntry | None]) -> list[int]:
    return [entry.inserted for entry in entries if entry is not None]


def test_each_pull_goes_on(reader: Reader) -> None:
    """The first asks for all, each later one for what follows; nothing new is no landing."""
    assert due(reader.stream, reader.connection, now=reader.clock()) == [[]]
    reader.connection.rollback()
    reader.book.write("ann", "bob", "ann2")
    assert inserted(reader.sync()) == [2]
    assert (reader.cursor, reader.book.asked) == ("3", ["-", "2"])
    assert reader.sync() == []
    assert due(reader.stream, reader.connection, now=reader.clock()) == []
    reader.connection.rollback()
    reader.book.write("cid", "bob2")
    (entry,) = reader.sync()
    assert entry is not None
    assert (entry.inserted, entry.updated, entry.received, entry.api_calls) == (1, 1, 2, 0)
    assert (reader.cursor, reader.book.asked[2:]) == ("5", ["3", "3"])
    assert reader.names() == {"ann": "ann2", "bob": "bob2", "cid": "cid"}


def test_landing_twice_is_harmless(reader: Reader) -> None:
    """Who only lands goes on where it ended; the next sync loads the chain without asking for it
    again."""
    reader.book.write("ann", "bob")
    assert len(list(reader.land())) == 1
    reader.clock.goes(seconds=1)
    reader.book.write("cid")
    landed = list(reader.land())
    assert [manifest.cursor for manifest in landed] == [(None, "2"), ("2", "3")]
    assert (reader.cursor, reader.book.asked) == (None, ["-", "2"])
    assert inserted(reader.sync()) == [2, 1]
    assert (reader.cursor, reader.book.asked) == ("3", ["-", "2", "3"])
    assert reader.names().keys() == {"ann", "bob", "cid"}


def test_a_long_pull_commits_in_steps(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step is a landing, loaded while the next is still to come: who dies in the middle has
    not pulled for nothing."""
    monkeypatch.setattr(pull, "STEP_RECORDS", 2)
    reader.book.write(*(f"{letter}x" for letter in "abcde"))
    landings = reader.land()
    assert inserted([reader.load(next(landings))]) == [2]
    assert (reader.cursor, reader.book.asked) == ("2", ["-"])
    with barriers.at("before_manifest", barriers.interrupt), pytest.raises(Interrupted):
        next(landings)
    assert inserted(reader.sync()) == [2, 1]
    assert (reader.cursor, reader.book.asked) == ("5", ["-", "2", "2", "4"])
    assert len(reader.names()) == 5


def test_the_position_moves_only_with_the_rows(reader: Reader) -> None:
    """A load that dies leaves neither; the next one loads what is landed."""
    reader.book.write("ann")
    with barriers.at("committing", barriers.interrupt), pytest.raises(Interrupted):
        reader.sync()
    assert (reader.cursor, reader.names()) == (None, {})
    assert inserted(reader.sync()) == [1]
    assert (reader.cursor, reader.book.asked) == ("1", ["-", "1"])


def test_two_at_once(reader: Reader) -> None:
    """Both land from one position; who loads second finds it moved and loads nothing."""
    reader.book.write("ann")
    landed: list[Manifest] = []

    def meanwhile() -> None:
        reader.book.write("bob")
        landed.extend(reader.land())

    with barriers.at("fetched", meanwhile):
        landed.extend(reader.land())
    second, first = landed
    assert (first.cursor, second.cursor) == ((None, "1"), (None, "2"))
    assert inserted([reader.load(second)]) == [2]
    assert reader.load(first) is None
    assert reader.cursor == "2"
    assert reader.names().keys() == {"ann", "bob"}


def test_after_a_reset(reader: Reader) -> None:
    """What was landed before it chains no more, and what was about to be loaded is refused."""
    reader.book.write("ann")
    reader.sync()
    reader.book.write("bob")
    (landed,) = reader.land()
    positions.reset(reader.connection, reader.stream.id, why="a test")
    reader.connection.commit()
    assert reader.load(landed) is None
    reader.book.asked.clear()
    (entry,) = reader.sync()
    assert entry is not None
    assert (entry.inserted, entry.unchanged, reader.cursor) == (1, 1, "2")
    assert reader.book.asked == ["-"]


def test_what_goes_down_is_no_cursor(reader: Reader) -> None:
    """A list in another order would leave behind what comes later: nothing of it is landed."""
    reader.book.write("ann", "bob")
    reader.book.changes.reverse()
    with pytest.raises(StopStream, match="ascending"):
        reader.sync()
    assert (reader.cursor, list(reader.zone.every(reader.stream.id))) == (None, [])


def test_a_replay_moves_nothing(reader: Reader) -> None:
    """It loads all landings, in the order in which they were said, and the position stays."""
    reader.book.write("ann", "bob")
    reader.sync()
    reader.book.write("ann2")
    reader.sync()
    asked = list(reader.book.asked)
    run = Run("again", "again", "replay")
    landings = replaying.pulled(reader.stream, [], zone=reader.zone)
    entries = [reader.load(manifest, run) for manifest in landings]
    assert inserted(entries) == [0, 0]
    assert reader.names() == {"ann": "ann2", "bob": "bob"}
    assert (reader.cursor, reader.book.asked) == ("3", asked)
