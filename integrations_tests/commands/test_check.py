"""`check --live` says what a sync would say, soon, and of every connection."""

import json
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

from integrations.cli import main
from integrations.connector_template.folders import SHIPPED
from integrations.processes import named
from integrations.sandbox.address import FILE
from integrations.sandbox.faults import Fault
from integrations.sandbox.server import running
from integrations.sandbox.stripe import StripeTwin
from integrations.storage.connections import Added, add
from integrations_tests.conftest import make_settings


@pytest.fixture(scope="module")
def shared_twin() -> Iterator[tuple[StripeTwin, str]]:
    """Sixty good charges a day, three days of them."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    twin = StripeTwin(
        7,
        clock=lambda: datetime.now(UTC),
        epoch=today - timedelta(days=3),
        per_day=60,
        bad_charges=(),
    )
    with running(twin) as url:
        yield twin, url


@pytest.fixture
def twin(
    shared_twin: tuple[StripeTwin, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StripeTwin]:
    """The twin, serving in a home of the test's own, and as Stripe to whoever has its key."""
    twin, url = shared_twin
    home = make_settings(tmp_path / "home").home
    served = {"stripe": {"url": url, "secrets": dict(twin.secrets)}, **named()}
    (home / FILE).write_text(json.dumps(served))
    monkeypatch.setenv("INTEGRATIONS_HOME", str(home))
    monkeypatch.delenv("STRIPE_API_KEY", raising=False)
    monkeypatch.setenv("SHOP_KEY", twin.secrets["api_key"])
    yield twin
    twin.faults.clear()


def check(name: str) -> Result:
    return CliRunner().invoke(main, ["check", name, "--live"])


@pytest.mark.parametrize(
    ("bad", "word", "status"), [(0, "ok", 0), (2, "warn", 0), (21, "wrong", 3), (999, "wrong", 3)]
)
def test_it_judges_as_a_sync_does(twin: StripeTwin, bad: int, word: str, status: int) -> None:
    """What would block a sync is wrong, whether or not some records pass."""

    def spoil(body: bytes) -> bytes:
        return body.replace(b'"currency":"eur"', b'"currency":"x"', bad)

    twin.faults.append(Fault(path="/v1/charges", rewrite=spoil))
    done = check("stripe")
    assert done.exit_code == status
    assert f"{word} stripe/sandbox/charges: " in done.stdout
    mapped = re.search(r" amount +amount \d+, currency \"\w+\" +→ [\d.]+ +minor_units", done.stdout)
    assert mapped or bad > 21, "a first record is shown field by field"


def test_it_tells_what_a_feeds_events_speak_of(twin: StripeTwin) -> None:
    """The newest page of a feed is routed: how many events for which stream, how many for none."""
    done = check("stripe")
    line = next(said for said in done.stdout.splitlines() if "stripe/sandbox/events: " in said)
    counts = {word: int(count) for count, word in re.findall(r"(\d+) (?:for |of )?(\w+)", line)}
    assert line.startswith("ok stripe/sandbox/events: 100 events: ")
    assert counts.pop("events") == sum(counts.values()) == 100
    assert counts["charges"] > 0
    assert counts["refused"] == 0


def test_a_feed_that_cannot_be_read_is_wrong(twin: StripeTwin) -> None:
    """Events without a kind are refused, and one is shown; the streams are tried all the same."""

    def spoil(body: bytes) -> bytes:
        return body.replace(b'"object":"', b'"objekt":"')

    twin.faults.append(Fault(path="/v1/events", rewrite=spoil))
    done = check("stripe")
    assert done.exit_code == 3
    assert "wrong stripe/sandbox/events: 100 events: 0 of no route, 100 refused" in done.stdout
    assert "  refused evt_" in done.stdout
    assert "ok stripe/sandbox/charges: " in done.stdout


def test_it_waits_for_seconds_only(twin: StripeTwin) -> None:
    """A source that is busy for a minute is said to be, and the other streams are tried."""
    twin.faults.append(Fault(path="/v1/charges", status=429, headers={"retry-after": "60"}))
    done = check("stripe")
    assert done.exit_code == 1
    assert "failed stripe/sandbox/charges: " in done.stdout
    assert "of 10 s for the pull" in done.stdout
    assert "ok stripe/sandbox/customers: " in done.stdout


def test_it_says_what_is_left_of_quotas(twin: StripeTwin) -> None:
    """Those that the source told, as it told them last."""
    left = {"RateLimit-Policy": '"all";q=100;w=60', "RateLimit": '"all";r=97;t=30'}
    twin.faults.append(Fault(headers=left, times=99))
    done = check("stripe")
    assert re.search(r"\n  quota ratelimit all 100: 97 of 100 left, more in 3[01] s\n", done.stdout)
    assert done.exit_code == 0


def test_that_nothing_could_be_tried_is_wrong(twin: StripeTwin, tmp_path: Path) -> None:
    """A connector whose only connection lacks its secret is not known to work."""
    folder = tmp_path / "shop"
    shutil.copytree(SHIPPED / "stripe", folder)
    text = (folder / "defs.yaml").read_text()
    sandbox = "    sandbox: {start: 2026-10-01}\n"
    assert sandbox in text
    (folder / "defs.yaml").write_text(text.replace(sandbox, ""))
    done = check(str(folder))
    assert done.exit_code == 2
    assert "left out: shop/main has no env:STRIPE_API_KEY" in done.stderr
    assert "wrong shop: none of its connections could be tried" in done.stdout


def test_what_was_added_is_tried_too(
    twin: StripeTwin,
    shared_twin: tuple[StripeTwin, str],
    connection: psycopg.Connection[Any],
    database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A connection of the table like one of the file; one that cannot be used is wrong."""
    monkeypatch.setenv("INTEGRATIONS_DATABASE_URL", database)
    config = {
        "start": "2026-10-01", "base_url": shared_twin[1], "secrets": {"api_key": {"env": "SHOP_KEY"}}
    }  # fmt: skip
    add(connection, Added("stripe", "zoo", config))
    add(connection, Added("mill", "zoo", config))  # of a connector that is not meant
    connection.commit()
    done = check("stripe")
    assert done.exit_code == 0, done.stdout
    assert "ok stripe/zoo/charges: " in done.stdout
    assert "mill" not in done.stdout
    add(connection, Added("stripe", "spoilt", {"start": "2026-10-01", "secrets": {}}))
    connection.commit()
    done = check("stripe")
    assert done.exit_code == 2
    assert "wrong the connection stripe/spoilt, which was added by command" in done.stdout
    assert "ok stripe/zoo/charges: " in done.stdout


def test_one_connection_does_not_hide_the_others(
    twin: StripeTwin, shared_twin: tuple[StripeTwin, str], tmp_path: Path
) -> None:
    """What keeps the first from opening is said, and the second is tried."""
    folder = tmp_path / "shop"
    folder.mkdir()
    text = (SHIPPED / "stripe" / "defs.yaml").read_text()
    sandbox = "    sandbox: {start: 2026-10-01}\n"
    zoo = f"    zoo: {{start: 2026-10-01, base_url: '{shared_twin[1]}', secrets: {{api_key: {{env: SHOP_KEY}}}}}}\n"
    assert sandbox in text
    (folder / "defs.yaml").write_text(text.replace(sandbox, sandbox + zoo))
    for file in (SHIPPED / "stripe").glob("*.py"):
        (folder / file.name).write_text(file.read_text())
    done = check(str(folder))
    assert done.exit_code == 2
    assert "failed shop/sandbox: no twin of shop is serving" in done.stdout
    assert "ok shop/zoo/charges: " in done.stdout
