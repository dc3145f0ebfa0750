"""Datasette and its plugin datasette-graphql, each a connector of one's own in a folder: what is in
the file comes into the tables, by the command line."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from integrations.storage.database import connect
from integrations_tests.connector_template.florist import write
from integrations_tests.interop.conftest import synced
from integrations_tests.interop.shop import ORDERS, skus

pytestmark = pytest.mark.filterwarnings(
    # Dagster asks pydantic for its fields by their old name.
    "ignore::pydantic.warnings.PydanticDeprecatedSince20:dagster"
)

TABLES = """\
type: integrations.orchestration.component.Connector
attributes:
  title: A shop's file (Datasette)
  connections: {main: {start: 2026-01-01}}
  auth_handler: {type: none}
  sync_handler:
    transport: {type: rest, base_url: URL}
    streams:
      orders:
        sync: {type: cursor, position: seq}
        request:
          path: /shop/orders.json
          params: {_size: 5, _sort: seq, _shape: objects, seq__gt: "{position}"}
          records: rows
          paging: {type: body_token, next: next, param: _next}
  transformer:
    orders:
      entity: payment
      key: number
      fields:
        amount: total
        currency: {type: constant, value: EUR}
        status: {type: constant, value: paid}
        status_raw: number
        customer_id: buyer
        created_at: placed_at
  event_handler: none
"""
GRAPH = """\
type: integrations.orchestration.component.Connector
attributes:
  title: A shop's file (datasette-graphql)
  connections: {main: {start: 2026-01-01}}
  auth_handler: {type: none}
  sync_handler:
    transport: {type: graphql, base_url: URL}
    streams:
      orders:
        sync: {type: full}
        request:
          query: |
            query ($after: String) { orders(first: 5, after: $after) {
              pageInfo { hasNextPage endCursor } edges { node { number lines_list(first: 2) {
                pageInfo { hasNextPage endCursor } edges { node { id sku } } } } } } }
          records: data.orders
          paging: {type: relay}
          nested:
            lines_list:
              query: |
                query ($id: String!, $after: String) { orders_row(number: $id) {
                  lines_list(first: 2, after: $after) {
                    pageInfo { hasNextPage endCursor } edges { node { id sku } } } } }
              id: number
              connection: data.orders_row.lines_list
      lines: {of: orders}
  transformer:
    orders: {entity: customer, key: number, fields: {name: number}}
    lines:
      entity: customer
      key: [number, {type: integer, from: item.node.id}]
      each: lines_list.edges
      fields: {name: item.node.sku, code: number}
  event_handler: none
"""


def test_a_file_comes_into_the_tables(
    serve: Callable[[str], str],
    orders: list[dict[str, Any]],
    home: Path,
    database: str,
    tmp_path: Path,
) -> None:
    """Each order once by either way, and each of its lines, wherever a page cut them."""
    for name, text in (("tables", TABLES), ("graph", GRAPH)):
        write(tmp_path / "own" / name, text.replace("URL", serve("datasette")))
    lines = synced("tables", "graph")
    assert {line["status"] for line in lines.values()} == {"ok"}
    with connect(database) as connection:
        payments = connection.execute(
            "SELECT source_id, amount, customer_id, created_at FROM canonical.payment"
        ).fetchall()
        customers = connection.execute(
            "SELECT stream, code, name FROM canonical.customer WHERE connector = 'graph'"
        ).fetchall()
    assert sorted(payments, key=str) == sorted(
        [
            (one["number"], Decimal(one["total"]), one["buyer"], datetime.fromisoformat(one["placed_at"]))
            for one in orders
        ],
        key=str,
    )  # fmt: skip
    found = [(one["number"], skus(one["seq"])) for one in orders]
    assert sorted(customers, key=str) == sorted(
        [("orders", None, number) for number, _ in found]
        + [("lines", number, sku) for number, bought in found for sku in bought],
        key=str,
    )
    assert len(payments) == ORDERS
