"""A parcel in the words of v2: texts, and neither zones nor units. https://sendcloud.dev/api/v2."""

from integrations.sandbox.sendcloud_depot import Parcel, place_of
from integrations.sandbox.sendcloud_dialects import cents, day_first, kilos
from integrations.sandbox.sendcloud_looks import (
    NO_LABEL,
    Body,
    carrier_of,
    goods_of,
    house_number,
    labels,
    price_of,
    tracking_number,
    tracking_url,
)
from integrations.sandbox.sendcloud_names import PEOPLE, PLACES, STATUSES, Good


def parcel_body(parcel: Parcel, now: int) -> Body:
    """A parcel of v2, which has neither zone, unit nor null where it can do without."""
    changed, code = parcel.past(now)[-1]
    labelled, announced = code not in NO_LABEL, parcel.at("ANNOUNCED", now=now)
    carrier, place = carrier_of(parcel), PLACES[place_of(parcel)]
    known = {} if announced is None else {"date_announced": day_first(announced)}
    sides = [str(parcel.number % 60 + 5), f"{parcel.number % 37 + 5}.5", "3"]
    return {
        "id": parcel.place,
        "name": PEOPLE[parcel.number % len(PEOPLE)],
        "company_name": "",
        "contract": 517 if parcel.number % 4 else None,
        "address": f"{place.street} {house_number(parcel)}",
        "address_2": "",
        "address_divided": {"street": place.street, "house_number": house_number(parcel)},
        "city": place.city,
        "postal_code": place.postal_code,
        "telephone": "0612345678",
        "email": f"klant{parcel.number % 10**6}@example.com",
        "date_created": day_first(parcel.created),
        "date_updated": day_first(changed),
        **known,
        "tracking_number": tracking_number(parcel) if labelled else "",
        "tracking_url": tracking_url(parcel) if labelled else "",
        "customs_declaration": {},
        "weight": kilos(parcel.grams),
        "length": sides[0] if parcel.number % 5 else None,
        "width": sides[1] if parcel.number % 5 else None,
        "height": sides[2] if parcel.number % 5 else None,
        "label": labels(f"v2/labels/{parcel.place}") if labelled else {},
        "status": {"id": STATUSES[code].id, "message": STATUSES[code].message},
        "documents": [],
        "data": {},
        "country": {"iso_2": place.country, "iso_3": place.iso_3, "name": place.country_name},
        "shipment": {"id": carrier.method, "name": f"{carrier.name} Standard 0-23kg"},
        "carrier": {"code": carrier.code},
        "order_number": parcel.order_number,
        "shipment_uuid": parcel.shipment,
        "external_reference": None,
        "reference": "0",
        "total_order_value": cents(price_of(parcel)),
        "total_order_value_currency": place.currency,
        "insured_value": 0,
        "total_insured_value": parcel.number % 3 * 500,
        "is_return": False,
        "type": "letter" if parcel.grams < 500 else "parcel",
        "colli_uuid": parcel.shipment,
        "collo_nr": parcel.collo,
        "collo_count": parcel.count,
        "parcel_items": [_item_of_v2(parcel, good) for good in goods_of(parcel)],
    }


def _item_of_v2(parcel: Parcel, good: Good) -> Body:
    return {
        "item_id": str(parcel.number % 9_999 + 1),
        "description": good.description,
        "quantity": parcel.number % 3 + 1,
        "weight": kilos(good.grams),
        "value": good.cents / 100,
        "hs_code": good.hs_code,
        "origin_country": "NL",
        "sku": good.sku,
        "product_id": str(good.grams),
        "properties": {"size": good.size},
    }
