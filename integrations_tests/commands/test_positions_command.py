"""`integrations positions`, `repartition` and `undelete`: as a person uses them."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import psycopg
import pytest
from click.testing import CliRunner, Result

from integrations.cli import main
from integrations.commands import asking, choose
from integrations.connector_template import loading
from integrations.connector_template.connector import read_connector
from integrations.names import StreamId, Window
from integrations.orchestration import keys, stack
from integrations.storage import ledger, positions
from integrations.storage.database import connect
from integrations.storage.ledger import LedgerEntry
from integrations.storage.positions import Pin, Reached
from integrations.storage.tables import ensure_leaf
from integrations_tests.conftest import make_settings, own_database
from integrations_tests.connector_template.florist import FED, changed, write
from integrations_tests.connector_template.test_due import bound, landing

Call = Callable[..., Result]
Connection = psycopg.Connection[Any]
ORDERS, BUYERS, NEWS = (StreamId("florist", "main", name) for name in ("orders", "buyers", "news"))
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
START = TODAY - timedelta(days=3)
FILE = changed(("start: 2026-01-01", f"start: {START:%Y-%m-%d}"), text=FED)
PULLED = TODAY + timedelta(seconds=1)


@pytest.fixture(scope="module")
def whole(server: str, template: str) -> Iterator[str]:
    with own_database(server, template=template) as url:
        yield url


@pytest.fixture
def database(whole: str) -> str:
    """One for all tests, with nothing committed."""
    with connect(whole, autocommit=True) as connection:
        connection.execute(
            "TRUNCATE integrations.streams, integrations.positions, integrations.ledger"
        )
    return whole


@pytest.fixture(scope="module")
def dagster() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A connector of the user's own, which began three days ago."""
    return write(tmp_path / "florist", FILE)


@pytest.fixture
def instance(dagster: dg.DagsterInstance) -> dg.DagsterInstance:
    """One for all tests, without runs."""
    dagster.run_storage.wipe()
    return dagster


@pytest.fixture
def call(
    database: str,
    folder: Path,
    instance: dg.DagsterInstance,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Call:
    """`integrations …` with a home, a database and a Dagster of the test's own."""

    @contextmanager
    def opened() -> Iterator[dg.DagsterInstance]:
        yield instance

    monkeypatch.setenv("INTEGRATIONS_HOME", str(make_settings(tmp_path / "home").home))
    monkeypatch.setenv("INTEGRATIONS_DATABASE_URL", database)
    monkeypatch.setattr(choose, "folders", lambda _: [folder])  # Stripe's takes longer to read
    monkeypatch.setattr(stack, "instance", opened)
    return lambda *words, **more: CliRunner().invoke(main, words, **more)


@pytest.fixture
def seeded(connection: Connection, folder: Path) -> Connection:
    """Two of three days of orders, the buyers, and the news up to an event."""
    connector = read_connector(folder)
    orders, buyers = bound(connector, str(ORDERS)), bound(connector, str(BUYERS))
    for days in (0, 1):
        window = Window(START + timedelta(days=days), START + timedelta(days=days + 1))
        reached = Reached(window=window, landing=landing(PULLED), run_id="r", said_at=PULLED)
        positions.move(connection, ORDERS, reached, pin=loading.pin(orders))
        line = LedgerEntry(
            stream=ORDERS, cause="sync", run_id="r", began_at=PULLED, ended_at=PULLED,
            window=window, landing=landing(PULLED),
        )  # fmt: skip
        ledger.write(connection, line)
    read = Reached(landing=landing(PULLED), run_id="r2", said_at=PULLED)
    positions.move(connection, BUYERS, read, pin=loading.pin(buyers))
    heard = Reached(landing=landing(PULLED), run_id="r3", cursor=(None, "evt_7"), checked_at=PULLED)
    positions.move(connection, NEWS, heard, pin=Pin())
    connection.commit()
    return connection


def shown(call: Call, *select: str) -> dict[str, dict[str, Any]]:
    done = call("positions", "show", *(select or ("florist",)), "--json")
    assert done.exit_code == 0, done.output
    return {line["stream"]: line for line in map(json.loads, done.stdout.splitlines())}


def test_where_everything_stands(call: Call, seeded: Connection) -> None:
    """One line for each stream and feed, with what its kind has."""
    found = shown(call)
    assert list(found) == ["orders", "buyers", "news"]
    common = {"connector": "florist", "connection": "main", "generation": 0, "reset_at": None}
    for line in found.values():
        assert line.pop("committed_at") is not None
        assert common.items() <= line.items()
    orders, buyers, news = found.values()
    assert orders["name"] == "florist/main/orders"
    assert (orders["kind"], orders["windows"], orders["due"], orders["run_id"]) == (
        "window", 2, 1, "r",
    )  # fmt: skip
    assert (orders["since"], orders["until"]) == (str(START), str(START + timedelta(days=2)))
    assert (buyers["kind"], buyers["read_at"], buyers["run_id"]) == ("full", str(PULLED), "r2")
    assert (news["kind"], news["cursor"], news["checked_at"], news["run_id"]) == (
        "feed", "evt_7", str(PULLED), "r3",
    )  # fmt: skip
    text = call("positions", "show", "florist/main").stdout
    assert f"2 windows from {START:%Y-%m-%d} 00:00 to" in text
    assert "evt_7" in text


def test_before_anything_was_committed(call: Call) -> None:
    """All of it is due, and nothing is made up."""
    found = shown(call)
    assert [found[name]["due"] for name in found] == [3, 1, 1]
    assert found["news"]["cursor"] is None
    assert (found["orders"]["windows"], found["orders"]["since"]) == (0, None)
    text = call("positions", "show", "florist").stdout
    assert "no window" in text
    assert "never read" in text


def test_a_position_is_set(call: Call, seeded: Connection) -> None:
    """With a warning of what it means, and the reason kept."""
    done = call("positions", "set", "florist/main/news", "evt_9", "--yes")
    assert (done.exit_code, done.stdout) == (0, "florist/main/news stands at 'evt_9' now.\n")
    assert "goes on after 'evt_9'; now it stands at 'evt_7'" in done.stderr
    unread = "Records between the old and the new position are not read unless its streams are read"
    assert f"{unread} in full (rewind florist/main/buyers, florist/main/orders)" in done.stderr
    news = shown(call, "florist/main/news")["news"]
    assert (news["cursor"], news["generation"]) == ("evt_9", 1)
    assert news["reset_why"] == "set to 'evt_9' by hand"


@pytest.mark.parametrize(
    ("words", "said", "due"),
    [
        (["florist/main/orders"], "is rewound to its start: 3 windows are due.", 3),
        (
            ["florist/main/orders", "--to", f"{START + timedelta(days=1):%Y-%m-%d}"],
            "2 windows are due.", 2,
        ),
        (["florist/main/buyers"], "is rewound to its start: it is due.", 1),
        (["florist/main/news"], ": it is due.", 1),
    ],
)  # fmt: skip
def test_a_rewind(call: Call, seeded: Connection, words: list[str], said: str, due: int) -> None:
    """It says what it means, and what is due then."""
    done = call("positions", "rewind", *words, "--yes")
    assert done.exit_code == 0, done.output
    assert said in done.stdout
    assert done.stderr
    (line,) = shown(call, words[0]).values()
    assert (line["due"], line["generation"]) == (due, 1)


SET, REWIND = ("set", str(NEWS), "evt_9"), ("rewind", str(ORDERS))


@pytest.mark.parametrize(
    ("words", "answer"), [(SET, "y"), (SET, None), (REWIND, "n"), (REWIND, None)]
)
def test_a_person_is_asked(
    call: Call, seeded: Connection, monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...], answer: str | None,
) -> None:  # fmt: skip
    """Where nobody can be asked, or the answer is no, nothing is changed."""
    before = shown(call)
    if answer:
        terminal = SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True))
        monkeypatch.setattr(asking, "sys", terminal)
    done = call("positions", *words, input=answer)
    assert done.exit_code == (0 if answer == "y" else 2)
    assert (shown(call) == before) is (answer != "y")
    if answer is None:
        assert '?". Nothing was changed. Say --yes.' in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("positions", "set", "florist/main/news", "evt_9", "--yes"),
        ("positions", "rewind", "florist/main/news", "--yes"),
    ],
)
@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.SUCCESS])
def test_not_while_it_is_read(
    call: Call, seeded: Connection, instance: dg.DagsterInstance,
    words: tuple[str, ...], status: dg.DagsterRunStatus,
) -> None:  # fmt: skip
    """A run under way is named; those of other streams, and past ones, are no matter."""
    run = instance.add_run(dg.DagsterRun("job", status=status, asset_selection={keys.table(NEWS)}))
    other = {keys.table(ORDERS)}
    instance.add_run(
        dg.DagsterRun("job", status=dg.DagsterRunStatus.STARTED, asset_selection=other)
    )
    done = call(*words)
    under_way = status == dg.DagsterRunStatus.STARTED
    assert done.exit_code == (2 if under_way else 0)
    assert (f"is being synced (run {run.run_id})" in done.stderr) is under_way
    assert shown(call)["news"]["generation"] == int(not under_way)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["positions", "show", "mill"], "nothing is called 'mill'"),
        (["positions", "set", "florist/main", "x"], "'florist/main' is no stream"),
        (["positions", "set", "florist/main/mill", "x"], "nothing is called 'florist/main/mill'"),
        (["positions", "set", "florist/main/orders", "x", "--yes"], "it is not read by cursor"),
        (["positions", "set", "florist/main/news", " ", "--yes"], "' ' is no position"),
        (
            ["positions", "rewind", "florist/main/buyers", "--to", "2026-01-01", "--yes"],
            "knows no time to go back to",
        ),
        (
            ["positions", "rewind", "florist/main/news", "--to", "2020-01-01", "--yes"],
            "its source keeps events for 30 days",
        ),
        (["repartition"], "Missing argument 'SELECT...'"),
        (["undelete", "florist/main"], "'florist/main' is no stream"),
        (["undelete", "florist/main/news"], "nothing is called 'florist/main/news'"),
        (["undelete", "florist/main/orders", "--run", "x"], "run 'x' has deleted nothing"),
    ],
)
def test_what_is_wrong(call: Call, words: list[str], said: str) -> None:
    """Status 2, with what and what to do."""
    done = call(*words)
    assert done.exit_code == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_changed_cadence_is_taken_over(
    call: Call, seeded: Connection, folder: Path, instance: dg.DagsterInstance
) -> None:
    """It shows what becomes of the stream first, changes nothing without a yes, and afterwards the
    proven hours are committed and green."""
    changed_file = changed(("cadence: daily", "cadence: hourly"), text=FILE)
    (folder / "defs.yaml").write_text(changed_file)
    refused = call("repartition", "florist/main/orders", "--json")
    assert refused.exit_code == 2
    (line,) = map(json.loads, refused.stdout.splitlines())
    wanted = {"name": str(ORDERS), "committed": 2, "proven": 48}
    assert wanted.items() <= line.items()
    assert line["due"] >= 24
    assert "daily from" in line["was"]
    assert "hourly from" in line["now"]

    done = call("repartition", "florist", "--yes")

    assert done.exit_code == 0, done.output
    assert "florist/main/orders: done." in done.stderr
    assert len(instance.get_materialized_partitions(keys.table(ORDERS))) == 48
    orders = shown(call)["orders"]
    assert (orders["windows"], orders["due"]) == (48, line["due"])
    again = call("repartition", "florist")
    assert (again.exit_code, again.stdout) == (0, "")
    assert "Nothing to do" in again.stderr


def test_deleted_rows_come_back(call: Call, seeded: Connection, folder: Path) -> None:
    """The runs are listed, and one of them is undone."""
    stream = bound(read_connector(folder), str(BUYERS))
    ensure_leaf(seeded, stream.mapping.entity.table(), connector="florist")
    seeded.execute(
        "INSERT INTO canonical.customer (connector, connection, stream, source_id, _seen_at, _rank,"
        " _synced_at, _run_id, _deleted_at, name)"
        " SELECT 'florist', 'main', 'buyers', n::text, %s, 2, now(), 'bad', %s,"
        " CASE WHEN n < 3 THEN 'Ann' END FROM generate_series(0, 3) n",
        [PULLED, PULLED],
    )
    seeded.commit()
    (line,) = map(json.loads, call("undelete", str(BUYERS), "--json").stdout.splitlines())
    assert (line["run_id"], line["rows"], line["whole"]) == ("bad", 4, 3)
    assert "bad" in call("undelete", str(BUYERS)).stdout

    done = call("undelete", str(BUYERS), "--run", "bad", "--json")

    assert done.exit_code == 0, done.output
    (told,) = map(json.loads, done.stdout.splitlines())
    assert told == {"name": str(BUYERS), "deleted_by": "bad", "rows": 3, "left": 1}
    assert "1 stay deleted" in done.stderr
    assert "still lacks them deletes them again" in done.stderr
    live = seeded.execute("SELECT count(*) FROM canonical.customer_live").fetchone()
    seeded.rollback()
    assert live == (3,)
    assert call("undelete", str(BUYERS), "--run", "bad").exit_code == 2
