"""The feed at work: what its events become, and that none is lost on the way."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from integrations.connector_template.feed import Turn
from integrations.sandbox.faults import Fault
from integrations.storage import quarantine
from integrations.storage.database import connect
from integrations_tests.lanes import barriers
from integrations_tests.lanes.barriers import Interrupted
from integrations_tests.lanes.feeding import assert_fresh, fates, lines, position
from integrations_tests.lanes.lanes import Clock, Lanes
from integrations_tests.lanes.life import Life


def test_the_first_turn(lanes: Lanes, life: Life, clock: Clock) -> None:
    """It begins an hour ago, for pulls that are under way, and from then on nothing is lost."""
    life.create("customers")
    clock.goes(minutes=66)
    assert lanes.turn() == Turn()
    begun = position(lanes)
    assert (begun.cursor, begun.landing, begun.checked_at) == (None, None, clock())
    ident = life.create("customers")
    clock.goes(hours=3)
    assert fates(lanes.turn()) == {"events": {}, "customers": {"inserted": 1}}
    assert lanes.table("customers").keys() == {ident}
    newest = [*life.truth("events")][-1]
    assert (position(lanes).cursor, position(lanes).checked_at) == (newest, clock())


def test_nothing_new_is_noted_at_most_once_a_minute(begun: Lanes, clock: Clock) -> None:
    """Who looks every second does not write every second."""
    begun.turn()
    noted = position(begun).checked_at
    clock.goes(seconds=59)
    begun.turn()
    assert position(begun).checked_at == noted
    clock.goes(seconds=1)
    assert begun.turn() == Turn()
    assert position(begun).checked_at == clock()


def test_events_go_to_their_streams(begun: Lanes, life: Life, clock: Clock) -> None:
    """In one transaction; what events only name is fetched, once for all that name it."""
    made = [(kind, life.create(kind)) for kind in ("charges", "refunds", "payouts", "customers")]
    clock.goes(seconds=1)
    for kind, ident in made:
        life.change(kind, ident, metadata={"n": "1"})
    life.create("charges")
    done = begun.turn()
    assert fates(done) == {
        "events": {},
        "charges": {"inserted": 2, "duplicate": 1},
        "refunds": {"inserted": 1, "duplicate": 1},
        "payouts": {"inserted": 1, "duplicate": 1},
        "customers": {"inserted": 1, "duplicate": 1},
    }
    assert [life.requests_of(f"/v1/{kind}/") for kind in ("charges", "refunds")] == [2, 1]
    assert [life.requests_of(f"/v1/{kind}/") for kind in ("payouts", "customers")] == [0, 0]
    assert_fresh(begun, life, "charges", "refunds", "payouts", "customers")
    own = lines(done)["events"]
    assert (own.records, own.received, own.api_calls) == (9, 0, 4)
    assert {entry.cause for name, entry in lines(done).items() if name != "events"} == {"push"}


def test_a_key_is_fetched_once_per_landing(begun: Lanes, life: Life, clock: Clock) -> None:
    """Again in the next one, and never for a replay: what was fetched is landed."""
    ident = life.create("charges")
    begun.turn()
    clock.goes(minutes=2)
    life.change("charges", ident, amount=77)
    assert fates(begun.turn())["charges"] == {"updated": 1}
    assert life.requests_of("/v1/charges/") == 2
    before, table = life.requests, begun.table("charges")
    (entry,) = begun.replay("charges", [])
    assert (entry.received, entry.unchanged, entry.duplicate) == (2, 1, 1)
    assert begun.table("charges") == table
    assert life.requests == before


@pytest.mark.parametrize("kind", ["charges", "customers"])
def test_deletions(begun: Lanes, life: Life, clock: Clock, kind: str) -> None:
    """A tombstone, and a key that the source does not know, delete a row softly, or bury what was
    never seen; a revival that is said later than the slack shows it again."""
    seen, unseen = life.create(kind), life.create(kind)
    life.delete(kind, unseen)
    assert fates(begun.turn())[kind] == {"inserted": 1, "duplicate": 1, "deleted": 1}
    clock.goes(minutes=2)
    life.delete(kind, seen)
    assert fates(begun.turn())[kind] == {"deleted": 1}
    assert {key: deleted for key, (_, deleted) in begun.rows(kind).items()} == {
        seen: True, unseen: True,
    }  # fmt: skip
    clock.goes(minutes=2)
    life.revive(kind, seen)
    assert fates(begun.turn())[kind] == {"updated": 1}
    assert_fresh(begun, life, kind)


def test_an_old_event_is_stale(begun: Lanes, life: Life, clock: Clock) -> None:
    """What is stored was said later by another lane: the event changes nothing."""
    ident = life.create("customers")
    clock.goes(hours=1)
    life.change("customers", ident, event=False, name="Later")
    begun.sync("customers")
    assert fates(begun.turn()) == {"events": {}, "customers": {"stale": 1}}
    assert_fresh(begun, life, "customers")


def test_two_events_of_one_second(begun: Lanes, life: Life) -> None:
    """The one that happened last counts, though both have one time and no version."""
    ident = life.create("customers")
    for name in ("Anne", "Bea", "Cora"):
        life.change("customers", ident, name=name)
    assert fates(begun.turn())["customers"] == {"inserted": 1, "duplicate": 3}
    assert begun.table("customers")[ident]["name"] == "Cora"
    assert_fresh(begun, life, "customers")


def test_an_event_that_comes_again(begun: Lanes, life: Life) -> None:
    """A source that forgot the position before its time is read again from when it was last read:
    what is said twice is unchanged, and nothing is lost."""
    life.create("customers")
    begun.turn()
    cursor = position(begun).cursor
    life.create("customers")
    error = {"error": {"code": "resource_missing", "param": "ending_before", "message": "none"}}
    life.faults.append(Fault(path="/v1/events", status=400, body=msgspec.json.encode(error)))
    again = begun.turn()
    assert fates(again) == {"events": {}, "customers": {"inserted": 1, "unchanged": 1}}
    assert again.gap is None
    assert again.loaded[0].manifest.cursor == (cursor, [*life.truth("events")][-1])
    assert_fresh(begun, life, "customers")


@pytest.mark.parametrize(
    ("changed", "into", "own"),
    [
        (b'"object":{', b'"objekt":{', {"quarantined": 1}),
        (b'"object":"customer"', b'"object":"plan"', {"filtered": 1}),
    ],
)
def test_events_that_stay_with_the_feed(
    begun: Lanes, life: Life, changed: bytes, into: bytes, own: dict[str, int]
) -> None:
    """One that cannot be read is kept in the feed's quarantine, one of a kind without a route is
    filtered; the position goes on past both."""
    life.create("customers")
    rewritten = Fault(path="/v1/events", rewrite=lambda body: body.replace(changed, into))
    life.faults.append(rewritten)
    assert fates(begun.turn()) == {"events": own}
    (event,) = life.truth("events")
    assert position(begun).cursor == event
    kept = quarantine.entries(begun.connection, streams=[begun.id("events")])
    assert [(one.key, one.feed) for one in kept] == [(event, "events")] * own.get("quarantined", 0)
    assert begun.table("customers") == {}


@pytest.mark.parametrize("barrier", ["feed_landed", "staged", "merged", "committing"])
def test_who_died_before_the_commit(begun: Lanes, life: Life, barrier: str) -> None:
    """Left neither rows nor position, and the next turn loads what he landed without asking for it
    again."""
    before = position(begun)
    life.create("charges")
    life.create("customers")
    with barriers.at(barrier, barriers.interrupt), pytest.raises(Interrupted):
        begun.turn()
    assert position(begun) == before
    assert (begun.table("charges"), begun.table("customers")) == ({}, {})
    asked = life.requests
    done = begun.turn()
    assert fates(done)["charges"] == fates(done)["customers"] == {"inserted": 1}
    assert life.requests == asked + 1, "whether there is more"
    assert lines(done)["events"].api_calls == 0, "who landed it has paid"
    assert_fresh(begun, life, "charges", "customers")


def test_who_died_before_the_landing(begun: Lanes, life: Life) -> None:
    """Left nothing at all: the next turn asks again."""
    life.create("charges")
    with barriers.at("before_manifest", barriers.interrupt), pytest.raises(Interrupted):
        begun.turn()
    assert fates(begun.turn())["charges"] == {"inserted": 1}
    assert life.requests_of("/v1/charges/") == 2


def test_two_readers(begun: Lanes, life: Life, shared_database: str) -> None:
    """One wins; what the other has landed too is not loaded, and the next turn goes on."""
    life.create("charges")
    life.create("customers")
    with connect(shared_database) as second:
        other = _beside(begun, second)
        won: list[Turn] = []
        with barriers.at("feed_landed", lambda: won.append(other.turn())):
            assert begun.turn() == Turn()
        assert fates(won[0])["charges"] == {"inserted": 1}
    life.create("customers")
    assert fates(begun.turn()) == {"events": {}, "customers": {"inserted": 1}}
    assert_fresh(begun, life, "charges", "customers")


def _beside(lanes: Lanes, connection: Any) -> Lanes:
    return Lanes(
        lanes.url, lanes.secrets, lanes.account, connection, lanes.zone, lanes.clock, lanes.start,
        "other",
    )  # fmt: skip


def test_a_pull_that_waited_for_its_load(begun: Lanes, life: Life, clock: Clock) -> None:
    """A window that was landed before an event and is loaded after it takes nothing back, and no
    deleted record with it."""
    yesterday = int(datetime(2026, 10, 19, tzinfo=UTC).timestamp())
    changed, deleted = (life.create("charges", created=yesterday, event=False) for _ in range(2))
    stream, run = begun.stream("charges"), begun.run()
    landed = begun.land(stream, begun.windows("charges")[1], run)
    clock.goes(minutes=5)
    life.change("charges", changed, amount=777)
    life.delete("charges", deleted)
    begun.turn()
    entry = begun.load(stream, landed, run)
    assert (entry.stale, entry.inserted) == (2, 0)
    assert_fresh(begun, life, "charges")
