"""GraphQL: connections page by page, cut ones inside records, and errors inside a 200."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from integrations.auth.static import NoAuth
from integrations.errors import Barred, IntegrationError, RetryLater, StopConnection, StopStream
from integrations.names import Window
from integrations.secrets import Secret
from integrations.transport import Ask
from integrations.transport.graphql import GraphqlTransport
from integrations.transport.graphql_request import GraphqlRequest
from integrations_tests.transport.conftest import Call, Say, Time, Web

INFO = "pageInfo { hasNextPage endCursor }"
QUERY = f"""query ($since: ISODateTime, $after: String) {{
  orders(updated_from: $since) {{ data(first: 2, after: $after) {{ {INFO} edges {{ node {{
    id line_items(first: 2) {{ {INFO} edges {{ node {{ sku }} }} }} }} }} }} }} }}"""
MORE = f"""query ($id: String!, $after: String) {{
  order(id: $id) {{ data {{ line_items(first: 2, after: $after) {{ {INFO} edges {{ node {{ sku }} }} }} }} }} }}"""
NESTED = {"line_items": {"query": MORE, "id": "id", "connection": "data.order.data.line_items"}}
ORDERS: dict[str, Any] = {
    "query": QUERY,
    "variables": {"since": "{window.start}"},
    "records": "data.orders.data",
    "paging": {"type": "relay", "variable": "after"},
    "nested": NESTED,
}
FLAT = {
    "query": "query ($offset: Int, $first: Int) "
    "{ things(filter: {offset: $offset, first: $first}) { id } }",
    "records": "data.things",
    "paging": {"type": "offset_variables", "size": 2},
}
WINDOW = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))


def connection(nodes: list[Any], end: str | None = None, more: bool | None = None) -> Any:
    info = {"hasNextPage": bool(end) if more is None else more, "endCursor": end}
    return {"pageInfo": info, "edges": [{"node": node} for node in nodes]}


def orders(nodes: list[Any], end: str | None = None, more: bool | None = None) -> Say:
    return Say({"data": {"orders": {"data": connection(nodes, end, more)}}})


def order(id_: str, skus: str, end: str | None = None) -> Any:
    return {"id": id_, "line_items": connection([{"sku": sku} for sku in skus], end)}


def pulled(
    web: Web, time_: Time, request: dict[str, Any] = ORDERS, **options: Any
) -> list[dict[str, Any]]:
    transport = GraphqlTransport.model_validate(
        {"type": "graphql", "base_url": web.url, "concurrency": 1, **options}
    )
    opened = transport.open(
        NoAuth(type="none"), {}, clock=time_.clock, sleep=time_.sleep, random=time_.random
    )
    with opened as session:
        pages = session.pages(GraphqlRequest.model_validate(request), ask=Ask(window=WINDOW))
        return [json.loads(bytes(record)) for page in pages for record in page.records]


def asked(call: Call) -> dict[str, Any]:
    variables: dict[str, Any] = call.body["variables"]
    return variables


def test_a_connection_is_read_to_its_end(web: Web, time_: Time) -> None:
    web.answers = [orders([order("1", "a"), order("2", "b")], "c2"), orders([order("3", "c")])]
    assert [record["id"] for record in pulled(web, time_)] == ["1", "2", "3"]
    assert [call.path for call in web.calls] == ["/graphql"] * 2
    since = "2026-01-01T00:00:00Z"
    assert [*map(asked, web.calls)] == [{"since": since}, {"since": since, "after": "c2"}]


def test_a_record_is_the_nodes_bytes_as_sent(web: Web, time_: Time) -> None:
    node = b'{ "id":"1", "n":1.10, "x":"\\ud800", "line_items":null }'
    body = b'{"data":{"orders":{"data":{"edges":[{"node":%s}],"pageInfo":{"hasNextPage":false}}}}}'
    web.answers = [Say(body % node)]
    transport = GraphqlTransport(type="graphql", base_url=web.url)
    opened = transport.open(
        NoAuth(type="none"), {}, clock=time_.clock, sleep=time_.sleep, random=time_.random
    )
    with opened as session:
        (page,) = session.pages(GraphqlRequest.model_validate(ORDERS), ask=Ask(window=WINDOW))
    assert [*map(bytes, page.records)] == [node]


def test_a_connection_that_is_cut_inside_a_record_is_read_on(web: Web, time_: Time) -> None:
    items = [connection([{"sku": "c"}, {"sku": "d"}], "i4"), connection([{"sku": "e"}])]
    slow = Say({"errors": [{"code": 30, "time_remaining": "10 seconds"}]})
    more = [Say({"data": {"order": {"data": {"line_items": one}}}}) for one in items]
    web.answers = [orders([order("1", "ab", "i2"), order("2", "x")]), more[0], slow, more[1]]
    throttle = {"codes": [30], "wait": "time_remaining"}
    records = pulled(web, time_, throttle=throttle)
    assert records == [order("1", "abcde"), order("2", "x")]
    assert [asked(call) for call in web.calls[1:]] == [
        {"id": "1", "after": after} for after in ("i2", "i4", "i4")
    ]


def test_offset_pages_end_with_an_empty_one(web: Web, time_: Time) -> None:
    """A server that caps the page's size below the one asked for loses nothing."""

    def route(call: Call) -> Say:
        at = asked(call)["offset"]
        return Say({"data": {"things": [{"id": number} for number in range(at, min(at + 1, 3))]}})

    web.route = route
    assert pulled(web, time_, FLAT) == [{"id": 0}, {"id": 1}, {"id": 2}]
    assert [*map(asked, web.calls)] == [{"offset": at, "first": 2} for at in range(4)]


STOPPED: list[tuple[str, list[Say], str]] = [
    ("a cursor that repeats", [orders([order("1", "a")], "c"), orders([order("2", "a")], "c")], "the endCursor that it was asked with"),
    ("a cursor that alternates", [orders([order("1", "a")], "c"), orders([order("2", "a")], "d"), orders([order("3", "a")], "c")], "goes in a circle"),
    ("the same records again", [orders([order("1", "a")], "c"), orders([order("1", "a")], "d")], "holds exactly the records"),
    ("more without a cursor", [orders([order("1", "a")], None, True)], "gives no endCursor"),
    ("no pageInfo", [Say({"data": {"orders": {"data": {"edges": []}}}})], "has no pageInfo"),
    ("no connection", [Say({"data": {"orders": None}})], "has no 'data.orders.data'"),
    ("an edge without node", [orders([None])], "that record would be lost"),
    ("a nested cursor that repeats", [orders([order("1", "a", "i")]), Say({"data": {"order": {"data": {"line_items": connection([{"sku": "b"}], "i")}}}})], "goes in a circle"),
    ("a record that is gone meanwhile", [orders([order("1", "a", "i")]), Say({"data": {"order": None}})], "line_items stays cut"),
]  # fmt: skip


@pytest.mark.parametrize(("answers", "said"), [c[1:] for c in STOPPED], ids=[c[0] for c in STOPPED])
def test_what_would_lose_records_stops_the_stream(
    web: Web, time_: Time, answers: list[Say], said: str
) -> None:
    web.answers = answers
    with pytest.raises(StopStream, match=said):
        pulled(web, time_)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ({"edges": [{"node": {"sku": "a"}}]}, "line_items has no pageInfo"),
        ({"edges": [], "pageInfo": {}}, "pageInfo of line_items has another shape"),
        (
            {"edges": None, "pageInfo": {"hasNextPage": True, "endCursor": "c"}},
            "edges of line_items",
        ),
        ({"edges": [], "pageInfo": {"hasNextPage": True}}, "gives no endCursor"),
    ],
)
def test_a_connection_that_does_not_say_whether_it_is_cut(
    lines: dict[str, Any], said: str, web: Web, time_: Time
) -> None:
    """What the document asks for, a server may leave out."""
    web.answers = [orders([{"id": "1", "line_items": lines}])]
    with pytest.raises(StopStream, match=said):
        pulled(web, time_)


def test_records_that_are_not_cut_stay_as_they_are(web: Web, time_: Time) -> None:
    """Also those that have no such connection."""
    whole = [order("1", "ab"), {"id": "2", "line_items": None}, {"id": "3"}]
    web.answers = [orders(whole)]
    assert pulled(web, time_) == whole
    assert len(web.calls) == 1


def error(message: str = "no", **rest: Any) -> dict[str, Any]:
    return {"errors": [{"message": message, **rest}]}


ERRORS: list[tuple[dict[str, Any], type[IntegrationError], list[float], str]] = [
    (error(code=30, time_remaining="10 seconds"), RetryLater, [12.5], "was throttled: no"),
    (error(code="30", time_remaining=2), RetryLater, [3.0], "was throttled"),
    (error(extensions={"code": 30}, time_remaining="1 minute"), RetryLater, [75.0], "was throttled"),
    (error(code=30, time_remaining="soon"), RetryLater, [1.0], "was throttled"),
    (error(extensions={"classification": "INTERNAL"}), RetryLater, [1.0], "answered 200 with an error"),
    (error(extensions={"code": "UNAUTHENTICATED"}), StopConnection, [], "Check the credential"),
    (error("a secret: 0123456789abcdef"), StopStream, [], "with an error: a secret"),
    (error(path=["orders", "data", "edges", 1, "node"]) | orders([order("1", "a")]).body, StopStream, [], r"at orders\.data\.edges\.1\.node"),
    (error(path=["orders", "data", "pageInfo"]) | orders([order("1", "a")]).body, StopStream, [], r"at orders\.data\.pageInfo"),
    (error(path=["others", "data", "edges", 0]) | orders([order("1", "a")]).body, StopStream, [], r"at others\."),
    (error(path=["orders", "data", "edges", 0]) | {"data": {"orders": None}}, StopStream, [], "200 with an error: no"),
    (error(path=["orders", "data", "edges", 0]) | {"data": {"orders": {"data": {"edges": None}}}}, StopStream, [], "200 with an error: no"),
    (error(path=["orders", "data", "edges", 0, "node"], code=30) | orders([order("1", "a")]).body, RetryLater, [1.0], "was throttled"),
    (error(extensions={"code": "FORBIDDEN"}), Barred, [], "Give the credential the permission"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "remedy", "waits", "said"), ERRORS)
def test_errors_inside_a_200_have_their_remedy(
    web: Web,
    time_: Time,
    body: dict[str, Any],
    remedy: type[IntegrationError],
    waits: list[float],
    said: str,
) -> None:
    known = Secret("0123456789abcdef")
    web.answers = [Say(body)]
    throttle = {"codes": [30], "wait": "time_remaining"}
    with pytest.raises(remedy, match=said) as caught:
        pulled(web, time_, throttle=throttle, retry_codes=["INTERNAL"], retry={"budget_s": 1e-9} if not waits else {"budget_s": 100})  # fmt: skip
    assert known.reveal() not in str(caught.value)
    assert time_.waits[: len(waits)] == waits


REFUSED: list[tuple[str, Callable[[dict[str, Any]], Any], str]] = [
    ("a mistake of syntax", lambda r: r | {"query": "query {\n  a(\n}"}, "line 3 of the query"),
    ("a mutation", lambda r: r | {"query": "mutation { a }"}, "we only read"),
    ("a variable that is not declared", lambda r: r | {"variables": {"x": 1}}, r"declares no variable \$x"),
    ("a variable that is never given", lambda r: r | {"variables": {}}, r"\$since is never given"),
    ("a variable that is not used", lambda r: r | {"query": QUERY.replace("updated_from: $since", "a: 1")}, "does not use it"),
    ("a variable that is the paging's", lambda r: r | {"variables": {"after": "x"}}, "the paging's to fill"),
    ("another place", lambda r: r | {"records": "data.others"}, "asks for nothing at data.others"),
    ("no pageInfo", lambda r: r | {"query": QUERY.replace(INFO, "", 1)}, "nobody sees that it is cut"),
    ("a nested one without pageInfo", lambda r: r | {"query": QUERY.replace(f"line_items(first: 2) {{ {INFO}", "line_items(first: 2) {")}, "line_items in the query should ask for pageInfo"),
    ("a nested one that is not read on", lambda r: r | {"nested": {}}, "line_items may be cut"),
    ("slots of a window and of a cursor", lambda r: r | {"variables": {"since": "{window.start}{position}"}}, "a window and for a cursor"),
    ("a nested place that is none", lambda r: r | {"nested": NESTED | {"others": NESTED["line_items"]}}, "no connection others"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "said"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED])
def test_a_document_that_cannot_work_is_refused_at_load(
    change: Callable[[dict[str, Any]], Any], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        GraphqlRequest.model_validate(change(ORDERS))


def told(*paths: list[str | int]) -> dict[str, Any]:
    return {"errors": [{"message": f"no {path[-1]}", "path": path} for path in paths]}


EDGES: list[str | int] = ["orders", "data", "edges"]


@pytest.mark.parametrize(
    ("request_", "body", "expected"),
    [
        (
            ORDERS,
            orders([order("1", "a"), {"id": "2", "line_items": None}, order("3", "c", "i")]).body
            | told([*EDGES, 1, "node", "line_items"], [*EDGES, 2, "node"], [*EDGES, 2, "node", "id"]),
            [
                order("1", "a"),
                (["line_items (at orders.data.edges.1.node.line_items)"], {"id": "2", "line_items": None}),
                (["node (at ", "id (at "], order("3", "c", "i")),
            ],
        ),
        (
            ORDERS,
            {"data": {"orders": {"data": {"pageInfo": {"hasNextPage": False}, "edges": [{"node": None}, None, {"node": {"id": "\ud83d"}}]}}}}
            | told([*EDGES, 0, "node"], [*EDGES, 1]),
            [(["no node"], {"node": None}), (["no 1"], {"record": None}), {"id": "\ud83d"}],
        ),
        (
            FLAT | {"paging": {"type": "offset_variables", "size": 9}},
            {"data": {"things": [{"id": 1}, None]}} | told(["things", 1, "id"]),
            [{"id": 1}, (["no id"], {"record": None})],
        ),
    ],
    ids=["a part", "the record", "a plain list"],
)  # fmt: skip
def test_what_is_wrong_with_single_records_is_marked_on_them(
    request_: dict[str, Any], body: dict[str, Any], expected: list[Any], web: Web, time_: Time
) -> None:
    """With the source's words, all of them; such a record is not read on, the others are whole."""
    web.answers = [Say(body), Say({"data": {"things": []}})]
    records = pulled(web, time_, request_)
    assert len(records) == len(expected)
    for record, one in zip(records, expected, strict=True):
        if not isinstance(one, tuple):
            assert record == one
            continue
        words = record.pop("integrations.unanswered")
        assert record == one[1]
        assert [word for word in one[0] if word not in words] == []
        assert "answered 200 with an error: " in words


def test_errors_in_what_is_read_on_stop_the_stream(web: Web, time_: Time) -> None:
    """They are of another list than the page's, whose places they have."""
    more = {"data": {"order": {"data": {"line_items": connection([{"sku": "b"}])}}}}
    wrong = told(["order", "data", "line_items", "edges", 0, "node"])
    web.answers = [orders([order("1", "a", "i2")]), Say(more | wrong)]
    with pytest.raises(StopStream, match=r"at order\.data\.line_items\.edges\.0"):
        pulled(web, time_)
