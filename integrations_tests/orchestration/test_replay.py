"""Replays in Dagster and on the command line: rows made again of what is landed."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from integrations.cli import main
from integrations.commands import choose
from integrations.commands import replay as command
from integrations.connector_template.connector import read_connector
from integrations.connector_template.folders import SHIPPED
from integrations.orchestration import keys, stack
from integrations.orchestration.code_location import build
from integrations.processes import named
from integrations.sandbox.address import FILE
from integrations.sandbox.server import running
from integrations.storage.landing import LandingZone
from integrations_tests.lanes.lanes import Lanes
from integrations_tests.lanes.life import Life
from integrations_tests.orchestration.conftest import CHARGES, CUSTOMERS, Floor, charges, failure

DAYS = ("2026-10-02", "2026-10-03")
TABLES = {CHARGES: "payment", CUSTOMERS: "customer"}
DESCRIBED = (
    "description: description\n        failure_code",
    "description: id\n        failure_code",
)
MADE = "livemode: livemode\n        created_at: {type: epoch_s, from: "
REFUSING = (f"{MADE}created}}", f"{MADE}not_there}}")
RENAMED = ("name: name", "name: id")
MISSPELT = ("entity: payment\n      key: id", "entity: payment\n      key: idd")
KEYED = ("entity: payment\n      key: id", "entity: payment\n      key: balance_transaction")


@dataclass
class Account:
    """An account that a test changes, a floor to read it on, and connectors of other mappings."""

    floor: Floor
    life: Life
    url: str
    folder: Path
    shift: list[timedelta] = field(default_factory=list)
    made: dict[str, Path] = field(default_factory=dict)

    def with_(self, *changes: tuple[str, str]) -> Path:
        """A folder of the connector with these changes."""
        name = str(changes)
        if name not in self.made:
            self.made[name] = self.folder / str(len(self.made)) / "stripe"
            shutil.copytree(SHIPPED / "stripe", self.made[name])
            file = self.made[name] / "defs.yaml"
            text = file.read_text()
            for old, new in changes:
                assert text.count(old) == 1, old
                text = text.replace(old, new)
            file.write_text(text)
        return self.made[name]

    def run(self, *assets: dg.AssetKey, changes: Any = (), **how: Any) -> dg.ExecuteInProcessResult:
        """A run of the connector with these changes, which must succeed."""
        definitions = build([self.with_(*changes)]) if changes else None
        done = self.floor.run(*assets, definitions=definitions, **how)
        assert done.success, failure(done)
        return done

    def rows(self, stream: Any, column: str) -> dict[str, Any]:
        """A column of the live rows, by source id."""
        table = f"canonical.{TABLES[stream]}_live"
        return dict(self.floor.rows(f"SELECT source_id, {column} FROM {table}"))

    def quarantine(self) -> list[str]:
        """The keys that are in it."""
        query = "SELECT key FROM integrations.quarantine WHERE closed_at IS NULL ORDER BY key"
        return [key for (key,) in self.floor.rows(query)]

    def turn(self) -> None:
        """One turn of the feed."""
        with self.floor.connect() as connection:
            Lanes(
                self.url, self.life.secrets, "sandbox", connection,
                LandingZone((self.floor.home / "raw").as_uri()),
                lambda: datetime.now(UTC), datetime(2026, 10, 1, tzinfo=UTC),
            ).turn()  # fmt: skip

    def observed(self) -> dict[str, Any]:
        """What the last replay said of the charges' table."""
        key = dg.AssetRecordsFilter(keys.table(CHARGES))
        (last,) = self.floor.instance.fetch_observations(key, limit=1).records
        assert last.asset_observation is not None
        return {name: one.value for name, one in last.asset_observation.metadata.items()}

    @contextmanager
    def asked_nothing(self) -> Iterator[None]:
        """Inside, the source hears nothing; where it is is not even known."""
        before, at = self.life.requests, self.floor.home / FILE
        served = at.read_text()
        at.unlink()
        yield
        at.write_text(served)
        assert self.life.requests == before


@pytest.fixture
def account(floor: Floor, tmp_path: Path) -> Iterator[Account]:
    """Three charges on each of two days."""
    shift = [timedelta()]
    life = Life(clock=lambda: datetime.now(UTC) + shift[0])
    for day in (2, 3):
        noon = int(datetime(2026, 10, day, 12, tzinfo=UTC).timestamp())
        for number in range(3):
            life.create("charges", created=noon + number, event=False)
    with running(life) as url:
        served = {"stripe": {"url": url, "secrets": dict(life.secrets)}, **named()}
        (floor.home / FILE).write_text(json.dumps(served))
        yield Account(floor, life, url, tmp_path, shift)


def test_a_changed_mapping_refreshes_withdraws_and_heals(account: Account) -> None:
    """Rows that the mapping refuses now go, and come back when it is put right, refreshed; of a
    day that is not replayed, or not landed any more, by the bytes in quarantine."""
    account.run(*charges(), days=DAYS)
    ids = set(account.rows(CHARGES, "amount"))
    assert len(ids) == 6
    with account.asked_nothing():
        account.run(*charges()[1:], days=DAYS, changes=[REFUSING])
        assert account.rows(CHARGES, "amount") == {}
        assert account.quarantine() == sorted(ids)
        assert account.observed() == {"pushed": 0, "passed_quarantine": 0, "withdrawn": 6}
        for landing in (account.floor.home / "raw").glob("stripe/sandbox/charges/2026-10-03*"):
            shutil.rmtree(landing)
        account.run(*charges()[1:], days=(DAYS[0], DAYS[0]), changes=[DESCRIBED])
    assert account.rows(CHARGES, "description") == {one: one for one in ids}
    assert account.quarantine() == []
    assert account.observed() == {"pushed": 0, "passed_quarantine": 6, "withdrawn": 0}


def test_what_was_pushed_is_replayed_too(account: Account) -> None:
    """A row whose stamps are an event's is refreshed from the event: what it said stands."""
    first, second = (account.life.create("customers") for _ in range(2))
    account.run(*keys.trio(CUSTOMERS))
    account.shift[0] = timedelta(hours=2)
    account.life.change("customers", second, email="new@example.com")
    account.turn()
    assert account.rows(CUSTOMERS, "email")[second] == "new@example.com"
    with account.asked_nothing():
        account.run(*keys.trio(CUSTOMERS)[1:], changes=[RENAMED])
    assert account.rows(CUSTOMERS, "name") == {first: first, second: second}
    assert account.rows(CUSTOMERS, "email")[second] == "new@example.com"


def test_a_key_that_was_changed_needs_a_rebuild(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused, with what to do; rebuilt, all rows are there under the new key, green."""
    account.run(*charges(), days=DAYS)
    old = account.rows(CHARGES, "amount")
    refused = cli(account, monkeypatch, "stripe/sandbox/charges", changes=[KEYED])
    assert refused.exit_code == 1
    assert "integrations replay --rebuild stripe/sandbox/charges" in refused.stderr
    assert account.rows(CHARGES, "amount") == old
    with account.asked_nothing():
        done = cli(
            account, monkeypatch, "stripe/sandbox/charges", "--rebuild", "--yes", "--json",
            changes=[KEYED],
        )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    new = account.rows(CHARGES, "amount")
    assert sorted(new.values()) == sorted(old.values())
    assert not set(new) & set(old)
    (line,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (line["windows"], line["inserted"], line["status"]) == (2, 6, "ok")
    told = account.floor.instance.fetch_materializations(keys.table(CHARGES), limit=9).records
    assert [one.partition_key for one in told] == [DAYS[1], DAYS[0]] * 2


def test_a_key_that_is_in_no_record_destroys_nothing(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is asked without a terminal; said yes, too much is refused, and all stays as it was
    until it is accepted."""
    noon = int(datetime(2026, 10, 2, 12, tzinfo=UTC).timestamp())
    for number in range(20):
        account.life.create("charges", created=noon + number, event=False)
    account.run(*charges(), days=DAYS)
    old = account.rows(CHARGES, "amount")
    readers, life = choose.readers, traced(next(iter(old)))
    assert life
    words = ("stripe/sandbox/charges", "--rebuild")
    unasked = cli(account, monkeypatch, *words, changes=[MISSPELT])
    assert unasked.exit_code == 2
    assert 'nobody can be asked "Rebuild stripe/sandbox/charges?". Nothing' in unasked.stderr
    refused = cli(account, monkeypatch, *words, "--yes", "--json", changes=[MISSPELT])
    assert refused.exit_code == 3
    assert "26 of 26 records would be refused (26 of them for source_id: " in refused.stderr
    assert "`integrations replay --rebuild stripe/sandbox/charges --accept`" in refused.stderr
    (line,) = [json.loads(line) for line in refused.stdout.splitlines()]
    assert (line["status"], line["inserted"], line["quarantined"]) == ("blocked", 0, 26)
    assert account.rows(CHARGES, "amount") == old
    assert account.quarantine() == []
    monkeypatch.setattr(choose, "readers", readers)
    assert traced(next(iter(old))) == life
    account.run(*charges()[1:], days=DAYS)  # the file as it was: the old key is still pinned
    assert account.rows(CHARGES, "amount") == old
    done = cli(account, monkeypatch, *words, "--yes", "--accept", changes=[MISSPELT])
    assert done.exit_code == 0, done.stderr
    assert account.rows(CHARGES, "amount") == {}
    assert len(account.quarantine()) == 26


def test_the_command_line_says_what_is_not_landed(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows that are landed are replayed, the others named with the call that fetches them."""
    account.run(*charges(), days=DAYS)
    for landing in (account.floor.home / "raw").glob("stripe/sandbox/charges/2026-10-02*"):
        shutil.rmtree(landing)
    with account.asked_nothing():
        done = cli(account, monkeypatch, "stripe/sandbox", "--json", changes=[DESCRIBED])
    assert done.exit_code == 0, done.stderr
    lines = {line["stream"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert {name: line["status"] for name, line in lines.items()} == {
        "charges": "ok", "refunds": "up_to_date", "balance_transactions": "up_to_date",
        "customers": "up_to_date", "payouts": "up_to_date",
    }  # fmt: skip
    counts = [lines["charges"][name] for name in ("windows", "updated", "withdrawn", "api_calls")]
    assert counts == [1, 3, 0, 0]
    assert (
        "charges: 1 windows are not landed any more; `integrations sync stripe/sandbox/charges "
        "--from 2026-10-02T00:00Z --to 2026-10-03T00:00Z` fetches them" in done.stderr
    )


WRONG = [
    (["stripe/sandbox/payouts"], "nothing is landed that could be replayed"),
    (["stripe/sandbox/charges", "--to", "2026-10-03"], "nothing is landed"),
    (["stripe/sandbox/events"], "replayed with the streams that it speaks of"),
    (["stripe/sandbox/charges", "--rebuild", "--to", "2026-10-03"], "all rows anew"),
    ([], "Missing argument"),
]


def test_what_cannot_be_replayed(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused at once, in words, as a mistake of the call."""
    for arguments, said in WRONG:
        done = cli(account, monkeypatch, *arguments)
        assert done.exit_code == 2
        assert said in done.stderr


def traced(key: str) -> list[str]:
    """What became of a charge, a line each."""
    done = CliRunner().invoke(main, ["trace", "stripe/sandbox/charges", key, "--json"])
    assert done.exit_code == 0, done.stderr
    return done.stdout.splitlines()


def cli(
    account: Account, monkeypatch: pytest.MonkeyPatch, *arguments: str, changes: Any = ()
) -> Result:
    """`integrations replay` where the connector has these changes."""
    folder = account.with_(*changes)
    connector = read_connector(folder)
    readers = [*connector.streams(), *connector.feeds()]

    @contextmanager
    def instance() -> Iterator[dg.DagsterInstance]:
        yield account.floor.instance

    monkeypatch.setattr(choose, "readers", lambda settings: readers)
    monkeypatch.setattr(command, "folders", lambda path: [folder])
    monkeypatch.setattr(stack, "instance", instance)
    return CliRunner().invoke(main, ["replay", *arguments])
