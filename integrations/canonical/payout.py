"""The entity payout: money on its way from a processor to the merchant's bank."""

from integrations.canonical.entity import (
    CURRENCY,
    Date,
    Entity,
    Json,
    Money,
    Text,
    Timestamp,
    column,
)

STATUSES = ("pending", "in_transit", "paid", "failed", "canceled")


class Payout(Entity):
    """A transfer from the processor's balance to a bank account."""

    amount: Money = column("What is paid out.", unit="currency")
    currency: Text = column("ISO 4217 code of the amount.", str_matches=CURRENCY)
    status: Text = column("How far the payout came.", isin=STATUSES)
    status_raw: Text = column("The source's own word for the status.")
    method: Text = column("How it is sent: standard, instant …", nullable=True)
    arrival_date: Date = column("The day on which the bank is expected to book it.", nullable=True)
    created_at: Timestamp = column("When the payout was made.", unit="UTC")
    description: Text = column("Free text beside the payout.", nullable=True)
    metadata: Json = column("The merchant's own key-value pairs.", nullable=True, personal=True)
