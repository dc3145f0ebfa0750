"""The facts that the twin of Stripe keeps, before they are put in Stripe's words.

A fact knows its whole life: `moments` are the epoch seconds at which it comes to look different,
so its look can be kept per number of moments passed and needs no state.
"""

from dataclasses import dataclass, field

import msgspec


class Fact(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What every object has. Times are epoch seconds, UTC; `bad` names what is broken, or ''."""

    id: str
    created: int
    moments: tuple[int, ...] = ()
    bad: str = ""
    gone_at: int | None = None


class Customer(Fact, frozen=True, kw_only=True, gc=False):
    """A buyer; `number` feeds whatever looks random but carries no meaning."""

    name: str | None
    new_name: str
    renamed_at: int | None
    email: str
    country: str
    number: int


class Refund(Fact, frozen=True, kw_only=True, gc=False):
    """Money back, in minor units of `currency`; `failed_at` undoes it."""

    amount: int
    currency: str
    charge: str
    stem: str
    reason: str | None
    done_at: int
    failed_at: int | None
    txn: str
    failure_txn: str

    @property
    def payment_intent(self) -> str:
        return f"pi_{self.stem}"


class Charge(Fact, frozen=True, kw_only=True, gc=False):
    """One attempt at a payment, in minor units; `settled_at` is None for one that fails."""

    amount: int
    currency: str
    stem: str
    customer: Customer | None
    method: str
    held: bool
    decided_at: int
    settled_at: int | None
    decline: tuple[str, str] | None
    txn: str
    number: int
    refunds: tuple[Refund, ...] = ()
    disputed_at: int | None = None
    dispute: str = ""

    @property
    def payment_intent(self) -> str:
        return f"pi_{self.stem}"


class Transaction(Fact, frozen=True, kw_only=True, gc=False):
    """A line of the balance; `amount` and `fee` are minor units of the settlement currency."""

    available_on: int
    amount: int
    fee: int
    currency: str
    exchange_rate: float | None
    type: str
    category: str
    source: str


class Payout(Fact, frozen=True, kw_only=True, gc=False):
    """Money to the bank; `moments` are when it leaves and when it arrives, or fails."""

    amount: int
    currency: str
    arrives: int
    failed: bool
    txn: str
    failure_txn: str


class Event(Fact, frozen=True, kw_only=True, gc=False):
    """Something that happened to `subject` at `created`; `type` is Stripe's word for it."""

    type: str
    subject: Fact


@dataclass(frozen=True)
class Facts:
    """Facts by kind; the fields are named as Stripe's resources are."""

    charges: list[Charge] = field(default_factory=list)
    refunds: list[Refund] = field(default_factory=list)
    balance_transactions: list[Transaction] = field(default_factory=list)
    customers: list[Customer] = field(default_factory=list)
    payouts: list[Payout] = field(default_factory=list)
