"""What must be in the tables of what ShipHero holds, told from its documentation alone."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx

from integrations.names import Window

Record = dict[str, Any]
BY_DAY = frozenset({"shipments"})
LINE = "id sku product_name quantity quantity_shipped price subtotal"
FIELDS = {
    "orders": "id order_number partner_order_id shop_name fulfillment_status order_date updated_at"
    f" total_price total_tax line_items(first: 100) {{ edges {{ node {{ {LINE} }} }} }}",
    "shipments": "id order_id created_date address { city zip country }"
    " shipping_labels { id tracking_number carrier shipping_method cost }",
    "returns": "id status reason created_at",
}
TIMES = {"orders": "updated_at", "shipments": "created_date", "returns": "created_at"}
ORDER = {
    "pending": "open",
    "partially_fulfilled": "partial",
    "fulfilled": "complete",
    "canceled": "cancelled",
}
RETURN = {"pending": "requested", "warehouse_complete": "delivered", "cancelled": "cancelled"}


def let_in(client: httpx.Client, secrets: Mapping[str, str]) -> Mapping[str, str]:
    token = client.post("/auth/token", json=dict(secrets)).raise_for_status().json()["access_token"]
    return {"Authorization": f"Bearer {token}"}


def records(client: httpx.Client, stream: str, window: Window | None) -> Iterator[Record]:
    """Of the whole list those of the window: what a filter says is not believed."""
    listed = {"order_lines": "orders"}.get(stream, stream)
    for record in _listed(client, listed):
        if window is None or _in(window, record[TIMES[listed]]):
            yield record


def _listed(client: httpx.Client, kind: str) -> Iterator[Record]:
    after = None
    while True:
        query = (
            f"query ($after: String) {{ {kind} {{ data(first: 100, after: $after) {{"
            f" edges {{ cursor node {{ {FIELDS[kind]} }} }} }} }} }}"
        )
        asked = {"query": query, "variables": {"after": after}}
        answer = client.post("/graphql", json=asked).raise_for_status().json()
        edges = answer["data"][kind]["data"]["edges"]
        if not edges:
            return
        yield from (edge["node"] for edge in edges)
        after = edges[-1]["cursor"]


def _in(window: Window, text: str) -> bool:
    at = _moment(text)
    return at is None or window.start <= at < window.end


def _moment(text: str) -> datetime | None:
    """Of UTC; None for the day zero."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        return None


def expected(stream: str, record: Record) -> Mapping[str, Any] | None:
    return _MAKERS[stream](record)


def _order(order: Record) -> Record | None:
    created = _moment(order["order_date"])
    amounts = [_money(order[name]) for name in ("total_price", "total_tax")]
    if created is None or None in amounts or "\x00" in order["order_number"]:
        return None
    gross, tax = amounts
    return {
        "order_number": order["order_number"],
        "status": ORDER[order["fulfillment_status"]],
        "status_raw": order["fulfillment_status"],
        "order_date": created.date(),
        "currency": "USD",
        "total_gross": gross,
        "total_tax": tax,
        "total_net": gross - tax,
        "customer_reference": order["partner_order_id"],
        "channel": order["shop_name"],
        "created_at": created,
        "updated_at": _moment(order["updated_at"]),
    }


def _line(order: Record) -> Record | None:
    line = order["item"]["node"]
    return {
        "order_id": order["id"],
        "line_id": line["id"],
        "line_no": order["item_no"],
        "sku": line["sku"],
        "description": line["product_name"],
        "quantity": Decimal(line["quantity"]),
        "unit_price": _money(line["price"]),
        "net": _money(line["subtotal"]),
        "currency": "USD",
        "delivered_qty": Decimal(line["quantity_shipped"]),
    }


def _label(shipment: Record) -> Record | None:
    label, to = shipment["item"], shipment["address"]
    created, cost = _moment(shipment["created_date"]), _money(label["cost"])
    if created is None or cost is None or "\x00" in to["city"]:
        return None
    return {
        "tracking_number": label["tracking_number"],
        "carrier_code": label["carrier"],
        "service": label["shipping_method"],
        "status": "announced",
        "cost": cost,
        "cost_currency": "USD",
        "to_country": to["country"],
        "to_postal_code": to["zip"],
        "to_city": to["city"],
        "is_return": False,
        "created_at": created,
    }


def _return(back: Record) -> Record | None:
    created = _moment(back["created_at"])
    if created is None or back["status"] is None or "\x00" in back["reason"]:
        return None
    return {
        "status": RETURN[back["status"]],
        "status_raw": back["status"],
        "reason": back["reason"],
        "created_at": created,
    }


def _money(text: str) -> Decimal | None:
    return Decimal(text) if re.fullmatch(r"\d+\.\d\d", text) else None


_MAKERS = {"orders": _order, "order_lines": _line, "shipments": _label, "returns": _return}
