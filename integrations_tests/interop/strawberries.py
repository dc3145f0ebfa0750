"""A shop in Strawberry's own types: Relay connections with one inside, a list by offset, and
resolvers that fail."""

import strawberry
from graphql import GraphQLError
from strawberry import relay

from integrations_tests.interop.shop import ORDERS, order, skus

_failures = {"busy": 1}


@strawberry.type
class Line:
    sku: str


@strawberry.type
class Order(relay.Node):
    number: relay.NodeID[str]
    seq: int

    @classmethod
    def resolve_nodes(cls, *, info, node_ids, required=False):
        return [ORDERED[ident] for ident in node_ids]

    @relay.connection(relay.ListConnection[Line])
    def lines(self) -> list[Line]:
        return [Line(sku=sku) for sku in skus(self.seq)]

    @strawberry.field
    def total(self) -> str | None:
        """Fails at the last order, as a nullable field does: beside data."""
        if self.seq == ORDERS:
            raise GraphQLError("the till is closed", extensions={"code": "TILL_CLOSED"})
        return order(self.seq)["total"]


ORDERED = {
    one["number"]: Order(number=one["number"], seq=one["seq"])
    for one in map(order, range(1, ORDERS + 1))
}


def _listed(offset: int, first: int) -> list[Order]:
    """Ten at the most, however many are asked for."""
    return [*ORDERED.values()][offset : offset + min(first, 10)]


@strawberry.type
class Query:
    node: relay.Node = relay.node()

    @relay.connection(relay.ListConnection[Order])
    def orders(self) -> list[Order]:
        return [*ORDERED.values()]

    @strawberry.field
    def numbered(self, seq: int) -> Order:
        return [*ORDERED.values()][seq - 1]

    @strawberry.field
    def listed(self, offset: int, first: int) -> list[Order]:
        return _listed(offset, first)

    @strawberry.field
    def busy(self, offset: int, first: int) -> list[Order]:
        """Too busy at its second page, once."""
        if offset and _failures["busy"]:
            _failures["busy"] -= 1
            raise GraphQLError("slow down", extensions={"code": "THROTTLED", "after": "2 s"})
        return _listed(offset, first)


SCHEMA = strawberry.Schema(Query)
