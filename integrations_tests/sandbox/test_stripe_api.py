"""The twin's API behaves as Stripe's reference says: order, cursors, filters, errors."""

from datetime import timedelta
from itertools import pairwise
from typing import Any

import httpx
import pytest

from integrations.sandbox.stripe import EPOCH, StripeTwin
from integrations_tests.sandbox.conftest import MovableClock, epoch_s, every, kinds


@pytest.mark.parametrize("kind", kinds())
def test_paging_meets_every_object_once(twin: StripeTwin, client: httpx.Client, kind: str) -> None:
    """The pages of a list together are the list, newest first."""
    found = every(client, kind, limit=7 if kind == "payouts" else 100)
    assert [thing["id"] for thing in found] == list(twin.shown(kind))
    created = [thing["created"] for thing in found if thing.get("created")]
    assert created == sorted(created, reverse=True)


def test_paging_backwards_gives_the_same_pages(client: httpx.Client) -> None:
    """`ending_before` gives the objects just above its cursor, still newest first."""
    first = client.get("/v1/charges", params={"limit": 30}).json()["data"]
    query = {"limit": 10, "ending_before": first[25]["id"]}
    page = client.get("/v1/charges", params=query).json()
    assert page["data"] == first[15:25]
    assert page["has_more"] is True
    query["ending_before"] = first[10]["id"]
    page = client.get("/v1/charges", params=query).json()
    assert (page["data"], page["has_more"]) == (first[:10], False)


def test_a_page_has_ten_objects_unless_asked(client: httpx.Client) -> None:
    """The default limit is Stripe's, and the envelope holds its four fields."""
    page = client.get("/v1/refunds").json()
    assert len(page.pop("data")) == 10
    assert page == {"object": "list", "has_more": True, "url": "/v1/refunds"}


@pytest.mark.parametrize(
    ("params", "first", "last"),
    [
        ({"created[gte]": 0, "created[lt]": 86_400}, 0, 86_399),
        ({"created[gt]": 0, "created[lte]": 86_400}, 1, 86_400),
        ({"created": 0}, 0, 0),
        ({"created[gte]": 86_400, "created[gt]": 86_401}, 86_402, 2**40),
        ({"created[gte]": 5, "created[lt]": 5}, 1, 0),
    ],
)
def test_created_filters(
    twin: StripeTwin, client: httpx.Client, params: dict[str, int], first: int, last: int
) -> None:
    """Each bound is as wide as its name says; midnight itself has objects that tell."""
    start = epoch_s(EPOCH) + 86_400
    found = every(client, "charges", **{name: start + at for name, at in params.items()})
    assert [thing["id"] for thing in found] == list(
        twin.shown("charges", first=start + first, last=start + last)
    )


def test_objects_of_one_second_are_paged_without_loss(client: httpx.Client) -> None:
    """Midnight's two charges fall on two pages of one and none is lost or doubled."""
    at = epoch_s(EPOCH) + 86_400
    found = every(client, "charges", limit=1, created=at)
    assert len({thing["id"] for thing in found}) == len(found) == 2


@pytest.mark.parametrize(
    ("kind", "name"),
    [("charges", "customer"), ("refunds", "charge"), ("balance_transactions", "source")],
)
def test_lists_of_one_owner(client: httpx.Client, kind: str, name: str) -> None:
    """Stripe's filters by a related id give the objects that name it, and only those."""
    everything = every(client, kind)
    owner = next(thing[name] for thing in everything if thing[name])
    expected = [thing for thing in everything if thing[name] == owner]
    assert every(client, kind, **{name: owner}) == expected


@pytest.mark.parametrize(
    ("path", "status", "code", "param", "message"),
    [
        ("charges?foo=1", 400, "parameter_unknown", "foo", "Received unknown parameter: foo"),
        ("customers?status=paid", 400, "parameter_unknown", "status", "unknown parameter"),
        ("charges/ch_1?foo=1", 400, "parameter_unknown", "foo", "unknown parameter"),
        ("charges?limit=0", 400, None, "limit", "greater than or equal to 1"),
        ("charges?limit=101", 400, None, "limit", "less than or equal to 100"),
        ("charges?limit=ten", 400, "parameter_invalid_integer", "limit", "Invalid integer: ten"),
        ("charges?created[gte]=", 400, "parameter_invalid_integer", "created[gte]", "Invalid"),
        ("charges?starting_after=ch_1", 400, "resource_missing", "starting_after", "'ch_1'"),
        ("payouts?ending_before=po_1", 400, "resource_missing", "ending_before", "payout: 'po_1'"),
        ("refunds?starting_after=a&ending_before=b", 400, None, "ending_before", "only specify"),
        ("charges?expand[]=customer", 400, None, "expand", "try expanding 'data.customer'"),
        ("charges?expand[]=data.amount", 400, None, "expand", "cannot be expanded"),
        ("charges/ch_1", 404, "resource_missing", "id", "No such charge: 'ch_1'"),
        ("balance_transactions/x", 404, "resource_missing", "id", "balance transaction: 'x'"),
        ("tulips", 404, None, None, "Unrecognized request URL (GET: /v1/tulips)"),
        ("charges/a/b", 404, None, None, "Unrecognized request URL (GET: /v1/charges/a/b)"),
    ],
)
def test_mistakes_are_refused_in_stripes_words(
    client: httpx.Client, path: str, status: int, code: str | None, param: str | None, message: str
) -> None:
    """A connector's typing error shows, with the code and the parameter Stripe would name."""
    answer = client.get(f"/v1/{path}")
    error = answer.json()["error"]
    assert (answer.status_code, error.get("code"), error.get("param")) == (status, code, param)
    assert message in error["message"]
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (None, "You did not provide an API key"),
        ("Bearer", "You did not provide an API key"),
        ("Basic %%%", "You did not provide an API key"),
        ("Digest abc", "You did not provide an API key"),
        ("Bearer sk_test_not_the_one_that_lets_in", "Invalid API Key provided: sk_test_****"),
    ],
)
def test_a_wrong_key_is_refused(url: str, header: str | None, said: str) -> None:
    """401 in Stripe's shape, and the key that was given is not said back."""
    answer = httpx.get(f"{url}/v1/charges", headers={"authorization": header} if header else {})
    assert answer.status_code == 401
    assert said in answer.json()["error"]["message"]
    assert "not_the_one" not in answer.text


def test_the_key_may_be_a_user_name(twin: StripeTwin, url: str) -> None:
    """Basic authentication with the key as user and no password lets in too."""
    answer = httpx.get(f"{url}/v1/charges", auth=(twin.secrets["api_key"], ""))
    assert answer.status_code == 200


def test_answers_say_version_request_and_time(client: httpx.Client, clock: MovableClock) -> None:
    """The asked version is echoed, each request has an id, and the date is the twin's clock's."""
    answers = [
        client.get("/v1/charges", headers={"stripe-version": version})
        for version in ("2023-10-16", "2023-10-16", "yesterday")
    ]
    assert answers[0].headers["stripe-version"] == "2023-10-16"
    assert len({answer.headers["request-id"] for answer in answers}) == 3
    assert answers[0].headers["date"] == clock.now.strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert answers[2].status_code == 400


@pytest.mark.parametrize(
    ("kind", "field", "other"),
    [
        ("charges", "customer", "customer"),
        ("charges", "balance_transaction", "balance_transaction"),
        ("refunds", "charge", "charge"),
        ("payouts", "balance_transaction", "balance_transaction"),
    ],
)
def test_ids_expand_to_objects(client: httpx.Client, kind: str, field: str, other: str) -> None:
    """`expand[]` puts the object itself in the place of its id, in lists and alone."""
    plain = every(client, kind)
    whole = every(client, kind, **{"expand[]": f"data.{field}"})
    assert [(t[field] or {}).get("id") for t in whole] == [t[field] for t in plain]
    assert {t[field]["object"] for t in whole if t[field]} == {other}
    one = next(thing for thing in whole if thing[field])
    assert client.get(f"/v1/{kind}/{one['id']}?expand[]={field}").json() == one


def test_a_deleted_customer_leaves_a_stub(
    twin: StripeTwin, client: httpx.Client, clock: MovableClock
) -> None:
    """It goes from the list, and its id still answers with what Stripe leaves of it."""
    before = twin.shown("customers")
    clock.now += timedelta(days=60)
    gone = next(ident for ident in before if ident not in twin.shown("customers"))
    assert client.get(f"/v1/customers/{gone}").json() == {
        "id": gone,
        "object": "customer",
        "deleted": True,
    }
    after = client.get("/v1/customers", params={"starting_after": gone})
    assert after.status_code == 200


def test_the_clock_may_go_back(client: httpx.Client, clock: MovableClock) -> None:
    """What is not there yet is not shown, and looks as it did then once time is back."""
    now = every(client, "charges")
    clock.now += timedelta(days=5)
    assert len(every(client, "charges")) > len(now)
    clock.now -= timedelta(days=5)
    assert every(client, "charges") == now


def test_writing_is_not_offered(client: httpx.Client) -> None:
    """We only read, so the twin has nothing to write to."""
    error: dict[str, Any] = client.post("/v1/charges").json()["error"]
    assert "Unrecognized request URL (POST: /v1/charges)" in error["message"]


def test_newest_first_without_a_tie_of_ids(client: httpx.Client) -> None:
    """Objects of one second are ordered by id, so that a cursor has one place only."""
    places = [(c["created"], c["id"]) for c in every(client, "customers")]
    assert all(earlier > later for earlier, later in pairwise(places))
