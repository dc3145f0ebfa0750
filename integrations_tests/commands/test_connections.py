"""`integrations connections`: added, listed and removed as a person does it."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import psycopg
import pytest
from click.testing import CliRunner, Result

from integrations.cli import main
from integrations.commands import connections as commands
from integrations.connector_template.folders import SHIPPED
from integrations.names import StreamId
from integrations.orchestration import keys, stack
from integrations.orchestration.drain import hold
from integrations.storage import connections
from integrations.storage.database import connect
from integrations_tests.conftest import make_settings

Call = Callable[..., Result]
GOOD = ["stripe/second", "--start", "2026-03-01", "--secret", "api_key=env:SECOND_KEY"]
HUSH = "sk_live_" + "51Hh00aAbBcCdDeEfF"


@pytest.fixture
def call(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """`integrations connections …` with a home and a database of the test's own."""
    monkeypatch.setenv("INTEGRATIONS_HOME", str(make_settings(tmp_path / "home").home))
    monkeypatch.setenv("INTEGRATIONS_DATABASE_URL", database)
    return lambda *words, **more: CliRunner().invoke(main, ["connections", *words], **more)


def lines(call: Call) -> dict[str, dict[str, Any]]:
    done = call("list", "--json")
    assert done.exit_code == 0
    return {line["name"]: line for line in map(json.loads, done.stdout.splitlines())}


def test_a_connection_is_added_listed_and_removed(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands beside the file's, with its references and whether each resolves."""
    before = lines(call)
    assert {line["from"] for line in before.values()} == {"file"}
    done = call("add", *GOOD, "--base-url", "https://eu.example")
    assert (done.exit_code, done.stdout) == (0, "Added stripe/second.\n")
    assert "cannot be synced from here yet: no env:SECOND_KEY" in done.stderr
    assert "reload the code location 'integrations' in its UI" in done.stderr
    found = lines(call)
    line = found.pop("stripe/second")
    assert found == before
    assert line == before["stripe/main"] | {
        "name": "stripe/second", "connection": "second", "from": "added", "start": "2026-03-01",
        "base_url": "https://eu.example",
        "secrets": {"api_key": {"reference": "env:SECOND_KEY", "resolves": False}},
    }  # fmt: skip
    monkeypatch.setenv("SECOND_KEY", HUSH)
    assert lines(call)["stripe/second"]["secrets"]["api_key"]["resolves"]
    shown = call("list").stdout
    assert "api_key=env:SECOND_KEY" in shown
    assert HUSH not in shown
    done = call("remove", "stripe/second")
    assert (done.exit_code, done.stdout) == (0, "Removed stripe/second.\n")
    assert lines(call) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["stripe", "--start", "2026-01-01"], ["'stripe' is no connection"]),
        (["mill/main", "--start", "2026-01-01"], ["no connector is called 'mill'"]),
        (["stripe/sandbox", *GOOD[1:]], ["'sandbox' is the name of the local twin's connection"]),
        (["stripe/main", *GOOD[1:]], ["there is a connection 'main' in"]),
        (
            ["stripe/second", "--start", "May", "--secret", "other=env:X"],
            ["3 mistakes", "second.start", "lacks the secret 'api_key'", "the secret 'other'"],
        ),
        ([*GOOD, "--secret", "api_key=env:X"], ["the secret 'api_key' is given twice"]),
        ([*GOOD[:3], "--secret", HUSH], ["a secret is given as --secret NAME=env:VARIABLE"]),
        ([*GOOD[:3], "--secret", f"{HUSH}=x"], ["a secret is given as --secret NAME=env:VARIABLE"]),
        ([*GOOD[:3], "--secret", f"api_key={HUSH}"], ["must say where the secret is"]),
        ([*GOOD[:3], "--secret", f"api_key=env:{HUSH}"], ["must say where the secret is"]),
        ([*GOOD[:3], "--secret", f"api_key=file:{HUSH}"], ["must say where the secret is"]),
        ([*GOOD[:3], "--secret", f"api_key=store:{HUSH}"], ["must say where the secret is"]),
        ([*GOOD, "--base-url", f"https://x:{HUSH}@y.example"], ["second.base_url`: an address"]),
    ],
)
def test_what_cannot_be_added(call: Call, words: list[str], said: list[str]) -> None:
    """Status 2, every mistake at once, nothing stored, and a secret is not shown."""
    done = call("add", *words)
    assert done.exit_code == 2
    assert all(part in done.stderr for part in said), done.stderr
    assert "Traceback" not in done.stderr
    assert HUSH not in done.output
    assert {line["from"] for line in lines(call).values()} == {"file"}


@pytest.mark.parametrize(
    ("reference", "set_", "passes"),
    [
        ("env:" + HUSH, True, True),
        ("env:STRIPE_SECOND_KEY_2026", False, True),
        ("env:stripe_key", False, True),
        ("env:0abc", False, False),
        ("env:", False, False),
        ("file:/run/secrets/key", False, True),
        ("file:key", False, False),
        ("/run/secrets/key", False, False),
    ],
)
def test_what_is_a_reference(
    call: Call, monkeypatch: pytest.MonkeyPatch, reference: str, set_: bool, passes: bool
) -> None:
    """A variable that is set is one, whatever it is called; a path is said from the root on."""
    if set_:
        monkeypatch.setenv(reference.removeprefix("env:"), "x")
    done = call("add", *GOOD[:3], "--secret", f"api_key={reference}")
    assert done.exit_code == (0 if passes else 2)


def test_a_name_is_added_once(call: Call) -> None:
    """What is there is not replaced in passing."""
    assert call("add", *GOOD).exit_code == 0
    done = call("add", "stripe/second", "--start", "2026-04-01", "--secret", "api_key=env:X")
    assert done.exit_code == 2
    assert "stripe/second was added already" in done.stderr
    assert lines(call)["stripe/second"]["start"] == "2026-03-01"


@pytest.mark.parametrize("more", [[], ["--with-data", "--yes"]])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("stripe/main", f"stripe/main stands in {SHIPPED}/stripe/defs.yaml. Remove it there."),
        ("stripe/second", "no connection stripe/second was added. There are: none"),
        ("Stripe/x", "is no connection"),
    ],
)
def test_what_cannot_be_removed(call: Call, more: list[str], name: str, said: str) -> None:
    """Only what was added; a file is changed by whoever wrote it."""
    done = call("remove", name, *more)
    assert done.exit_code == 2
    assert said in done.stderr


def seed(connection: psycopg.Connection[Any]) -> None:
    """A line of the ledger, as a sync would have left one."""
    connection.execute(
        "INSERT INTO integrations.ledger (connector, connection, stream, run_id, cause, status,"
        " began_at, ended_at) VALUES ('stripe', 'second', 'charges', 'r', 'sync', 'ok', now(), now())"
    )
    connection.commit()


def ledger(connection: psycopg.Connection[Any]) -> int:
    found = connection.execute("SELECT 1 FROM integrations.ledger").fetchall()
    connection.rollback()
    return len(found)


def test_without_with_data_the_data_stays(
    call: Call, connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    """It says what stays, a later connection of the name is told of it, and it can still go."""
    call("add", *GOOD)
    seed(connection)
    done = call("remove", "stripe/second")
    assert done.stdout == (
        "Removed stripe/second.\n"
        "Its data stays (integrations.ledger 1); --with-data removes it too.\n"
    )
    done = call("add", *GOOD)
    assert (
        "There is data of an earlier stripe/second, and syncs go on from it: integrations.ledger 1."
        in done.stdout
    )
    assert ledger(connection) == 1


@pytest.mark.parametrize("answer", ["y", "n", None])
def test_a_person_is_asked_before_data_goes(
    call: Call,
    connection: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
    answer: str | None,
) -> None:
    """Where nobody can be asked nothing goes; nor where the answer is no."""
    call("add", *GOOD)
    seed(connection)
    removed = []
    monkeypatch.setattr(commands, "_remove_all", lambda *given: removed.append(given[2]))
    if answer:
        terminal = SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True))
        monkeypatch.setattr(commands, "sys", terminal)
    done = call("remove", "stripe/second", "--with-data", input=answer)
    assert removed == ([("stripe", "second")] if answer == "y" else [])
    assert done.exit_code == (0 if answer == "y" else 2)
    said = "(integrations.ledger 1) for good?" if answer else "nobody can be asked whether"
    assert said in done.stderr


def test_an_unusable_one_is_listed_and_can_be_removed(
    call: Call, connection: psycopg.Connection[Any]
) -> None:
    """With what is wrong with it; every command goes on without it."""
    connections.add(connection, connections.Added("mill", "main", {"start": "2026-01-01"}))
    connection.commit()
    line = lines(call)["mill/main"]
    assert "no connector 'mill' loads" in line["error"]
    assert "no connector 'mill' loads" in call("list").stdout
    done = CliRunner().invoke(main, ["status", "--json"])
    assert done.exit_code == 0
    assert "warning: no connector 'mill' loads" in done.stderr
    assert call("remove", "mill/main").exit_code == 0
    assert "mill/main" not in lines(call)


def test_an_added_connection_is_selected_like_any_other(call: Call) -> None:
    """Commands that work on streams know those of what was added."""
    call("add", *GOOD)
    done = CliRunner().invoke(main, ["status", "stripe/second/charges", "--json"])
    (line,) = map(json.loads, done.stdout.splitlines())
    assert (done.exit_code, line["name"]) == (0, "stripe/second/charges")
    assert line["due"] > 0
    done = CliRunner().invoke(main, ["sync", "stripe/second"])
    assert done.exit_code == 2
    assert "stripe/second has no env:SECOND_KEY" in done.stderr


def test_nothing_goes_while_it_is_drained(
    call: Call, connection: psycopg.Connection[Any], database: str
) -> None:
    """What goes would come back with the next event."""
    call("add", *GOOD)
    seed(connection)
    with closing(connect(database)) as other:
        hold(other, StreamId("stripe", "second", "events"))
        done = call("remove", "stripe/second", "--with-data", "--yes")
        assert done.exit_code == 2
        assert "stripe/second/events is being drained. Nothing was removed" in done.stderr
        assert ledger(connection) == 1
    assert call("remove", "stripe/second", "--with-data", "--yes").exit_code == 0
    assert ledger(connection) == 0


def test_nothing_goes_while_a_run_is_under_way(
    call: Call, connection: psycopg.Connection[Any]
) -> None:
    """The run is named; its end lets everything go, with what Dagster knows of its assets."""
    call("add", *GOOD)
    seed(connection)
    table = keys.table(StreamId("stripe", "second", "charges"))
    with stack.instance() as instance:
        run = dg.DagsterRun("job", status=dg.DagsterRunStatus.STARTED, asset_selection={table})
        instance.add_run(run)
        instance.report_runless_asset_event(dg.AssetMaterialization(table))
        done = call("remove", "stripe/second", "--with-data", "--yes")
        assert done.exit_code == 2
        assert f"stripe/second is being synced (run {run.run_id})" in done.stderr
        assert (ledger(connection), instance.has_asset_key(table)) == (1, True)
        instance.report_run_failed(run)
        done = call("remove", "stripe/second", "--with-data", "--yes")
        assert done.stdout == (
            "Removed stripe/second with all its data.\n  integrations.ledger: 1\n  landings: 0\n"
        )
        assert (ledger(connection), instance.has_asset_key(table)) == (0, False)
    assert "stripe/second" not in lines(call)
