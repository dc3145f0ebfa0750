"""`status` says why a stream is not well, and what a feed has missed."""

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from integrations.cli import main
from integrations.commands import choose
from integrations.connector_template import loading
from integrations.connector_template.connector import read_connector
from integrations.error_handling.guard import Exchange
from integrations.error_handling.limits import Limit
from integrations.error_handling.quota import QuotaGuard
from integrations.error_handling.shared_budget import SharedBudget
from integrations.names import StreamId
from integrations.storage import ledger, positions
from integrations.storage.circuits import Circuit, Circuits
from integrations.storage.database import connect
from integrations.storage.ledger import LedgerEntry, Status
from integrations.storage.positions import Reached
from integrations_tests.conftest import make_settings
from integrations_tests.connector_template.florist import FED, changed, write
from integrations_tests.connector_template.test_due import bound, landing

NOW = datetime.now(UTC)
START = NOW.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=2)
BUYERS, ORDERS, NEWS = (StreamId("florist", "main", name) for name in ("buyers", "orders", "news"))
Told = Callable[[], tuple[dict[str, dict[str, Any]], str]]


@pytest.fixture
def told(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    """The lines of `--json` by stream, and the text of the table."""
    write(
        tmp_path / "florist",
        changed(("start: 2026-01-01", f"start: {START:%Y-%m-%d}"), text=FED),
    )
    monkeypatch.setenv("INTEGRATIONS_HOME", str(make_settings(tmp_path / "home").home))
    monkeypatch.setenv("INTEGRATIONS_DATABASE_URL", database)
    monkeypatch.setattr(choose, "folders", lambda _: [tmp_path / "florist"])

    def told() -> tuple[dict[str, dict[str, Any]], str]:
        done = CliRunner().invoke(main, ["status", "--json"])
        assert done.exit_code == 0, done.output
        lines = {line["stream"]: line for line in map(json.loads, done.stdout.splitlines())}
        return lines, CliRunner().invoke(main, ["status"]).stdout

    return told


def test_it_says_why(told: Told, database: str) -> None:
    """Below the table, of what failed or is blocked and of nothing else."""
    worst: dict[StreamId, tuple[Status, str | None]] = {
        BUYERS: ("failed", "it answered [401]"),
        ORDERS: ("blocked", None),
        NEWS: ("ok", None),
    }
    with closing(connect(database)) as connection:
        for stream, (status, error) in worst.items():
            entry = LedgerEntry(
                stream=stream, cause="sync", run_id="r", began_at=NOW, ended_at=NOW,
                status=status, error=error,
            )  # fmt: skip
            ledger.write(connection, entry)
        connection.commit()
    lines, text = told()
    assert {name: line["status"] for name, line in lines.items()} == {
        "buyers": "failed", "orders": "blocked", "news": "ok",
    }  # fmt: skip
    assert "\nflorist/main/buyers: failed: it answered [401]\n" in text
    refused = "florist/main/orders: blocked: too many records were refused; `integrations quar"
    assert f"\n{refused}" in text
    assert "florist/main/news: " not in text


def test_a_gap_is_shown_until_it_is_read(told: Told, database: str, tmp_path: Path) -> None:
    """The feed's status is `gap`, with what is missing, also in JSON; then it is what it was."""
    connector = read_connector(tmp_path / "florist")
    assert told()[0]["news"]["status"] == "never"
    with closing(connect(database)) as connection:
        for stream in (BUYERS, ORDERS):
            pin = loading.pin(bound(connector, str(stream)))
            first = Reached(landing=landing(NOW), run_id="r", said_at=NOW)
            if stream == BUYERS:
                positions.move(connection, stream, first, pin=pin)
                positions.reset(connection, stream, why="gap: nothing was read of it")
        connection.commit()
        lines, text = told()
        assert lines["news"]["status"] == "gap"
        words = "gap: nothing was read of it. Still to be read: all of florist/main/buyers"
        assert lines["news"]["gap"] == words
        assert f"\nflorist/main/news: {words}\n" in text
        again = Reached(landing=landing(NOW), run_id="r", said_at=NOW, generation=1)
        positions.move(connection, BUYERS, again, pin=loading.pin(bound(connector, str(BUYERS))))
        connection.commit()
    lines, text = told()
    assert (lines["news"]["status"], lines["news"]["gap"]) == ("never", None)
    assert "gap" not in text


def test_what_is_left_of_the_quotas_is_shown(told: Told, database: str) -> None:
    """Of each the numbers, in the table the one of which least is left; for all of a connection."""
    assert told()[0]["orders"]["quota"] == []
    budget = SharedBudget(lambda: connect(database), connector="florist", connection="main")
    limits = [Limit(calls=10, per_s=3600), Limit(calls=500, per_s=3600, method="GET")]
    guard = QuotaGuard(limits, holder="h", now=lambda: datetime.now(UTC), shared=budget)
    with closing(guard):
        for _ in range(3):
            exchange = Exchange("GET /orders")
            with guard.around(exchange):
                exchange.status = 200
    lines, text = told()
    shown = [(one["name"], one["units"], one["left"]) for one in lines["buyers"]["quota"]]
    assert shown == [
        ("10 calls in 3600 s", 10, 7),
        ("500 calls in 3600 s of GET", 500, 497),
    ]
    assert text.count("7 of 10") == 3


def test_an_endpoint_that_is_left_alone(told: Told, database: str) -> None:
    """Of each stream that has to wait for it: until when, why, and how a person ends it."""
    assert {line["circuit"] for line in told()[0].values()} == {None}
    with (
        closing(connect(database)) as connection,
        closing(Circuits(connection, "florist", "main")) as circuits,
    ):
        shut = Circuit(until=START, cool_s=60, why="GET /buyers answered 503")
        circuits.change("GET /buyers", lambda *_: shut)
        circuits.change("GET /orders", lambda *_: replace(shut, until=None))
    lines, text = told()
    found = {name: line["circuit"] for name, line in lines.items() if line["circuit"]}
    assert set(found) == {"buyers"}
    assert (found["buyers"]["endpoint"], found["buyers"]["why"]) == ("GET /buyers", shut.why)
    told_of = "florist/main/buyers: GET /buyers is left alone until a run tries it after"
    assert f"{told_of} {START:%Y-%m-%d} 00:00:00 UTC: {shut.why}. `integrations" in text
    assert "`integrations connections close-circuits florist/main` has it asked at once" in text
    close = ["connections", "close-circuits", "florist/main"]
    said = [CliRunner().invoke(main, close).stdout for _ in range(2)]
    assert said == [
        "GET /buyers is asked again by the next run.\n",
        "Of florist/main nothing was left alone.\n",
    ]
    assert {line["circuit"] for line in told()[0].values()} == {None}
    for wrong in ("florist", "florist/mian"):
        assert CliRunner().invoke(main, [*close[:2], wrong]).exit_code == 2
