"""A diff is what a replay then does: rows, cells, totals and quarantine, and nothing before it."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner, Result

from integrations.cli import main
from integrations.connector_template import diffing, loading, replaying, retrying
from integrations.connector_template.candidate import candidate
from integrations.connector_template.diffing import Diff
from integrations.connector_template.folders import SHIPPED
from integrations.errors import StopStream
from integrations.settings import Settings
from integrations.storage import quarantine
from integrations.storage.database import connect
from integrations.storage.landing import LandingZone
from integrations.storage.ledger import FATES, LedgerEntry
from integrations.sync_state.windows import WindowSync
from integrations_tests.conftest import make_settings
from integrations_tests.lanes.lanes import Clock, Lanes, stripe
from integrations_tests.lanes.life import Life

FILE = (SHIPPED / "stripe" / "defs.yaml").read_text()
STREAMS = ("charges", "refunds", "customers", "payouts")
FAILS = "a function that fails"
CHANGES: Mapping[str, tuple[Any, ...]] = {
    "nothing": ("customers", ),
    "a rule": ("charges", ("description: description\n        failure", "description: [description, {type: upper}]\n        failure"),),
    "a column more": ("charges", ("failure_code: failure_code", "failure_code: id"),),
    "a column less": ("charges", ("description: description\n        failure", "failure"),),
    "minor units": ("refunds", ("&decimals {ISK: 2,", "&decimals {EUR: 0, ISK: 2,"),),
    "refused words": ("refunds", ("succeeded: succeeded, failed: failed, canceled: cancelled}", "failed: failed}")),
    "one of three": ("refunds", ("failed: failed, canceled", "canceled"),),
    "refused for a type": ("charges", ("captured: captured\n", "captured: balance_transaction\n"),),
    "a flag": ("customers", ("deleted: deleted\n", "deleted: livemode\n"),),
    "no flag": ("customers", ("      deleted: deleted\n", ""),),
    "a path that is not there": ("customers", ("email: email", "email: e_mail"),),
    FAILS: ("charges", ("{status: string, captured: boolean,", "{status: string, capture: boolean,"),),
}  # fmt: skip
"""Changes of the shipped file: of which stream, what is written, and what is written instead."""


def changed(lanes: Lanes, change: str, folder: Path) -> Lanes:
    """The same account with a changed file."""
    text = FILE
    for old, new in CHANGES[change][1:]:
        assert old in text
        text = text.replace(old, new)
    file = folder / "new.yaml"
    file.write_text(text)
    return replace(lanes, connector=candidate(stripe(), file))


def diffed(lanes: Lanes, name: str, *, accept: bool) -> Diff:
    return diffing.diff(
        lanes.stream(name),
        connection=lanes.connection, zone=lanes.zone,
        run=lanes.run("replay", accept=accept), clock=lanes.clock,
    )  # fmt: skip


def replayed(lanes: Lanes, name: str, *, accept: bool) -> list[LedgerEntry]:
    """A whole replay as a run makes it; what fails in it is left out."""
    stream, run = lanes.stream(name), lanes.run("replay", accept=accept)
    by: Any = {"connection": lanes.connection, "zone": lanes.zone, "run": run, "clock": lanes.clock}
    windowed = isinstance(stream.stream.sync, WindowSync)
    lines: list[LedgerEntry | None] = []
    for manifest in replaying.pulled(
        stream, lanes.windows(name) if windowed else [None], zone=lanes.zone
    ):
        with suppress(StopStream):
            lines.append(loading.load(stream, manifest, **by)[1])
    for feed in replaying.feeds(stream):
        with suppress(StopStream):
            lines += [line for _, line in replaying.load_pushed(stream, feed, **by)]
    entries = quarantine.open_records(lanes.connection, stream.id, kind="data")
    lanes.connection.rollback()
    left = [one for one in entries if one.run_id != run.run_id]
    del by["zone"]
    with suppress(StopStream):
        lines.append(retrying.retry(stream, left, session=None, **by).entry)
    return [line for line in lines if line is not None]


def held(lanes: Lanes, name: str) -> dict[str, str]:
    """The open entries of quarantine: reasons by key."""
    found = quarantine.entries(lanes.connection, streams=[lanes.id(name)], limit=None)
    lanes.connection.rollback()
    return {one.key: one.reason for one in found}


def counts(lines: list[LedgerEntry]) -> list[tuple[int, ...]]:
    names = ("records", "received", *FATES, "withdrawn")
    return [tuple(getattr(line, name) for name in names) for line in lines]


def predicted(lanes: Lanes, name: str, *, accept: bool) -> Diff:
    """Compares a diff with what the same replay then does."""
    before, refused = lanes.table(name), held(lanes, name)
    every = lanes.rows(name)
    found = diffed(lanes, name, accept=accept)
    assert (lanes.rows(name), held(lanes, name)) == (every, refused), "a diff changes nothing"
    lines = replayed(lanes, name, accept=accept)
    after, refused_now = lanes.table(name), held(lanes, name)
    both = before.keys() & after.keys()
    cells = Counter(
        column
        for key in both
        for column, value in after[key].items()
        if value != before[key][column]
    )
    assert {one.column: one.rows for one in found.cells} == cells
    rows = found.rows
    assert (rows.before, rows.after) == (len(before), len(after))
    assert rows.changed == sum(before[key] != after[key] for key in both)
    assert (rows.appear, rows.leave) == (len(after.keys() - before), len(before.keys() - after))
    assert set(rows.appearing) <= after.keys() - before
    assert set(rows.leaving) <= before.keys() - after
    stays = refused.keys() & refused_now.keys()
    gone, come = refused.keys() - refused_now, refused_now.keys() - refused
    kept = [key for key in stays if refused[key] != refused_now[key]]
    told = found.quarantine
    assert (told.before, told.after) == (len(refused), len(refused_now))
    for reasons, keys in ((told.gains, come), (told.loses, gone), (told.why, kept)):
        assert sum(one.records for one in reasons) == len(keys)
        assert {key for one in reasons for key in one.keys} <= set(keys)
    for total in found.totals:
        for rows_, value in ((before, total.before), (after, total.after)):
            amounts = [row[total.column] for row in rows_.values()]
            assert sum((a for a in amounts if a is not None), Decimal()) == value
    assert counts(list(found.lines)) == counts(lines)
    for one in found.cells:
        for example in one.examples:
            assert before[example.key][one.column] == example.before
            assert after[example.key][one.column] == example.after
    return found


def test_a_replay_changes_what_the_diff_said(
    lanes: Lanes, life: Life, clock: Clock, tmp_path: Path
) -> None:
    """Mapping after mapping over a random life, each on the rows that the one before it left."""
    few = ("a rule", "refused words", "minor units", "a flag", FAILS, "no flag")
    compare(lanes, life, clock, tmp_path, seed=1, order=few, streams=1)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 12))
def test_a_replay_changes_what_the_diff_said_for_long(
    lanes: Lanes, life: Life, clock: Clock, tmp_path: Path, seed: int
) -> None:
    """The same over other lives, of all streams."""
    order = Random(seed).sample(list(CHANGES), len(CHANGES))
    compare(lanes, life, clock, tmp_path, seed=seed, order=order, streams=len(STREAMS))


def compare(
    lanes: Lanes,
    life: Life,
    clock: Clock,
    folder: Path,
    *,
    seed: int,
    order: Sequence[str],
    streams: int,
) -> None:
    rng = Random(seed)
    lanes.turn()
    met: Counter[str] = Counter()
    for change in order:
        life.live(rng, 12, kinds=STREAMS, deletes=("customers",), back_s=86_400)
        clock.goes(seconds=rng.choice([1, 30, 90, 4_000]))
        lanes.turn(accept=True)
        other = changed(lanes, change, folder)
        touched = CHANGES[change][0]
        for name in [touched, *rng.sample(STREAMS, streams)][:streams]:
            life.create("refunds", status="succeeded")
            life.live(rng, 3, kinds=STREAMS, deletes=("customers",), back_s=86_400)
            windowed = isinstance(lanes.stream(name).stream.sync, WindowSync)
            lanes.sync(name, lanes.windows(name)[-1] if windowed else None, accept=True)
            found = predicted(other, name, accept=rng.random() < 0.7)
            met += Counter(
                changed=found.rows.changed, appear=found.rows.appear, leave=found.rows.leave,
                gains=len(found.quarantine.gains), loses=len(found.quarantine.loses),
                notes=len(found.notes),
            )  # fmt: skip
        lanes = lanes if change == FAILS else other
    assert set(+met) == {"changed", "appear", "leave", "gains", "loses", "notes"}, "all was tried"


def test_what_would_be_held_back_is_said(lanes: Lanes, life: Life, tmp_path: Path) -> None:
    """A landing of which too much is refused loads nothing, in the diff as in the replay."""
    for _ in range(25):
        life.create("charges")
    lanes.sync("charges", lanes.windows("charges")[-1])
    other = changed(lanes, "refused for a type", tmp_path)
    found = predicted(other, "charges", accept=False)
    assert [line.status for line in found.blocked] == ["blocked"]
    assert (found.rows.leave, found.quarantine.after) == (0, 25)
    assert diffed(other, "charges", accept=True).blocked == []


def test_nothing_is_left_of_it(lanes: Lanes, life: Life, tmp_path: Path) -> None:
    """Neither ledger nor position nor table; not even its own copies."""
    life.create("refunds")
    other = changed(lanes, "nothing", tmp_path)
    manifest = lanes.land(lanes.stream("refunds"), lanes.windows("refunds")[-1], lanes.run())
    lines = lanes.fetch("SELECT count(*) FROM integrations.ledger")
    found = diffed(other, "refunds", accept=False)
    assert (found.rows.appear, found.landings, found.records) == (1, 1, manifest.records)
    assert lanes.fetch("SELECT count(*) FROM integrations.ledger") == lines
    assert lanes.rows("refunds") == {}
    assert lanes.fetch("SELECT to_regclass('pg_temp.trial_after')") == [(None,)]


@pytest.fixture
def home(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home with a database of its own, which the commands work on."""
    settings = make_settings(tmp_path / "home", database_url=database)
    monkeypatch.setenv("INTEGRATIONS_HOME", str(settings.home))
    monkeypatch.setenv("INTEGRATIONS_DATABASE_URL", database)
    return settings


@pytest.fixture
def shop(lanes: Lanes, life: Life, home: Settings, database: str) -> Iterator[Lanes]:
    """Three charges of the sandbox, one of them strange, and what a feed says of them."""
    with connect(database) as connection:
        zone = LandingZone(home.landing_url, clock=lanes.clock)
        start = datetime(2026, 10, 1, tzinfo=UTC)  # as the file has it
        own = replace(lanes, account="sandbox", connection=connection, zone=zone, start=start)
        own.turn()
        life.create("charges", description="Boeket voor Anna")
        life.create("charges", description=None)
        life.create("charges", status="strange")
        own.sync("charges", own.windows("charges")[-1])
        yield own


def told(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


CHARGES = "stripe/sandbox/charges"


def test_the_commands(shop: Lanes, life: Life, tmp_path: Path) -> None:
    """They tell the same in words and as JSON, and mask what is personal unless asked."""
    first = next(iter(life.truth("charges")))
    new = tmp_path / "new.yaml"
    new.write_text(FILE.replace(*CHANGES["a rule"][1]).replace(*CHANGES["minor units"][1]))
    done = told("diff", CHARGES, "--mapping", str(new))
    assert done.exit_code == 0, done.output
    assert "rows 2 → 2: 2 change, 0 appear, 0 leave" in done.stdout
    assert "description: 1 row\n      ••• → •••" in done.stdout
    assert f"`integrations replay {CHARGES}` applies it" in done.stdout
    assert "nna" not in done.stdout.lower().replace("strange", "")
    (object_,) = objects("diff", CHARGES, "--mapping", str(new), "--show-personal")
    examples = object_["columns"]["description"]["examples"]
    assert examples == [
        {"before": "Boeket voor Anna", "after": "BOEKET VOOR ANNA", "rows": 1, "key": first}
    ]
    assert next((one["before"], one["after"]) for one in object_["totals"]) == total(life)
    assert "No difference" in told("diff", CHARGES).stdout


def objects(*words: str) -> list[dict[str, Any]]:
    done = told(*words, "--json")
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def total(life: Life) -> tuple[str, str]:
    amounts = [
        one["amount"] for one in life.truth("charges").values() if one["status"] != "strange"
    ]
    return f"{(Decimal(sum(amounts)) / 100).normalize():f}", str(sum(amounts))


def test_a_preview_of_what_is_landed(shop: Lanes, life: Life, tmp_path: Path) -> None:
    """Rows field by field, and the refused; of one key; and by another file."""
    first, _, strange = life.truth("charges")
    *rows, refused, counts = objects("preview", CHARGES)
    assert {row["key"] for row in rows} == life.truth("charges").keys() - {strange}
    assert (refused["key"], counts["records"], counts["refused"]) == (strange, 3, 1)
    (row, _) = objects("preview", CHARGES, "--key", first, "--show-personal")
    amount = life.truth("charges")[first]["amount"]
    assert row["fields"]["amount"] == {
        "from": {"amount": amount, "currency": "eur"},
        "absent": [],
        "rule": 'minor_units (currency currency, exponents {"ISK": 2, "MGA": 0, "UGX": 2})',
        "value": f"{(Decimal(amount) / 100).normalize():f}",
    }
    assert row["fields"]["description"]["value"] == "Boeket voor Anna"
    new = tmp_path / "new.yaml"
    new.write_text(FILE.replace(*CHANGES["a rule"][1]).replace("order_id", "x"))
    said = told("preview", CHARGES, "--key", first, "--mapping", str(new)).stdout
    assert "description •••  " in said
    assert "→ •••" in said
    assert "text → upper" in said
    assert "Anna" not in said
    assert f"refused {strange}: status" in told("preview", CHARGES, "--limit", "1").stdout


def test_a_preview_shows_what_a_record_has_not(shop: Lanes, tmp_path: Path) -> None:
    """A path that is not there is absent, which is not null."""
    new = tmp_path / "new.yaml"
    new.write_text(FILE.replace("method: payment_method_details.type", "method: receipt.kind"))
    (row, *_) = objects("preview", CHARGES, "--mapping", str(new))
    assert row["fields"]["method"]["absent"] == ["receipt.kind"]
    assert row["fields"]["failure_code"]["from"] == {"failure_code": None}


CUSTOMER = "entity: customer, key: id, fields: {currency: {type: upper, from: currency}}"
WRONG = {
    "a key": (
        r"(entity: payment\n +key:) id", r"\1 [id, currency]",
        r"--rebuild` takes over a new key[^$]*new.yaml:49: stripe/sandbox/charges: its key is",
    ),
    "an entity": (
        r"payouts:\n +entity: payout\n.*?event_handler", f"payouts: {{{CUSTOMER}}}\n  event_handler",
        r"new.yaml:\d+: payouts becomes customer, and its rows are in canonical.payout",
    ),
    "no stream": (
        r"sandbox: {start: 2026-10-01}", r"other: {start: 2026-10-01, secrets: {api_key: {env: K}}}",
        r"new.yaml:\d+: there is no connection 'sandbox' any more",
    ),
    "mistakes": (
        r"from: created}\n(.*)key: id", r"frm: created}\n\1kay: id",
        r"3 mistakes[^$]*new.yaml:66: .*frm` is no setting[^$]*new.yaml:\d+: .*kay` is no setting",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_compared_is_said_with_its_line(
    shop: Lanes, tmp_path: Path, what: str
) -> None:
    """Another key, another entity, a mistake: nothing is guessed."""
    old, new, message = WRONG[what]
    text, count = re.subn(old, new, FILE, count=1, flags=re.DOTALL)
    assert count == 1
    (tmp_path / "new.yaml").write_text(text)
    done = told("diff", "stripe/sandbox", "--mapping", str(tmp_path / "new.yaml"))
    assert done.exit_code == 2
    assert re.search(message, done.stderr), done.stderr
    assert done.stdout == ""
