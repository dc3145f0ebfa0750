"""The twin's API behaves as Sendcloud's reference says: three shapes of pages, filters, errors."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from integrations.sandbox.faults import Fault
from integrations.sandbox.sendcloud import EPOCH, KINDS, SendcloudTwin
from integrations.sandbox.sendcloud_depot import BAD_PARCELS, BAD_RETURNS, BAD_SHIPMENTS
from integrations.sandbox.server import running
from integrations_tests.sandbox.conftest import MovableClock

NOON = EPOCH + timedelta(days=3, hours=12)
SEED = 7
Json = dict[str, Any]


@pytest.fixture(scope="module")
def still() -> MovableClock:
    clock = MovableClock()
    clock.now = NOON
    return clock


@pytest.fixture(scope="module")
def twin(still: MovableClock) -> SendcloudTwin:
    return SendcloudTwin(SEED, clock=still)


@pytest.fixture(scope="module")
def url(twin: SendcloudTwin) -> Iterator[str]:
    with running(twin) as address:
        yield address


@pytest.fixture
def client(twin: SendcloudTwin, url: str) -> Iterator[httpx.Client]:
    """Let in with the right pair of keys."""
    keys = (twin.secrets["public_key"], twin.secrets["secret_key"])
    with httpx.Client(base_url=url, auth=keys) as opened:
        yield opened
    twin.faults.clear()


def got(client: httpx.Client, path: str, **params: Any) -> httpx.Response:
    answer = client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer


def cursor(address: str) -> str:
    return httpx.URL(address).params["cursor"]


def all_shipments(client: httpx.Client, **params: Any) -> list[Json]:
    """By the Link header; its address holds the cursor, and not what was asked for."""
    found: list[Json] = []
    more: Json = {}
    while True:
        answer = got(client, "/api/v3/shipments", page_size=100, **params, **more)
        found += answer.json()["data"]
        if "next" not in answer.links:
            return found
        more = {"cursor": cursor(answer.links["next"]["url"])}


def all_returns(client: httpx.Client, **params: Any) -> list[Json]:
    """By the URL in the body."""
    found: list[Json] = []
    dates = {"from_date": "2026-01-01 00:00:00", "to_date": "2027-01-01 00:00:00"} | params
    more: Json = {}
    while True:
        body = got(client, "/api/v3/returns", **dates, **more).json()
        found += body["data"]
        if body["next"] is None:
            return found
        more = {"cursor": cursor(body["next"])}


def all_parcels(client: httpx.Client, **params: Any) -> list[Json]:
    """By the token in the body."""
    found: list[Json] = []
    more: Json = {}
    while True:
        body = got(client, "/api/v2/parcels", **params, **more).json()
        found += body["parcels"]
        if body["next"] is None:
            return found
        more = {"cursor": body["next"]}


EVERY: dict[str, Callable[..., list[Json]]] = {
    "shipments": all_shipments,
    "parcels": all_parcels,
    "returns": all_returns,
}


@pytest.mark.parametrize("kind", KINDS)
def test_paging_meets_every_object_once(
    twin: SendcloudTwin, client: httpx.Client, kind: str
) -> None:
    """The pages of a list together are the list, newest first, on more than one page."""
    before = twin.requests
    found = [str(thing["id"]) for thing in EVERY[kind](client)]
    assert found == list(twin.shown(kind))
    assert twin.requests - before >= 2


def test_every_list_goes_back_too(client: httpx.Client) -> None:
    """The second page's way back leads to the first, in each shape."""
    first = got(client, "/api/v3/shipments", page_size=10)
    second = client.get(first.links["next"]["url"])
    assert client.get(second.links["prev"]["url"]).json() == first.json()
    assert "prev" not in first.links
    body = got(client, "/api/v2/parcels").json()
    back = got(client, "/api/v2/parcels", cursor=body["next"]).json()["previous"]
    assert got(client, "/api/v2/parcels", cursor=back).json()["parcels"] == body["parcels"]
    dates = {"from_date": "2026-01-01 00:00:00", "to_date": "2027-01-01 00:00:00"}
    body = got(client, "/api/v3/returns", **dates).json()
    again = got(client, "/api/v3/returns", **dates, cursor=cursor(body["next"])).json()
    back = got(client, "/api/v3/returns", **dates, cursor=cursor(again["previous"])).json()
    assert back["data"] == body["data"]


def changed(shipment: Json) -> datetime:
    return max(datetime.fromisoformat(box["updated_at"]) for box in shipment["parcels"])


def test_shipments_are_filtered_by_their_last_change(client: httpx.Client) -> None:
    """After and before: neither bound is in it, and midnight itself has a shipment that tells."""
    start, end = EPOCH + timedelta(days=1), EPOCH + timedelta(days=2)
    everything = all_shipments(client)
    bounds = {"updated_after": start.isoformat(), "updated_before": end.isoformat()}
    inside = [thing for thing in everything if start < changed(thing) < end]
    assert all_shipments(client, **bounds) == inside
    assert start in {changed(thing) for thing in everything}
    assert 10 < len(inside) < len(everything) / 2


def test_v2_has_a_filter_with_one_end_only(client: httpx.Client) -> None:
    """It takes no notice of a parameter that it does not know."""
    after = (EPOCH + timedelta(days=2)).isoformat()
    open_ended = all_parcels(client, updated_after=after)
    assert open_ended == all_parcels(client, updated_after=after, updated_before=after)
    assert 0 < len(open_ended) < len(all_parcels(client))


def test_returns_are_filtered_by_when_they_were_made(
    twin: SendcloudTwin, client: httpx.Client
) -> None:
    """Whatever they say of it when they are bad."""
    dates = {"from_date": "2026-10-02 00:00:00", "to_date": "2026-10-03 00:00:00"}
    good = {ident for ident, bad in twin.shown("returns").items() if not bad}
    inside = [
        thing
        for thing in all_returns(client)
        if str(thing["id"]) in good
        and datetime.fromisoformat(thing["created_at"]).astimezone(UTC).day == 2
    ]
    found = all_returns(client, **dates)
    assert inside == [thing for thing in found if str(thing["id"]) in good]
    assert len(found) == len(inside) + 1
    assert 2 < len(inside) < 10


def test_lists_of_one_kind(client: httpx.Client) -> None:
    """The filters by a name give the objects that have it, and only those."""
    one = next(thing for thing in all_shipments(client) if len(thing["parcels"]) == 2)
    for name, value in (
        ("order_number", one["order_number"]),
        ("shipment_uuids", f"x,{one['id']}"),
        ("ids", str(one["parcels"][1]["id"])),
    ):
        assert one in all_shipments(client, **{name: value})
    delivered = all_parcels(client, parcel_status="11")
    assert {parcel["status"]["message"] for parcel in delivered} == {"Delivered"}


def test_one_of_each(client: httpx.Client) -> None:
    """Each in the envelope of its version, as its list has it."""
    shipment, parcel = all_shipments(client)[5], all_parcels(client)[5]
    back = all_returns(client)[5]
    assert got(client, f"/api/v3/shipments/{shipment['id']}").json() == {"data": shipment}
    assert got(client, f"/api/v2/parcels/{parcel['id']}").json() == {"parcel": parcel}
    assert got(client, f"/api/v3/returns/{back['id']}").json() == back
    assert client.get("/api/v3/shipments/none").status_code == 404


def test_the_statuses_are_all_that_parcels_have(client: httpx.Client) -> None:
    """A list of code and message, without pages; v2 says the messages only."""
    known = got(client, "/api/v3/parcels/statuses").json()["data"]
    codes = {status["code"]: status["message"] for status in known}
    assert len(codes) == len(known) == 36
    boxes = [box for thing in all_shipments(client) for box in thing["parcels"]]
    assert {box["status"]["code"] for box in boxes} < codes.keys()
    parcels = [parcel for parcel in all_parcels(client) if parcel["status"]]
    assert {parcel["status"]["message"] for parcel in parcels} < {*codes.values()}


@pytest.mark.parametrize(
    ("path", "status", "said", "code", "message"),
    [
        ("v3/shipments?updated_after=x", 400, "404", "validation_error", "is not a datetime"),
        ("v3/shipments?cursor=x", 404, "404", "not_found", "Invalid cursor"),
        ("v3/returns?from_date=2026-01-01", 400, "400", "invalid", "2026-01-01 is no valid"),
        ("v3/returns?from_date=2026-01-01 00:00:00", 400, "400", "required", "required"),
        ("v3/tulips", 404, "404", "not_found", "Not found."),
    ],
)
def test_v3_refuses_as_json_api_does(
    client: httpx.Client, path: str, status: int, said: str, code: str, message: str
) -> None:
    """A status is a text there, and not always that of the answer."""
    answer = client.get(f"/api/{path}")
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["status"], error["code"]) == (status, said, code)
    assert message in error["detail"]


def test_v2_refuses_in_its_own_shape(client: httpx.Client) -> None:
    """With a number, and the path that was asked for."""
    answer = client.get("/api/v2/parcels?cursor=x")
    said = {"code": 404, "request": "api/v2/parcels", "message": "Invalid cursor"}
    assert (answer.status_code, answer.json()) == (404, {"error": said})


@pytest.mark.parametrize("auth", [None, ("public", "secret"), ("", "")])
def test_wrong_keys_are_refused(url: str, auth: tuple[str, str] | None) -> None:
    """401, and what was given is not said back."""
    answer = httpx.get(f"{url}/api/v3/shipments", auth=auth)
    assert answer.status_code == 401
    assert answer.json()["errors"][0]["code"] == "authentication_failed"
    assert httpx.get(f"{url}/api/v2/parcels", auth=auth).json()["error"]["code"] == 401


def test_a_busy_sendcloud_says_when(twin: SendcloudTwin, client: httpx.Client) -> None:
    """By the same faults on order as every twin's."""
    twin.faults.append(Fault(path="/api/v2/*", status=429, headers={"Retry-After": "3"}))
    answers = [client.get("/api/v2/parcels") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [429, 200]
    assert answers[0].headers["retry-after"] == "3"


def test_moments_are_written_in_five_ways(client: httpx.Client) -> None:
    """All of them of one and the same parcel, where it is in both versions."""
    box = next(
        box for thing in all_shipments(client) for box in thing["parcels"] if box["announced_at"]
    )
    old = got(client, f"/api/v2/parcels/{box['id']}").json()["parcel"]
    announced = datetime.fromisoformat(box["announced_at"])
    naive = datetime.strptime(old["date_announced"], "%d-%m-%Y %H:%M:%S").replace(tzinfo=UTC)
    assert naive - announced.replace(microsecond=0) == timedelta(hours=2)
    back = next(thing for thing in all_returns(client) if thing["delivered_at"])
    delivered = datetime.fromisoformat(back["delivered_at_iso"])
    assert delivered.utcoffset() == timedelta(hours=2)
    assert int(delivered.timestamp() * 1000) == back["delivered_at"]


def test_a_change_shows_when_its_time_has_come(client: httpx.Client, still: MovableClock) -> None:
    """The day after, a parcel that was on its way is further, and the clock may go back."""
    before = {thing["id"]: thing for thing in all_shipments(client)}
    still.now = NOON + timedelta(days=1)
    after = {thing["id"]: thing for thing in all_shipments(client)}
    moved = [ident for ident in before if before[ident] != after[ident]]
    assert 10 < len(moved) < len(before)
    assert all(changed(after[ident]) > NOON for ident in moved)
    still.now = NOON
    assert {thing["id"]: thing for thing in all_shipments(client)} == before


def test_bad_ones_are_few_and_of_every_kind() -> None:
    """Of each kind one within the first days, and never one per cent of all parcels."""
    early, late = (
        SendcloudTwin(SEED, clock=lambda now=now: now) for now in (NOON, EPOCH + timedelta(days=54))
    )
    for kind, ways in zip(KINDS, (BAD_SHIPMENTS, BAD_PARCELS, BAD_RETURNS), strict=True):
        assert sum(map(bool, early.shown(kind).values())) == 1
        bad = Counter(filter(None, late.shown(kind).values()))
        assert bad.keys() == set(ways)
        assert bad.total() < len(late.shown(kind)) * 0.02
    assert sum(len(late.shown(kind)) for kind in KINDS) < 4_500


def test_same_seed_and_clock_give_the_same_objects(client: httpx.Client) -> None:
    """What another twin makes equals the first one's, however often that was asked; another
    seed's does not."""
    first = all_shipments(client), all_parcels(client), all_returns(client)
    for seed in (SEED, SEED + 1):
        other = SendcloudTwin(seed, clock=lambda: NOON)
        keys = (other.secrets["public_key"], other.secrets["secret_key"])
        with running(other) as url, httpx.Client(base_url=url, auth=keys) as opened:
            second = all_shipments(opened), all_parcels(opened), all_returns(opened)
        assert (first == second) == (seed == SEED)
