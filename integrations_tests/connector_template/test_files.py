"""Files that come, change and go: what of it reaches the table, over a real SSH server."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from integrations.auth.ssh import SshPassword
from integrations.connector_template import loading, pull, rebuilding, replaying
from integrations.connector_template.connector import BoundStream, read_connector
from integrations.connector_template.due import due
from integrations.connector_template.run import Run
from integrations.sandbox.sftp_server import Door, Item, Shelf, key_of, new_key, public, serving
from integrations.secrets import Secret
from integrations.storage import files, positions
from integrations.storage.database import connect
from integrations.storage.landing import LandingZone
from integrations.storage.ledger import LedgerEntry
from integrations_tests.storage.conftest import emptied, shared_database

__all__ = ["emptied", "shared_database"]

BOX = """\
type: integrations.orchestration.component.Connector
attributes:
  title: A box of orders
  connections:
    sandbox: {start: 2026-01-01}
  auth_handler: {type: ssh_password, username: user, password: word, host_key: host}
  sync_handler:
    transport: {type: sftp, base_url: "sftp://box.example", settle_s: 3}
    streams:
      orders:
        sync: {type: cursor}
        request: {folder: /in, files: "*.csv", format: {type: csv, separator: ";", needs: [id]}}
  transformer:
    orders:
      entity: customer
      key: id
      fields: {name: name, city: city, email: [email, {type: lower}]}
  event_handler: none
"""
NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)
HOST = key_of(new_key())


@dataclass
class Box:
    """A box of files and the table that they are read into."""

    stream: BoundStream
    url: str
    shelf: Shelf
    items: dict[str, Item]
    connection: psycopg.Connection[Any]
    zone: LandingZone
    slept: list[float] = field(default_factory=list)
    now: datetime = NOW
    runs: int = 0

    def put(self, name: str, *lines: str, head: str = "id;name", age_h: float = 1) -> None:
        """Writes a file: a line for each of its orders."""
        self.put_bytes(name, "\n".join([head, *lines, ""]).encode(), age_h=age_h)

    def put_bytes(self, name: str, data: bytes, *, age_h: float = 1) -> None:
        self.items[f"/in/{name}"] = Item(data, self.now - timedelta(hours=age_h))

    def sync(self, *, accept: bool = False) -> list[LedgerEntry]:
        """One run, an hour after the last."""
        self.now += timedelta(hours=1)
        run = self._run(accept=accept)
        with self.connection.transaction():
            position = positions.at(self.connection, self.stream.id)
        transport: Any = self.stream.config.sync_handler.transport
        secrets = {"user": "u", "word": "open-sesame", "host": public(HOST)}
        with transport.open(
            SshPassword(type="ssh_password", username="user", password="word", host_key="host"),
            {name: Secret(value) for name, value in secrets.items()},
            base_url=self.url, clock=lambda: self.now, sleep=self._sleep, random=lambda: 0.5,
        ) as session:  # fmt: skip
            onward = pull.Onward(
                self.stream, position, generation=0,
                session=session, zone=self.zone, run=run, clock=lambda: self.now,
            )  # fmt: skip
            entries = [self._load(manifest, run) for manifest in onward.landings()]
            onward.note_end(connection=self.connection)
            return entries

    def is_due(self) -> bool:
        """Whether the next run would look again."""
        with self.connection.transaction():
            return bool(due(self.stream, self.connection, now=self.now))

    def replay(self) -> LedgerEntry:
        manifests = replaying.pulled(self.stream, [None], zone=self.zone)
        with_ = {"connection": self.connection, "zone": self.zone, "clock": lambda: self.now}
        return replaying.load_pulled(self.stream, manifests, run=self._run("replay"), **with_)[1]

    def rebuild(self) -> None:
        with_ = {"connection": self.connection, "zone": self.zone, "clock": lambda: self.now}
        rebuilding.rebuild(self.stream, [], run=self._run("replay"), **with_)

    def rows(self) -> dict[str, str]:
        """The names by id, of those that are not deleted."""
        query = "SELECT source_id, name FROM canonical.customer_live"
        with self.connection.transaction():
            return dict(self.connection.execute(query).fetchall())

    def states(self) -> dict[str, int]:
        with self.connection.transaction():
            found = files.counts(self.connection, self.stream.id)
        return {state: count for state, count in found.items() if count}

    def reasons(self) -> dict[str, str]:
        with self.connection.transaction():
            found = files.not_loaded(self.connection, self.stream.id)
        return {path: f"{state}: {reason}" for path, state, reason in found}

    def _run(self, cause: Any = "sync", *, accept: bool = False) -> Run:
        self.runs += 1
        return Run(f"run{self.runs}", f"run{self.runs}", cause, accept)

    def _load(self, manifest: Any, run: Run) -> LedgerEntry:
        _, entry = loading.load(
            self.stream, manifest,
            connection=self.connection, zone=self.zone, run=run, clock=lambda: self.now,
        )  # fmt: skip
        assert entry is not None
        return entry

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        for name, data in self.growing.items():
            self.put_bytes(name, data, age_h=0)

    growing: dict[str, bytes] = field(default_factory=dict)
    """What files have become when the session looks again."""


@contextmanager
def opened(folder: Path, database: str) -> Iterator[Box]:
    """A box that is served, and an empty table."""
    own = folder / "box"
    own.mkdir()
    (own / "defs.yaml").write_text(BOX)
    (stream,) = read_connector(own).streams()
    items: dict[str, Item] = {}
    shelf, zone = Shelf(lambda: items), LandingZone((folder / "raw").as_uri())
    with (
        serving(shelf, Door("u", password="open-sesame"), host_key=HOST) as url,
        connect(database) as connection,
    ):
        yield Box(stream, url, shelf, items, connection, zone)


@pytest.fixture
def box(tmp_path: Path, emptied: str) -> Iterator[Box]:
    with opened(tmp_path, emptied) as box:
        yield box


def test_a_file_that_comes_again_replaces_its_own_lines(box: Box) -> None:
    """By difference: what changed is updated, what is gone is deleted, all else is untouched."""
    box.put("a.csv", "1;Ann", "2;Bob", "3;Cy")
    box.put("b.csv", "4;Dee")
    (entry,) = box.sync()
    assert (entry.inserted, entry.files) == (4, 2)

    box.put("a.csv", "1;Ann", "3;Cyd", "5;Eve", age_h=0)
    (entry,) = box.sync()

    assert box.rows() == {"1": "Ann", "3": "Cyd", "4": "Dee", "5": "Eve"}
    assert (entry.unchanged, entry.updated, entry.inserted) == (1, 1, 1)
    assert (entry.absent_deleted, entry.received, entry.files) == (1, 3, 1)
    assert box.sync() == []


def test_a_line_that_another_file_says_too_stays(box: Box) -> None:
    """A file deletes what it said last, and not what a later one has said since."""
    box.put("a.csv", "1;Ann", "2;Bob")
    box.sync()
    box.put("b.csv", "2;Bob")
    box.sync()
    box.put("a.csv", "1;Ann", "9;x", age_h=0)
    (entry,) = box.sync()
    assert box.rows() == {"1": "Ann", "2": "Bob", "9": "x"}
    assert entry.absent_deleted == 0

    box.put("b.csv", age_h=0)  # a header and nothing below it is a statement too
    (entry,) = box.sync()
    assert box.rows() == {"1": "Ann", "9": "x"}
    assert (entry.absent_deleted, entry.records, entry.files) == (1, 0, 1)


def test_replay_and_rebuild_come_to_the_same(box: Box) -> None:
    """From what is landed: the line that vanished does not come back, nor does an older value."""
    box.put("a.csv", "1;Ann", "2;Bob", "3;Cy")
    box.sync()
    box.put("a.csv", "1;Anna", "3;Cy", age_h=0)
    box.sync()
    rows = {"1": "Anna", "3": "Cy"}

    entry = box.replay()
    assert (entry.status, entry.updated, entry.inserted) == ("ok", 0, 0)
    assert box.rows() == rows

    box.rebuild()
    assert box.rows() == rows


def test_a_file_that_cannot_be_read_any_more_leaves_its_rows(box: Box) -> None:
    """Refused is no statement; the ledger warns, and the file is read when it is whole again."""
    box.put("a.csv", "1;Ann", "2;Bob")
    box.sync()
    box.put_bytes("a.csv", b"<html>sorry</html>", age_h=0)
    (entry,) = box.sync()
    assert box.rows() == {"1": "Ann", "2": "Bob"}
    assert (entry.status, entry.files, entry.files_refused) == ("warn", 0, 1)
    assert entry.error == "a.csv: has no column 'id'"
    assert box.reasons() == {"a.csv": "refused: has no column 'id'"}
    assert box.sync() == []

    box.put("a.csv", "2;Bob", age_h=0)
    (entry,) = box.sync()
    assert box.rows() == {"2": "Bob"}
    assert box.states() == {"loaded": 1}


def test_a_line_that_cannot_be_read_any_more_is_not_gone(box: Box) -> None:
    """Nobody knows which of the rows it is: none is deleted, until a reading tells of all."""
    box.put("a.csv", *(f"{n};x" for n in range(200)))
    box.sync()
    box.put("a.csv", "0;x;broken", *(f"{n};x" for n in range(1, 199)), age_h=0)
    box.put("b.csv", head="other")
    (entry,) = box.sync()
    assert len(box.rows()) == 200
    assert (entry.absent_deleted, entry.quarantined, entry.status) == (0, 1, "warn")
    assert entry.error == (
        "deletions were not looked for: 1 refused records have no key; b.csv: has no column 'id'"
    )
    box.put("a.csv", "0;x", *(f"{n};x" for n in range(1, 199)), age_h=0)
    (entry,) = box.sync()
    assert entry.absent_deleted == 1
    assert {"0": "x"}.items() <= box.rows().items()
    assert "199" not in box.rows()


def test_half_a_file_is_mended_by_its_whole(box: Box) -> None:
    """One that breaks behind good lines has loaded them, says so, and its successor makes it right."""
    lines = [f"{n};{'x' * 900}" for n in range(1_500)]
    box.put("a.csv", *lines, f'99999;"{"x" * 3_000_000}"')
    (entry,) = box.sync()
    assert 0 < entry.inserted < 1_501
    assert "breaks after" in box.reasons()["a.csv"]

    box.put("a.csv", "7;Ann", age_h=0)
    box.sync()
    assert box.rows() == {"7": "Ann"}


def test_what_is_being_written_waits(box: Box) -> None:
    """By its name, by its emptiness, or because it grew while it was watched."""
    box.put("a.csv.part", "1;Ann")
    box.put_bytes("b.csv", b"")
    box.put("c.csv", "3;C", age_h=-1)
    box.growing["c.csv"] = b"id;name\n3;Cy\n"
    (entry,) = box.sync()
    assert box.slept == [3]
    assert (entry.records, entry.files_waiting, entry.status) == (0, 3, "ok")
    assert box.reasons() == {
        "a.csv.part": "waiting: is still being written",
        "b.csv": "waiting: is empty",
        "c.csv": "waiting: is still being written",
    }
    box.growing = {}
    box.items["/in/a.csv"] = box.items.pop("/in/a.csv.part")
    box.sync()
    assert box.rows() == {"1": "Ann", "3": "Cy"}
    assert box.states() == {"loaded": 2, "waiting": 2}


def test_a_file_that_is_written_anew_as_it_was_is_no_news(box: Box) -> None:
    """Its hash tells; it is noted, so that it is not fetched again."""
    box.put("a.csv", "1;Ann")
    box.sync()
    box.put("a.csv", "1;Ann", age_h=0)
    (entry,) = box.sync()
    assert (entry.records, entry.files) == (0, 0)
    reads = len(box.shelf.reads)
    assert box.sync() == []
    assert len(box.shelf.reads) == reads
    assert box.rows() == {"1": "Ann"}


def test_a_folder_without_news_was_looked_at(box: Box) -> None:
    """It is not due again at once, whether it holds nothing of ours or what it held."""
    box.put("notes.txt", "of others")
    assert box.is_due()
    assert box.sync() == []
    assert not box.is_due()
    box.put("a.csv", "1;Ann")
    box.sync()
    box.now += timedelta(hours=5)
    assert box.is_due()
    assert box.sync() == []
    assert not box.is_due()


def test_a_file_that_is_gone_has_said_what_it_said(box: Box) -> None:
    """Servers tidy up. When it is back it is read again, and changes nothing."""
    box.put("a.csv", "1;Ann")
    box.sync()
    item = box.items.pop("/in/a.csv")
    box.put("b.csv", "2;Bob")
    box.sync()
    box.items["/in/a.csv"] = item
    (entry,) = box.sync()
    assert (entry.unchanged, entry.inserted, entry.absent_deleted) == (1, 0, 0)
    assert box.rows() == {"1": "Ann", "2": "Bob"}


def test_what_is_written_later_says_more(box: Box) -> None:
    """Files of one pull are read in the order in which they were written, whatever their names."""
    box.put("a.csv", "1;new", age_h=1)
    box.put("b.csv", "1;old", age_h=2)
    (entry,) = box.sync()
    assert box.rows() == {"1": "new"}
    assert (entry.inserted, entry.duplicate) == (1, 1)


def test_bad_lines_cost_themselves_or_block_the_load(box: Box) -> None:
    """A few go to quarantine; many block all, files and position too, until they are accepted."""
    good, short = [f"{n};x" for n in range(100)], [f"only{n}" for n in range(30)]
    box.put("a.csv", *good, short[0])
    (entry,) = box.sync()
    assert (entry.status, entry.inserted, entry.quarantined) == ("ok", 100, 1)

    box.put("b.csv", "500;Eve", *short)
    (entry,) = box.sync()
    assert entry.status == "blocked"
    assert "500" not in box.rows()
    assert box.states() == {"loaded": 1}
    (entry,) = box.sync(accept=True)
    assert (entry.status, entry.inserted, entry.files) == ("warn", 1, 1)
    assert box.states() == {"loaded": 2}
