"""A GraphQL stream from a server's executor to the tables: pages, what is cut inside a record, and a
throttle inside a 200."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dagster as dg
import graphql
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from integrations.names import StreamId
from integrations.orchestration import keys
from integrations.orchestration.code_location import build
from integrations.processes import named
from integrations.sandbox.address import FILE
from integrations.sandbox.server import running
from integrations_tests.connector_template.florist import write
from integrations_tests.orchestration.conftest import Floor

BUYERS = StreamId("florist", "sandbox", "buyers")
SHOPS = StreamId("florist", "sandbox", "shops")
SCHEMA = graphql.build_schema("""
type PageInfo { hasNextPage: Boolean!, endCursor: String }
type Shop { code: Int!, city: String! }
type ShopEdge { node: Shop! }
type Shops { pageInfo: PageInfo!, edges: [ShopEdge!]! }
type Buyer { number: String!, name: String, shops(first: Int!, after: String): Shops! }
type BuyerEdge { node: Buyer! }
type Buyers { pageInfo: PageInfo!, edges: [BuyerEdge!]! }
type Query { buyers(first: Int!, after: String): Buyers!, buyer(number: String!): Buyer }
""")
FILE_TEXT = """\
type: integrations.orchestration.component.Connector
attributes:
  title: Florist (GraphQL)
  connections:
    sandbox: {start: 2026-01-01}
  auth_handler: {type: basic, username: user, password: word}
  sync_handler:
    transport:
      type: graphql
      base_url: https://florist.example
      retry: {first_s: 0.01}
      throttle: {codes: [30], wait: time_remaining}
    streams:
      buyers:
        sync: {type: full}
        request:
          query: |
            query ($after: String) { buyers(first: 2, after: $after) {
              pageInfo { hasNextPage endCursor }
              edges { node { number name shops(first: 2) {
                pageInfo { hasNextPage endCursor } edges { node { code city } } } } } } }
          records: data.buyers
          paging: {type: relay}
          nested:
            shops:
              query: |
                query ($id: String!, $after: String) { buyer(number: $id) {
                  shops(first: 2, after: $after) {
                    pageInfo { hasNextPage endCursor } edges { node { code city } } } } }
              id: number
              connection: data.buyer.shops
      shops: {of: buyers}
  transformer:
    buyers: {entity: customer, key: number, fields: {name: name}}
    shops:
      entity: customer
      key: [number, {type: integer, from: item.node.code}]
      each: shops.edges
      fields: {name: name, city: item.node.city}
  event_handler: none
"""


def connection(nodes: Sequence[Any], first: int, after: str | None) -> dict[str, Any]:
    """Relay's page of a list; a cursor is the number of those before it."""
    start = int(after or 0)
    more = start + first < len(nodes)
    return {
        "pageInfo": {"hasNextPage": more, "endCursor": str(start + first) if more else None},
        "edges": [{"node": node} for node in nodes[start : start + first]],
    }


@dataclass
class Buyer:
    number: str
    named: str | None

    def name(self, _info: object) -> str:
        if self.named is None:
            raise ValueError("the name is not for you")
        return self.named

    def shops(self, _info: object, first: int, after: str | None = None) -> dict[str, Any]:
        count = int(self.number)
        return connection([{"code": n, "city": f"City {n}"} for n in range(count)], first, after)


class Source:
    """A server with five buyers, of which the last has five shops; it is busy every third time."""

    def __init__(self) -> None:
        self.all = [Buyer(str(n), f"Buyer {n}") for n in range(1, 6)]
        self.calls = 0

    def buyers(self, _info: object, first: int, after: str | None = None) -> dict[str, Any]:
        return connection(self.all, first, after)

    def buyer(self, _info: object, number: str) -> Buyer:
        return next(one for one in self.all if one.number == number)

    async def answer(self, request: Request) -> JSONResponse:
        asked = await request.json()
        self.calls += 1
        if self.calls % 3 == 0:
            busy = {"code": 30, "message": "not enough credits", "time_remaining": "0 seconds"}
            return JSONResponse({"errors": [busy]})
        done = graphql.graphql_sync(
            SCHEMA, asked["query"], self, variable_values=asked.get("variables")
        )
        return JSONResponse(done.formatted)


@pytest.fixture
def source(floor: Floor) -> Iterator[Source]:
    """It serves the florist's sandbox."""
    source = Source()
    app = Starlette(routes=[Route("/graphql", source.answer, methods=["POST"])])
    with running(app) as url:
        served = {"florist": {"url": url, "secrets": {"user": "u", "word": "w"}}, **named()}
        (floor.home / FILE).write_text(json.dumps(served))
        yield source


@pytest.fixture
def florist(tmp_path: Path) -> dg.Definitions:
    return build([write(tmp_path / "florist", FILE_TEXT)])


IDS = "SELECT source_id FROM canonical.customer WHERE stream = '{}' ORDER BY 1"


def test_all_of_a_graphql_stream_comes_to_its_tables(
    floor: Floor, source: Source, florist: dg.Definitions
) -> None:
    """Each buyer once, and each of their shops, wherever a page or a `first:` has cut them."""
    assets = (*keys.trio(BUYERS), *keys.pair(SHOPS))
    assert floor.run(*assets, definitions=florist).success
    assert [id_ for (id_,) in floor.rows(IDS.format("buyers"))] == list("12345")
    shops = [id_ for (id_,) in floor.rows(IDS.format("shops"))]
    assert shops == [f"{buyer}/{shop}" for buyer in range(1, 6) for shop in range(buyer)]
    assert source.calls > 3 + 3, "pages, and what was read on"


def test_what_the_server_does_not_give_of_a_record_is_no_null(
    floor: Floor, source: Source, florist: dg.Definitions
) -> None:
    """The record waits in quarantine, in a replay too, and passes when it is whole; the others of
    its page are loaded."""
    source.all[1] = replace(source.all[1], named=None)
    refused = (
        "SELECT key, reason, closed_at IS NULL FROM integrations.quarantine WHERE stream = 'buyers'"
    )
    trio = keys.trio(BUYERS)
    for assets in (trio, trio[1:]):
        assert floor.run(*assets, *keys.pair(SHOPS), definitions=florist).success
        assert [id_ for (id_,) in floor.rows(IDS.format("buyers"))] == list("1345")
        ((key, reason, is_open),) = floor.rows(refused)
        assert (key, is_open) == ("2", True)
        assert reason.endswith("the name is not for you (at buyers.edges.1.node.name)")
    source.all[1] = replace(source.all[1], named="Ada")
    assert floor.run(*trio, *keys.pair(SHOPS), definitions=florist).success
    assert [id_ for (id_,) in floor.rows(IDS.format("buyers"))] == list("12345")
    assert [row[2] for row in floor.rows(refused)] == [False]
