"""Strawberry (strawberry.rocks): its Relay connections, one inside another, a list by offset, and
its errors inside a 200."""

from collections.abc import Callable
from typing import Any

import pytest

from integrations.errors import StopStream
from integrations_tests.interop.reading import read
from integrations_tests.interop.shop import ORDERS, PAGE, skus

Serve = Callable[[str], str]
INFO = "pageInfo { hasNextPage endCursor }"
LINES = f"{INFO} edges {{ node {{ sku }} }}"
SEQS = [*range(1, ORDERS + 1)]


BY_ID = {"by": "node(id: $id)", "type": "ID", "id": "id"}
BY_NUMBER = {"by": "numbered(seq: $id)", "type": "Int", "id": "seq"}


def orders(fields: str, by: dict[str, str] = BY_ID) -> dict[str, Any]:
    """A request for all orders, with these fields and all lines of each, read on by an id."""
    return {
        "query": f"""query ($after: String) {{ orders(first: {PAGE}, after: $after) {{ {INFO}
            edges {{ node {{ id seq {fields} lines(first: 2) {{ {LINES} }} }} }} }} }}""",
        "records": "data.orders",
        "paging": {"type": "relay"},
        "nested": {
            "lines": {
                "query": f"""query ($id: {by["type"]}!, $after: String) {{ order: {by["by"]} {{
                    ... on Order {{ lines(first: 2, after: $after) {{ {LINES} }} }} }} }}""",
                "id": by["id"],
                "connection": "data.order.lines",
            }
        },
    }


def by_offset(name: str, size: int) -> dict[str, Any]:
    return {
        "query": f"query ($offset: Int!, $first: Int!) {{ {name}(offset: $offset, first: $first) {{ seq }} }}",
        "records": f"data.{name}",
        "paging": {"type": "offset_variables", "size": size},
    }


@pytest.mark.parametrize("by", [BY_ID, BY_NUMBER], ids=["Relay's opaque id", "a number"])
def test_a_connection_and_those_inside_its_records_are_read_to_their_ends(
    serve: Serve, by: dict[str, str]
) -> None:
    records, pages = read(serve("strawberry"), orders("", by))
    found = [
        (one["seq"], [edge["node"]["sku"] for edge in one["lines"]["edges"]]) for one in records
    ]
    assert found == [(seq, skus(seq)) for seq in SEQS]
    assert pages == [PAGE] * (ORDERS // PAGE) + [ORDERS % PAGE]


@pytest.mark.parametrize("size", [7, 50])
def test_offsets_lose_nothing_where_the_server_gives_less(serve: Serve, size: int) -> None:
    """It gives ten at the most."""
    records, _ = read(serve("strawberry"), by_offset("listed", size))
    assert [one["seq"] for one in records] == SEQS


def test_an_error_beside_data_marks_its_record(serve: Serve) -> None:
    """A null that an error has left is no value: the record would be emptied in silence."""
    records, _ = read(serve("strawberry"), orders("total"))
    told = {one["seq"]: one.get("integrations.unanswered") for one in records}
    (marked,) = (seq for seq, words in told.items() if words is not None)
    assert (list(told), marked) == (SEQS, ORDERS)
    assert "answered 200 with an error: the till is closed (at orders.edges." in told[marked]


def test_an_error_that_says_to_wait_is_waited_for(serve: Serve) -> None:
    throttle = {"codes": ["THROTTLED"], "wait": "extensions.after"}
    records, _ = read(serve("strawberry"), by_offset("busy", 10), throttle=throttle)
    assert [one["seq"] for one in records] == SEQS


def test_a_field_that_it_does_not_know_is_told_in_its_words(serve: Serve) -> None:
    with pytest.raises(StopStream, match="Cannot query field 'colour' on type 'Order'"):
        read(serve("strawberry"), orders("colour"))
