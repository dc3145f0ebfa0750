"""What v2 and v3 say alike of a parcel, and what both draw from its number."""

from typing import Any

from integrations.sandbox.sendcloud_depot import Fact, Parcel, place_of
from integrations.sandbox.sendcloud_names import CARRIERS, GOODS, PEOPLE, PLACES, Carrier, Good

Body = dict[str, Any]
PANEL = "https://panel.sendcloud.sc/api"
NO_LABEL = ("READY_TO_SEND", "ANNOUNCEMENT_FAILED")


def carrier_of(fact: Fact) -> Carrier:
    return CARRIERS[fact.number % len(CARRIERS)]


def offer(fact: Fact) -> str:
    carrier = carrier_of(fact)
    return f"{carrier.code}:{carrier.offers[fact.number % 7 % len(carrier.offers)]}"


def price_of(fact: Fact) -> int:
    return fact.number % 45_000 + 300


def house_number(fact: Fact) -> str:
    return f"{fact.number % 400 + 1}{'a' if fact.number % 13 == 0 else ''}"


def goods_of(parcel: Parcel) -> tuple[Good, ...]:
    return tuple(GOODS[(parcel.number + n) % len(GOODS)] for n in range(parcel.number % 2 + 1))


def tracking_number(fact: Fact) -> str:
    return f"{carrier_of(fact).prefix}{fact.place % 10**8:08d}"


def tracking_url(fact: Fact) -> str:
    code = tracking_number(fact)
    return f"https://tracking.sendcloud.sc/forward?carrier={carrier_of(fact).code}&code={code}"


def document(parcel: Parcel) -> Body:
    link = f"{PANEL}/v3/parcels/{parcel.place}/documents/label"
    return {"type": "label", "size": "a6", "link": link}


def labels(path: str) -> Body:
    pages = [f"{PANEL}/{path}?paper_size=a4"] * 4
    return {"label_printer": f"{PANEL}/{path}", "normal_printer": pages}


def address(fact: Fact) -> Body:
    place = PLACES[place_of(fact)]
    return {
        "name": PEOPLE[fact.number % len(PEOPLE)],
        "company_name": "",
        "address_line_1": place.street,
        "address_line_2": "",
        "house_number": house_number(fact),
        "postal_code": place.postal_code,
        "city": place.city,
        "country_code": place.country,
        "email": f"klant{fact.number % 10**6}@example.com",
        "phone_number": "+31612345678",
        "po_box": None,
    }


def warehouse() -> Body:
    return {
        "name": "Bloemen Example",
        "company_name": "Bloemen Example B.V.",
        "address_line_1": "Stadhuisplein",
        "address_line_2": "2e verdieping",
        "house_number": "10",
        "postal_code": "5611 EM",
        "city": "Eindhoven",
        "country_code": "NL",
        "email": "depot@example.com",
        "phone_number": "+31402345678",
        "po_box": None,
    }
