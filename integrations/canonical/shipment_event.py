"""The entity shipment event: what happened to a parcel on its way."""

from integrations.canonical.entity import Entity, Text, Timestamp, column
from integrations.canonical.shipment import STATUSES

SOURCES = ("webhook", "pull")


class ShipmentEvent(Entity, key="shipment_id, occurred_at, status_raw"):
    """A change of a parcel's status, as the carrier reported it."""

    shipment_id: Text = column("The source's id of the shipment.")
    status: Text = column("How far the parcel came by it.", isin=STATUSES)
    status_raw: Text = column("The source's own word for the status.")
    message: Text = column("What the carrier says of it.", nullable=True)
    location: Text = column("Where it happened, in the carrier's words.", nullable=True)
    occurred_at: Timestamp = column("When it happened.", unit="UTC")
    received_at: Timestamp = column("When the source came to know of it.", unit="UTC")
    source: Text = column("Which way it came to us.", isin=SOURCES)
