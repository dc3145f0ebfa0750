"""The entity shipment: a parcel on its way."""

from integrations.canonical.entity import (
    COUNTRY,
    CURRENCY,
    Bool,
    Entity,
    Money,
    Quantity,
    Text,
    Timestamp,
    column,
)

STATUSES = (
    "ready",
    "announced",
    "in_transit",
    "out_for_delivery",
    "delivered",
    "exception",
    "returned",
    "cancelled",
    "unknown",
)


class Shipment(Entity):
    """A parcel, as the carrier or the shipping platform sees it."""

    order_number: Text = column("The number of the order that is in it.", nullable=True)
    tracking_number: Text = column("The carrier's number of the parcel.", nullable=True)
    # Carriers' addresses often hold the receiver's postal code.
    tracking_url: Text = column("Where it can be followed.", nullable=True, personal=True)
    carrier_code: Text = column("The carrier, in the source's words.", nullable=True)
    service: Text = column("The carrier's product, in the source's words.", nullable=True)
    status: Text = column("How far the parcel came.", isin=STATUSES)
    status_raw: Text = column("The source's own word for the status.")
    weight_kg: Quantity = column("Weight of the parcel.", unit="kg", nullable=True)
    length_cm: Quantity = column("Length of the parcel.", unit="cm", nullable=True)
    width_cm: Quantity = column("Width of the parcel.", unit="cm", nullable=True)
    height_cm: Quantity = column("Height of the parcel.", unit="cm", nullable=True)
    declared_value: Money = column("What its content is worth.", unit="currency", nullable=True)
    currency: Text = column("ISO 4217 code of declared_value.", nullable=True, str_matches=CURRENCY)
    cost: Money = column("What sending it costs.", unit="cost_currency", nullable=True)
    cost_currency: Text = column("ISO 4217 code of cost.", nullable=True, str_matches=CURRENCY)
    to_country: Text = column(
        "ISO 3166-1 alpha-2 code of where it goes.", nullable=True, str_matches=COUNTRY
    )
    to_postal_code: Text = column("Postal code of where it goes.", nullable=True, personal=True)
    to_city: Text = column("City where it goes.", nullable=True, personal=True)
    is_return: Bool = column("Whether it goes back to the seller.")
    created_at: Timestamp = column("When the source made the record.", unit="UTC", nullable=True)
    announced_at: Timestamp = column("When the carrier was told.", unit="UTC", nullable=True)
    delivered_at: Timestamp = column("When it was delivered.", unit="UTC", nullable=True)
    updated_at: Timestamp = column("When the source last changed it.", unit="UTC", nullable=True)
