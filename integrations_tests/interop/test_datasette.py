"""Datasette (datasette.io): tokens with odd characters, addresses, Link headers, lines, and the
GraphQL of its plugin datasette-graphql, from a file that neither of us knows.

Sorted by a column with equal values its pages skip and repeat rows (0.65.5): no test asks for that.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integrations.errors import StopStream
from integrations.names import Window
from integrations.transport import Ask
from integrations_tests.interop.reading import read
from integrations_tests.interop.shop import ORDERS, PAGE, skus, sorted_

Serve = Callable[[str], str]
PATH = "/shop/orders.json"
SIZE = {"_size": PAGE}
TOKEN = {"type": "body_token", "next": "next", "param": "_next"}
ROWS = {"path": PATH, "records": "rows"}
LINKED: dict[str, Any] = {"path": PATH, "paging": {"type": "link_header"}}
FULL_PAGES = [PAGE] * (ORDERS // PAGE) + [ORDERS % PAGE]

REST: list[tuple[str, dict[str, Any]]] = [
    ("a token", ROWS | {"params": SIZE | {"_shape": "objects"}, "paging": TOKEN}),
    ("a token of two parts", ROWS | {"params": SIZE | {"_shape": "objects", "_sort_desc": "seq"}, "paging": TOKEN}),
    ("an address", ROWS | {"params": SIZE | {"_shape": "objects"}, "paging": {"type": "next_url", "next": "next_url"}}),
    ("a token in an address", ROWS | {"params": SIZE | {"_shape": "objects"}, "paging": {"type": "next_url", "next": "next_url", "param": "_next"}}),
    ("a Link header", LINKED | {"params": SIZE | {"_shape": "array"}}),
    ("a token in a Link header", LINKED | {"params": SIZE | {"_shape": "array"}, "paging": {"type": "link_header", "param": "_next"}}),
    ("lines", LINKED | {"params": SIZE | {"_shape": "array", "_nl": "on"}, "format": "ndjson"}),
]  # fmt: skip


@pytest.mark.parametrize("request_", [case[1] for case in REST], ids=[case[0] for case in REST])
def test_all_rows_come_once(
    serve: Serve, orders: list[dict[str, Any]], request_: dict[str, Any]
) -> None:
    records, pages = read(serve("datasette"), request_)
    assert sorted_(records) == sorted_(orders)
    assert pages == FULL_PAGES


def test_a_window_is_what_its_filter_gives(serve: Serve, orders: list[dict[str, Any]]) -> None:
    start = datetime(2026, 1, 2, tzinfo=UTC)
    window = Window(start, start + timedelta(days=1))
    placed = {"placed_at__gte": "{window.start}", "placed_at__lt": "{window.end}"}
    request = LINKED | {"params": {**SIZE, **placed, "_shape": "array"}}
    records, pages = read(serve("datasette"), request, ask=Ask(window=window))
    assert sorted_(records) == sorted_([o for o in orders if o["placed_at"][:10] == "2026-01-02"])
    assert len(pages) > 1


def test_a_cursor_reads_what_comes_after_a_position(
    serve: Serve, orders: list[dict[str, Any]]
) -> None:
    request = LINKED | {
        "params": {**SIZE, "seq__gt": "{position}", "_sort": "seq", "_shape": "array"}
    }
    records, _ = read(serve("datasette"), request, ask=Ask(position="9"), position="seq")
    assert records == orders[9:]


def test_its_own_words_are_told(serve: Serve) -> None:
    with pytest.raises(StopStream, match=r"answered 404: .*Table not found"):
        read(serve("datasette"), {"path": "/shop/nothing.json", "paging": {"type": "single"}})


INFO = "pageInfo { hasNextPage endCursor }"
LINES = f"{INFO} edges {{ node {{ sku }} }}"
GRAPHQL = {
    "query": f"""query ($after: String) {{ orders(first: {PAGE}, after: $after) {{ {INFO}
        edges {{ node {{ number lines_list(first: 2) {{ {LINES} }} }} }} }} }}""",
    "records": "data.orders",
    "paging": {"type": "relay"},
    "nested": {
        "lines_list": {
            "query": f"""query ($id: String!, $after: String) {{ orders_row(number: $id) {{
                lines_list(first: 2, after: $after) {{ {LINES} }} }} }}""",
            "id": "number",
            "connection": "data.orders_row.lines_list",
        }
    },
}


def test_a_position_goes_into_a_number_of_graphql(
    serve: Serve, orders: list[dict[str, Any]]
) -> None:
    request = GRAPHQL | {
        "query": f"""query ($seq: Int, $after: String) {{
            orders(first: {PAGE}, after: $after, sort: seq, filter: {{seq: {{gt: $seq}}}}) {{ {INFO}
            edges {{ node {{ number seq }} }} }} }}""",
        "variables": {"seq": "{position}"},
        "nested": {},
    }
    records, _ = read(serve("datasette"), request, ask=Ask(position="9"), position="seq")
    assert [one["seq"] for one in records] == [one["seq"] for one in orders[9:]]


def test_a_connection_and_those_inside_its_records_are_read_to_their_ends(
    serve: Serve, orders: list[dict[str, Any]]
) -> None:
    records, pages = read(serve("datasette"), GRAPHQL)
    found = {
        record["number"]: [edge["node"]["sku"] for edge in record["lines_list"]["edges"]]
        for record in records
    }
    assert found == {one["number"]: skus(one["seq"]) for one in orders}
    assert pages == FULL_PAGES
