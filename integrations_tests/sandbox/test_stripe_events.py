"""The twin's change feed tells every change of its objects once, in order, for thirty days."""

import json
from collections import defaultdict
from datetime import timedelta
from typing import Any

import httpx
import pytest

from integrations.sandbox.stripe import EPOCH, StripeTwin
from integrations.sandbox.stripe_contract import violation
from integrations.sandbox.stripe_events import event_body, events_of
from integrations.sandbox.stripe_facts import Event
from integrations.sandbox.stripe_objects import encode
from integrations.sandbox.stripe_shop import Shop
from integrations_tests.sandbox.conftest import NOON, PER_DAY, SEED, MovableClock, epoch_s, every

NOUNS = {"charges": "charge", "refunds": "refund", "payouts": "payout", "customers": "customer"}


def newer(client: httpx.Client, cursor: str, *, limit: int = 100) -> list[dict[str, Any]]:
    """The events after `cursor`, oldest first, as a reader follows the feed."""
    found: list[dict[str, Any]] = []
    while True:
        params: dict[str, Any] = {"limit": limit, "ending_before": cursor}
        page = client.get("/v1/events", params=params).json()
        found += reversed(page["data"])
        if not page["has_more"]:
            return found
        cursor = page["data"][0]["id"]


@pytest.fixture
def found(shared_found: dict[str, Any], client: httpx.Client) -> list[dict[str, Any]]:
    """All events at noon, newest first; read once."""
    if not shared_found:
        shared_found |= {event["id"]: event for event in every(client, "events")}
    return [*shared_found.values()]


@pytest.fixture(scope="module")
def shared_found() -> dict[str, Any]:
    return {}


@pytest.fixture(scope="module")
def lives() -> dict[str, list[Event]]:
    """The events of each object of a larger shop, in order, by the object's id."""
    shop = Shop(SEED, epoch=EPOCH, per_day=150, bad_charges=())
    told: dict[str, list[Event]] = defaultdict(list)
    for event in sorted(events_of(shop.live_until(epoch_s(NOON))), key=lambda e: (e.created, e.id)):
        told[event.subject.id].append(event)
    return told


def test_who_follows_the_feed_has_what_the_lists_show(
    client: httpx.Client, clock: MovableClock
) -> None:
    """Ten days of events, applied to the lists before them, give the lists after them."""
    clock.now = NOON - timedelta(days=10)
    held = {k: {thing["id"]: thing for thing in every(client, k)} for k in NOUNS}
    cursor = client.get("/v1/events", params={"limit": 1}).json()["data"][0]["id"]
    clock.now = NOON
    kinds = {noun: kind for kind, noun in NOUNS.items()}
    for event in newer(client, cursor):
        thing = event["data"]["object"]
        if event["type"].endswith(".deleted"):
            del held["customers"][thing["id"]]
        elif thing["object"] in kinds:
            held[kinds[thing["object"]]][thing["id"]] = thing
    for kind in NOUNS:
        assert held[kind] == {thing["id"]: thing for thing in every(client, kind)}


def test_both_ways_meet_every_event_once(
    twin: StripeTwin, client: httpx.Client, found: list[dict[str, Any]]
) -> None:
    """Backwards from the newest and forwards from the oldest are the same list, turned round."""
    assert [event["id"] for event in found] == list(twin.shown("events"))
    assert len(found) > 1_000
    places = [(event["created"], event["id"]) for event in found]
    assert places == sorted(places, reverse=True)
    assert newer(client, found[-1]["id"]) == found[-2::-1]
    assert newer(client, found[20]["id"], limit=7) == found[19::-1]


def test_one_event_is_the_one_of_the_list(
    client: httpx.Client, found: list[dict[str, Any]]
) -> None:
    """An event by its id is what the list shows, and stays so whatever comes after it."""
    for event in found[::200]:
        assert client.get(f"/v1/events/{event['id']}").json() == event


def test_an_update_says_what_was_before(
    client: httpx.Client, clock: MovableClock, found: list[dict[str, Any]]
) -> None:
    """`data.object` is the object at that second, `previous_attributes` how the second before
    it differed; other events do not have them."""
    updates = [event for event in found if event["type"].endswith(".updated")]
    assert len({event["type"] for event in updates}) == 4
    for event in updates[::10]:
        thing, previous = event["data"]["object"], event["data"]["previous_attributes"]
        path = f"/v1/{thing['object']}s/{thing['id']}"
        clock.now = EPOCH + timedelta(seconds=event["created"] - epoch_s(EPOCH))
        assert client.get(path).json() == thing
        clock.now -= timedelta(seconds=1)
        before = client.get(path).json()
        assert previous == changed(before, thing)
        assert previous
    assert not [e for e in found if e not in updates and "previous_attributes" in e["data"]]


def changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """The old values of what differs, inside objects too."""
    return {
        name: changed(old, after[name]) if isinstance(old, dict) and after.get(name) else old
        for name, old in (dict.fromkeys(after) | before).items()
        if old != after.get(name)
    }


def test_a_deleted_customer_is_told_as_it_last_was(
    twin: StripeTwin, client: httpx.Client, clock: MovableClock
) -> None:
    """The event carries the whole customer, of whom the API itself has a stub only."""
    known = twin.shown("customers")
    clock.now += timedelta(days=60)
    events = every(client, "events", type="customer.deleted")
    assert {event["data"]["object"]["id"] for event in events} & known.keys()
    for event in events:
        customer = event["data"]["object"]
        assert client.get(f"/v1/customers/{customer['id']}").json()["deleted"] is True
        clock.now = EPOCH + timedelta(seconds=event["created"] - 1 - epoch_s(EPOCH))
        assert client.get(f"/v1/customers/{customer['id']}").json() == customer
        clock.now = NOON + timedelta(days=60)


def test_events_are_kept_for_thirty_days(client: httpx.Client, clock: MovableClock) -> None:
    """The second after, an event is neither listed nor found, and is no cursor any more."""
    event = client.get("/v1/events").json()["data"][3]
    bounds = {"created[lt]": event["created"] + 86_400}
    clock.now = EPOCH + timedelta(days=30, seconds=event["created"] - epoch_s(EPOCH))
    assert every(client, "events", **bounds)[-1]["created"] == event["created"]
    assert client.get(f"/v1/events/{event['id']}").status_code == 200
    assert client.get("/v1/events", params={"ending_before": event["id"]}).status_code == 200
    clock.now += timedelta(seconds=1)
    assert every(client, "events", **bounds)[-1]["created"] > event["created"]
    assert client.get(f"/v1/events/{event['id']}").status_code == 404
    for param in ("starting_after", "ending_before"):
        answer = client.get("/v1/events", params={param: event["id"]})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (400, "resource_missing")
        assert (error["param"], error["message"]) == (param, f"No such event: '{event['id']}'")


@pytest.mark.parametrize(
    ("params", "types"),
    [
        ({"type": "charge.refunded"}, {"charge.refunded"}),
        ({"type": "charge.d*"}, {"charge.dispute.created"}),
        (
            {"type": "payout.*"},
            {"payout.created", "payout.updated", "payout.paid", "payout.failed"},
        ),
        ({"type": "charge"}, set()),
        ({"types[]": ["refund.created", "refund.failed"]}, {"refund.created", "refund.failed"}),
        ({"types[]": ["refund.*"]}, set()),
        ({"type": "payout.paid", "delivery_success": "true"}, {"payout.paid"}),
        ({"delivery_success": "false"}, set()),
    ],
)
def test_filters_by_type_and_delivery(
    client: httpx.Client, found: list[dict[str, Any]], params: dict[str, Any], types: set[str]
) -> None:
    """`*` groups types in `type` only; without webhooks every delivery counts as made."""
    expected = [event for event in found if event["type"] in types]
    assert {event["type"] for event in expected} == types
    assert every(client, "events", **params) == expected


def test_created_filters_the_events_not_their_objects(
    client: httpx.Client, found: list[dict[str, Any]]
) -> None:
    """`created` is the time of the event, which the object may have preceded by weeks."""
    first = epoch_s(NOON) - 3 * 86_400
    day = every(client, "events", **{"created[gte]": first, "created[lt]": first + 86_400})
    assert day == [event for event in found if 0 <= event["created"] - first < 86_400]
    assert any((event["data"]["object"]["created"] or first) < first for event in day)


@pytest.mark.parametrize(
    ("query", "param", "message"),
    [
        ("type=charge.failed&types[]=charge.failed", "types", "only specify one"),
        ("&".join(["types[]=charge.failed"] * 21), "types", "not have more than 20"),
        ("delivery_success=yes", "delivery_success", "Invalid boolean: yes"),
        ("customer=cus_1", "customer", "unknown parameter"),
        ("ending_before=evt_1", "ending_before", "No such event: 'evt_1'"),
        ("expand[]=data.data", "expand", "cannot be expanded"),
    ],
)
def test_mistakes_are_refused(client: httpx.Client, query: str, param: str, message: str) -> None:
    """What the list of events does not understand is named, and only it knows its filters."""
    answer = client.get(f"/v1/events?{query}")
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, param)
    assert message in error["message"]
    assert client.get("/v1/charges?type=charge.failed").status_code == 400


def test_every_event_keeps_the_contract(lives: dict[str, list[Event]]) -> None:
    """Events and the objects in them are as Stripe describes them, and their ids differ."""
    told = [event_body(event) for life in lives.values() for event in life]
    assert len({event["id"] for event in told}) == len(told) > 4_000
    wrong = [violation("events", body=encode(event)) for event in told]
    kinds = {noun: kind for kind, noun in NOUNS.items()}
    things = [event["data"]["object"] for event in told]
    wrong += [
        violation(kinds[thing["object"]], body=encode(thing))
        for thing in things
        if thing["object"] != "dispute"
    ]
    assert {*wrong} == {None}
    assert {thing["object"] for thing in things} == {*NOUNS.values(), "dispute"}


def test_lives_are_told_in_stripes_words(lives: dict[str, list[Event]]) -> None:
    """Each kind of life gives its own sequence of types, and a change is told once."""
    told = {tuple(event.type for event in life) for life in lives.values()}
    assert {
        ("charge.failed",),
        ("charge.succeeded",),
        ("charge.pending", "charge.succeeded"),
        ("charge.pending", "charge.failed"),
        ("charge.succeeded", "charge.captured"),
        ("charge.succeeded", "charge.refunded", "charge.refunded"),
        ("charge.succeeded", "charge.refunded", "charge.updated"),
        ("charge.succeeded", "charge.dispute.created", "charge.updated"),
        ("refund.created",),
        ("refund.created", "refund.updated"),
        ("refund.created", "refund.failed"),
        ("payout.created", "payout.updated", "payout.paid"),
        ("payout.created", "payout.updated", "payout.failed"),
        ("customer.created", "customer.updated"),
        ("customer.created", "customer.deleted"),
    } <= told


def test_bad_objects_are_as_bad_in_the_feed(
    client: httpx.Client, twin: StripeTwin, found: list[dict[str, Any]]
) -> None:
    """What the list shows of a charge that no contract allows, its newest event shows too."""
    bad = {ident for ident, way in twin.shown("charges").items() if way}
    newest = {event["data"]["object"]["id"]: event["data"]["object"] for event in found[::-1]}
    assert len(bad) > 1
    for ident in bad:
        assert newest[ident] == client.get(f"/v1/charges/{ident}").json()


def test_events_are_a_function_of_seed_and_clock(twin: StripeTwin, clock: MovableClock) -> None:
    """A twin that was asked day by day tells the same events as one asked at the end."""
    before = MovableClock()
    other = StripeTwin(SEED, clock=before, per_day=PER_DAY)
    for days in (15, 7, 0):
        before.now = NOON - timedelta(days=days)
        other.shown("events")
    assert other.shown("events") == twin.shown("events")


def test_nothing_is_told_before_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A twin whose events nobody reads does not make them: it starts and answers as fast."""
    monkeypatch.delattr("integrations.sandbox.stripe_events.events_of")
    twin = StripeTwin(SEED, clock=lambda: NOON, per_day=5)
    assert twin.shown("charges")
    with pytest.raises(NameError):
        twin.shown("events")


def test_what_stripe_did_by_itself_has_no_request(found: list[dict[str, Any]]) -> None:
    """The shop's own requests have an id and a key; what the night brought has neither."""
    requests = {event["type"]: json.dumps(event["request"]) for event in found}
    for type_ in ("charge.captured", "payout.created", "refund.updated"):
        assert requests[type_] == '{"id": null, "idempotency_key": null}'
    assert "req_" in requests["refund.created"]
