"""Facts in ShipHero's words, as they look at a moment. Bad ones are made last, out of good."""

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from integrations.sandbox.sendcloud_names import CARRIERS, GOODS, PEOPLE, PLACES, REASONS
from integrations.sandbox.shiphero_warehouse import Fact, Order, Shipment

Body = dict[str, Any]
ACCOUNT, WAREHOUSE = 7_556, 1_240
OFFERS = ("Standard", "Priority Mail", "2-Day ✈")


def global_id(kind: str, number: int) -> str:
    """Relay's: `QWNjb3VudDo3NTU2` is `Account:7556`."""
    return base64.b64encode(f"{kind}:{number}".encode()).decode()


def moment(at: int) -> str:
    """`2026-10-01T02:13:09`, of UTC, which it does not say."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def money(cents: int) -> str:
    """`12.50`: amounts are texts."""
    return str(Decimal(cents).scaleb(-2))


def order_body(order: Order, now: int) -> Body:
    """With all its `lines`, which the API gives as a connection; so do shipments."""
    changed, status = order.at(now)
    price = sum(int(line["quantity"]) * _price(ident, order) for ident, line in _lines(order))
    tax = price * 21 // 121
    place = PLACES[order.number % len(PLACES)]
    made = {
        "id": global_id("Order", order.id),
        "legacy_id": order.id,
        "order_number": order_number(order.id),
        "partner_order_id": str(order.number) if order.number % 4 else None,
        "shop_name": ("bloemen.example", "Markt ‘Oost’")[order.number % 2],
        "fulfillment_status": status,
        "order_date": moment(order.created),
        "updated_at": moment(changed),
        "total_tax": money(tax),
        "subtotal": money(price - tax),
        "total_discounts": "0.00",
        "total_price": money(price),
        "email": f"klant{order.number % 10**6}@example.com" if order.number % 9 else None,
        "account_id": global_id("Account", ACCOUNT),
        "source": ("shopify", "api", place.country.lower())[order.number % 3],
        "lines": [line for _, line in _lines(order)],
    }
    return _broken(made, order)


def shipment_body(shipment: Shipment, now: int) -> Body:
    place = PLACES[shipment.number % len(PLACES)]
    address = {
        "name": PEOPLE[shipment.number % len(PEOPLE)],
        "address1": f"{place.street} {shipment.number % 400 + 1}",
        "address2": None,
        "city": place.city,
        "state": None,
        "country": place.country,
        "zip": place.postal_code,
        "phone": "+31612345678",
    }
    made = {
        "id": global_id("Shipment", shipment.id),
        "legacy_id": shipment.id,
        "order_id": global_id("Order", shipment.order),
        "user_id": global_id("User", 38),
        "warehouse_id": global_id("Warehouse", WAREHOUSE),
        "pending_shipment_id": None,
        "address": address,
        "shipped_off_shiphero": not shipment.labels,
        "dropshipment": False,
        "created_date": moment(shipment.created),
        "lines": [
            {"line_item_id": global_id("LineItem", n), "quantity": 1} for n in shipment.lines
        ],
        "shipping_labels": [_label(shipment, ident) for ident in shipment.labels],
    }
    return _broken(made, shipment)


def return_body(back: Fact, now: int) -> Body:
    _, status = back.at(now)
    carrier = CARRIERS[back.number % len(CARRIERS)]
    line = _line(back, back.id * 10, 0)
    made = {
        "id": global_id("Return", back.id),
        "legacy_id": back.id,
        "account_id": global_id("Account", ACCOUNT),
        "order_id": global_id("Order", back.order),
        "partner_id": None,
        "reason": REASONS[back.number % len(REASONS)][1],
        "status": status,
        "label_type": ("paid", "free")[back.number % 2],
        "label_cost": money(back.number % 900 + 100),
        "cost_to_customer": "0.00",
        "shipping_carrier": carrier.code,
        "shipping_method": OFFERS[back.number % len(OFFERS)],
        "display_issue_refund": back.number % 5 == 0,
        "line_items": [_returned(back, line)],
        "created_at": moment(back.created),
    }
    return _broken(made, back)


def order_number(order: int) -> str:
    """What people know an order by."""
    return f"#{order - 300_000}-é"


def _lines(order: Order) -> list[tuple[int, Body]]:
    return [(ident, _line(order, ident, place)) for place, ident in enumerate(order.lines)]


def _price(line: int, fact: Fact) -> int:
    return GOODS[(fact.number + line) % len(GOODS)].cents


def _line(fact: Fact, ident: int, place: int) -> Body:
    good = GOODS[(fact.number + ident) % len(GOODS)]
    quantity = (fact.number + place) % 3 + 1
    return {
        "id": global_id("LineItem", ident),
        "legacy_id": ident,
        "sku": good.sku,
        "partner_line_item_id": None,
        "quantity": quantity,
        "price": money(good.cents),
        "product_name": good.description,
        "option_title": str(good.size),
        "fulfillment_status": "pending",
        "quantity_allocated": quantity,
        "quantity_pending_fulfillment": quantity,
        "quantity_shipped": 0,
        "backorder_quantity": 0,
        "promotion_discount": None,
        "warehouse": "Primary",
        "custom_options": None,
        "custom_barcode": None,
        "eligible_for_return": True,
        "customs_value": None,
        "warehouse_id": global_id("Warehouse", WAREHOUSE),
        "locked_to_warehouse_id": None,
        "subtotal": money(quantity * good.cents),
        "barcode": None,
        "created_at": moment(fact.created),
        "updated_at": moment(fact.created),
    }


def _label(shipment: Shipment, ident: int) -> Body:
    carrier = CARRIERS[shipment.number % len(CARRIERS)]
    return {
        "id": global_id("ShippingLabel", ident),
        "legacy_id": ident,
        "account_id": global_id("Account", ACCOUNT),
        "tracking_number": f"{carrier.prefix}{ident:08d}",
        "carrier": carrier.code,
        "shipping_name": carrier.name,
        "shipping_method": OFFERS[shipment.number % len(OFFERS)],
        "cost": money(shipment.number % 2_000 + 250),
        "profile": "default",
        "packing_slip": None,
        "warehouse": "Primary",
        "insurance_amount": "0.00",
        "carrier_account_id": None,
        "source": carrier.code,
        "created_date": moment(shipment.created),
    }


def _returned(back: Fact, line: Body) -> Body:
    return {
        "id": global_id("ReturnItem", back.id * 10),
        "legacy_id": back.id * 10,
        "account_id": global_id("Account", ACCOUNT),
        "line_item_id": line["id"],
        "warehouse_id": line["warehouse_id"],
        "product_id": global_id("Product", back.number % 97),
        "return_id": global_id("Return", back.id),
        "quantity": 1,
        "condition": "as new",
        "is_component": False,
        "type": "return",
        "reason": REASONS[back.number % len(REASONS)][1],
        "created_at": moment(back.created),
        "updated_at": moment(back.created),
        "line_item": line,
    }


def _broken(made: Body, fact: Fact) -> Body:
    if fact.bad:
        _WAYS_TO_BREAK[fact.bad](made)
    return made


_WAYS_TO_BREAK: Mapping[str, Callable[[Body], object]] = {
    "total_words": lambda made: made.update(total_price="twelve"),
    "day_zero": lambda made: made.update(order_date="0000-00-00T00:00:00"),
    "number_nul": lambda made: made.update(order_number="#12\x00"),
    "tax_words": lambda made: made.update(total_tax="NaN"),
    "cost_words": lambda made: [label.update(cost="free") for label in made["shipping_labels"]],
    "city_nul": lambda made: made["address"].update(city="Eind\x00hoven"),
    "created_zero": lambda made: made.update(
        {("created_date" if "created_date" in made else "created_at"): "0000-00-00T00:00:00"}
    ),
    "status_null": lambda made: made.update(status=None),
    "reason_nul": lambda made: made.update(reason="Te groot\x00"),
}
"""How the API breaks an object, which keeps its id."""
