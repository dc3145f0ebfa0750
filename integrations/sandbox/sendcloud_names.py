"""The words that the twin of Sendcloud draws from: statuses, carriers, people, goods."""

from typing import NamedTuple


class Status(NamedTuple):
    """A parcel's status: the number of v2, the word of v3, and what people read."""

    id: int
    code: str
    message: str


STATUSES = {
    status.code: status
    for status in (
        Status(1, "ANNOUNCED", "Announced"),
        Status(3, "TO_SORTING", "En route to sorting center"),
        Status(4, "DELAYED", "Delivery delayed"),
        Status(5, "SORTED", "Sorted"),
        Status(6, "UNSORTED", "Not sorted"),
        Status(7, "SORTING", "Being sorted"),
        Status(8, "DELIVERY_FAILED", "Delivery attempt failed"),
        Status(10, "DELIVERY_FORCED", "Delivery forced"),
        Status(11, "DELIVERED", "Delivered"),
        Status(12, "AWAITING_CUSTOMER_PICKUP", "Awaiting customer pickup"),
        Status(13, "ANNOUNCED_UNCOLLECTED", "Announced: not collected"),
        Status(15, "COLLECT_ERROR", "Error collecting"),
        Status(22, "PICKED_UP_BY_DRIVER", "Shipment picked up by driver"),
        Status(31, "UNSORTED2", "Not sorted"),
        Status(80, "UNDELIVERABLE", "Unable to deliver"),
        Status(91, "SHIPMENT_ON_ROUTE", "Parcel en route"),
        Status(92, "DRIVER_ON_ROUTE", "Driver en route"),
        Status(93, "COLLECTED_BY_CUSTOMER", "Shipment collected by customer"),
        Status(999, "NO_LABEL", "No label"),
        Status(1000, "READY_TO_SEND", "Ready to send"),
        Status(1001, "ANNOUNCING", "Being announced"),
        Status(1002, "ANNOUNCEMENT_FAILED", "Announcement failed"),
        Status(1337, "UNKNOWN", "Unknown status - check carrier track & trace page"),
        Status(1998, "CANCELLED_UPSTREAM", "Cancelled upstream"),
        Status(1999, "CANCELLING", "Cancellation requested"),
        Status(2000, "CANCELLED", "Cancelled"),
        Status(2001, "CANCELLING_UPSTREAM", "Submitting cancellation request"),
        Status(62989, "AT_CUSTOMS", "At Customs"),
        Status(62990, "AT_SORTING_CENTRE", "At sorting centre"),
        Status(62991, "REFUSED_BY_RECIPIENT", "Refused by recipient"),
        Status(62992, "RETURNED_TO_SENDER", "Returned to sender"),
        Status(62993, "DELIVERY_METHOD_CHANGED", "Delivery method changed"),
        Status(62994, "DELIVERY_DATE_CHANGED", "Delivery date changed"),
        Status(62995, "DELIVERY_ADDRESS_CHANGED", "Delivery address changed"),
        Status(62996, "EXCEPTION", "Exception"),
        Status(62997, "ADDRESS_INVALID", "Address invalid"),
    )
}
"""By the word: the statuses that a filter of the published API knows."""

LIVES = (
    ("SHIPMENT_ON_ROUTE", "AT_SORTING_CENTRE", "DRIVER_ON_ROUTE", "DELIVERED"),
    ("SHIPMENT_ON_ROUTE", "SORTED", "DELIVERED"),
    ("TO_SORTING", "SORTING", "DELIVERY_FAILED", "DRIVER_ON_ROUTE", "DELIVERED"),
    ("SHIPMENT_ON_ROUTE", "AWAITING_CUSTOMER_PICKUP", "COLLECTED_BY_CUSTOMER"),
    ("SHIPMENT_ON_ROUTE", "AT_CUSTOMS", "EXCEPTION", "RETURNED_TO_SENDER"),
    ("CANCELLING", "CANCELLED"),
)
"""What becomes of a parcel that was announced, a night apart."""
LIFE_WEIGHTS = (50, 25, 10, 8, 4, 3)


class Carrier(NamedTuple):
    """Who brings it: Sendcloud's code, the name, what a number looks like, and the offers."""

    code: str
    name: str
    prefix: str
    offers: tuple[str, ...]
    method: int


CARRIERS = (
    Carrier("postnl", "PostNL", "3SYZXG", ("standard", "standard/signature"), 8),
    Carrier("dhl", "DHL", "JVGL", ("parcel/for_you", "parcel/mailbox"), 117),
    Carrier("dpd", "DPD", "0534", ("classic", "home"), 303),
    Carrier("ups", "UPS", "1Z6E4", ("standard/insured=500",), 1_371),
)


class Place(NamedTuple):
    """Where a parcel goes."""

    country: str
    iso_3: str
    country_name: str
    postal_code: str
    city: str
    street: str
    currency: str


PLACES = (
    Place("NL", "NLD", "Netherlands", "5642 CV", "Eindhoven", "Insulindelaan", "EUR"),
    Place("NL", "NLD", "Netherlands", "1431 GB", "Aalsmeer", "Legmeerdijk", "EUR"),
    Place("NL", "NLD", "Netherlands", "5223 MB", "'s-Hertogenbosch", "Onderwijsboulevard", "EUR"),
    Place("BE", "BEL", "Belgium", "4000", "Liège", "Rue Léopold", "EUR"),
    Place("DE", "DEU", "Germany", "01067", "Dresden", "Große Brüdergasse", "EUR"),
    Place("GB", "GBR", "United Kingdom", "SW1A 2AA", "London", "Downing Street", "GBP"),
    Place("US", "USA", "United States", "90012", "Los Angeles", "N Spring St", "USD"),
)
"""Postal codes with blanks, and one with a 0 in front."""
PLACE_WEIGHTS = (40, 20, 10, 12, 10, 6, 2)
PEOPLE = (
    "John Doe",
    "Zoë de Vries",
    "Łukasz Żółw",
    "佐藤 美咲",
    "Siobhán O'Brien",
    "Bloemenhal 't Hoekje B.V.",
    "Élodie Lefèvre 🌷",
)


class Good(NamedTuple):
    """What is in a parcel; grams and cents for one."""

    sku: str
    description: str
    grams: int
    cents: int
    hs_code: str
    size: str | int


GOODS = (
    Good("TULP-40", "Tulpen 40 stuks", 1_320, 1_265, "060319", "40"),
    Good("ROSA-60", "Rosa 'Red Naomi' 60 cm", 900, 2_250, "060311", 60),
    Good("VAAS-XL", 'Vaas "Zoë" XL', 2_405, 3_499, "701399", "XL"),
    Good("KAART", "花束(大) – kaart", 35, 350, "490900", "A6"),
)
"""A size is a text or a number, as the shop that made the order had it."""
REASONS = (
    (1, "Product did not match expectations"),
    (2, "Too big for me"),
    (3, "Arrived too late ☹"),
    (4, 'Damaged: "geknakte" stelen'),
)
