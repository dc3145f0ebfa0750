"""What a run over a stream's assets does, said by the twin, the database and Dagster's events."""

import json
import re
import shutil
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from logging import ERROR
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dagster as dg
import pytest
import yaml
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from integrations.connector_template.folders import SHIPPED
from integrations.orchestration import checks, keys
from integrations.orchestration.alerts import ALERT
from integrations.orchestration.code_location import build
from integrations.orchestration.partitions import RANGE_END, RANGE_START
from integrations.sandbox.faults import Fault
from integrations.storage.circuits import Circuit, Circuits
from integrations.storage.circuits import known as circuits_known
from integrations.storage.database import connect
from integrations_tests.orchestration.conftest import (
    CHARGES,
    CUSTOMERS,
    QUIET,
    Floor,
    charges,
    failure,
)

RAW, CANONICAL, TABLE = keys.trio(CHARGES)
ONE = ("2026-10-03", "2026-10-03")
FOUR = ("2026-10-02", "2026-10-05")
CHECKS = [
    dg.AssetCheckKey(CANONICAL, checks.STRUCTURE),
    dg.AssetCheckKey(CANONICAL, checks.ERROR_SHARE),
    dg.AssetCheckKey(TABLE, checks.BALANCE),
]
LEDGER = 'SELECT "window", cause, status FROM integrations.ledger ORDER BY id'


def materialized(floor: Floor, key: dg.AssetKey) -> set[str]:
    """The partitions of an asset that are green."""
    return floor.instance.get_materialized_partitions(key)


def current_checks(floor: Floor, key: dg.AssetCheckKey) -> dict[str | None, str]:
    """What a check says of each partition; only where it is said of the newest materialization."""
    found = floor.instance.event_log_storage.get_asset_check_partition_info([key])
    return {
        info.partition_key: info.latest_execution_status.value
        for info in found
        if info.is_current
        and info.latest_execution_status != AssetCheckExecutionRecordStatus.PLANNED
    }


def test_a_failing_window_does_not_stop_the_others(floor: Floor) -> None:
    """Of four windows the second fails: three load, the run fails and names the one."""
    refused = b'{"error": {"message": "The wires are down."}}'
    floor.twin.faults.append(Fault(path="/v1/charges", after=1, status=404, body=refused))
    result = floor.run(*charges(), days=FOUR)
    assert not result.success
    first, second = failure(result).splitlines()
    assert first.endswith("1 of 4 windows failed, 3 are done:")
    assert second.startswith("- [2026-10-03 00:00, 2026-10-04 00:00) UTC: GET /v1/charges")
    assert second.endswith("answered 404: The wires are down.")
    loaded = {"2026-10-02", "2026-10-04", "2026-10-05"}
    for key in charges():
        assert materialized(floor, key) == loaded
    for check in CHECKS:
        assert current_checks(floor, check) == dict.fromkeys(loaded, "SUCCEEDED")
    assert floor.rows(LEDGER) == [
        ("2026-10-02T00-00Z", "sync", "ok"),
        ("2026-10-03T00-00Z", "sync", "failed"),
        ("2026-10-04T00-00Z", "sync", "ok"),
        ("2026-10-05T00-00Z", "sync", "ok"),
    ]


def test_a_refused_credential_stops_the_rest(floor: Floor) -> None:
    """After a 401 nothing more is asked: sources block who keeps trying."""
    floor.twin.faults.append(Fault(path="/v1/charges", after=1, times=9, status=401))
    before = floor.twin.requests
    result = floor.run(*charges(), days=FOUR)
    assert floor.twin.requests - before == 2
    assert "1 of 4 windows failed, 1 are done, 2 were not tried" in failure(result)
    assert [line[2] for line in floor.rows(LEDGER)] == ["ok", "failed"]


HTML = {"content-type": "text/html"}


@pytest.mark.parametrize(
    ("status", "headers", "after", "todo"),
    [
        (403, {}, 1, "Give the credential the permission to read this, or take the stream out."),
        (404, HTML, 0, "Correct the request's path, or the address of the connection."),
    ],
    ids=["forbidden", "not there"],
)
def test_a_stream_that_is_refused_ends_alone(
    floor: Floor, status: int, headers: dict[str, str], after: int, todo: str
) -> None:
    """Nothing more of it is asked, and its sibling in the same run is loaded."""
    refused = Fault(path="/v1/charges", after=after, times=99, status=status, headers=headers)
    floor.twin.faults.append(refused)
    before = floor.twin.requests
    result = floor.run(*charges(), *keys.trio(CUSTOMERS), days=FOUR)
    asked = floor.twin.log[before - floor.twin.requests :]
    assert sum("/v1/charges?" in line for line in asked) == after + 1
    said = failure(result)
    assert f"1 of 4 windows failed, {after} are done, {3 - after} were not tried:" in said
    assert f"answered {status}. {todo}" in said
    charged = f"{LEDGER.removesuffix('ORDER BY id')} WHERE stream = 'charges' ORDER BY id"
    assert [line[2] for line in floor.rows(charged)] == [*["ok"] * after, "failed"]
    assert floor.count(CUSTOMERS) > 0


def test_a_refused_credential_is_tried_once_in_a_run(floor: Floor) -> None:
    """Not by the siblings of the stream that met it; by the next run again, once."""
    floor.twin.faults.append(Fault(times=99, status=401))
    for _ in range(2):
        before = floor.twin.requests
        result = floor.run(*charges(), *keys.trio(CUSTOMERS), days=FOUR)
        assert floor.twin.requests - before == 1
        failed = [event.step_failure_data for event in result.all_events if event.is_step_failure]
        words = sorted(str(one.user_failure_data.description) for one in failed)
        assert "answered 401" in words[0]
        assert "was refused to another of its streams in this run" in words[1]


@pytest.mark.parametrize(
    ("times", "said", "ledger"),
    [
        (1, "1 of 4 windows failed, 3 are done", ["ok", "failed", "ok", "ok"]),
        (9, "2 of 4 windows failed, 1 are done, 1 were not tried", ["ok", "failed", "failed"]),
    ],
    ids=["one bad window", "away"],
)
def test_a_source_that_stays_away_is_not_waited_for_again(
    floor: Floor, times: int, said: str, ledger: list[str]
) -> None:
    """One window whose retries were in vain stops no other; after two in a row nothing is asked."""
    busy = {"retry-after": "9999"}
    away = Fault(path="/v1/charges", after=1, times=times, status=503, headers=busy)
    floor.twin.faults.append(away)
    assert said in failure(floor.run(*charges(), days=FOUR))
    assert [line[2] for line in floor.rows(LEDGER)] == ledger


def test_what_is_left_of_quotas_is_told_with_a_landing(floor: Floor) -> None:
    """As of its last answer, and kept for who comes after."""
    left = {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "41", "X-RateLimit-Reset": "30"}
    floor.twin.faults.append(Fault(path="/v1/charges", headers=left, times=9))
    assert floor.run(*charges(), days=(FOUR[0], FOUR[0])).success
    event = floor.instance.get_latest_materialization_event(keys.raw(CHARGES))
    assert event is not None
    assert event.asset_materialization is not None
    said = event.asset_materialization.metadata["quota"].value
    assert re.fullmatch(r"x-ratelimit 60: 41 of 60 left, more in 3[01] s", said)
    assert floor.rows("SELECT connector, connection FROM integrations.quotas") == [
        ("stripe", "sandbox")
    ]


def test_what_is_left_alone_fails_at_once(floor: Floor) -> None:
    """Without a call, and says until when; what is not tried is told, siblings live on. The first
    run after that tries it, and not with a window that has failed: it may be that one's fault."""
    minute = timedelta(minutes=1)
    until = datetime.now(UTC) + minute
    with closing(floor.connect()) as connection:
        with closing(Circuits(connection, "stripe", "sandbox")) as circuits:
            shut = Circuit(until=until, cool_s=60, why="it is down")
            circuits.change("GET /v1/charges", lambda *_: shut)
            before = floor.twin.requests
            said = failure(floor.run(*charges(), days=FOUR))
            assert floor.twin.requests == before
            assert "1 of 4 windows failed, 0 are done, 3 were not tried" in said
            assert f"is left alone until {until:%Y-%m-%d %H:%M:%S} UTC" in said
            assert floor.run(*keys.trio(CUSTOMERS)).success
            cooled = replace(shut, until=until - minute)
            circuits.change("GET /v1/charges", lambda *_: cooled)
        assert floor.run(*charges(), days=FOUR).success
        assert circuits_known(connection, "stripe", "sandbox").circuits == {
            "GET /v1/charges": Circuit()
        }
    loaded = floor.rows(f"{LEDGER} DESC LIMIT 4")
    assert [line[0][:10] for line in reversed(loaded)] == [
        "2026-10-03", "2026-10-04", "2026-10-05", "2026-10-02",
    ]  # fmt: skip


def lost_while_read(floor: Floor, server: str, *, away: bool) -> Fault:
    """A page in whose course the database ends our connections, and takes no other if `away`."""
    name = urlsplit(floor.database).path[1:]

    def drop(body: bytes) -> bytes:
        with closing(connect(server, autocommit=True)) as admin:
            if away:
                admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            admin.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
                [name],
            )
        return body

    return Fault(path="/v1/charges", after=1, rewrite=drop)


def test_a_database_that_is_lost_while_a_page_is_read_costs_nothing(
    floor: Floor, server: str
) -> None:
    """Restarted, say: the window is loaded by another connection."""
    floor.twin.faults.append(lost_while_read(floor, server, away=False))
    assert floor.run(*charges(), days=FOUR).success
    assert [line[2] for line in floor.rows(LEDGER)] == ["ok"] * 4


def test_a_database_that_stays_away_ends_the_run(floor: Floor, server: str) -> None:
    """It says which window failed, that the ledger cannot say so, and what was not tried."""
    floor.twin.faults.append(lost_while_read(floor, server, away=True))
    said = failure(floor.run(*charges(), days=FOUR))
    with closing(connect(server, autocommit=True)) as admin:
        name = urlsplit(floor.database).path[1:]
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    assert said.splitlines()[0].endswith("1 of 4 windows failed, 1 are done, 2 were not tried:")
    assert "[2026-10-03 00:00, 2026-10-04 00:00) UTC: stripe/sandbox/charges: the database" in said
    assert "not in the ledger" in said
    assert [line[2] for line in floor.rows(LEDGER)] == ["ok"]


@pytest.mark.parametrize("times", [1, 99], ids=["once", "every time"])
def test_what_is_committed_is_no_failure(
    floor: Floor, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """A report that fails is made again; the ledger has one line, and that one is true."""
    store, met = floor.instance.event_log_storage.store_event, []

    def failing(entry: dg.EventLogEntry) -> Any:
        event = entry.dagster_event
        if event is not None and event.is_step_materialization and event.asset_key == TABLE:
            met.append(event)
            if len(met) <= times:
                raise OSError("no space left")
        return store(entry)

    monkeypatch.setattr(floor.instance.event_log_storage, "store_event", failing)
    result = floor.run(*charges(), days=ONE)
    assert [line[2] for line in floor.rows(LEDGER)] == ["ok"]
    assert result.success == (times == 1)
    assert materialized(floor, TABLE) == ({ONE[0]} if times == 1 else set())
    if not result.success:
        assert "committed, but Dagster could not be told (no space left)" in failure(result)


@pytest.mark.parametrize(
    ("parent", "resumed", "damaged", "asked", "cause"),
    [
        ("failed", "true", False, 1, "retry"),
        ("failed", "true", True, 2, "retry"),
        ("failed", "false", False, 2, "sync"),
        ("green", "true", False, 2, "sync"),
    ],
    ids=["from failure", "with a damaged landing", "all again", "of a green run"],
)
def test_only_a_retry_takes_up_what_was_landed(
    floor: Floor, *, parent: str, resumed: str, damaged: bool, asked: int, cause: str
) -> None:
    """A run retried from its failure does not fetch again what is whole; every other run does."""
    days = ("2026-10-02", "2026-10-03")
    if parent == "failed":
        floor.twin.faults.append(Fault(path="/v1/charges", after=1, status=404))
    first = floor.run(*charges(), days=days)
    assert first.success == (parent == "green")
    if damaged:
        (part,) = (floor.home / "raw").glob("stripe/sandbox/charges/2026-10-02*/*/*.parquet")
        part.write_bytes(b"moth-eaten")
    before, lines = floor.twin.requests, len(floor.rows(LEDGER))
    again = {
        "dagster/parent_run_id": first.run_id,
        "dagster/root_run_id": first.run_id,
        "dagster/is_resume_retry": resumed,
    }
    result = floor.definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=floor.instance,
        asset_selection=charges(),
        tags={RANGE_START: days[0], RANGE_END: days[1], **again},
        run_config=QUIET,
    )
    assert result.success
    assert floor.twin.requests - before == asked
    assert [line[1:] for line in floor.rows(LEDGER)[lines:]] == [(cause, "ok")] * 2


def test_one_partition_by_its_key(floor: Floor) -> None:
    """The UI names a single partition in another tag than a range."""
    job = floor.definitions.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=floor.instance,
        asset_selection=charges(),
        partition_key=ONE[0],
        run_config=QUIET,
        raise_on_error=False,
    )
    assert result.success
    assert materialized(floor, TABLE) == {ONE[0]}


def test_a_replay_asks_the_source_nothing(floor: Floor) -> None:
    """Canonical and table without raw load the newest landing again, and change no row."""
    assert floor.run(*charges(), days=ONE).success
    there, before = floor.count(CHARGES), floor.twin.requests
    (floor.home / "sandbox.json").unlink()  # not even where the source is
    assert there > 0
    assert floor.run(CANONICAL, TABLE, days=ONE).success
    assert floor.twin.requests == before
    assert floor.count(CHARGES) == there
    query = "SELECT cause, received, unchanged, api_calls FROM integrations.ledger ORDER BY id"
    assert floor.rows(query)[1] == ("replay", there, there, 0)


def test_a_stream_whose_name_ends_in_raw_is_replayed(floor: Floor, tmp_path: Path) -> None:
    """Its table's key looks like a raw asset's: what is selected decides, not how it is called."""
    folder = tmp_path / "stripe"
    shutil.copytree(SHIPPED / "stripe", folder)
    file = yaml.safe_load((folder / "defs.yaml").read_text())
    for part in (file["attributes"]["sync_handler"]["streams"], file["attributes"]["transformer"]):
        part["charges_raw"] = part.pop("charges")
    file["attributes"]["event_handler"]["feeds"]["events"]["routes"]["charge"] = "charges_raw"
    (folder / "defs.yaml").write_text(yaml.safe_dump(file))
    renamed = build([folder])
    trio = keys.trio(replace(CHARGES, stream="charges_raw"))
    assert floor.run(trio[0], days=ONE, definitions=renamed).success
    assert floor.run(*trio[1:], days=ONE, definitions=renamed).success
    assert [line[1] for line in floor.rows(LEDGER)] == ["replay"]


def test_a_replay_without_a_landing_fails(floor: Floor) -> None:
    """What was never fetched cannot be loaded, and a run must not be green for nothing."""
    assert "there is no landing to replay" in failure(floor.run(TABLE, days=ONE))


def test_raw_alone_only_lands(floor: Floor) -> None:
    """Raw writes a landing and no row; what follows loads that landing without another request."""
    assert floor.run(RAW, days=ONE).success
    assert floor.rows(LEDGER) == []
    assert floor.count(CHARGES) == 0
    assert materialized(floor, RAW) == {ONE[0]}
    assert materialized(floor, CANONICAL) == materialized(floor, TABLE) == set()
    before = floor.twin.requests
    assert floor.run(CANONICAL, TABLE, days=ONE).success
    assert floor.twin.requests == before
    assert floor.count(CHARGES) > 0


def test_canonical_alone_checks_and_loads_nothing(floor: Floor) -> None:
    """Raw and canonical without the table say what would pass; its checks are said too."""
    assert floor.run(RAW, CANONICAL, days=ONE).success
    assert floor.count(CHARGES) == 0
    for check in CHECKS[:2]:
        assert current_checks(floor, check) == {ONE[0]: "SUCCEEDED"}
    assert materialized(floor, CANONICAL) == {ONE[0]}


@pytest.mark.parametrize("loading", [True, False], ids=["loading", "checking only"])
def test_too_many_refusals_block(floor: Floor, loading: bool) -> None:
    """Above five per cent and at least twenty refused, neither canonical nor table is green."""

    def spoilt(body: bytes) -> bytes:
        return body.replace(b'"name":"', b'"name":7,"was":"')

    floor.twin.faults.append(Fault(path="/v1/customers", times=99, rewrite=spoilt))
    trio = keys.trio(CUSTOMERS)
    result = floor.run(*(trio if loading else trio[:2]))
    assert "blocked, " in failure(result)
    assert floor.count(CUSTOMERS) == 0
    share = dg.AssetCheckKey(keys.canonical(CUSTOMERS), checks.ERROR_SHARE)
    assert current_checks(floor, share) == {None: "FAILED"}
    made = [key for key in trio if floor.instance.get_latest_materialization_event(key)]
    assert made == trio[:1]
    alerts = floor.instance.fetch_observations(keys.table(CUSTOMERS), limit=9).records
    told = [one.asset_observation.metadata[ALERT].value for one in alerts if one.asset_observation]
    assert told == ["refused"] * loading
    errors = [e.user_message for e in floor.instance.all_logs(result.run_id) if e.level == ERROR]
    said = f"{CUSTOMERS}: [0-9]+ of [0-9]+ units were refused in this run"
    assert sum(bool(re.match(said, line)) for line in errors) == loading


def test_a_reading_that_lacks_too_much_says_so(floor: Floor) -> None:
    """The brake's words are in the run's failure, in the check and on the command line; accepted,
    the rest is deleted."""
    trio, share = keys.trio(CUSTOMERS), dg.AssetCheckKey(keys.canonical(CUSTOMERS), "error_share")
    assert floor.run(*trio).success
    there = floor.count(CUSTOMERS)
    with floor.connect() as connection:  # the twin's clock stands still
        connection.execute("UPDATE canonical.customer SET _seen_at = _seen_at - interval '1 hour'")

    def halved(body: bytes) -> bytes:
        page = json.loads(body)
        return json.dumps(page | {"data": page["data"][::2]}).encode()

    floor.twin.faults.append(Fault(path="/v1/customers", times=99, rewrite=halved))
    said = f"of {there} rows are not at the source any more: more than 10%"
    assert said in failure(floor.run(*trio))
    (record,) = floor.instance.event_log_storage.get_asset_check_execution_history(share, limit=1)
    assert record.event is not None
    assert said in (record.event.dagster_event.asset_check_evaluation_data.description or "")
    assert floor.rows(LEDGER)[-1] == ("-", "sync", "blocked")
    assert floor.run(*trio, accept=True).success
    live = "SELECT count(*) FROM canonical.customer WHERE _deleted_at IS NULL"
    assert 0 < floor.rows(live)[0][0] < there


def test_a_users_asset_downstream_runs_in_the_same_run(floor: Floor) -> None:
    """Assets that depend on a stream's table are run after it, not skipped in a green run."""

    @dg.asset(deps=[keys.table(CUSTOMERS)])
    def report() -> int:
        return floor.count(CUSTOMERS)

    both = dg.Definitions.merge(floor.definitions, dg.Definitions(assets=[report]))
    result = floor.run(*keys.trio(CUSTOMERS), report.key, definitions=both)
    assert result.success
    assert result.output_for_node("report") == floor.count(CUSTOMERS) > 0
    recorded = dg.AssetRecordsFilter(keys.table(CUSTOMERS))
    assert len(floor.instance.fetch_materializations(recorded, limit=9).records) == 1


@pytest.mark.parametrize(
    ("assets", "days", "said"),
    [
        (charges(), None, "stripe/sandbox/charges is read window by window: choose partitions"),
        (charges(), ONE, "no twin of stripe is serving"),
    ],
)
def test_what_cannot_begin_says_why(
    floor: Floor, assets: list[dg.AssetKey], days: tuple[str, str] | None, said: str
) -> None:
    """A run that lacks partitions or its source fails at once, in words for people."""
    (floor.home / "sandbox.json").unlink()
    assert said in failure(floor.run(*assets, days=days))


def test_checks_alone_do_not_end_green(floor: Floor) -> None:
    """The UI offers to execute the checks by themselves; they are made by syncing only."""
    selection = dg.AssetSelection.checks(dg.AssetCheckKey(keys.table(CUSTOMERS), checks.BALANCE))
    job = dg.define_asset_job("checks_only", selection=selection)
    both = dg.Definitions.merge(floor.definitions, dg.Definitions(jobs=[job]))
    result = both.resolve_job_def("checks_only").execute_in_process(
        instance=floor.instance,
        raise_on_error=False,
        run_config=QUIET,
    )
    assert "are made while it is synced" in failure(result)


def test_a_changed_cadence_is_refused(floor: Floor, tmp_path: Path) -> None:
    """Windows of another length over committed ones would show a whole day green for one hour."""
    folder = tmp_path / "stripe"
    shutil.copytree(SHIPPED / "stripe", folder)
    assert floor.run(*charges(), days=ONE, definitions=build([folder])).success
    file, before = folder / "defs.yaml", floor.twin.requests
    text = file.read_text()
    assert text.count("cadence: daily, column: created_at") == 1
    file.write_text(text.replace("cadence: daily, column: c", "cadence: hourly, column: c"))
    hours = ("2026-10-03-00:00", "2026-10-03-01:00")
    result = floor.run(*charges(), days=hours, definitions=build([folder]))
    assert "its windows are hourly from 2026-10-01" in failure(result)
    assert "and were daily from 2026-10-01" in failure(result)
    assert floor.twin.requests == before


def test_a_broken_connector_is_one_asset_that_says_why(floor: Floor, tmp_path: Path) -> None:
    """Its materialization fails with every mistake; the other connectors are there and run."""
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "defs.yaml").write_text("attributes: {title: 3}\n")
    both = build([SHIPPED / "stripe", tmp_path / "broken"])
    stripe = set(floor.definitions.resolve_asset_graph().get_all_asset_keys())
    (broken,) = set(both.resolve_asset_graph().get_all_asset_keys()) - stripe
    assert "connector 'broken' has" in failure(floor.run(broken, definitions=both))
    assert floor.run(*keys.trio(CUSTOMERS), definitions=both).success
    assert floor.count(CUSTOMERS) > 0
