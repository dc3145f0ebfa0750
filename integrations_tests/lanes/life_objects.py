"""What a `Life` is made of: Stripe's objects at their creation, and what may become of them.

The objects are those of the twin of Stripe, so that every field of its contract is there.
"""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from integrations.sandbox.stripe_facts import Charge, Customer, Fact, Payout, Refund
from integrations.sandbox.stripe_names import DAY

Object = dict[str, Any]


def _charge(ident: str, created: int, number: int) -> Charge:
    stem = f"3{number:016d}"
    return Charge(
        id=ident, created=created, amount=5_000 + number % 5_000, currency="eur", stem=stem,
        customer=None, method="card", held=False, decided_at=created, settled_at=created,
        decline=None, txn=f"txn_{stem}", number=number,
    )  # fmt: skip


def _refund(ident: str, created: int, number: int) -> Refund:
    stem = f"3{number:016d}"
    return Refund(
        id=ident, created=created, amount=100 + number % 900, currency="eur", charge=f"ch_{stem}",
        stem=stem, reason=None, done_at=created, failed_at=None, txn=f"txn_{stem}",
        failure_txn=f"txn_{stem}",
    )  # fmt: skip


def _payout(ident: str, created: int, number: int) -> Payout:
    stem = f"1{number:016d}"
    return Payout(
        id=ident, created=created, moments=(created + DAY, created + 2 * DAY), amount=90_000,
        currency="eur", arrives=created // DAY * DAY + 2 * DAY, failed=False, txn=f"txn_{stem}",
        failure_txn=f"txn_{stem}",
    )  # fmt: skip


def _customer(ident: str, created: int, number: int) -> Customer:
    return Customer(
        id=ident, created=created, name="Zoë de Vries", new_name="", renamed_at=None,
        email=f"klant{number}@example.com", country="NL", number=number,
    )  # fmt: skip


def _charge_change(rng: Random) -> Object:
    """Of a charge's attributes some that go together; 4,000 is less than any charge."""
    back = rng.randint(0, 4_000)
    ways: list[Object] = [
        {"amount_refunded": back, "refunded": False},
        {"disputed": rng.random() < 0.5},
        {"captured": rng.random() < 0.5},
        {"description": f"Boeket {rng.randrange(10**6)}"},
        {"description": None, "metadata": {"order_id": f"SO-{rng.randrange(10**6)}"}},
    ]
    return rng.choice(ways)


def _customer_change(rng: Random) -> Object:
    number = rng.randrange(10**6)
    ways: list[Object] = [
        {"name": f"Bloemenhal {number}"},
        {"email": f"klant{number}@example.com", "phone": None},
        {"metadata": {"debiteur": str(number)}},
    ]
    return rng.choice(ways)


def _refund_change(rng: Random) -> Object:
    return {"status": rng.choice(["pending", "succeeded", "failed"])}


def _payout_change(rng: Random) -> Object:
    return {"status": rng.choice(["pending", "in_transit", "paid", "failed"])}


FACTS: Mapping[str, Callable[[str, int, int], Fact]] = {
    "charges": _charge,
    "refunds": _refund,
    "payouts": _payout,
    "customers": _customer,
}
"""By kind: a fact from an id, its creation (epoch seconds) and a number of its own."""
CHANGES: Mapping[str, Callable[[Random], Object]] = {
    "charges": _charge_change,
    "refunds": _refund_change,
    "payouts": _payout_change,
    "customers": _customer_change,
}
"""By kind: attributes with new values that go together."""
