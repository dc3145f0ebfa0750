"""Shipments and returns in the words of v3. https://sendcloud.dev/api/v3."""

from integrations.sandbox.sendcloud_depot import Parcel, Return, Shipment, place_of
from integrations.sandbox.sendcloud_dialects import cents, epoch_ms, iso_offset, iso_z, kilos
from integrations.sandbox.sendcloud_looks import (
    NO_LABEL,
    PANEL,
    Body,
    address,
    carrier_of,
    document,
    goods_of,
    labels,
    offer,
    price_of,
    tracking_number,
    tracking_url,
    warehouse,
)
from integrations.sandbox.sendcloud_names import PLACES, REASONS, STATUSES, Good


def shipment_body(shipment: Shipment, now: int) -> Body:
    carrier, place = carrier_of(shipment), PLACES[place_of(shipment)]
    price = {"currency": place.currency, "value": cents(price_of(shipment))}
    made = {
        "id": shipment.id,
        "order_number": shipment.order_number,
        "external_reference_id": None,
        "reference": f"ref {shipment.number % 97}" if shipment.number % 3 else None,
        "total_order_price": price if shipment.number % 12 else None,
        "parcels": [_box(parcel, now) for parcel in shipment.parcels],
        "from_address": warehouse(),
        "to_address": address(shipment),
        "ship_with": {
            "type": "shipping_option_code",
            "properties": {"shipping_option_code": offer(shipment), "contract_id": 517},
        },
        "carrier": {"code": carrier.code, "name": carrier.name},
        "customs_information": None,
    }
    if shipment.past(now)[-1][1] == "ANNOUNCEMENT_FAILED":
        said = "The postal code is invalid."
        made["errors"] = [{"detail": said, "status": "400", "code": "parcel_announcement_error"}]
    return made


def _box(parcel: Parcel, now: int) -> Body:
    """A parcel within a shipment of v3."""
    changed, code = parcel.past(now)[-1]
    labelled, announced = code not in NO_LABEL, parcel.at("ANNOUNCED", now=now)
    made = {
        "id": parcel.place,
        "status": {"code": code, "message": STATUSES[code].message},
        "documents": [document(parcel)] if labelled else [],
        "weight": _weight(parcel),
        "tracking_url": tracking_url(parcel) if labelled else None,
        "tracking_number": tracking_number(parcel) if labelled else "",
        "additional_carrier_data": {"awb_tracking_number": None, "box_number": None},
        "created_at": iso_z(parcel.created),
        "updated_at": iso_z(changed),
        "announced_at": None if announced is None else iso_z(announced),
        "label_notes": ["The doorbell isn’t working"] if parcel.number % 9 == 0 else None,
        "package_type": "letterbox" if parcel.grams < 500 else "package",
        "parcel_items": [_item(parcel, good) for good in goods_of(parcel)],
    }
    if parcel.number % 5:
        made["dimensions"] = _dimensions(parcel)
    return made


def _weight(parcel: Parcel) -> Body:
    if parcel.grams < 500:
        return {"value": str(parcel.grams), "unit": "g"}
    if PLACES[place_of(parcel)].country == "GB":
        return {"value": f"{parcel.grams // 454}.5", "unit": "lbs"}
    return {"value": kilos(parcel.grams), "unit": "kg"}


def _dimensions(parcel: Parcel) -> Body:
    sides = [parcel.number % 60 + 5, parcel.number % 37 + 5, parcel.number % 21 + 1]
    names = ("length", "width", "height")
    if parcel.number % 11 == 0:
        return {n: str(10 * cm) for n, cm in zip(names, sides, strict=True)} | {"unit": "mm"}
    if PLACES[place_of(parcel)].country == "US":
        return {n: f"{cm // 2}.5" for n, cm in zip(names, sides, strict=True)} | {"unit": "in"}
    return {n: f"{cm}.00" for n, cm in zip(names, sides, strict=True)} | {"unit": "cm"}


def _item(parcel: Parcel, good: Good) -> Body:
    return {
        "item_id": str(parcel.number % 9_999 + 1),
        "description": good.description,
        "quantity": parcel.number % 3 + 1,
        # here a weight is a number, where the parcel's own is a text
        "weight": {"value": good.grams / 1_000, "unit": "kg"},
        "price": {"value": cents(good.cents), "currency": "EUR"},
        "hs_code": good.hs_code,
        "origin_country": "NL",
        "sku": good.sku,
        "product_id": str(good.grams),
        "mid_code": None,
        "properties": {"size": good.size, "color": "rood"},
    }


def return_body(back: Return, now: int) -> Body:
    delivered, code = back.at("DELIVERED", now=now), back.past(now)[-1][1]
    carrier = carrier_of(back)
    labelled = code not in NO_LABEL
    reason, said = REASONS[back.number % len(REASONS)]
    fee = {"value": 1.5, "currency": "EUR"} if back.number % 3 else None
    refund = {"refund_type": ("money", "credit", "exchange")[back.number % 3], "message": None}
    return {
        "id": back.place,
        "created_at": iso_offset(back.created),
        "is_cancellable": not labelled,
        "label_cost": {"value": (back.number % 900 + 100) / 100, "currency": "EUR"},
        "delivered_at": None if delivered is None else epoch_ms(delivered),
        "delivered_at_iso": None if delivered is None else iso_offset(delivered),
        "shipping_product": {"code": f"{carrier.code}:standard/return"},
        "shipping_option": {"code": offer(back)},
        "collo_count": 1,
        "brand_id": 1,
        "tracking_number": tracking_number(back) if labelled else None,
        "dimensions": {"length": 20.5, "width": 30, "height": back.number % 20 + 1, "unit": "cm"},
        "parcel_items": [],
        "insurance": False,
        "label_url": f"{PANEL}/v3/parcels/{back.place}/documents/label" if labelled else None,
        "label": labels(f"v3/parcels/{back.place}/documents/label") if labelled else {},
        "tracking_url": tracking_url(back) if labelled else None,
        "send_tracking_emails": False,
        "weight": {"value": back.grams / 1_000, "unit": "kg"}
        if back.grams > 500
        else {"value": back.grams, "unit": "g"},
        "from_address": address(back),
        "to_address": warehouse(),
        "reason": {"id": reason, "description": said},
        "refund": refund if back.number % 4 else None,
        "return_fee": fee,
        "order_number": back.order_number,
        "status": "requested" if code == "READY_TO_SEND" else "open",
        "status_history": [_event(back, n, now) for n in range(len(back.past(now)))],
        "customs_invoice_nr": "",
        "customs_shipment_type": 2,
    }


def _event(back: Return, number: int, now: int) -> Body:
    """A line of the history; of its own steps Sendcloud has nothing that a carrier said."""
    at, code = back.past(now)[number]
    told = number > 1
    return {
        "carrier_update_timestamp": iso_offset(at),
        "parcel_status_history_id": str(back.place * 10 + number),
        "parent_status": code.lower().replace("_", "-"),
        "carrier_code": carrier_of(back).code if told else "",
        "carrier_message": f"{carrier_of(back).name}: {code.capitalize()}" if told else "",
    }
