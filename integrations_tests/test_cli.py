"""The command line as a user meets it: a real home, a real database, the twins over HTTP.

One demo serves all tests of this module: it is the README's first command.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from integrations.cli import main
from integrations.commands.sync import summary
from integrations.connector_template.connector import BoundStream, read_connector
from integrations.connector_template.folders import SHIPPED
from integrations.names import Window
from integrations.orchestration.sync import Outcome
from integrations.processes import named
from integrations.sandbox.address import FILE
from integrations.sandbox.faults import Fault
from integrations.sandbox.server import running
from integrations.sandbox.stripe import StripeTwin
from integrations.storage.ledger import LedgerEntry

from .conftest import OWN_SERVER, make_settings, own_database, remove_server

CHARGES = "stripe/sandbox/charges"
ROOT = Path(__file__).parent.parent
GOLDEN = Path(__file__).parent / "golden"
COLUMNS = [
    "connector", "connection", "stream", "windows", "records", "received", "inserted", "updated",
    "unchanged", "stale", "duplicate", "filtered", "quarantined", "deleted", "absent_deleted",
    "error_rate", "api_calls", "seconds", "status",
]  # fmt: skip
Run = Callable[..., subprocess.CompletedProcess[str]]
Call = Callable[..., Result]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A home of its own; its server is gone afterwards."""
    settings = make_settings(tmp_path_factory.mktemp("cli") / "home")
    yield settings.home
    remove_server(settings)


@pytest.fixture(scope="module")
def own() -> Iterator[str]:
    """A new database where the tests run on a server of yours; else none: the embedded one."""
    if not OWN_SERVER:
        yield ""
        return
    with own_database(OWN_SERVER) as url:
        yield url


@pytest.fixture(scope="module")
def run(home: Path, own: str) -> Run:
    """Runs the program in the clone, with nothing set but the home."""

    def run(*words: str, cwd: Path = ROOT, **more: str) -> subprocess.CompletedProcess[str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("INTEGR", "DAGSTER"))}
        command = [sys.executable, "-m", "integrations", *words]
        env = kept | {"INTEGRATIONS_HOME": str(home), "INTEGRATIONS_DATABASE_URL": own} | more
        env = {k: v for k, v in env.items() if v}
        return subprocess.run(
            command, check=False, cwd=cwd, env=env, text=True, capture_output=True, timeout=1800
        )

    return run


@pytest.fixture
def call(home: Path, own: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The same within this process, where a fresh one would prove nothing more."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("INTEGRATIONS_HOME", str(home))
    if own:
        monkeypatch.setenv("INTEGRATIONS_DATABASE_URL", own)
    return lambda *words: CliRunner().invoke(main, words)


@pytest.fixture(scope="module")
def demo(run: Run) -> list[dict[str, Any]]:
    """What the demo printed, stream by stream."""
    done = run("demo", "--json")
    assert done.returncode == 0
    said = done.stderr.splitlines()
    assert said, "each twin of files holds some that cannot pass, or are odd"
    assert [line for line in said if not re.search(OF_FILES, line)] == []
    return [json.loads(line) for line in done.stdout.splitlines()]


OF_FILES = r"^warning: s(ftp|3)_files/sandbox/|message .* says that it has .* segments"
TAKEN_APART = {
    "shipments",
    "return_events",
    "order_lines",
    "uplinks",
    "firehose_uplinks",
    "readings",
}
"""Of whose records each may be several rows."""


def loaded(demo: list[dict[str, Any]], connector: str) -> dict[str, dict[str, Any]]:
    """The demo's lines of a connector, in their order, by stream."""
    return {line["stream"]: line for line in demo if line["connector"] == connector}


def test_the_demo_loads_every_stream_once(demo: list[dict[str, Any]]) -> None:
    """From nothing: every stream of each sandbox has rows, and every unit has one fate."""
    assert list(loaded(demo, "stripe")) == [
        "events", "charges", "refunds", "balance_transactions", "customers", "payouts"
    ]  # fmt: skip
    assert list(loaded(demo, "sendcloud")) == [
        "parcel_statuses", "shipments", "parcels", "returns", "return_events"
    ]  # fmt: skip
    assert list(loaded(demo, "florecom_vmp")) == ["supply_lines", "clock_transactions"]
    assert list(loaded(demo, "shiphero")) == ["orders", "order_lines", "shipments", "returns"]
    for line in demo:
        assert list(line) == COLUMNS
        # The feed begins now; what is older comes by the windows.
        assert line["inserted"] > 0 or line["stream"] == "events"
        fates = COLUMNS[6:14]
        assert sum(line[fate] for fate in fates) == line["received"]
        assert line["received"] == line["records"] or line["stream"] in TAKEN_APART
    refused = {line["connector"] for line in demo if line["quarantined"]}
    assert refused >= {"florecom_vmp", "sendcloud", "shiphero", "stripe"}, (
        "each twin holds records that cannot pass"
    )


def test_a_second_sync_changes_nothing_and_says_so(demo: Any, run: Run, call: Call) -> None:
    """Everything is loaded, so nothing is due; nothing is fetched to find that out. Only a feed is
    due again after five minutes, which a demo may take."""
    done = run("sync", "sendcloud/sandbox", "shiphero/sandbox")
    assert done.returncode == 0
    assert "Nothing was due: everything is loaded and up to date." in done.stdout
    again = call("sync", "stripe/sandbox", "--json")
    lines = [json.loads(line) for line in again.stdout.splitlines()]
    told = {(line["status"], line["api_calls"], line["inserted"]) for line in lines[1:]}
    assert (lines[0]["stream"], told) == ("events", {("up_to_date", 0, 0)})


def test_a_stretch_of_time_is_fetched_again(demo: Any, call: Call) -> None:
    """--from and --to are rounded out to whole windows, and what is loaded stays as it is."""
    done = call(
        "sync", "stripe/sandbox/refunds",
        "--from", "2026-10-02T12:00Z", "--to", "2026-10-03", "--json",
    )  # fmt: skip
    (line,) = map(json.loads, done.stdout.splitlines())
    assert (done.exit_code, line["windows"], line["inserted"]) == (0, 1, 0)
    assert line["unchanged"] == line["received"] - line["quarantined"] > 0


def test_status_and_quarantine_show_what_is_there(demo: Any, call: Call) -> None:
    """Each stream's line, and a refused record with its reason and its bytes."""
    told = map(json.loads, call("status", "stripe/sandbox", "--json").stdout.splitlines())
    lines = {line["name"]: line for line in told}
    charges = lines["stripe/sandbox/charges"]
    first = loaded(demo, "stripe")
    pushed = charges["rows"] - first["charges"]["inserted"]
    assert 0 <= pushed <= first["events"]["inserted"]
    assert charges["due"] == 0
    assert charges["quarantine"] >= first["charges"]["quarantined"]
    assert (lines["stripe/sandbox/events"]["rows"], lines["stripe/sandbox/events"]["due"]) == (
        None,
        0,
    )
    listed = call("quarantine", "list", "stripe/sandbox/charges", "--json").stdout.splitlines()
    entry = json.loads(listed[0])
    shown = call("quarantine", "show", entry["stream"], entry["key"])
    assert shown.exit_code == 0
    assert entry["reason"] in shown.stdout
    assert f'"id":"{entry["key"]}"' in shown.stdout


def test_a_feed_is_drained(demo: Any, run: Run) -> None:
    """For a while, with the twins of its own; the lines of the contract are all that it prints."""
    done = run("drain", "stripe/sandbox", "--for", "1", "--json")
    assert done.returncode == 0
    assert "Draining stripe/sandbox/events. Ctrl-C stops it." in done.stderr
    assert [list(json.loads(line)) for line in done.stdout.splitlines()] in ([], [COLUMNS])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["sync", "strip"], "nothing is called 'strip'"),
        (["sync", "--from", "yesterday"], "'yesterday' is no time"),
        (["sync", "--from", "2026-10-02", "--to", "2026-10-01"], "--from must be before --to"),
        (["sync", "--full", "--from", "2026-10-02"], "--full means all windows"),
        (["sync", "--from", "0001-01-01T00:00+14:00"], "is no time"),
        (["sync", f"{CHARGES}", "--from", "2099-01-01"], "no window lies between 2099-01-01"),
        (["sync", f"{CHARGES}", "--from", "9999-12-31T23:30Z"], "no window lies between 9999"),
        (["sync", f"{CHARGES}", "--to", "2000-01-01"], "no window lies between the start and 2000"),
        (["sync", f"{CHARGES}", "--from", "2025-01-01", "--to", "2025-02-01"], "no window lies"),
        (["sync", "stripe/sandbox/customers", "--from", "2026-10-02"], "customers has no windows"),
        (["sync", "stripe/main"], "stripe/main has no env:STRIPE_API_KEY"),
        (["drain", "stripe/main"], "stripe/main has no env:STRIPE_API_KEY"),
        (["drain", "stripe/sandbox/charges"], "There are: stripe/main/events"),
        (["drain", "--every", "0"], "0.0 is not in the range"),
        (["sync", "stripe", "--json"], "stripe/main has no env:STRIPE_API_KEY"),
        (["up", "--port", "0"], "0 is not in the range"),
        (["up", "--port", "65536"], "65536 is not in the range"),
        (["quarantine", "list", "--limit", "-1"], "-1 is not in the range"),
        (["quarantine", "show", "stripe/sandbox/Charges", "x"], "is no stream"),
        (["quarantine", "show", "stripe/sandbox", "x"], "is no stream"),
        (["quarantine", "show", "stripe/sandbox/charges", "x"], "no record 'x' in quarantine"),
        (["check", "nothing"], "no connector is called 'nothing'"),
        (["conjure"], "No such command 'conjure'"),
    ],
)
def test_a_wrong_call_says_what_to_do(demo: Any, call: Call, words: list[str], says: str) -> None:
    """Usage and configuration end with status 2 and one clear line, never with a traceback."""
    done = call(*words)
    assert done.exit_code == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_failure_is_told_on_standard_error(demo: Any, call: Call, home: Path) -> None:
    """With --json too, where standard output holds the lines of the contract and nothing else; the
    siblings of a stream whose credential is refused are not asked for."""
    twin = StripeTwin(7, clock=lambda: datetime.now(UTC), per_day=1)
    twin.faults.append(Fault(status=401, times=9))
    with running(twin) as url:
        served = {"stripe": {"url": url, "secrets": dict(twin.secrets)}, **named()}
        (home / FILE).write_text(json.dumps(served))
        names = [f"stripe/sandbox/{name}" for name in ("customers", "payouts")]
        done = call("sync", *names, "--full", "--json")
        (home / FILE).unlink()
    lines = [*map(json.loads, done.stdout.splitlines())]
    assert (done.exit_code, [line["status"] for line in lines]) == (1, ["failed"] * 2)
    first, second = done.stderr.splitlines()
    assert "failed: stripe/sandbox/customers: " in first
    assert "401" in first
    assert "failed: stripe/sandbox/payouts: " in second
    assert "was refused to another of its streams in this run" in second
    assert twin.requests == 1


def test_outside_of_a_project_only_demo_and_up_work(run: Run, tmp_path: Path) -> None:
    """Without a home there is nothing to sync: status 2, and what to do."""
    done = run("sync", cwd=tmp_path, INTEGRATIONS_HOME="")
    assert done.returncode == 2
    assert "INTEGRATIONS_HOME" in done.stderr


@pytest.mark.skipif(bool(OWN_SERVER), reason="stops the embedded server, and this one is yours")
def test_down_stops_what_is_left(demo: Any, call: Call) -> None:
    """The database that the calls before have started; a second call finds nothing."""
    assert call("down").stdout == "Stopped the embedded PostgreSQL.\n"
    assert call("down").stdout == "Nothing was running.\n"


def test_the_summary_is_as_designed() -> None:
    """One row a stream and their sum, numbers right, statuses worst last."""
    streams = list(read_connector(SHIPPED / "stripe").streams())[:5]
    table = summary([_outcome(stream, place) for place, stream in enumerate(streams)])
    screen = StringIO()
    Console(file=screen, width=160, highlight=False).print(table)
    drawn = "\n".join(line.rstrip() for line in screen.getvalue().splitlines()) + "\n"
    assert drawn == (GOLDEN / "summary.txt").read_text(encoding="utf-8")


def _outcome(stream: BoundStream, place: int) -> Outcome:
    start = datetime(2026, 10, 1, tzinfo=UTC)
    entry = LedgerEntry(
        stream=stream.id, cause="sync", run_id="r", began_at=start,
        window=Window(start, start + timedelta(days=1)),
        status=("ok", "warn", "blocked", "failed", "ok")[place],
        records=1234567 * place, received=1234567 * place, inserted=1234000 * place,
        unchanged=500 * place, quarantined=67 * place, seconds=12.345 * place,
    )  # fmt: skip
    return Outcome(stream, windows=0 if place == 4 else 3, entries=[entry])
