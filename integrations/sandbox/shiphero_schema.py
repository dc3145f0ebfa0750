"""ShipHero's schema as far as the twin has it, and Relay's connections over lists of facts.

The types agree with the fields of the published contract (developer.shiphero.com): what may be
null there may be null here, and what is a text there is a text here, money and moments too.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from graphql import GraphQLError, build_schema

T = TypeVar("T")
MOST = 100
"""Edges that a connection gives at once, and those that it gives where `first` is left out."""

_RESULTS = """
scalar ISODateTime
type PageInfo {
  hasNextPage: Boolean!
  hasPreviousPage: Boolean!
  startCursor: String
  endCursor: String
}
type Query {
  orders(updated_from: ISODateTime, updated_to: ISODateTime, analyze: Boolean): OrdersQueryResult
  order(id: String!): OrderQueryResult
  shipments(date_from: ISODateTime, date_to: ISODateTime, analyze: Boolean): ShipmentsQueryResult
  returns(date_from: ISODateTime, date_to: ISODateTime, analyze: Boolean): ReturnsQueryResult
}
type OrderQueryResult { request_id: String complexity: Int data: Order }
"""
_CONNECTION = """
type {0}Edge {{ node: {0} cursor: String! }}
type {0}Connection {{ pageInfo: PageInfo! edges: [{0}Edge]! }}
"""
_RESULT = """
type {0}sQueryResult {{
  request_id: String
  complexity: Int
  data(first: Int, after: String): {0}Connection
}}
"""
_TYPES = """
type Order {
  id: String! legacy_id: Int order_number: String partner_order_id: String shop_name: String
  fulfillment_status: String order_date: ISODateTime! updated_at: ISODateTime! total_tax: String
  subtotal: String total_discounts: String total_price: String email: String account_id: String
  source: String line_items(first: Int, after: String): LineItemConnection
}
type LineItem {
  id: String! legacy_id: Int sku: String partner_line_item_id: String quantity: Int price: String
  product_name: String option_title: String fulfillment_status: String
  quantity_pending_fulfillment: Int quantity_shipped: Int warehouse: String
  quantity_allocated: Int backorder_quantity: Int promotion_discount: String
  custom_options: String custom_barcode: String eligible_for_return: Boolean
  customs_value: String warehouse_id: String locked_to_warehouse_id: String subtotal: String
  barcode: String created_at: ISODateTime updated_at: ISODateTime
}
type Address {
  name: String address1: String address2: String city: String state: String country: String
  zip: String phone: String
}
type Shipment {
  id: String! legacy_id: Int order_id: String user_id: String warehouse_id: String
  pending_shipment_id: String address: Address shipped_off_shiphero: Boolean
  dropshipment: Boolean created_date: ISODateTime
  line_items(first: Int, after: String): ShipmentLineItemConnection
  shipping_labels: [ShippingLabel]
}
type ShipmentLineItem { line_item_id: String quantity: Int }
type ShippingLabel {
  id: String! legacy_id: Int account_id: String tracking_number: String carrier: String
  shipping_name: String shipping_method: String cost: String profile: String packing_slip: String
  warehouse: String insurance_amount: String carrier_account_id: String source: String
  created_date: ISODateTime
}
type Return {
  id: String! legacy_id: Int account_id: String order_id: String partner_id: String
  reason: String status: String label_type: String label_cost: String cost_to_customer: String
  shipping_carrier: String shipping_method: String display_issue_refund: Boolean
  line_items: [ReturnItem] created_at: ISODateTime
}
type ReturnItem {
  id: String! legacy_id: Int account_id: String line_item_id: String warehouse_id: String
  product_id: String return_id: String quantity: Int condition: String is_component: Boolean
  type: String reason: String created_at: ISODateTime updated_at: ISODateTime line_item: LineItem
}
"""
_LISTED = ("Order", "Shipment", "Return")
SCHEMA = build_schema(
    "\n".join(
        [
            _RESULTS,
            _TYPES,
            *(_CONNECTION.format(name) for name in (*_LISTED, "LineItem", "ShipmentLineItem")),
            *(_RESULT.format(name) for name in _LISTED),
        ]
    )
)


def _read(value: Any) -> int:
    """A moment that was asked for, in epoch seconds; without a zone it is of UTC."""
    try:
        given = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise GraphQLError(f"DateTime cannot represent value: {value!r}") from None
    return int((given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp())


SCHEMA.type_map["ISODateTime"].parse_value = _read  # type: ignore[attr-defined]


def connection(
    entries: Sequence[tuple[int, T]], *, first: int | None, after: str | None
) -> tuple[list[T], dict[str, Any], list[str]]:
    """Of entries with ascending places a page: its things, its pageInfo and their cursors.

    A cursor is the place behind which it goes on, so that what comes into a list between two pages
    moves nothing. Raises `GraphQLError` for one that is none, and for a page that cannot be.
    """
    if first is not None and first < 1:
        raise GraphQLError(f"`first` must be positive, not {first}")
    start = -1 if after is None else _place(after)
    rest = [entry for entry in entries if entry[0] > start]
    page = rest[: min(first or MOST, MOST)]
    cursors = [_cursor(place) for place, _ in page]
    info = {
        "hasNextPage": len(page) < len(rest),
        "hasPreviousPage": len(rest) < len(entries),
        "startCursor": cursors[0] if page else None,
        "endCursor": cursors[-1] if page else None,
    }
    return [thing for _, thing in page], info, cursors


def _cursor(place: int) -> str:
    return base64.b64encode(f"arrayconnection:{place}".encode()).decode()


def _place(cursor: str) -> int:
    try:
        said = base64.b64decode(cursor, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        said = ""
    found = re.fullmatch(r"arrayconnection:(\d{1,15})", said, re.ASCII)
    if found is None:
        raise GraphQLError(f"Invalid cursor: {cursor!r}")
    return int(found[1])
