"""`integrations quarantine retry/discard`: entries tried again by their own bytes, or given up."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

from integrations.cli import main
from integrations.commands import asking
from integrations.monitoring.ledger import of_runs
from integrations.names import StreamId
from integrations.processes import named
from integrations.sandbox.address import FILE
from integrations.sandbox.server import running
from integrations.sandbox.stripe import EPOCH, StripeTwin
from integrations.storage import quarantine
from integrations.storage.database import connect
from integrations_tests.conftest import make_settings, own_database

Call = Callable[..., Result]
Connection = psycopg.Connection[Any]
CUSTOMERS, CHARGES, EVENTS = (
    StreamId("stripe", "sandbox", name) for name in ("customers", "charges", "events")
)
GOOD = b'{"id": "cus_good", "created": 1790000000, "metadata": {}}'
BAD = b'{"id": "cus_bad", "created": "never", "metadata": {}}'


@pytest.fixture(scope="module")
def whole(server: str, template: str) -> Iterator[str]:
    with own_database(server, template=template) as url:
        yield url


@pytest.fixture
def database(whole: str) -> str:
    """One for all tests, with an empty quarantine and no rows."""
    with connect(whole, autocommit=True) as connection:
        connection.execute("TRUNCATE integrations.quarantine, integrations.ledger")
        connection.execute("DROP SCHEMA canonical CASCADE")
        connection.execute("CREATE SCHEMA canonical")
    return whole


@pytest.fixture(scope="module")
def twin() -> Iterator[tuple[StripeTwin, str]]:
    twin = StripeTwin(7, clock=lambda: EPOCH + timedelta(days=2), per_day=5, bad_charges=())
    with running(twin) as url:
        yield twin, url


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_settings(tmp_path / "home").home


@pytest.fixture
def call(database: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """`integrations quarantine …` with a home of the test's own, where no twin serves."""
    monkeypatch.setenv("INTEGRATIONS_HOME", str(home))
    monkeypatch.setenv("INTEGRATIONS_DATABASE_URL", database)
    return lambda *words, **more: CliRunner().invoke(main, ["quarantine", *words], **more)


@pytest.fixture
def served(twin: tuple[StripeTwin, str], home: Path) -> StripeTwin:
    """The twin serves in this home."""
    given = {"stripe": {"url": twin[1], "secrets": dict(twin[0].secrets)}, **named()}
    (home / FILE).write_text(json.dumps(given))
    return twin[0]


def put(connection: Connection, stream: StreamId, key: str, raw: bytes, **values: Any) -> None:
    """An open entry, as a load left it."""
    given = {"kind": "data", "rule": "type", "field": "created_at", "feed": None, "at": EPOCH}
    given |= values
    connection.execute(
        "INSERT INTO integrations.quarantine (connector, connection, stream, key, raw, kind, rule,"
        " field, feed, said_at, reason, run_id) VALUES"
        " (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 'it could not pass', 'r')",
        [stream.connector, stream.connection, stream.stream, key, raw, *given.values()],
    )
    connection.commit()


def hint(connection: Connection, key: str) -> None:
    """A charge that was to be fetched, and could not be."""
    put(connection, CHARGES, key, key.encode(), kind="transient", rule="hint", feed="events")


def open_keys(connection: Connection) -> set[str]:
    found = {entry.key for entry in quarantine.entries(connection)}
    connection.rollback()
    return found


def retried(call: Call, *words: str) -> list[dict[str, Any]]:
    done = call("retry", *words, "--json")
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_what_passes_now_is_loaded(call: Call, connection: Connection) -> None:
    """By its own bytes, with no source; the others stay, with their reason of now. That some stay
    is no failure."""
    put(connection, CUSTOMERS, "cus_good", GOOD)
    put(connection, CUSTOMERS, "cus_bad", BAD)

    (line,) = retried(call, "stripe/sandbox")

    assert (line["name"], line["tried"], line["passed"]) == (str(CUSTOMERS), 2, ["cus_good"])
    (remains,) = line["remain"]
    assert remains["key"] == "cus_bad"
    assert remains["reason"] != "it could not pass"
    assert (line["left"], line["error"]) == (None, None)
    rows = connection.execute("SELECT source_id, _run_id FROM canonical.customer").fetchall()
    assert [row[0] for row in rows] == ["cus_good"]
    (entry,) = of_runs(connection, [rows[0][1]])
    assert (entry.cause, entry.inserted, entry.quarantined) == ("retry", 1, 1)
    connection.rollback()
    text = call("retry", "stripe/sandbox/customers")
    assert text.exit_code == 0
    assert "Still in quarantine" in text.stdout
    assert "cus_bad" in text.stdout


def test_only_the_keys_that_are_named(call: Call, connection: Connection) -> None:
    """And nothing at all when one of them has no open entry."""
    for key in ("cus_1", "cus_2", "cus_3"):
        put(connection, CUSTOMERS, key, GOOD.replace(b"cus_good", key.encode()))
    wrong = call("retry", "stripe/sandbox", "--key", "cus_1", "--key", "cus_9")
    assert wrong.exit_code == 2
    assert "there is no open entry 'cus_9'" in wrong.stderr
    assert open_keys(connection) == {"cus_1", "cus_2", "cus_3"}

    (line,) = retried(call, "stripe/sandbox", "--key", "cus_1", "--key", "cus_3")

    assert line["passed"] == ["cus_1", "cus_3"]
    assert open_keys(connection) == {"cus_2"}


def test_what_waits_to_be_fetched_is_fetched(
    call: Call, connection: Connection, served: StripeTwin
) -> None:
    """From the source, which may say that there is none."""
    charge = next(iter(served.shown("charges")))
    hint(connection, charge)
    hint(connection, "ch_never_was")

    (line,) = retried(call, "stripe/sandbox/charges")

    assert sorted(line["passed"]) == sorted([charge, "ch_never_was"])
    found = connection.execute("SELECT source_id FROM canonical.payment_live").fetchall()
    assert found == [(charge,)]
    assert open_keys(connection) == set()


def test_what_waits_is_left_where_nobody_can_ask(call: Call, connection: Connection) -> None:
    """No twin serves, or no secret is there: that is said, and what has its bytes is tried."""
    hint(connection, "ch_1")
    put(connection, CHARGES, "ch_2", b"{")
    (line,) = retried(call, "stripe/sandbox/charges")
    assert line["tried"] == 1
    assert line["left"].startswith("1 wait to be fetched: no twin of stripe is serving")
    assert {one["key"] for one in line["remain"]} == {"ch_1", "ch_2"}
    connection.execute("UPDATE integrations.quarantine SET connection = 'main'")
    connection.commit()
    (line,) = retried(call, "stripe/main", "--key", "ch_1")
    assert line["tried"] == 0
    assert line["left"] == "1 wait to be fetched: stripe/main has no env:STRIPE_API_KEY"


def test_a_refused_credential_is_a_failure(
    call: Call, connection: Connection, served: StripeTwin, home: Path
) -> None:
    """Status 1, the stream is named, and its siblings are tried all the same."""
    given = json.loads((home / FILE).read_text())
    given["stripe"]["secrets"] = {"api_key": "sk_test_wrong_0123456789"}
    (home / FILE).write_text(json.dumps(given))
    hint(connection, "ch_1")
    put(connection, CUSTOMERS, "cus_good", GOOD)
    done = call("retry", "stripe/sandbox")
    assert done.exit_code == 1
    assert "failed: stripe/sandbox/charges: " in done.stderr
    assert open_keys(connection) == {"ch_1"}


def test_a_feeds_own_entries_are_not_tried(call: Call, connection: Connection) -> None:
    """They are read again by rewinding the feed; beside streams they are passed over with a word.
    They can be listed and discarded."""
    put(connection, EVENTS, "evt_1", b"{")
    done = call("retry", "stripe/sandbox/events")
    assert done.exit_code == 2
    assert "`integrations positions rewind stripe/sandbox/events` reads its events" in done.stderr
    beside = call("retry", "stripe/sandbox")
    assert (beside.exit_code, beside.stdout.strip()) == (
        0, "Nothing to try: there are no open entries.",
    )  # fmt: skip
    assert "left alone: stripe/sandbox/events" in beside.stderr
    assert "evt_1" in call("list", "stripe/sandbox/events").stdout
    assert call("discard", "stripe/sandbox/events", "evt_1", "--yes").exit_code == 0
    assert open_keys(connection) == set()


@pytest.mark.parametrize("answer", ["y", "n", None])
def test_entries_are_given_up(
    call: Call, connection: Connection, monkeypatch: pytest.MonkeyPatch, answer: str | None
) -> None:
    """When a person wants it, and has seen why they were refused."""
    put(connection, CUSTOMERS, "cus_bad", BAD)
    put(connection, CUSTOMERS, "cus_other", BAD)
    if answer:
        terminal = SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True))
        monkeypatch.setattr(asking, "sys", terminal)
    done = call("discard", str(CUSTOMERS), "cus_bad", input=answer)
    assert done.exit_code == (0 if answer == "y" else 2)
    assert "cus_bad: it could not pass" in done.stderr
    left = {"cus_other"} if answer == "y" else {"cus_bad", "cus_other"}
    assert open_keys(connection) == left
    if answer == "y":
        assert "Discarded 'cus_bad'." in done.stdout
        entry = quarantine.show(connection, CUSTOMERS, key="cus_bad")
        assert entry is not None
        assert (entry.resolution, entry.raw) == ("discarded", BAD)
        connection.rollback()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["retry"], "Missing argument 'SELECT...'"),
        (["retry", "mill"], "nothing is called 'mill'"),
        (["discard", str(CUSTOMERS)], "Missing argument 'KEY...'"),
        (["discard", str(CUSTOMERS), "x", "--yes"], "there is no open entry 'x'"),
        (["discard", "stripe", "x", "--yes"], "'stripe' is no stream"),
    ],
)
def test_what_is_wrong(call: Call, words: list[str], said: str) -> None:
    """Status 2, with what and what to do."""
    done = call(*words)
    assert done.exit_code == 2
    assert said in done.stderr
