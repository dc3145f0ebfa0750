"""What is synced when nobody says what: a job that lost its secrets does not look well."""

from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from integrations.cli import main
from integrations.cli.options import Moment
from integrations.commands import choose
from integrations.commands.sync import tell_failed
from integrations.connector_template.connector import BoundStream, read_connector
from integrations.connector_template.folders import SHIPPED
from integrations.errors import FixConfig
from integrations.orchestration.resources import StoreResource
from integrations.orchestration.sync import Outcome, Wanted, plan
from integrations.storage.ledger import LedgerEntry
from integrations_tests.conftest import make_settings
from integrations_tests.connector_template.florist import FEED, write_looking
from integrations_tests.storage.loads import T0

MAIN, SANDBOX = ("stripe", "main"), ("stripe", "sandbox")
KEY = "STRIPE_API_KEY"
MIN, MAX = "0001-01-01", "9999-12-31T23:59:59.999999"


@pytest.fixture(scope="module")
def streams() -> list[BoundStream]:
    return list(read_connector(SHIPPED / "stripe").streams())


def test_what_is_looked_up_is_read_first(tmp_path: Path) -> None:
    """Before the stream that needs it, and before a feed that speaks of that one; else feeds go
    first. Connections do not wait for each other."""
    folder = write_looking(
        tmp_path / "florist",
        ("  event_handler: none\n", FEED),
        ("filter: modified", "filter: created"),
        (
            "main: {",
            "also: {start: 2026-01-01, secrets: {user: {env: A}, word: {env: B}}}\n    main: {",
        ),
    )
    connector = read_connector(folder)
    readers = [*connector.streams(), *connector.feeds()]
    assert [str(one.id).removeprefix("florist/") for one in choose.in_order(readers)] == [
        "also/buyers", "main/buyers", "also/news", "main/news", "also/orders", "main/orders",
    ]  # fmt: skip
    chosen = [one for one in readers if one.id.stream != "buyers"]
    assert [one.id.stream for one in choose.in_order(chosen)][-1] == "orders"
    assert [one.id.stream for one in choose.in_order(readers[:2])] == ["buyers", "orders"]


@pytest.mark.parametrize(
    ("secret", "synced", "chosen", "wrong", "left_out"),
    [
        (True, set(), {MAIN}, set(), set()),
        (True, {SANDBOX}, {MAIN}, set(), set()),
        (False, set(), set(), set(), {MAIN}),
        (False, {SANDBOX}, {SANDBOX}, set(), {MAIN}),
        (False, {MAIN}, set(), {MAIN}, set()),
        (False, {MAIN, SANDBOX}, set(), {MAIN}, set()),
    ],
)
def test_what_is_ready(
    streams: list[BoundStream],
    monkeypatch: pytest.MonkeyPatch,
    secret: bool,
    synced: set[choose.Account],
    chosen: set[choose.Account],
    wrong: set[choose.Account],
    left_out: set[choose.Account],
) -> None:
    """The sandbox stands in only where no real connection was ever synced, and it was."""
    monkeypatch.delenv(KEY, raising=False)
    if secret:
        monkeypatch.setenv(KEY, "sk_live_of_a_test")
    choice = choose.ready(streams, synced)
    assert {choose.account(stream) for stream in choice.streams} == chosen
    assert (set(choice.wrong), set(choice.left_out)) == (wrong, left_out)


@pytest.mark.parametrize("before", [None, "main"])
def test_a_sync_of_nothing_is_an_error(
    connection: psycopg.Connection[object],
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: str | None,
) -> None:
    """Status 2 and the variable that is missing, in a new home and in one that lost its secret."""
    monkeypatch.delenv(KEY, raising=False)
    monkeypatch.setenv("INTEGRATIONS_HOME", str(make_settings(tmp_path / "home").home))
    monkeypatch.setenv("INTEGRATIONS_DATABASE_URL", database)
    if before:
        connection.execute(
            "INSERT INTO integrations.positions (connector, connection, stream, landing,"
            " run_id) VALUES ('stripe', %s, 'charges', 'l', 'r')",
            [before],
        )
        connection.commit()
    done = CliRunner().invoke(main, ["sync"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"stripe/main has no env:{KEY}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["stripe", "stripe/main/", "a/b/c/d", "stripe/main/Charges", ""])
def test_what_is_no_whole_name(name: str) -> None:
    """A stream is named in full, in small letters."""
    with pytest.raises(FixConfig, match="is no stream"):
        choose.stream_id(name)


def test_a_blocked_stream_says_how_to_go_on(
    streams: list[BoundStream], capsys: pytest.CaptureFixture[str]
) -> None:
    """Where to look first, and the call that loads the good records all the same."""
    id_ = streams[0].id
    entry = LedgerEntry(stream=id_, cause="sync", run_id="r", began_at=T0, status="blocked")
    tell_failed(Outcome(streams[0], windows=1, entries=[entry]))
    said = capsys.readouterr().err
    assert f"integrations quarantine list {id_}" in said
    assert f"integrations sync {id_} --accept" in said


@pytest.mark.parametrize(
    ("begin", "end", "first", "windows"),
    [
        (None, None, 1, 3),
        (MIN, MAX, 1, 3),
        ("2026-01-02T05:00", MAX, 2, 2),
        (MIN, "2026-01-02T05:00", 1, 2),
        ("2026-01-04", None, 0, 0),
        (None, "2026-01-01", 0, 0),
        (MAX, None, 0, 0),
    ],
)
def test_a_stretch_is_cut_to_what_can_have_windows(
    streams: list[BoundStream],
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    begin: str | None,
    end: str | None,
    first: int,
    windows: int,
) -> None:
    """From the connection's start to now, for any time that a calendar can hold."""
    monkeypatch.setenv("INTEGRATIONS_HOME", str(make_settings(tmp_path / "home").home))
    monkeypatch.setenv("INTEGRATIONS_DATABASE_URL", database)
    wanted = Wanted(*(text and Moment().convert(text, None, None) for text in (begin, end)))
    now = datetime(2026, 1, 4, 12, tzinfo=UTC)
    (planned,) = plan(streams[:1], wanted, StoreResource(), now=now)
    found = [window for stretch in planned.stretches for window in stretch]
    assert planned.windows == len(found) == windows
    assert [window.start.day for window in found[:1]] == ([first] if first else [])
