"""The source that tests change tells the truth: lists, single objects and feed agree with it."""

import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from random import Random
from typing import Any

import httpx
import msgspec
import pytest

from integrations.sandbox.faults import Fault
from integrations.sandbox.server import running
from integrations.sandbox.stripe_contract import violation
from integrations.sandbox.stripe_names import DAY
from integrations_tests.lanes.life import NOUNS, Life
from integrations_tests.sandbox.conftest import MovableClock, epoch_s, every

NOON = datetime(2026, 10, 20, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def clock() -> MovableClock:
    clock = MovableClock()
    clock.now = NOON
    return clock


@pytest.fixture(scope="module")
def life(clock: MovableClock) -> Life:
    """One for all tests, which each look at their own objects, or at all whatever they are."""
    return Life(clock=clock)


@pytest.fixture(scope="module")
def client(life: Life) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {life.secrets['api_key']}"}
    with running(life) as url, httpx.Client(base_url=url, headers=headers) as opened:
        yield opened


class Follower:
    """Reads the feed from where it stood last and keeps what it says of every object."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        page = client.get("/v1/events", params={"limit": 1}).json()["data"]
        self._cursor = page[0]["id"] if page else None
        self.types: list[str] = []
        self.held = {kind: {one["id"]: one for one in every(client, kind)} for kind in NOUNS}

    def read(self) -> None:
        more = True
        while more:
            params = {"limit": 20, "ending_before": self._cursor}
            answer = self._client.get("/v1/events", params=params).raise_for_status().json()
            for event in reversed(answer["data"]):
                self._take(event)
            more = answer["has_more"]

    def _take(self, event: dict[str, Any]) -> None:
        one, self._cursor = event["data"]["object"], event["id"]
        held = self.held[f"{one['object']}s"]
        self.types.append(event["type"])
        if event["type"].endswith(".deleted"):
            del held[one["id"]]
        else:
            held[one["id"]] = one


@pytest.mark.parametrize("seed", range(3))
def test_lists_and_feed_say_what_is_true(
    life: Life, client: httpx.Client, clock: MovableClock, seed: int
) -> None:
    """Whatever happens, in one second or in many, both ways to read end at the truth."""
    rng = Random(seed)
    life.create("customers")
    follower = Follower(client)
    verbs = set()
    for _ in range(15):
        verbs |= {verb for verb, _, _ in life.live(rng, 12, kinds=[*NOUNS], deletes=NOUNS)}
        clock.now += timedelta(seconds=rng.choice([0, 0.3, 1, 3_600]))
        follower.read()
    assert verbs == {"create", "back-date", "change", "delete", "revive"}
    for kind in NOUNS:
        truth = life.truth(kind)
        assert follower.held[kind] == truth
        listed = every(client, kind, limit=17)
        assert [one["id"] for one in listed] == sorted(
            truth, key=lambda ident: (truth[ident]["created"], ident), reverse=True
        )
        assert {one["id"]: one for one in listed} == truth


@pytest.mark.parametrize("kind", NOUNS)
def test_objects_keep_the_contract(kind: str) -> None:
    """New or changed, they are what Stripe's description admits, and so are their events."""
    life = Life(clock=lambda: NOON)
    life.live(Random(1), 40, kinds=[kind])
    assert len(life.truth(kind)) > 5
    bodies = [(kind, one) for one in life.truth(kind).values()]
    bodies += [("events", one) for one in life.truth("events").values()]
    assert {violation(its, body=msgspec.json.encode(one)) for its, one in bodies} == {None}


def test_the_same_dice_live_the_same_life() -> None:
    """A failure under a seed can be had again."""
    lives = [Life(clock=lambda: NOON) for _ in range(2)]
    done = [life.live(Random(5), 100) for life in lives]
    assert done[0] == done[1]
    assert lives[0].truth("charges") == lives[1].truth("charges") != {}
    assert lives[0].live(Random(6), 100) != done[0]


@pytest.mark.parametrize(
    ("kind", "status", "left"),
    [
        ("customers", 200, {"id": "cus_1", "object": "customer", "deleted": True}),
        ("charges", 404, None),
    ],
)
def test_a_deletion_and_a_revival(
    life: Life, client: httpx.Client, kind: str, status: int, left: dict[str, Any] | None
) -> None:
    """A deleted customer leaves a stub and a deleted charge leaves nothing; both can come back."""
    ident = life.create(kind, "cus_1" if kind == "customers" else "ch_1", description="first")
    follower = Follower(client)
    before = life.truth(kind)[ident]
    life.delete(kind, ident)
    answer = client.get(f"/v1/{kind}/{ident}")
    assert answer.status_code == status
    assert left is None or answer.json() == left
    assert ident not in {one["id"] for one in every(client, kind)} | life.truth(kind).keys()
    told = client.get("/v1/events").json()["data"][0]
    assert told["data"] == {"object": before}
    with pytest.raises(KeyError):
        life.change(kind, ident, description="never")
    life.revive(kind, ident, description="again")
    assert client.get(f"/v1/{kind}/{ident}").json() == before | {"description": "again"}
    life.change(kind, ident, description="last")
    told, earlier = client.get("/v1/events").json()["data"][:2]
    assert told["data"]["previous_attributes"] == {"description": "again"}
    assert earlier["data"]["object"] == before | {"description": "again"}
    follower.read()
    noun = NOUNS[kind]
    assert follower.types == [f"{noun}.deleted", f"{noun}.updated", f"{noun}.updated"]


def test_a_back_dated_object_is_told_now(
    life: Life, client: httpx.Client, clock: MovableClock
) -> None:
    """It stands in the list where its creation puts it, and its event is the newest."""
    at = epoch_s(clock.now) - 9 * DAY
    ident = life.create("charges", created=at, amount=1_234)
    (listed,) = every(client, "charges", created=at)
    told = client.get("/v1/events").json()["data"][0]
    assert (listed["id"], listed["amount"]) == (ident, 1_234)
    assert (told["created"], told["data"]["object"]) == (epoch_s(clock.now), listed)
    with pytest.raises(ValueError, match="already"):
        life.create("charges", ident)
    with pytest.raises(ValueError, match="creation"):
        life.change("charges", ident, created=at + 1)


def test_what_happens_quietly_is_not_told(life: Life, client: httpx.Client) -> None:
    """The truth changes and the feed does not, for this thread and for as long as it is asked."""
    follower = Follower(client)
    ident = life.create("charges", event=False)
    with life.quiet():
        life.change("charges", ident, amount=77)
        other = threading.Thread(target=life.create, args=("customers",))
        other.start()
        other.join()
    follower.read()
    assert follower.types == ["customer.created"]
    assert client.get(f"/v1/charges/{ident}").json()["amount"] == 77
    life.delete("charges", ident)
    assert client.get("/v1/events").json()["data"][0]["type"] == "charge.deleted"


def test_the_feed_forgets_and_never_turns_back(
    life: Life, client: httpx.Client, clock: MovableClock
) -> None:
    """A cursor older than what is kept is refused; a clock that was put back hides no event."""
    life.create("charges")
    cursor = client.get("/v1/events").json()["data"][0]["id"]
    clock.now -= timedelta(hours=1)
    life.create("charges")
    clock.now += timedelta(hours=1)
    after = {"ending_before": cursor}
    assert len(client.get("/v1/events", params=after).json()["data"]) == 1
    clock.now += timedelta(seconds=11)
    life.kept_s = 10
    answer = client.get("/v1/events", params=after)
    life.kept_s = 30 * DAY
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "resource_missing")
    assert error["param"] == "ending_before"


def test_threads_lose_nothing(life: Life, client: httpx.Client) -> None:
    """Four lives at once and a reader between them: who read to the end has the truth."""
    life.create("customers")
    follower = Follower(client)
    threads = [
        threading.Thread(target=life.live, args=(Random(seed), 60)) for seed in range(100, 104)
    ]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            follower.read()
    finally:
        sys.setswitchinterval(interval)
    follower.read()
    assert len(follower.types) == 240
    assert follower.held == {kind: life.truth(kind) for kind in NOUNS}


def test_it_counts_dates_and_fails_like_any_twin(
    life: Life, client: httpx.Client, clock: MovableClock
) -> None:
    """Requests by path, the clock in `Date`, faults on order, and a key at the door."""
    before = life.requests, life.requests_of("/v1/charges")
    life.faults.append(Fault(path="/v1/charges", status=503))
    answers = [client.get("/v1/charges"), client.get("/v1/charges/ch_none"), client.get("/v1/x")]
    assert [answer.status_code for answer in answers] == [503, 404, 404]
    assert life.requests_of("/v1/charges") - before[1] == 2
    assert life.requests_of("/v1/charges/") > 0
    assert life.requests - before[0] == 3
    date = parsedate_to_datetime(answers[1].headers["date"])
    assert date == clock.now.replace(microsecond=0)
    assert client.get("/v1/charges", headers={"authorization": "Bearer x"}).status_code == 401
    assert client.get("/v1/charges?expand[]=data.customer").status_code == 400
