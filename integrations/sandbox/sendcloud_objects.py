"""Facts in Sendcloud's words, as they look at a moment. Bad ones are made last, out of good."""

from collections.abc import Callable, Mapping
from typing import Any

from integrations.sandbox.sendcloud_depot import Fact, Parcel, Return, Shipment
from integrations.sandbox.sendcloud_looks import Body
from integrations.sandbox.sendcloud_v2 import parcel_body
from integrations.sandbox.sendcloud_v3 import return_body, shipment_body


def body(fact: Fact, *, now: int) -> Body:
    """The object as its list gives it at `now`."""
    made = _MAKERS[type(fact)](fact, now)
    if fact.bad:
        _WAYS_TO_BREAK[fact.bad](made)
    return made


_MAKERS: Mapping[type[Fact], Callable[[Any, int], Body]] = {
    Shipment: shipment_body,
    Parcel: parcel_body,
    Return: return_body,
}


def _boxes(made: Body, **changes: Any) -> None:
    for box in made["parcels"]:
        box.update(changes)


def _city(made: Body) -> None:
    made.get("to_address", made)["city"] = "Eind\x00hoven"


def _without_zone(made: Body) -> None:
    naive = "2026-10-03T10:00:00.123456"
    made.update(created_at=naive) if "created_at" in made else _boxes(made, created_at=naive)


_WAYS_TO_BREAK: Mapping[str, Callable[[Body], object]] = {
    "weight_words": lambda made: _boxes(made, weight={"value": "zwaar", "unit": "kg"}),
    "unit_unknown": lambda made: _boxes(made, weight={"value": "1.5", "unit": "stone"}),
    "created_naive": _without_zone,
    "price_infinite": lambda made: made.update(
        total_order_price={"value": "1e400", "currency": "EUR"}
    ),
    "city_nul": _city,
    "created_31_february": lambda made: made.update(date_created="31-02-2026 10:00:00"),
    "updated_iso": lambda made: made.update(date_updated="2026-10-03T10:00:00"),
    "weight_comma": lambda made: made.update(weight="1,320"),
    "status_null": lambda made: made.update(status=None),
    "reason_nul": lambda made: made["reason"].update(description="Te groot\x00"),
    "status_object": lambda made: made.update(status={"code": made["status"]}),
}
"""How the API breaks an object, which keeps its ids."""
