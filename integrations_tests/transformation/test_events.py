"""Events: which stream each speaks to, what it carries, and that none is lost."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from integrations.transformation.events import EventShape, Lane, Routed, Router
from integrations.transformation.refusals import SCHEMA
from integrations_tests.transformation.things import NOW, STRIPE_EVENT

THIN: dict[str, Any] = {
    "key": "objectId",
    "at": "at",
    "precision": "exact",
    "kind": "kind",
    "type": "type",
    "deleted": "gone",
    "representation": "at_creation",
}
ROUTES = {"charge": "charges", "refund": "refunds", "reversal": "refunds"}
SAID = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = int(SAID.timestamp())


def event(record: Any, **more: Any) -> bytes:
    """An event as Stripe writes it, unless told otherwise."""
    values = {"id": "evt_1", "created": SECOND, "type": "x.updated", "data": {"object": record}}
    return msgspec.json.encode(values | more)


def route(*events: bytes, hints: tuple[str, ...] = (), **changes: Any) -> Routed:
    base = changes.pop("base", STRIPE_EVENT)
    shape = EventShape.model_validate(
        {name: value for name, value in (base | changes).items() if value is not None}
    )
    return Router(shape, ROUTES, hints=hints).run(pa.array(events, pa.binary()), seen_at=NOW)


def plain(lane: Lane) -> list[dict[str, Any]]:
    names = ("records", "keys", "said_at", "deleted", "hint", "places")
    columns = [getattr(lane, name).to_pylist() for name in names]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def test_events_go_to_the_streams_of_their_kinds() -> None:
    """In the batch's order, each with its own bytes, time and place; two kinds may share one."""
    charges = [{"id": f"ch_{n}", "object": "charge", "n": n} for n in range(2)]
    done = route(
        event(charges[0]),
        event({"id": "po_1", "object": "payout"}),
        event({"id": 7, "object": "reversal"}, created=SECOND + 2),
        event(charges[1], created=SECOND + 3, type="charge.deleted"),
        event({"object": "refund"}),
    )
    assert (done.received, done.unrouted, done.refused.num_rows) == (5, 1, 0)
    assert list(done.lanes) == ["charges", "refunds"]
    common = {"said_at": SAID, "deleted": False, "hint": False}
    assert plain(done.lanes["charges"]) == [
        common | {"records": msgspec.json.encode(charges[0]), "keys": "ch_0", "places": 0},
        common
        | {"records": msgspec.json.encode(charges[1]), "keys": "ch_1", "places": 3}
        | {"said_at": SAID + timedelta(seconds=3), "deleted": True},
    ]
    assert plain(done.lanes["refunds"]) == [
        common
        | {"records": b'{"id":7,"object":"reversal"}', "keys": "7", "places": 2}
        | {"said_at": SAID + timedelta(seconds=2)},
        common | {"records": b'{"object":"refund"}', "keys": None, "places": 4},
    ]


@pytest.mark.parametrize(
    "record",
    [
        rb'{"id":"a","object":"charge","x":"\ud83d"}',
        rb'{"id":"a","object":"charge","x":"\ud83d\ude00 \\ud83d \uDE00"}',
        rb'{"id":"a","object":"charge","x":"\u0000"}',
        b'{"id":"a","object":"charge","x":1,"x":2}',
        b'{"id":"a", "object" :"charge",\n"x":1.10,"y":12345678901234567890}',
        b'{"id":"a","object":"charge","x":"\xff"}',
        '{"id":"a","object":"charge","x":"é😀"}'.encode(),
    ],
)
@pytest.mark.parametrize("twice", [False, True])
def test_a_record_keeps_the_bytes_that_were_sent(record: bytes, twice: bool) -> None:
    """Also those that no strict decoder takes, and where a reader would see the same before it."""
    alike = record.replace(rb'\ud83d"', rb'\ufffd"')
    before = b'"previous":%s,' % alike if twice else b""
    sent = b'{"id":"e",%s"created":0,"type":"x","data":{"object":  %s }}' % (before, record)
    done = route(event({"object": "charge"}), sent, event({"object": "charge"}))
    assert done.lanes["charges"].records.to_pylist()[1] == record
    assert done.lanes["charges"].keys.to_pylist() == [None, "a", None]


@pytest.mark.parametrize(
    ("sent", "key", "field", "rule", "reason"),
    [
        (b'{"id":"evt_1"', None, "", "json", "the event is no JSON: Input data was truncated"),
        (b"null", None, "", "json", "the event is no JSON object"),
        (b"[]", None, "", "json", "the event is no JSON object"),
        (b"", None, "", "json", "the event is no JSON object"),
        (b"{}{}", None, "", "json", "the event is no JSON: JSON is malformed: trailing"),
        (event({"id": "a"}), "evt_1", "kind", "event", "kind: `data.object.object` is missing"),
        (event("ch_1"), "evt_1", "kind", "event", "kind: `data.object.object` is missing or null"),
        (event(None), "evt_1", "kind", "event", "kind: `data.object.object` is missing or null"),
        (event(7, id=17), "17", "kind", "event", "kind: `data.object.object` is missing or null"),
        (
            event({}, data=5),
            "evt_1",
            "data",
            "json",
            "`data`: expected `object | null`, got `int`",
        ),
        (
            event({"object": 5}),
            "evt_1",
            "data.object.object",
            "json",
            "`data.object.object`: expected `str | null`, got `int`",
        ),
        (
            event({"object": "charge", "id": ["a"]}),
            "evt_1",
            "data.object.id",
            "json",
            "`data.object.id`: expected `int | str | null`, got `array`",
        ),
        (
            event({"object": "charge"}, created="now"),
            "evt_1",
            "created",
            "json",
            "`created`: expected `int | null`, got `str`",
        ),
        (
            event({"object": "charge"}, created=2**63),
            "evt_1",
            "created",
            "json",
            "`created`: expected `int` of at most 64 bits",
        ),
        (
            event({"object": "charge"}, created=10**15),
            "evt_1",
            "at",
            "epoch_s",
            "at: `created` 1000000000000000 lies outside the years 1 to 9999 in epoch seconds",
        ),
        (
            event({"object": "charge"}, type=None),
            "evt_1",
            "type",
            "event",
            "type: `type` is missing or null, and it says what is deleted",
        ),
        (
            event({"object": "charge", "id": " "}, created=None),
            "evt_1",
            "key",
            "event",
            "key: `data.object.id` is missing, blank, or longer than 500 characters, "
            "and the record must be fetched by it",
        ),
        (
            rb'{"id":"evt_1","created":0,"type":"x","data":{"object":'
            rb'{"id":"a\ud83d","object":"charge"}}}',
            "evt_1",
            "data.object.id",
            "json",
            "`data.object.id`: holds half of a surrogate pair, which is no text",
        ),
        (
            event({"object": "charge"}, id=" ", created=True),
            None,
            "created",
            "json",
            "`created`: expected `int | null`, got `bool`",
        ),
    ],
)
@pytest.mark.parametrize("alone", [True, False])
def test_an_event_that_cannot_be_read_is_refused_and_its_neighbours_pass(
    sent: bytes, key: str | None, field: str, rule: str, reason: str, alone: bool
) -> None:
    """By its own id where that can be read, else by its hash; with its own bytes."""
    good = event({"id": "ch", "object": "charge"})
    done = route(*([sent] if alone else [good, sent, good]))
    assert done.refused.schema == SCHEMA
    refused = done.refused.to_pylist()
    told = refused[0].pop("reason")
    assert told.startswith(reason)
    assert refused == [
        {
            "key": key or f"sha256:{hashlib.sha256(sent).hexdigest()}",
            "field": field,
            "rule": rule,
            "record": sent,
            "kind": "data",
            "seen_at": NOW,
        }
    ]
    places = [] if alone else done.lanes["charges"].places.to_pylist()
    assert places == ([] if alone else [0, 2])
    assert (done.received, done.unrouted) == (len(places) + 1, 0)


@pytest.mark.parametrize(
    ("at", "created", "becomes"),
    [
        ({"type": "epoch_ms"}, SECOND * 1000, SAID),
        ({"type": "microsoft_date"}, f"/Date({SECOND}000)/", SAID),
        ({"type": "local_time", "zone_from": "zone"}, "2026-01-01T01:00:00", SAID),
        ({"type": "local_time", "zone_from": "zone"}, "2025-10-26T02:30:00", "came twice"),
        ({"type": "local_time", "zone": "UTC"}, "2026-01-01", "is no local time"),
        ({"type": "epoch_ms"}, 10**18, "lies outside the years 1 to 9999"),
    ],
)
def test_a_moment_is_read_as_the_shape_says(at: Any, created: Any, becomes: Any) -> None:
    """By any rule that gives one; what it cannot take is refused by its name."""
    sent = event({"id": "ch", "object": "charge"}, created=created, zone="Europe/Amsterdam")
    done = route(sent, at=at | {"from": "created"})
    if isinstance(becomes, str):
        (refused,) = done.refused.to_pylist()
        assert (refused["field"], refused["rule"]) == ("at", at["type"])
        assert becomes in refused["reason"]
    else:
        assert done.lanes["charges"].said_at.to_pylist() == [becomes]


@pytest.mark.parametrize(
    "sent",
    [
        event({"object": "payout"}, created="now"),
        event({"object": "payout", "id": [1]}),
        event({"object": "payout"}, created=10**15),
        event({"object": "payout"}, created=2**63),
        event({"object": "payout"}, type=None),
        event({"object": ""}),
        event({"object": "charge\x00"}),
    ],
)
def test_what_no_route_takes_is_not_judged(sent: bytes) -> None:
    """An event that nobody wants needs no time and no key."""
    done = route(sent, sent)
    assert (done.unrouted, done.refused.num_rows, dict(done.lanes)) == (2, 0, {})


def thin(**values: Any) -> bytes:
    sent = {"kind": "charge", "objectId": 17, "at": "2026-01-01T00:00:00Z", "type": "new"}
    return msgspec.json.encode(sent | values)


@pytest.mark.parametrize(
    ("changes", "more", "timed", "hint"),
    [
        ({}, {}, True, False),
        ({"created": None}, {}, False, True),
        ({}, {"hints": ("charges",)}, True, True),
        ({}, {"hints": ("refunds",)}, True, False),
        ({}, {"at": None}, False, True),
        ({}, {"representation": "at_delivery"}, True, True),
        ({"type": "x.deleted"}, {}, True, False),
        ({"type": "x.deleted", "created": None}, {}, False, True),
    ],
)
def test_a_hint_is_what_cannot_be_ordered(
    changes: dict[str, Any], more: dict[str, Any], timed: bool, hint: bool
) -> None:
    """Without a time, of the state at delivery, or to a stream that is told to be so."""
    sent = event({"id": "a", "object": "charge"}, **changes)
    lane = route(sent, sent, **more).lanes["charges"]
    assert lane.hint.to_pylist() == [hint, hint]
    assert lane.said_at.to_pylist() == [SAID if timed else None] * 2


def test_an_event_may_carry_only_a_key() -> None:
    """Then the record is fetched, but for a deletion there is nothing to fetch."""
    done = route(thin(), thin(type="gone"), thin(objectId="a", type="gone", at=None), base=THIN)
    common = {"records": None, "said_at": SAID}
    assert plain(done.lanes["charges"]) == [
        common | {"keys": "17", "deleted": False, "hint": True, "places": 0},
        common | {"keys": "17", "deleted": True, "hint": False, "places": 1},
        common | {"keys": "a", "deleted": True, "hint": True, "places": 2, "said_at": None},
    ]


@pytest.mark.parametrize("key", [None, "", " ", "a\x00", "x" * 501])
@pytest.mark.parametrize("type_", ["new", "gone"])
def test_an_event_needs_a_record_or_a_key(key: str | None, type_: str) -> None:
    """With neither, nothing is known of what changed."""
    done = route(thin(objectId=key, type=type_, id="e"), base=THIN)
    assert done.refused["reason"].to_pylist() == [
        "key: `objectId` is missing, blank, or longer than 500 characters, "
        "and the record must be fetched by it"
    ]
    assert done.lanes == {}


@pytest.mark.parametrize("record", ["ch_1", None, 7, True, ["a"]])
def test_an_id_in_the_place_of_the_record_is_no_record(record: Any) -> None:
    """The key beside it is enough: the event becomes a hint."""
    sent = thin(record=record)
    assert plain(route(sent, base=THIN, record="record").lanes["charges"]) == [
        {
            "records": None,
            "keys": "17",
            "said_at": SAID,
            "deleted": False,
            "hint": True,
            "places": 0,
        }
    ]


@pytest.mark.parametrize(
    ("pattern", "deleted"),
    [
        ("*.deleted", [True, False, True, False]),
        ("customer.*", [True, False, False, False]),
        ("?.deleted", [False, False, True, False]),
        ("[ab].deleted", [False, False, True, False]),
        (None, [False] * 4),
    ],
)
def test_a_tombstone_is_told_by_its_type(pattern: str | None, deleted: list[bool]) -> None:
    """A shell pattern, in which upper and lower case differ."""
    types = ["customer.deleted", "x.DELETED", "a.deleted", "deleted"]
    sent = [event({"object": "charge"}, type=type_) for type_ in types]
    assert route(*sent, deleted=pattern).lanes["charges"].deleted.to_pylist() == deleted


def test_an_event_may_be_an_hour_ahead() -> None:
    """Clocks differ; one of next year would be the last word until then."""
    now = int(NOW.timestamp())
    sent = [event({"id": "a", "object": "charge"}, created=now + ahead) for ahead in (3600, 3601)]
    done = route(*sent)
    assert done.lanes["charges"].places.to_pylist() == [0]
    assert done.refused["reason"].to_pylist() == ["at: 2026-01-02 04:04:06 UTC has not come yet"]


def test_the_refused_carry_when_their_own_batch_was_read() -> None:
    """One moment a batch or one an event."""
    times = pa.array([NOW + timedelta(seconds=n) for n in range(3)], pa.timestamp("us", "UTC"))
    events = pa.array([b"1", event({"object": "charge"}), b"2"], pa.binary())
    done = Router(EventShape.model_validate(STRIPE_EVENT), ROUTES).run(events, seen_at=times)
    assert done.refused["seen_at"].to_pylist() == [NOW, NOW + timedelta(seconds=2)]


def test_an_empty_batch_has_no_lanes() -> None:
    """And nothing refused, in the usual columns."""
    done = route()
    assert (done.lanes, done.unrouted, done.received) == ({}, 0, 0)
    assert (done.refused.schema, done.refused.num_rows) == (SCHEMA, 0)


def test_a_batch_may_hold_more_events_than_are_read_at_once() -> None:
    """Every one is read, whichever slice it stands in, and so is a part of an Array."""
    kinds = ["charge", "payout", "refund"]
    sent = [event({"id": f"k{n}", "object": kinds[n % 3]}) for n in range(2500)]
    sent[1700] = b"5"
    events = pa.array([b"no", *sent], pa.binary())[1:]
    done = Router(EventShape.model_validate(STRIPE_EVENT), ROUTES).run(events, seen_at=NOW)
    lanes = {name: lane.places.to_pylist() for name, lane in done.lanes.items()}
    assert lanes == {
        "charges": list(range(0, 2500, 3)),
        "refunds": [n for n in range(2, 2500, 3) if n != 1700],
    }
    keys = done.lanes["charges"].keys.to_pylist()
    assert keys == [f"k{n}" for n in range(0, 2500, 3)]
    assert done.unrouted == len(range(1, 2500, 3))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
WORDS = st.sampled_from(["charge", "refund", "payout", "", "a.deleted"]) | JSON
OBJECTS = st.fixed_dictionaries({}, optional={"id": WORDS, "object": WORDS, "x": JSON})
EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "id": WORDS,
        "created": st.integers(0, 2**31) | st.integers() | JSON,
        "type": st.sampled_from(["x.updated", "x.deleted"]) | JSON,
        "data": st.fixed_dictionaries({"object": OBJECTS | JSON}) | JSON,
    },
)
ESCAPES = st.sampled_from([rb"\ud83d", rb"\ude00", rb"\\ud83d", rb"\u0000", b"\xff", b"x"])
SENT = st.builds(
    # An escape beside the quote of any text, so that odd characters stand in odd places.
    lambda value, escape: msgspec.json.encode(value).replace(
        b'"charge"', b'"charge","y":"%s"' % escape
    ),
    EVENTS | JSON,
    ESCAPES,
)


@settings(max_examples=100)
@given(st.lists(SENT | st.binary(max_size=8), max_size=6), st.booleans(), st.booleans())
@example([event({"id": "a", "object": "charge"})], False, True)
def test_no_event_is_lost_or_changed(sent: list[bytes], whole: bool, hints: bool) -> None:
    """Each is in one lane, unrouted or refused, and what it carried is a piece of its own bytes."""
    kind = {} if whole else {"record": "data", "key": "data.object.id"}
    done = route(*sent, hints=("charges", "refunds") if hints else (), **kind)
    lanes = list(done.lanes.values())
    assert done.received == len(sent)
    assert sum(map(len, lanes)) + done.unrouted + done.refused.num_rows == len(sent)
    places = [place for lane in lanes for place in lane.places.to_pylist()]
    assert len(set(places)) == len(places)
    left = [one for place, one in enumerate(sent) if place not in places]
    for record in done.refused["record"].to_pylist():
        left.remove(record)
    assert len(left) == done.unrouted
    for one in (one for lane in lanes for one in plain(lane)):
        assert one["records"] is None or one["records"] in sent[one["places"]]
        assert one["records"] is None or one["records"].startswith(b"{")
        assert one["keys"] is not None or (one["records"] is not None and not one["hint"])
