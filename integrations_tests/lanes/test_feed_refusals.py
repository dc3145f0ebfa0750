"""What of a feed cannot pass: it waits, is tried again, or holds the others back."""

from datetime import timedelta

from integrations.connector_template import retrying
from integrations.sandbox.faults import Fault
from integrations.storage import quarantine
from integrations.storage.ledger import LedgerEntry
from integrations_tests.lanes.feeding import assert_fresh, fates, lines, position
from integrations_tests.lanes.lanes import Clock, Lanes
from integrations_tests.lanes.life import Life


def test_a_blocked_stream_holds_back_the_landing(begun: Lanes, life: Life) -> None:
    """Too much of one is refused: nothing of any is loaded, until a person accepts it."""
    before = position(begun)
    for _ in range(20):
        life.create("charges", status="unheard of")
    good, customer = life.create("charges"), life.create("customers")
    blocked = lines(begun.turn())
    assert {name: entry.status for name, entry in blocked.items()} == dict.fromkeys(
        ("events", "charges", "customers"), "blocked"
    )
    assert "held back" in (blocked["customers"].error or "")
    assert (begun.table("charges"), begun.table("customers")) == ({}, {})
    assert position(begun) == before
    asked = life.requests
    assert begun.turn().loaded[0].blocked
    assert begun.turn(accept=True).loaded[0].blocked is False
    assert life.requests == asked + 1, "the landing is loaded from where it lies"
    assert begun.table("charges").keys() == {good}
    assert begun.table("customers").keys() == {customer}
    assert position(begun).cursor == [*life.truth("events")][-1]


MISSING = b'{"error":{"type":"invalid_request_error","code":"resource_missing","param":"id"}}'


def away(path: str, times: int = 1_000) -> Fault:
    return Fault(path=path, status=503, times=times)


def test_a_key_that_cannot_be_fetched(begun: Lanes, life: Life, clock: Clock) -> None:
    """It waits in quarantine while the others are loaded, and is tried again when it is time."""
    waits, other = life.create("charges"), life.create("charges")
    life.faults.append(away(f"/v1/charges/{waits}"))
    assert fates(begun.turn())["charges"] == {"inserted": 1, "quarantined": 1}
    assert begun.table("charges").keys() == {other}
    life.faults.clear()
    assert _retried(begun) is None, "not yet"
    _let_pass(begun)
    clock.goes(minutes=1)
    entry = _retried(begun)
    assert entry is not None
    assert (entry.inserted, entry.api_calls) == (1, 1)
    assert quarantine.entries(begun.connection, streams=[begun.id("charges")]) == []
    assert_fresh(begun, life, "charges")


def _let_pass(lanes: Lanes) -> None:
    """As if the minute had passed after which what waits is tried again."""
    lanes.connection.execute(
        "UPDATE integrations.quarantine SET last_at = last_at - interval '1 minute'"
        " WHERE connection = %s",
        [lanes.account],
    )
    lanes.connection.commit()


def _retried(lanes: Lanes) -> LedgerEntry | None:
    with lanes.session() as session:
        return retrying.due_again(
            lanes.stream("charges"),
            connection=lanes.connection,
            session=session,
            run=lanes.run("retry"),
            clock=lanes.clock,
        ).entry


def test_a_later_event_heals(begun: Lanes, life: Life, clock: Clock) -> None:
    """Of a key that could not be fetched: its entry is closed by the success."""
    waits = life.create("charges")
    life.faults.append(away(f"/v1/charges/{waits}"))
    begun.turn()
    life.faults.clear()
    clock.goes(minutes=1)
    life.change("charges", waits, amount=5)
    assert fates(begun.turn())["charges"] == {"inserted": 1}
    assert quarantine.entries(begun.connection, streams=[begun.id("charges")]) == []
    assert_fresh(begun, life, "charges")


def test_a_source_that_is_away(begun: Lanes, life: Life, clock: Clock) -> None:
    """Its keys wait, and keep nothing else waiting; that they do says nothing about the records."""
    made = [life.create("charges") for _ in range(30)]
    customer = life.create("customers")
    life.faults.append(away("/v1/charges/*"))
    assert fates(begun.turn()) == {
        "events": {},
        "charges": {"quarantined": 30},
        "customers": {"inserted": 1},
    }
    assert life.requests_of("/v1/charges/") <= 12, "after two keys the others are not asked for"
    life.faults.clear()
    _let_pass(begun)
    clock.goes(minutes=2)
    entry = _retried(begun)
    assert entry is not None
    assert entry.inserted == 30
    assert begun.table("charges").keys() == {*made}
    assert begun.table("customers").keys() == {customer}


def test_records_that_are_forbidden(begun: Lanes, life: Life, clock: Clock) -> None:
    """After two that are refused the others are not asked for, in the turn and in the retry."""
    for _ in range(30):
        life.create("charges")
    life.faults.append(Fault(path="/v1/charges/*", status=403, times=1_000))
    assert fates(begun.turn())["charges"] == {"quarantined": 30}
    assert life.requests_of("/v1/charges/") == 2
    _let_pass(begun)
    clock.goes(minutes=2)
    entry = _retried(begun)
    assert entry is not None
    assert (entry.quarantined, life.requests_of("/v1/charges/")) == (2, 4)


def test_an_outage_uses_up_no_tries(begun: Lanes, life: Life, clock: Clock) -> None:
    """Of what waits only the first two are tried while the source does not answer."""
    for _ in range(5):
        life.create("charges")
    life.faults.append(away("/v1/charges/*"))
    begun.turn()
    _let_pass(begun)
    clock.goes(minutes=2)
    entry = _retried(begun)
    assert entry is not None
    assert (entry.records, entry.quarantined) == (2, 2)


def test_retries_do_not_empty_a_table(begun: Lanes, life: Life, clock: Clock) -> None:
    """Keys that the source suddenly lacks, and that no event calls deleted, keep their rows until a
    person says that this is right."""
    made = [life.create("charges") for _ in range(25)]
    begun.turn()
    clock.goes(minutes=5)
    for ident in made:
        life.change("charges", ident, amount=3)
    life.faults.append(Fault(path="/v1/charges/*", status=404, body=MISSING, times=25))
    assert fates(begun.turn())["charges"] == {"quarantined": 25}
    _let_pass(begun)
    clock.goes(minutes=2)
    life.faults.append(Fault(path="/v1/charges/*", status=404, body=MISSING, times=25))
    entry = _retried(begun)
    assert entry is not None
    assert (entry.quarantined, entry.deleted) == (25, 0)
    assert begun.table("charges").keys() == {*made}


def test_an_event_from_the_future(begun: Lanes, life: Life, clock: Clock) -> None:
    """Is refused: it would be the last word until its time comes."""
    ident = life.create("customers", name="Anne")
    begun.turn()
    now, clock.now = clock.now, clock.now + timedelta(days=300)
    life.change("customers", ident, name="Zoe")
    clock.now = now
    life.kept_s = 10**9
    (loaded,) = begun.turn().loaded
    assert loaded.entries[0].quarantined == 1
    (entry,) = quarantine.entries(begun.connection, streams=[begun.id("events")])
    begun.connection.rollback()
    assert entry.reason.endswith("UTC has not come yet")
    assert begun.table("customers")[ident]["name"] == "Anne"


def test_a_replica_that_lags(begun: Lanes, life: Life, clock: Clock) -> None:
    """A record that an event calls new, and that its source does not have: younger than the slack
    it is asked for again, and is no deletion."""
    made = life.create("charges")
    life.faults.append(Fault(path=f"/v1/charges/{made}", status=404, body=MISSING))
    assert fates(begun.turn())["charges"] == {"quarantined": 1}
    (entry,) = quarantine.entries(begun.connection, streams=[begun.id("charges")])
    begun.connection.rollback()
    assert (entry.kind, entry.rule) == ("transient", "hint")
    assert entry.reason == "could not be fetched: the source does not have it, or not yet"
    life.faults.clear()
    clock.goes(minutes=2)
    life.change("charges", made, amount=7)
    assert fates(begun.turn())["charges"] == {"inserted": 1}
    assert_fresh(begun, life, "charges")


def test_a_wrong_address_deletes_nothing(begun: Lanes, life: Life, clock: Clock) -> None:
    """Many records that events call changed and that the source lacks: more likely they are asked
    for where they are not, so a person is asked."""
    made = [life.create("charges") for _ in range(20)]
    begun.turn()
    clock.goes(minutes=10)
    for ident in made:
        life.change("charges", ident, amount=9)
    clock.goes(minutes=2)
    life.faults.append(Fault(path="/v1/charges/*", status=404, body=MISSING, times=1_000))
    blocked = lines(begun.turn())["charges"]
    assert blocked.status == "blocked"
    assert "no event says that they were deleted" in (blocked.error or "")
    assert len(begun.table("charges")) == 20
