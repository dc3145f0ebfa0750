"""The entity payment: money that a customer was asked for, and how far that came."""

from integrations.canonical.entity import (
    CURRENCY,
    Bool,
    Entity,
    Json,
    Money,
    Text,
    Timestamp,
    column,
)

STATUSES = (
    "pending",
    "authorised",
    "paid",
    "failed",
    "cancelled",
    "expired",
    "refunded",
    "disputed",
)


class Payment(Entity):
    """A payment by a customer, as the payment processor sees it."""

    amount: Money = column("What the customer was asked for.", unit="currency")
    currency: Text = column("ISO 4217 code of amount and amount_refunded.", str_matches=CURRENCY)
    amount_refunded: Money = column(
        "What went back to the customer so far.", unit="currency", nullable=True
    )
    fee: Money = column("What the processor keeps.", unit="settlement_currency", nullable=True)
    net: Money = column("What remains after the fee.", unit="settlement_currency", nullable=True)
    settlement_currency: Text = column(
        "ISO 4217 code of fee and net.", nullable=True, str_matches=CURRENCY
    )
    status: Text = column("How far the payment came.", isin=STATUSES)
    status_raw: Text = column("The source's own word for the status.")
    method: Text = column("How it was paid: card, ideal, sepa_debit …", nullable=True)
    customer_id: Text = column("The source's id of the customer.", nullable=True)
    order_reference: Text = column("The merchant's reference of the order.", nullable=True)
    description: Text = column("Free text beside the payment.", nullable=True, personal=True)
    failure_code: Text = column("Why it failed, in the source's words.", nullable=True)
    captured: Bool = column("Whether an authorised amount was taken.", nullable=True)
    livemode: Bool = column("False for the source's test payments.", nullable=True)
    created_at: Timestamp = column("When the payment was made.", unit="UTC")
    paid_at: Timestamp = column("When the money was taken.", unit="UTC", nullable=True)
    metadata: Json = column("The merchant's own key-value pairs.", nullable=True, personal=True)
