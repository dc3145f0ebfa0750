"""The shape of Sendcloud's answers in our own words: what the twin holds itself to.

A compact reading of the published reference (https://sendcloud.dev): the fields that we read, their
types, which may be null, and the forms of times and numbers. A twin that drifts from Sendcloud
would make every test below it worthless, so it checks a sample of itself at start.
"""

import re
from datetime import datetime
from typing import Any, Literal

import msgspec

DAY_FIRST = re.compile(r"\d\d-\d\d-\d{4} \d\d:\d\d:\d\d")
NUMBER = re.compile(r"\d+(\.\d+)?")
COUNTRY = re.compile("[A-Z]{2}")
CODE = re.compile("[A-Z0-9_]+")

Absent = msgspec.UnsetType
ABSENT = msgspec.UNSET


class Price(msgspec.Struct):
    """Money as text."""

    value: str
    currency: str

    def __post_init__(self) -> None:
        _matches(self.value, NUMBER)


class Amount(msgspec.Struct):
    """Money as a number."""

    value: float
    currency: str


class Measure(msgspec.Struct):
    """A weight whose value is a text."""

    value: str
    unit: Literal["kg", "g", "lbs", "oz"]

    def __post_init__(self) -> None:
        _matches(self.value, NUMBER)


class Weight(msgspec.Struct):
    """A weight whose value is a number, and not 0."""

    value: float
    unit: Literal["kg", "g", "lbs", "oz"]

    def __post_init__(self) -> None:
        if not self.value > 0:
            raise ValueError(f"{self.value} is no weight")


class Sides(msgspec.Struct):
    """Dimensions in text."""

    length: str
    width: str
    height: str
    unit: Literal["cm", "mm", "m", "yd", "ft", "in"]

    def __post_init__(self) -> None:
        for side in (self.length, self.width, self.height):
            _matches(side, NUMBER)


class Address(msgspec.Struct):
    name: str
    address_line_1: str
    postal_code: str
    city: str
    country_code: str
    house_number: str | Absent = ABSENT

    def __post_init__(self) -> None:
        _clean(self.city)
        _matches(self.country_code, COUNTRY)


class Status(msgspec.Struct):
    code: str
    message: str

    def __post_init__(self) -> None:
        _matches(self.code, CODE)


class Box(msgspec.Struct):
    """A parcel within a shipment."""

    id: int
    status: Status
    weight: Measure
    created_at: str
    updated_at: str
    announced_at: str | None
    tracking_number: str
    tracking_url: str | None
    parcel_items: list[dict[str, Any]]
    dimensions: Sides | Absent = ABSENT

    def __post_init__(self) -> None:
        for at in (self.created_at, self.updated_at, self.announced_at):
            _zoned(at)


class Shipment(msgspec.Struct):
    id: str
    order_number: str
    total_order_price: Price | None
    parcels: list[Box]
    from_address: Address
    to_address: Address


class StatusOfV2(msgspec.Struct):
    id: int
    message: str


class Parcel(msgspec.Struct):
    """Of v2: texts, and times without a zone, the day first."""

    id: int
    city: str
    date_created: str
    date_updated: str
    weight: str
    status: StatusOfV2
    country: dict[str, str]
    carrier: dict[str, str]
    tracking_number: str
    date_announced: str | Absent = ABSENT
    length: str | Absent | None = ABSENT
    contract: int | None = None

    def __post_init__(self) -> None:
        _clean(self.city)
        _matches(self.weight, NUMBER)
        for at in (self.date_created, self.date_updated, self.date_announced):
            if isinstance(at, str):
                _matches(at, DAY_FIRST)
                datetime.strptime(at, "%d-%m-%Y %H:%M:%S")  # noqa: DTZ007  # v2 says no zone


class Event(msgspec.Struct):
    """A line of a return's history."""

    carrier_update_timestamp: str
    parcel_status_history_id: str
    parent_status: str

    def __post_init__(self) -> None:
        _zoned(self.carrier_update_timestamp)


class Reason(msgspec.Struct):
    id: int
    description: str

    def __post_init__(self) -> None:
        _clean(self.description)


class Return(msgspec.Struct):
    created_at: str
    weight: Weight
    status_history: list[Event]
    from_address: Address
    to_address: Address
    delivered_at: int | None
    delivered_at_iso: str | None
    reason: Reason
    order_number: str
    label_cost: Amount
    return_fee: Amount | None
    status: (
        Literal["open", "requested", "request_rejected", "awaiting_payment", "payment_failed"]
        | Absent
    ) = ABSENT

    def __post_init__(self) -> None:
        _zoned(self.created_at)
        _zoned(self.delivered_at_iso)
        if not self.status_history:
            raise ValueError("its history is empty")


SHAPES: dict[str, type[msgspec.Struct]] = {
    "shipments": Shipment,
    "parcels": Parcel,
    "returns": Return,
}


def violation(kind: str, *, body: bytes) -> str | None:
    """What is wrong with the JSON `body` of one object of `kind`, or None.

    >>> violation("shipments", body=b"{}")
    'Object missing required field `id`'
    """
    try:
        msgspec.json.decode(body, type=SHAPES[kind])
    except msgspec.DecodeError as error:
        return str(error)
    return None


def _matches(value: str, form: re.Pattern[str]) -> None:
    if not form.fullmatch(value):
        raise ValueError(f"{value!r} is not of the form {form.pattern}")


def _clean(value: str) -> None:
    if "\x00" in value:
        raise ValueError(f"{value!r} holds a NUL")


def _zoned(value: str | None) -> None:
    if value is not None and datetime.fromisoformat(value).tzinfo is None:
        raise ValueError(f"{value!r} has no zone")
