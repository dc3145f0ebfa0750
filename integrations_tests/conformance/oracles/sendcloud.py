"""What must be in the tables of what Sendcloud holds, told from its documentation alone."""

import base64
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from integrations.names import Window

Record = dict[str, Any]
AMSTERDAM = ZoneInfo("Europe/Amsterdam")
KILOS = {"kg": Decimal(1), "g": Decimal("0.001"), "lbs": Decimal("0.45359237")}
CENTIMETRES = {"cm": Decimal(1), "mm": Decimal("0.1"), "in": Decimal("2.54")}
PARCEL = {
    "READY_TO_SEND": "ready",
    "ANNOUNCED": "announced",
    "ANNOUNCEMENT_FAILED": "exception",
    "SHIPMENT_ON_ROUTE": "in_transit",
    "TO_SORTING": "in_transit",
    "SORTING": "in_transit",
    "SORTED": "in_transit",
    "AT_SORTING_CENTRE": "in_transit",
    "AWAITING_CUSTOMER_PICKUP": "in_transit",
    "AT_CUSTOMS": "in_transit",
    "DRIVER_ON_ROUTE": "out_for_delivery",
    "DELIVERED": "delivered",
    "COLLECTED_BY_CUSTOMER": "delivered",
    "DELIVERY_FAILED": "exception",
    "EXCEPTION": "exception",
    "RETURNED_TO_SENDER": "returned",
    "CANCELLING": "cancelled",
    "CANCELLED": "cancelled",
}
"""Of what the twin's parcels go through."""
NUMBERS = {
    1: "ANNOUNCED", 3: "TO_SORTING", 5: "SORTED", 7: "SORTING", 8: "DELIVERY_FAILED",
    11: "DELIVERED", 12: "AWAITING_CUSTOMER_PICKUP", 91: "SHIPMENT_ON_ROUTE",
    92: "DRIVER_ON_ROUTE", 93: "COLLECTED_BY_CUSTOMER", 1000: "READY_TO_SEND",
    1002: "ANNOUNCEMENT_FAILED", 1999: "CANCELLING", 2000: "CANCELLED", 62989: "AT_CUSTOMS",
    62990: "AT_SORTING_CENTRE", 62992: "RETURNED_TO_SENDER", 62996: "EXCEPTION",
}  # fmt: skip


def let_in(_: httpx.Client, secrets: Mapping[str, str]) -> Mapping[str, str]:
    pair = f"{secrets['public_key']}:{secrets['secret_key']}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


def records(client: httpx.Client, stream: str, window: Window | None) -> Iterator[Record]:
    """All of a list, by ever smaller ids: what it says of more is not believed."""
    if stream == "parcel_statuses":
        yield from _got(client, "/api/v3/parcels/statuses")["data"]
    elif stream == "shipments":
        assert window is not None
        yield from (one for one in _shipments(client, window) if _changed(one) in _Span(window))
    elif stream == "parcels":
        yield from _parcels(client)
    else:
        assert window is not None
        yield from _returns(client, window)


def _got(client: httpx.Client, path: str, **params: Any) -> Record:
    found: Record = client.get(path, params=params).raise_for_status().json()
    return found


class _Span:
    """A window that says whether it holds a moment."""

    def __init__(self, window: Window) -> None:
        self._window = window

    def __contains__(self, moment: datetime) -> bool:
        return self._window.start <= moment < self._window.end


def _shipments(client: httpx.Client, window: Window) -> Iterator[Record]:
    bounds = (window.start - timedelta(seconds=1), window.end)
    names = ("updated_after", "updated_before")
    params: Record = {n: at.isoformat() for n, at in zip(names, bounds, strict=True)}
    while page := _got(client, "/api/v3/shipments", page_size=100, **params)["data"]:
        yield from page
        params["cursor"] = _below(page[-1]["parcels"][-1]["id"])


def _parcels(client: httpx.Client) -> Iterator[Record]:
    params: Record = {}
    while page := _got(client, "/api/v2/parcels", **params)["parcels"]:
        yield from page
        params["cursor"] = page[-1]["id"]


def _returns(client: httpx.Client, window: Window) -> Iterator[Record]:
    params: Record = {
        "from_date": f"{window.start:%Y-%m-%d %H:%M:%S}",
        "to_date": f"{window.end:%Y-%m-%d %H:%M:%S}",
    }
    while page := _got(client, "/api/v3/returns", page_size=40, **params)["data"]:
        yield from page
        params["cursor"] = _below(page[-1]["id"])


def _below(ident: int) -> str:
    return base64.b64encode(f"p={ident}".encode()).decode()


def _changed(shipment: Record) -> datetime:
    return max(datetime.fromisoformat(box["updated_at"]) for box in shipment["parcels"])


def expected(stream: str, record: Record) -> Mapping[str, Any] | None:
    return _MAKERS[stream](record)


def _status(status: Record) -> Record | None:
    return {"code": status["code"], "name": status["message"]}


def _box(shipment: Record) -> Record | None:
    """A parcel of a shipment of v3."""
    box, to = shipment["item"], shipment["to_address"]
    price, sides = shipment["total_order_price"], box.get("dimensions")
    weight = _measured(box["weight"]["value"], box["weight"]["unit"], KILOS)
    if weight is None or "\x00" in to["city"] or not box["created_at"].endswith("Z"):
        return None
    if price is not None and not re.fullmatch(r"[\d.]+", price["value"]):
        return None
    made = {
        "order_number": shipment["order_number"],
        "tracking_number": box["tracking_number"] or None,
        "tracking_url": box["tracking_url"],
        "carrier_code": shipment["carrier"]["code"],
        "service": shipment["ship_with"]["properties"]["shipping_option_code"],
        "status": PARCEL[box["status"]["code"]],
        "status_raw": box["status"]["code"],
        "weight_kg": weight,
        "declared_value": None if price is None else Decimal(price["value"]),
        "currency": None if price is None else price["currency"],
        "to_country": to["country_code"],
        "to_postal_code": to["postal_code"],
        "to_city": to["city"],
        "is_return": False,
        "created_at": datetime.fromisoformat(box["created_at"]),
        "announced_at": box["announced_at"] and datetime.fromisoformat(box["announced_at"]),
        "updated_at": datetime.fromisoformat(box["updated_at"]),
    }
    for side in ("length", "width", "height"):
        there = sides and _measured(sides[side], sides["unit"], CENTIMETRES)
        made[f"{side}_cm"] = there or None
    return made


def _measured(value: str, unit: str, units: Mapping[str, Decimal]) -> Decimal | None:
    if not re.fullmatch(r"[\d.]+", value) or unit not in units:
        return None
    return round(Decimal(value) * units[unit], 3)


def _old(parcel: Record) -> Record | None:
    """A parcel of v2."""
    moments = [parcel["date_created"], parcel["date_updated"], parcel.get("date_announced")]
    created, updated, announced = (_day_first(moment) for moment in moments)
    sound = created and updated and parcel["status"] and "\x00" not in parcel["city"]
    if not sound or "," in parcel["weight"]:
        return None
    return {
        "order_number": parcel["order_number"],
        "tracking_number": parcel["tracking_number"] or None,
        "tracking_url": parcel["tracking_url"] or None,
        "carrier_code": parcel["carrier"]["code"],
        "service": parcel["shipment"]["name"],
        "status": PARCEL[NUMBERS[parcel["status"]["id"]]],
        "status_raw": parcel["status"]["message"],
        "weight_kg": Decimal(parcel["weight"]),
        "length_cm": parcel["length"] and Decimal(parcel["length"]),
        "width_cm": parcel["width"] and Decimal(parcel["width"]),
        "height_cm": parcel["height"] and Decimal(parcel["height"]),
        "declared_value": Decimal(parcel["total_order_value"]),
        "currency": parcel["total_order_value_currency"],
        "to_country": parcel["country"]["iso_2"],
        "to_postal_code": parcel["postal_code"],
        "to_city": parcel["city"],
        "is_return": False,
        "created_at": created,
        "announced_at": announced,
        "updated_at": updated,
    }


def _day_first(text: str | None) -> datetime | None:
    """A moment of v2, which says no zone: Amsterdam's, as that of the returns of v3."""
    found = re.fullmatch(r"(\d\d)-(\d\d)-(\d{4}) (\d\d):(\d\d):(\d\d)", text or "")
    if found is None:
        return None
    day, month, year, hour, minute, second = map(int, found.groups())
    try:
        local = datetime(year, month, day, hour, minute, second, tzinfo=AMSTERDAM)
    except ValueError:
        return None
    return local.astimezone(UTC)


def _return(back: Record) -> Record | None:
    reason = back["reason"]["description"]
    created = datetime.fromisoformat(back["created_at"])
    if created.tzinfo is None or "\x00" in reason or not isinstance(back["status"], str):
        return None
    label = back["label_url"]
    return {
        "shipment_id": label and label.split("/")[-3],
        "order_number": back["order_number"] or None,
        "status": {"open": "ready", "requested": "requested"}[back["status"]],
        "status_raw": back["status"],
        "reason": reason,
        "created_at": created,
    }


def _event(back: Record) -> Record | None:
    event = back["item"]
    code = event["parent_status"].upper().replace("-", "_")
    names = {"READY_TO_SEND": "Ready to send", "ANNOUNCED": "Announced"}
    at = datetime.fromisoformat(event["carrier_update_timestamp"])
    return {
        "shipment_id": str(back["id"]),
        "status": PARCEL[code],
        "status_raw": event["parent_status"],
        # The carrier says nothing of what Sendcloud did itself: then it is the status's name.
        "message": event["carrier_message"] or names[code],
        "occurred_at": at,
        "received_at": at,
        "source": "pull",
    }


_MAKERS = {
    "parcel_statuses": _status,
    "shipments": _box,
    "parcels": _old,
    "returns": _return,
    "return_events": _event,
}
