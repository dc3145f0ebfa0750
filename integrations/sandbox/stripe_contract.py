"""The shape of Stripe's answers in our own words: what the twin holds itself to.

A compact reading of the published API reference (https://docs.stripe.com/api): the fields that
are always there, their types, which may be null, and the enumerations. A twin that drifts from
Stripe would make every test below it worthless, so it checks a sample of itself at start.
"""

import re
from typing import Any, Literal

import msgspec

ID = re.compile(r"[a-z]{2,4}_[A-Za-z0-9]{10,}")
TYPE = re.compile(r"[a-z_]+(\.[a-z_]+)+")
CURRENCY = re.compile("[a-z]{3}")
EPOCHS = range(1, 2**33)
MINOR = range(-(2**53), 2**53)
LARGEST_AMOUNT = 99_999_999
"""Of a charge, in minor units: "up to eight digits"."""

Metadata = dict[str, str]
Expandable = str | dict[str, Any]


class Object(msgspec.Struct):
    """What all of them have.

    Ranges are checked by hand: with `msgspec.Meta` the interpreter crashes at exit now and then
    (https://github.com/msgspec/msgspec/issues/717).
    """

    id: str
    created: int

    def __post_init__(self) -> None:
        if not ID.fullmatch(self.id):
            raise ValueError(f"{self.id!r} is no id")
        if self.created not in EPOCHS:
            raise ValueError(f"{self.created} is no time")


class Money(Object):
    """An object with an amount in minor units of a lower-case ISO currency."""

    amount: int
    currency: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.amount not in MINOR:
            raise ValueError(f"{self.amount} is out of range")
        if not CURRENCY.fullmatch(self.currency):
            raise ValueError(f"{self.currency!r} is no currency")


class Payment(Money):
    """A charge or a refund: a positive amount that a card can bear."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.amount <= LARGEST_AMOUNT:
            raise ValueError(f"{self.amount} is no amount of a payment")


class Charge(Payment):
    object: Literal["charge"]
    amount_captured: int
    amount_refunded: int
    balance_transaction: Expandable | None
    billing_details: dict[str, Any]
    captured: bool
    customer: Expandable | None
    description: str | None
    disputed: bool
    failure_code: str | None
    failure_message: str | None
    livemode: bool
    metadata: Metadata
    outcome: dict[str, Any] | None
    paid: bool
    payment_intent: Expandable | None
    payment_method: str | None
    payment_method_details: dict[str, Any] | None
    refunded: bool
    status: Literal["succeeded", "pending", "failed"]


class Refund(Payment):
    object: Literal["refund"]
    balance_transaction: Expandable | None
    charge: Expandable | None
    metadata: Metadata | None
    payment_intent: Expandable | None
    reason: (
        Literal["duplicate", "expired_uncaptured_charge", "fraudulent", "requested_by_customer"]
        | None
    )
    status: Literal["pending", "requires_action", "succeeded", "failed", "canceled"] | None


class FeeDetail(msgspec.Struct):
    amount: int
    currency: str
    type: Literal["application_fee", "payment_method_passthrough_fee", "stripe_fee", "tax"]


class BalanceTransaction(Money):
    object: Literal["balance_transaction"]
    available_on: int
    description: str | None
    exchange_rate: float | None
    fee: int
    fee_details: list[FeeDetail]
    net: int
    reporting_category: str
    source: Expandable | None
    status: Literal["available", "pending"]
    type: Literal[
        "adjustment",
        "charge",
        "payment",
        "payment_refund",
        "payout",
        "payout_failure",
        "refund",
        "refund_failure",
    ]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.net != self.amount - self.fee:
            raise ValueError("net is not amount - fee")
        if self.fee != sum(detail.amount for detail in self.fee_details):
            raise ValueError("fee is not the sum of fee_details")


class Customer(Object):
    object: Literal["customer"]
    address: dict[str, str | None] | None
    currency: str | None
    delinquent: bool | None
    description: str | None
    email: str | None
    livemode: bool
    metadata: Metadata
    name: str | None
    phone: str | None


class Payout(Money):
    object: Literal["payout"]
    arrival_date: int
    automatic: bool
    balance_transaction: Expandable | None
    description: str | None
    destination: Expandable | None
    failure_code: str | None
    livemode: bool
    metadata: Metadata | None
    method: Literal["standard", "instant"]
    reconciliation_status: Literal["completed", "in_progress", "not_applicable"]
    source_type: str
    status: Literal["paid", "pending", "in_transit", "canceled", "failed"]
    type: Literal["bank_account", "card"]


class EventData(msgspec.Struct):
    object: dict[str, Any]
    previous_attributes: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class EventRequest(msgspec.Struct):
    id: str | None
    idempotency_key: str | None


class Event(Object):
    object: Literal["event"]
    api_version: str | None
    data: EventData
    livemode: bool
    pending_webhooks: int
    request: EventRequest | None
    type: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if not TYPE.fullmatch(self.type):
            raise ValueError(f"{self.type!r} is no type of an event")


SHAPES: dict[str, type[msgspec.Struct]] = {
    "charges": Charge,
    "refunds": Refund,
    "balance_transactions": BalanceTransaction,
    "customers": Customer,
    "payouts": Payout,
    "events": Event,
}


def violation(kind: str, *, body: bytes) -> str | None:
    """What is wrong with the JSON `body` of one object of `kind`, or None.

    >>> violation("charges", body=b"{}")
    'Object missing required field `id`'
    """
    try:
        msgspec.json.decode(body, type=SHAPES[kind])
    except msgspec.DecodeError as error:
        return str(error)
    return None
