"""The entity return: goods that a customer sends back. Python keeps the name of the module."""

from integrations.canonical.entity import CURRENCY, Entity, Money, Text, Timestamp, column

STATUSES = (
    "requested",
    "rejected",
    "ready",
    "announced",
    "in_transit",
    "delivered",
    "exception",
    "cancelled",
    "unknown",
)


class Return(Entity):
    """A customer's return: asked for, on its way, received."""

    shipment_id: Text = column("The source's id of the parcel that comes back.", nullable=True)
    order_number: Text = column("The number of the order that it was part of.", nullable=True)
    status: Text = column("How far the return came.", isin=STATUSES)
    status_raw: Text = column("The source's own word for the status.")
    reason: Text = column("Why it comes back, in the source's words.", nullable=True)
    created_at: Timestamp = column("When the source made the record.", unit="UTC", nullable=True)
    updated_at: Timestamp = column("When the source last changed it.", unit="UTC", nullable=True)
    refund: Money = column("What the customer gets back for it.", unit="currency", nullable=True)
    currency: Text = column("ISO 4217 code of refund.", nullable=True, str_matches=CURRENCY)
