"""The entity refund: money that goes back to a customer."""

from integrations.canonical.entity import CURRENCY, Entity, Json, Money, Text, Timestamp, column

STATUSES = ("pending", "requires_action", "succeeded", "failed", "cancelled")


class Refund(Entity):
    """Money returned for a payment; one payment may have several."""

    payment_id: Text = column("The source's id of the refunded payment.", nullable=True)
    amount: Money = column("What goes back.", unit="currency")
    currency: Text = column("ISO 4217 code of the amount.", str_matches=CURRENCY)
    status: Text = column(
        "How far the refund came; some sources leave it open.", nullable=True, isin=STATUSES
    )
    status_raw: Text = column("The source's own word for the status.", nullable=True)
    reason: Text = column("Why it was given, in the source's words.", nullable=True)
    created_at: Timestamp = column("When the refund was asked for.", unit="UTC")
    metadata: Json = column("The merchant's own key-value pairs.", nullable=True, personal=True)
