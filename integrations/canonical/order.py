"""The entity order: what a customer wants, as a whole."""

from integrations.canonical.entity import (
    CURRENCY,
    Date,
    Entity,
    Money,
    Text,
    Timestamp,
    column,
)

STATUSES = ("draft", "open", "partial", "complete", "cancelled", "unknown")


class Order(Entity):
    """A sales order; its lines are order lines."""

    order_number: Text = column("The number people know the order by.")
    status: Text = column("How far the order came.", isin=STATUSES)
    status_raw: Text = column("The source's own word for the status.")
    customer_id: Text = column("The source's id of the customer.", nullable=True)
    order_date: Date = column("The day on which it was placed, where the seller is.")
    requested_delivery_date: Date = column(
        "The day on which the customer wants it, where the seller is.", nullable=True
    )
    currency: Text = column("ISO 4217 code of the totals.", str_matches=CURRENCY)
    total_net: Money = column("The total before taxes.", unit="currency", nullable=True)
    total_tax: Money = column("The taxes on it.", unit="currency", nullable=True)
    total_gross: Money = column("The total with taxes.", unit="currency", nullable=True)
    customer_reference: Text = column("The customer's own reference.", nullable=True)
    channel: Text = column("Where it came in: web shop, marketplace …", nullable=True)
    created_at: Timestamp = column("When the source made the record.", unit="UTC", nullable=True)
    updated_at: Timestamp = column("When the source last changed it.", unit="UTC", nullable=True)
