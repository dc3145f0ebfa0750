"""A feed's asset: what its run loads and tells, and what makes it red."""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from integrations.connector_template import loading
from integrations.connector_template.gaps import open_gap
from integrations.names import Window
from integrations.orchestration import keys
from integrations.orchestration.resources import ConnectionResource, now
from integrations.sandbox.faults import Fault
from integrations.storage import clocks, positions
from integrations.storage.positions import Reached
from integrations.sync_state.windows import WindowSync
from integrations_tests.lanes.life import Life
from integrations_tests.orchestration.conftest import CHARGES, CUSTOMERS, QUIET, Floor, failure
from integrations_tests.orchestration.feeds import EVENTS, events, living, routed

CHECKS = ("structure", "error_share", "balance", "gap")


@pytest.fixture
def life(floor: Floor) -> Iterator[Life]:
    with living(floor.home) as life:
        yield life


def read(floor: Floor, *, accept: bool = False) -> dg.ExecuteInProcessResult:
    """One run of the feed's asset."""
    job = floor.definitions.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=floor.instance,
        asset_selection=[keys.feed(EVENTS)],
        run_config={
            "ops": {keys.op(EVENTS): {"config": {"accept": accept}}},
            **QUIET,
        },
        raise_on_error=False,
    )


def told(floor: Floor, result: dg.ExecuteInProcessResult) -> list[dict[str, Any]]:
    """The metadata of the materializations that a run has told."""
    found = floor.instance.fetch_materializations(keys.feed(EVENTS), limit=20).records
    return [
        {name: value.value for name, value in one.asset_materialization.metadata.items()}
        for one in found
        if one.run_id == result.run_id and one.asset_materialization
    ]


def checks(floor: Floor, result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    """What a run says of each check; also one that failed afterwards."""
    asked = [dg.AssetCheckKey(keys.feed(EVENTS), name) for name in CHECKS]
    found = floor.instance.event_log_storage.get_latest_asset_check_execution_by_key(asked)
    return {
        key.name: one.status.value == "SUCCEEDED"
        for key, one in found.items()
        if one.run_id == result.run_id
    }


def test_a_turn_is_one_materialization(floor: Floor, life: Life) -> None:
    """Its counts are the sums over the streams that were spoken of; a turn without news is green
    too, and is of the same version."""
    for kind in ("customers", "customers", "charges"):
        life.create(kind)
    first = read(floor)
    assert checks(floor, first) == dict.fromkeys(CHECKS, True)
    second = read(floor)
    assert (first.success, second.success) == (True, True)
    ((one,), (other,)) = told(floor, first), told(floor, second)
    assert (one["events"], one["inserted"], one["quarantined"]) == (3, 3, 0)
    assert "| customers | 2 | 2 |" in one["streams"]
    assert "| charges | 1 | 1 |" in one["streams"]
    assert (other["events"], other["position"]) == (0, one["position"])
    assert checks(floor, second) == dict.fromkeys(CHECKS, True)
    assert floor.count(CHARGES) == 1
    tags = [
        r.asset_materialization.tags["dagster/data_version"]
        for r in floor.instance.fetch_materializations(keys.feed(EVENTS), limit=2).records
        if r.asset_materialization and r.asset_materialization.tags
    ]
    assert tags[0] == tags[1]


def test_an_error_is_told_and_keeps_what_was_committed(floor: Floor, life: Life) -> None:
    """The run fails with the words, the ledger has a line, and nothing is materialized."""
    life.faults.append(Fault(path="/v1/events", status=401, times=9))
    result = read(floor)
    assert not result.success
    assert "answered 401" in failure(result)
    assert (told(floor, result), checks(floor, result)["structure"]) == ([], False)
    assert floor.rows("SELECT stream, status FROM integrations.ledger") == [("events", "failed")]


def test_answers_that_make_no_sense_fail_the_structure(floor: Floor, life: Life) -> None:
    """An answer without a list of events is no passing fault."""
    life.faults.append(Fault(path="/v1/events", rewrite=lambda _: b'{"data": 7}', times=9))
    result = read(floor)
    assert not result.success
    assert checks(floor, result)["structure"] is False


def test_a_blocked_landing_fails_the_run(floor: Floor, life: Life) -> None:
    """Nothing is loaded and the check says so; accepted, the good ones load and the run is green.
    Of each run the stream's table says aloud how much was refused."""
    for _ in range(25):
        life.create("customers", name=7)
    good = life.create("customers")
    result = read(floor)
    assert "stripe/sandbox/events: blocked" in failure(result)
    assert (told(floor, result), checks(floor, result)["error_share"]) == ([], False)
    result = read(floor, accept=True)
    assert (result.success, checks(floor, result)["error_share"]) == (True, False)
    assert told(floor, result)[0]["quarantined"] == 25
    assert floor.rows("SELECT source_id FROM canonical.customer") == [(good,)]
    alerts = floor.instance.fetch_observations(keys.table(CUSTOMERS), limit=9).records
    refused = [one.asset_observation.metadata["refused"].value for one in alerts if one.asset_observation]  # fmt: skip
    assert refused == [25, 25]


def test_a_gap_stays_open_until_all_is_read_again(floor: Floor, life: Life) -> None:
    """The run that finds it fails and makes the streams due; later runs are green, and the check
    is not before every window that had passed is committed anew."""
    windows = commit(floor, generation=0)
    assert read(floor).success
    long_ago(floor)
    result = read(floor)
    assert "gap: nothing was read of stripe/sandbox/events between" in failure(result)
    assert checks(floor, result)["gap"] is False
    result = read(floor)
    assert (result.success, checks(floor, result)["gap"]) == (True, False)
    commit(floor, generation=1, left_out=1)
    with closing(floor.connect()) as connection:
        assert str(open_gap(events(), connection=connection)).endswith(
            "Still to be read: 1 window of stripe/sandbox/charges"
        )
    assert checks(floor, read(floor))["gap"] is False
    assert len(commit(floor, generation=1)) == len(windows)
    assert checks(floor, read(floor)) == dict.fromkeys(CHECKS, True)


def commit(floor: Floor, *, generation: int, left_out: int = 0) -> list[Window]:
    """Commits the windows of charges that have passed, but for some."""
    charges = routed("charges")
    assert isinstance(charges.stream.sync, WindowSync)
    windows = list(charges.stream.sync.windows(charges.connection.begins_at, now()))
    with closing(floor.connect()) as connection:
        for window in windows[left_out:]:
            landing = f"{now():%Y%m%dT%H%M%S.%fZ}-{generation}"
            reached = Reached(window=window, landing=landing, run_id="r", generation=generation)
            positions.move(connection, charges.id, reached, pin=loading.pin(charges))
        connection.commit()
    return windows


def long_ago(floor: Floor) -> None:
    """The feed was last read forty days ago."""
    with closing(floor.connect()) as connection:
        connection.execute(
            "UPDATE integrations.positions SET checked_at = now() - interval '40 days'"
            " WHERE stream = 'events'"
        )
        connection.commit()


def test_the_sources_clock_is_held_from_run_to_run(floor: Floor) -> None:
    """What a run learns of it is there for the next session's first request."""

    def ahead() -> datetime:
        return now() + timedelta(minutes=10)

    with living(floor.home, clock=ahead) as life:
        life.create("customers")
        read(floor)
    with closing(floor.connect()) as connection:
        assert clocks.held(connection, "stripe", "sandbox") == pytest.approx(600, abs=3)
        assert clocks.held(connection, "stripe", "main") == 0
        connection.rollback()
        source = ConnectionResource.of("stripe", "sandbox", events().config)
        with living(floor.home), source.session(connection) as session:
            assert session.offset_s == pytest.approx(600, abs=3)
        assert clocks.held(connection, "stripe", "sandbox") == pytest.approx(600, abs=3)


def test_checks_alone_do_not_end_green(floor: Floor) -> None:
    """The UI offers to execute the checks by themselves; they are made by reading the feed."""
    selection = dg.AssetSelection.checks(dg.AssetCheckKey(keys.feed(EVENTS), "gap"))
    job = dg.define_asset_job("checks_of_a_feed", selection)
    definitions = dg.Definitions.merge(floor.definitions, dg.Definitions(jobs=[job]))
    result = definitions.resolve_job_def("checks_of_a_feed").execute_in_process(
        instance=floor.instance, run_config=QUIET, raise_on_error=False
    )
    assert "materialize it instead" in failure(result)
