"""The shop's balance at Stripe: what every movement of money leaves on it, and what it pays out."""

from collections import defaultdict
from collections.abc import Iterator
from random import Random

from integrations.sandbox.stripe_facts import Payout, Transaction
from integrations.sandbox.stripe_names import DAY, FEES, SETTLES_AS, base62, tail

PAID_OUT_AT = 8_100
"""Seconds after midnight UTC."""
FAILED = ("payout_failure", "payout_reversal")
"""Type and reporting category of the line that brings a failed payout back."""


class Balance:
    """What is due on which day, by settlement currency, in minor units."""

    def __init__(self, account: str) -> None:
        self._account = account
        self._due: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))

    def book(
        self, ident: str, *, at: int, money: tuple[int, str], kind: tuple[str, str, str]
    ) -> Transaction:
        """A line of `at` over `money` (minor units, currency), whose net joins a later payout.

        `kind` is the type, the reporting category and the id of the source.
        """
        amount, charged_in = money
        currency, rate = SETTLES_AS[charged_in]
        gross = amount if rate is None else round(amount * rate)
        type_, category, source = kind
        fee = FEES[currency].of(gross, category=category)
        # refunds leave the balance the next day, charges and disputes are there after two
        available = (at // DAY + (1 if category.startswith("refund") else 2)) * DAY
        self._due[available // DAY][currency] += gross - fee
        return Transaction(
            id=ident,
            created=at,
            moments=(available,),
            available_on=available,
            amount=gross,
            fee=fee,
            currency=currency,
            exchange_rate=rate,
            type=type_,
            category=category,
            source=source,
        )

    def pay_out(self, rng: Random, *, start: int) -> tuple[list[Payout], list[Transaction]]:
        """One payout a currency of what became available at `start`, a midnight.

        A debt waits for the next day, and a payout that fails is due again the day after.
        """
        day, payouts = start // DAY, []
        for currency, amount in sorted(self._due.pop(day, {}).items()):
            if amount <= 0:
                self._due[day + 1][currency] += amount
                continue
            payout = self._payout(rng, at=start + PAID_OUT_AT, amount=amount, currency=currency)
            payouts.append(payout)
            if payout.failed:
                self._due[payout.moments[-1] // DAY + 1][currency] += amount
        return payouts, [line for payout in payouts for line in _lines(payout)]

    def _payout(self, rng: Random, *, at: int, amount: int, currency: str) -> Payout:
        stem = f"1{base62(at)}{self._account}"
        return Payout(
            id=f"po_{stem}{tail(rng)}",
            created=at,
            moments=(at + DAY + 600, at + 2 * DAY + 1_200),
            amount=amount,
            currency=currency,
            arrives=(at // DAY + 2) * DAY,
            failed=rng.random() < 0.02,
            txn=f"txn_{stem}{tail(rng)}",
            failure_txn=f"txn_{stem}{tail(rng)}",
        )


def _lines(payout: Payout) -> Iterator[Transaction]:
    out = (payout.txn, payout.created, -payout.amount, "payout", "payout")
    back = (payout.failure_txn, payout.moments[-1], payout.amount, *FAILED)
    for ident, created, amount, kind, category in (out, back) if payout.failed else (out,):
        yield Transaction(
            id=ident,
            created=created,
            available_on=created,
            amount=amount,
            fee=0,
            currency=payout.currency,
            exchange_rate=None,
            type=kind,
            category=category,
            source=payout.id,
        )
