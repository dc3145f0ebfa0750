"""The twin's API behaves as ShipHero's documentation says: tokens, credits, lists, cut lines."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import graphql
import httpx
import pytest

from integrations.sandbox.faults import Fault
from integrations.sandbox.server import running
from integrations.sandbox.shiphero import EPOCH, KINDS, ShipHeroTwin
from integrations.sandbox.shiphero_credits import cost
from integrations.sandbox.shiphero_warehouse import BAD_ORDERS, BAD_RETURNS, BAD_SHIPMENTS
from integrations_tests.sandbox.conftest import MovableClock

NOON = EPOCH + timedelta(days=12, hours=12)
SEED = 7
Json = dict[str, Any]
Ask = Callable[..., Json]
PAGE = "pageInfo { hasNextPage endCursor } edges { node"
LIST = (
    "query ($after: String) {{ {0} {{ data(first: {1}, after: $after) {{ {2} {{ {3} }} }} }} }} }}"
)


@pytest.fixture(scope="module")
def still() -> MovableClock:
    return MovableClock()


@pytest.fixture(scope="module")
def twin(still: MovableClock) -> ShipHeroTwin:
    return ShipHeroTwin(SEED, clock=still)


@pytest.fixture(scope="module")
def url(twin: ShipHeroTwin) -> Iterator[str]:
    with running(twin) as address:
        yield address


@pytest.fixture
def clock(still: MovableClock) -> MovableClock:
    """The twin's clock, at noon whatever a test before has made of it."""
    still.now = NOON
    return still


@pytest.fixture
def client(twin: ShipHeroTwin, url: str, clock: MovableClock) -> Iterator[httpx.Client]:
    """Let in with a token."""
    with httpx.Client(base_url=url, headers=let_in(url, twin)) as opened:
        yield opened
    twin.faults.clear()


@pytest.fixture
def ask(client: httpx.Client) -> Ask:
    return asking(client)


def let_in(url: str, twin: ShipHeroTwin) -> dict[str, str]:
    token = httpx.post(f"{url}/auth/token", json=dict(twin.secrets)).json()["access_token"]
    return {"authorization": f"Bearer {token}"}


@contextmanager
def another(**options: Any) -> Iterator[Ask]:
    """What another twin answers."""
    twin = ShipHeroTwin(**options)
    with running(twin) as url, httpx.Client(base_url=url, headers=let_in(url, twin)) as client:
        yield asking(client)


def asking(client: httpx.Client) -> Ask:
    """The whole answer to a query, which is always a 200."""

    def ask(query: str, **variables: Any) -> Json:
        answer = client.post("/graphql", json={"query": query, "variables": variables})
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    return ask


def every(ask: Ask, listed: str, fields: str = "id", *, first: int = 50) -> list[Json]:
    """All of a list, page by page; `listed` is its field, with arguments."""
    query, found, after = LIST.format(listed, first, PAGE, fields), [], None
    while True:
        answer = ask(query, after=after)
        assert "errors" not in answer, answer
        page = answer["data"][listed.partition("(")[0]]["data"]
        found += [edge["node"] for edge in page["edges"]]
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


def test_a_name_and_a_password_buy_a_token_for_28_days(
    twin: ShipHeroTwin, client: httpx.Client, ask: Ask, clock: MovableClock
) -> None:
    """Then it is refused, and its refresh token buys another; several are good at once."""
    query = "{ orders(analyze: true) { complexity } }"
    tokens = client.post("/auth/token", json=dict(twin.secrets)).json()
    assert tokens["expires_in"] == 28 * 86_400
    clock.now = NOON + timedelta(days=27)
    again = client.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]}).json()
    assert "data" in ask(query)
    clock.now = NOON + timedelta(days=28)
    assert client.post("/graphql", json={"query": query}).status_code == 401
    client.headers["authorization"] = f"Bearer {again['access_token']}"
    assert "data" in ask(query)


@pytest.mark.parametrize(
    "spoil", [str.upper, lambda token: f"{token}x", lambda _: "é.e.e", lambda _: "."]
)
def test_who_has_no_good_token_is_refused(
    client: httpx.Client, spoil: Callable[[str], str]
) -> None:
    token = spoil(client.headers["authorization"].removeprefix("Bearer "))
    headers = {"authorization": f"Bearer {token}".encode("latin-1")}
    answer = client.post("/graphql", json={"query": "{ __typename }"}, headers=headers)
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("token", {"username": "x", "password": "y"}),
        ("token", {"username": None}),
        ("token", []),
        ("refresh", {"refresh_token": "é"}),
    ],
)
def test_wrong_pairs_buy_nothing(client: httpx.Client, path: str, body: Any) -> None:
    answer = client.post(f"/auth/{path}", json=body)
    assert (answer.status_code, answer.json()["message"]) == (401, "Unauthorized")


@pytest.mark.parametrize("kind", KINDS)
def test_paging_meets_every_object_once_in_no_order(
    twin: ShipHeroTwin, ask: Ask, kind: str
) -> None:
    """On several pages, whose times go up and down: no bookmark can be taken from the last one."""
    field = {"orders": "updated_at", "shipments": "created_date", "returns": "created_at"}[kind]
    before = twin.requests
    found = every(ask, kind, f"id {field}")
    assert Counter(one["id"] for one in found) == Counter(twin.shown(kind).keys())
    assert twin.requests - before == -(-len(found) // 50) > 2
    times = [one[field] for one in found]
    assert times not in (sorted(times), sorted(times, reverse=True))


def test_orders_are_filtered_by_their_last_change(ask: Ask) -> None:
    """From a moment, and before another: midnight itself has an order that tells."""
    bounds = ("2026-11-02T00:00:00", "2026-11-03T00:00:00")
    given = every(
        ask, 'orders(updated_from: "{}", updated_to: "{}")'.format(*bounds), "id updated_at"
    )
    inside = [
        one
        for one in every(ask, "orders", "id updated_at")
        if bounds[0] <= one["updated_at"] < bounds[1]
    ]
    assert given == inside
    assert bounds[0] in {one["updated_at"] for one in inside}


def test_shipments_are_filtered_by_days(ask: Ask) -> None:
    """Whatever time of day is asked for."""
    bounds = 'shipments(date_from: "2026-11-02T23:55:00Z", date_to: "2026-11-04T01:00:00+02:00")'
    days = {one["created_date"][:10] for one in every(ask, bounds, "id created_date")}
    assert days == {"2026-11-02"}


def test_lines_are_cut_and_can_be_read_on(ask: Ask) -> None:
    """An order with more lines than were asked for says so in its pageInfo, and nowhere else."""
    asked = f"id line_items(first: 10) {{ {PAGE} {{ id }} }} }}"
    lines = {one["id"]: one["line_items"] for one in every(ask, "orders", asked)}
    cut = {id_: found for id_, found in lines.items() if found["pageInfo"]["hasNextPage"]}
    assert {len(found["edges"]) for found in cut.values()} == {10}
    query = f"""query ($id: String!, $after: String) {{ order(id: $id) {{ data {{
        line_items(first: 10, after: $after) {{ {PAGE} {{ id }} }} }} }} }} }}"""
    counts = set()
    for id_, connection in cut.items():
        nodes, info = [*connection["edges"]], connection["pageInfo"]
        while info["hasNextPage"]:
            more = ask(query, id=id_, after=info["endCursor"])["data"]["order"]["data"][
                "line_items"
            ]
            nodes, info = [*nodes, *more["edges"]], more["pageInfo"]
        assert len({node["node"]["id"] for node in nodes}) == len(nodes)
        counts.add(len(nodes))
    assert counts == {11, 27}


def test_ids_are_those_of_relay(ask: Ask) -> None:
    """Of base64, with the old number beside it."""
    (order, *_) = every(ask, "orders", "id legacy_id account_id")
    assert order["account_id"] == "QWNjb3VudDo3NTU2"  # of the documentation: Account:7556
    assert ask(f'{{ order(id: "{order["id"]}") {{ data {{ legacy_id }} }} }}')["data"] == {
        "order": {"data": {"legacy_id": order["legacy_id"]}}
    }


@pytest.mark.parametrize(
    ("query", "credits_"),
    [
        ("{ __typename }", 1),
        ("{ orders { data { edges { node { id } } } } }", 101),
        ("{ orders { data(first: 30) { edges { node { id } } } } }", 31),
        ("query ($n: Int) { orders { data(first: $n) { edges { node { id } } } } }", 8),
        ("query ($m: Int) { orders { data(first: $m) { edges { node { id } } } } }", 101),
        ("{ orders { data(first: 5) { edges { node { line_items(first: 4) { edges { node { id } } } } } } } }", 26),
        ("{ orders { data(first: 5) { edges { node { ...all } } } } } fragment all on Order { line_items { edges { node { id } } } }", 506),
    ],
)  # fmt: skip
def test_a_query_costs_what_it_may_give(query: str, credits_: int) -> None:
    """Records times the records in each, a hundred where no `first` says fewer."""
    assert cost(graphql.parse(query), {"n": 7}) == credits_


def test_credits_run_out_and_come_back(clock: MovableClock) -> None:
    """Inside a 200, with code 30 and how long to wait as a text; a cost is told for nothing."""
    query = "{ returns { complexity data { edges { node { id } } } } }"
    with another(seed=SEED, clock=clock, credits_=250) as ask:
        pages = [ask(query)["data"]["returns"]["data"]["edges"] for _ in range(2)]
        (refused,) = ask(query)["errors"]
        analyzed = ask(query.replace("returns {", "returns(analyze: true) {"))
        clock.now += timedelta(seconds=1)
        again = ask(query)
        (too_much,) = ask(query.replace("data {", "data(first: 500) {"))["errors"]
    assert [len(page) for page in pages] == [100, 100]
    assert {key: refused[key] for key in refused.keys() - {"message", "request_id"}} == {
        "code": 30, "required_credits": 101, "remaining_credits": 48, "time_remaining": "1 seconds",
    }  # fmt: skip
    assert analyzed["data"]["returns"] == {"complexity": 101, "data": None}
    assert "data" in again
    assert "code" not in too_much, "waiting would not help"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("{ orders { tulips } }", "Cannot query field 'tulips'"),
        ("{ orders", "Syntax Error"),
        ('{ orders { data(after: "x") { edges { node { id } } } } }', "Invalid cursor"),
        ("{ orders { data(first: 0) { edges { node { id } } } } }", "must be positive"),
        ('{ orders(updated_from: "x") { complexity } }', "cannot represent value"),
        ('{ order(id: "none") { data { id } } }', "Not Found"),
    ],
)
def test_a_wrong_query_is_told_inside_a_200(ask: Ask, query: str, said: str) -> None:
    (error,) = ask(query)["errors"]
    assert said in error["message"]


def test_a_change_shows_when_its_time_has_come(ask: Ask, clock: MovableClock) -> None:
    """The day after, orders are further, and the clock may go back; before the epoch is nothing."""
    fields = "id fulfillment_status updated_at"
    before = {one["id"]: one for one in every(ask, "orders", fields)}
    clock.now = NOON + timedelta(days=1)
    after = {one["id"]: one for one in every(ask, "orders", fields)}
    moved = [id_ for id_ in before if before[id_] != after[id_]]
    assert 5 < len(moved) < len(before) / 2
    assert {after[id_]["updated_at"][:10] for id_ in moved} == {"2026-11-14"}
    clock.now = NOON
    assert {one["id"]: one for one in every(ask, "orders", fields)} == before


def test_same_seed_and_clock_give_the_same_objects(ask: Ask) -> None:
    """What another twin makes equals the first one's; another seed's does not."""
    fields = "id order_number total_price updated_at"
    first = every(ask, "orders", fields)
    for seed in (SEED, SEED + 1):
        with another(seed=seed, clock=lambda: NOON) as other:
            assert (every(other, "orders", fields) == first) == (seed == SEED)


def test_bad_ones_are_few_and_of_every_kind() -> None:
    """Of each kind one within the first days, and never two per cent."""
    early, late = (
        ShipHeroTwin(SEED, clock=lambda now=EPOCH + timedelta(days=days): now) for days in (3, 54)
    )
    for kind, ways in zip(KINDS, (BAD_ORDERS, BAD_SHIPMENTS, BAD_RETURNS), strict=True):
        assert sum(map(bool, early.shown(kind).values())) == 1
        bad = Counter(filter(None, late.shown(kind).values()))
        assert bad.keys() == {*ways}
        assert bad.total() < len(late.shown(kind)) * 0.02


def test_faults_are_those_of_every_twin(twin: ShipHeroTwin, client: httpx.Client) -> None:
    twin.faults.append(Fault(path="/graphql", status=503, headers={"Retry-After": "3"}))
    answers = [client.post("/graphql", json={"query": "{ __typename }"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [503, 200]
    assert parsedate_to_datetime(answers[1].headers["date"]) == NOON
