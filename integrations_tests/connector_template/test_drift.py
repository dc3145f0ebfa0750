"""Drift at a load: news is told and remembered, and what would empty a column is not loaded."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from integrations.connector_template import loading
from integrations.connector_template.connector import BoundStream, read_connector
from integrations.connector_template.drift import Drift
from integrations.connector_template.run import Run
from integrations.names import Window
from integrations.storage import positions
from integrations.storage.database import connect
from integrations.storage.landing import LandingZone
from integrations.storage.ledger import Cause, LedgerEntry
from integrations.transformation.mapping import StreamMapping
from integrations.transport import Page
from integrations_tests.connector_template.florist import FLORIST, changed, write
from integrations_tests.storage.conftest import shared_database  # noqa: F401  # a fixture

NOON = datetime(2026, 1, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)
_ACCOUNTS = count(1)
KINDS = "fields: {name: name, email: email, type: {type: enumeration, from: kind, map: {p: person}, other: company}}"
LINE = 1 + next(n for n, line in enumerate(FLORIST.splitlines()) if "email: email" in line)


@dataclass
class Shop:
    """Streams of an account of its own, whose landings a test writes."""

    streams: Mapping[str, BoundStream]
    connection: psycopg.Connection[Any]
    zone: LandingZone
    now: datetime = NOON

    def load(
        self,
        records: list[dict[str, Any]],
        *,
        name: str = "buyers",
        window: Window | None = None,
        accept: bool = False,
        cause: Cause = "sync",
    ) -> tuple[Drift, LedgerEntry]:
        """Lands the records and loads them; what is news, and the ledger line."""
        self.now += timedelta(minutes=1)
        run, stream = Run(f"run{self.now}", f"run{self.now}", cause, accept, ()), self.streams[name]
        pages = [Page(1, [msgspec.json.encode(one) for one in records], self.now, 1)]
        generation = positions.generation(self.connection, stream.id)
        self.connection.rollback()
        with self.zone.writer(
            stream.id, window=window, run_id=run.run_id, root_run_id=run.run_id, began_at=self.now,
            generation=generation,
        ) as writer:  # fmt: skip
            for page in pages:
                writer.add(page)
            manifest = writer.finish(requests=1)
        found, entry = loading.load(
            stream, manifest,
            connection=self.connection, zone=self.zone, run=run, clock=lambda: self.now,
        )  # fmt: skip
        assert entry is not None
        return found.drift, entry


@pytest.fixture
def shop(shared_database: str, tmp_path: Path) -> Iterator[Shop]:  # noqa: F811
    account = f"main{next(_ACCOUNTS)}"
    text = changed(("main:", f"{account}:"), ("fields: {name: name, email: email}", KINDS))
    connector = read_connector(write(tmp_path / "florist", text))
    streams = {stream.id.stream: stream for stream in connector.streams()}
    zone = LandingZone((tmp_path / "raw").as_uri(), clock=lambda: NOON)
    with connect(shared_database) as connection:
        yield Shop(streams, connection, zone)


def buyers(n: int, **more: Any) -> list[dict[str, Any]]:
    made = [{"number": f"b{k}", "name": "x", "email": "e", "kind": "p"} | more for k in range(n)]
    return [{key: value for key, value in one.items() if value is not ...} for one in made]


def orders(n: int, day: datetime, **more: Any) -> list[dict[str, Any]]:
    made = {"total": "1", "currency": "EUR", "state": "done", "ordered_at": day.isoformat()} | more
    kept = {key: value for key, value in made.items() if value is not ...}
    return [{"number": f"o{day:%d}-{k}"} | kept for k in range(n)]


def test_a_new_field_is_told_once(shop: Shop) -> None:
    """With its type and share; it is known then, and what was loaded is not held up."""
    assert shop.load(buyers(10))[0] == Drift()
    told, entry = shop.load(buyers(9) + buyers(1, vat="NL1"))
    assert told.lines == ("new: `vat` (string), in 10% of records; nothing reads it",)
    assert (told.broken, entry.status) == ("", "ok")
    assert shop.load(buyers(10, vat="NL1"))[0] == Drift()
    (kept,) = shop.connection.execute(
        "SELECT types, present, sampled FROM integrations.fields"
        " WHERE connection = %s AND path = 'vat'",
        [shop.streams["buyers"].id.connection],
    )
    assert kept == (["string"], 11, 20)


def test_what_columns_are_made_from_may_not_vanish(shop: Shop) -> None:
    """Nothing is loaded, and the line of the mapping is named, until a person accepts it."""
    shop.load(buyers(120))
    for _ in range(2):  # it stays so
        told, entry = shop.load(buyers(120, email=...))
        assert (entry.status, entry.unchanged, entry.updated) == ("blocked", 0, 0)
        assert entry.error == told.broken
        assert told.broken == "`email` vanished from all records, and columns are made from it"
        assert told.lines == (
            f"gone: `email` (string), which 100% of records had; email is made from it "
            f"(defs.yaml:{LINE})",
        )
    accepted, entry = shop.load(buyers(120, email=...), accept=True)
    assert (entry.status, entry.updated, bool(accepted.broken)) == ("ok", 120, True)
    assert shop.load(buyers(120, email=...))[0] == Drift()
    assert shop.load(buyers(120))[0].lines[0].startswith("back: `email` (string)")


@pytest.mark.parametrize(
    ("policy", "status", "emails"),
    [("keep", "ok", {"e"}), ("clear", "blocked", {"e"}), ("default", "ok", {"none"})],
)
def test_a_field_whose_absence_is_decided(
    shop: Shop, policy: str, status: str, emails: set[str]
) -> None:
    """It may vanish where the column is kept or has a default, for nothing is emptied by that."""
    stream = shop.streams["buyers"]
    default = {"default": "none"} if policy == "default" else {}
    decided = {"missing": {"email": {"when_absent": policy, **default}}}
    values = stream.mapping.mapping.model_dump(by_alias=True) | decided
    bound = StreamMapping.model_validate(values).bind(stream.mapping.entity)
    shop.streams = {"buyers": replace(stream, mapping=bound)}
    shop.load(buyers(120))
    told, entry = shop.load(buyers(120, email=...))
    assert (entry.status, told.lines[0][:12]) == (status, "gone: `email")
    found = shop.connection.execute(
        "SELECT DISTINCT email FROM canonical.customer WHERE connection = %s",
        [stream.id.connection],
    )
    assert {email for (email,) in found} == emails


@pytest.mark.parametrize(
    "asked", [{"where": [{"from": "state", "in": ["done"]}]}, {"deleted": "state"}]
)
def test_what_decides_which_rows_there_are_may_not_vanish(
    shop: Shop, asked: dict[str, Any]
) -> None:
    """Or a filter that finds nothing to ask would take away every row that is said again."""
    stream = shop.streams["buyers"]
    values = stream.mapping.mapping.model_dump(by_alias=True, exclude_unset=True) | asked
    bound = StreamMapping.model_validate(values).bind(stream.mapping.entity)
    shop.streams = {"buyers": replace(stream, mapping=bound)}
    state = False if "deleted" in asked else "done"
    shop.load(buyers(120, state=state))
    told, entry = shop.load(buyers(120))
    assert (entry.status, entry.deleted) == ("blocked", 0)
    assert told.broken == (
        "`state` vanished from all records, and which rows there are is decided by it"
    )
    assert f"; `{next(iter(asked))}` reads it" in told.lines[0]


def test_a_field_that_nothing_reads_may_vanish(shop: Shop) -> None:
    shop.load(buyers(120, shoe_size=40))
    told, entry = shop.load(buyers(120))
    assert told.lines == (
        "gone: `shoe_size` (integer), which 100% of records had; nothing reads it",
    )
    assert entry.status == "ok"


def test_old_windows_may_lack_what_came_later(shop: Shop) -> None:
    """A backfill of last year is no break: the source had no such field then. The newest is."""
    at = {day: datetime(2026, 1, day, tzinfo=UTC) for day in (3, 4, 5)}
    windows = {day: Window(start, start + DAY) for day, start in at.items()}
    shop.load(orders(256, at[4]), name="orders", window=windows[4])
    old = orders(20, at[3], state=...)
    _, entry = shop.load(old, name="orders", window=windows[3], accept=True)
    assert entry.error is None
    shop.load(orders(256, at[4]), name="orders", window=windows[4])
    told, entry = shop.load(orders(30, at[5], state=...), name="orders", window=windows[5])
    assert told.broken.startswith("`state` vanished")
    assert entry.status == "blocked"


def test_what_an_old_window_lacks_is_not_missed(shop: Shop) -> None:
    """Or what it lacks would be known for gone, and the newest could lack it and be loaded; nor is
    it told at every window of a backfill. Also where all positions are reset, oldest first."""
    at = {day: datetime(2026, 1, day, tzinfo=UTC) for day in (3, 4, 5)}
    windows = {day: Window(start, start + DAY) for day, start in at.items()}
    shop.load(orders(256, at[4]), name="orders", window=windows[4])
    for reset in (False, True):
        if reset:
            positions.reset(shop.connection, shop.streams["orders"].id, why="tried")
            shop.connection.commit()
        old = orders(30, at[3], state=..., vat=1)
        told, entry = shop.load(old, name="orders", window=windows[3], accept=True)
        assert ("gone" in str(told.lines), told.broken, entry.error) == (False, "", None)
    told, entry = shop.load(orders(30, at[5], state=...), name="orders", window=windows[5])
    assert told.broken.startswith("`state` vanished")
    assert entry.status == "blocked"


def test_of_what_is_blocked_nothing_is_remembered(shop: Shop) -> None:
    """It was not loaded, so what is new in it is news again when it is."""
    shop.load(buyers(120))
    wrong = [one | {"number": None, "vat": "NL1"} for one in buyers(120)]
    for _ in range(2):
        told, entry = shop.load(wrong)
        assert (entry.status, told.broken) == ("blocked", "")
        assert any(line.startswith("new: `vat`") for line in told.lines)
    found = shop.connection.execute(
        "SELECT path, sampled FROM integrations.fields WHERE connection = %s",
        [shop.streams["buyers"].id.connection],
    )
    assert dict(found.fetchall()) == dict.fromkeys(("number", "name", "email", "kind"), 120)


def test_unknown_words_are_told_as_long_as_they_come(shop: Shop) -> None:
    """With how often, and the line at which the mapping could know them."""
    shop.load(buyers(3))
    for _ in range(2):
        told, entry = shop.load(buyers(3) + buyers(2, kind="z"))
        assert told.lines == (f"type does not know the words 'z' (2×) (defs.yaml:{LINE})",)
        assert entry.status == "ok"


def test_a_replay_says_nothing_of_the_source(shop: Shop) -> None:
    """What was landed long ago lacks what came later, and that is no news."""
    shop.load(buyers(120))
    told, entry = shop.load(buyers(120, email=..., vat="1"), cause="replay")
    assert (told, entry.status) == (Drift(), "ok")
