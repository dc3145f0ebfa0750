"""What happened at a flower shop that takes its payments with Stripe, day by day.

The twin needs a history that hangs together (refunds of charges that exist, payouts that are the
sum of what became available) and that is the same for the same seed and clock. So days are lived
in order, each from its own random numbers, and every later change of an object is drawn together
with the object: what it looks like at a moment is then a matter of reading, not of state.

Objects that exist change only between 00:00 and 03:00 UTC, when the shop's nightly batch runs and
Stripe settles: two syncs by day see the same.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random

from integrations.sandbox.chance import dice
from integrations.sandbox.stripe_balance import Balance
from integrations.sandbox.stripe_facts import Charge, Customer, Facts, Refund, Transaction
from integrations.sandbox.stripe_names import DAY, person, tail
from integrations.sandbox.stripe_till import Till

DENSE_DAYS = 54
"""Full trade from the epoch, then a trickle: a demo that is started years later stays fast."""
TRICKLE = 0.04
OLD_CUSTOMERS = 3
"""Known at the epoch, as a multiple of the charges of a day."""


class Shop:
    """The shop's life since `epoch` (midnight UTC), lived as far as it has been asked for."""

    def __init__(
        self, seed: int, *, epoch: datetime, per_day: int, bad_charges: Sequence[str]
    ) -> None:
        if epoch.utcoffset() != UTC.utcoffset(None) or epoch.timestamp() % DAY:
            raise ValueError(f"the epoch must be midnight UTC, not {epoch!r}")
        self._seed = seed
        self._epoch = int(epoch.timestamp())
        self._per_day = per_day
        self._days = 0
        self._customers: list[Customer] = []
        account = tail(dice(f"{seed}/account"))
        self._till = Till(account, customers=self._customers, bad_charges=bad_charges)
        self._balance = Balance(account)

    def live_until(self, now: int) -> Facts:
        """Lives every day up to the one that holds `now` (epoch seconds); gives what was new.

        The last day is lived whole: facts later than `now` are among the new ones.
        """
        new = Facts()
        if not self._customers and now >= self._epoch:
            rng = dice(f"{self._seed}/customers")
            for _ in range(max(20, OLD_CUSTOMERS * self._per_day)):
                self._welcome(rng, created=self._epoch - rng.randint(DAY, 200 * DAY), new=new)
        while self._epoch + self._days * DAY <= now:
            self._live_day(self._days, new=new)
            self._days += 1
        return new

    def _live_day(self, number: int, *, new: Facts) -> None:
        rng = dice(f"{self._seed}/{number}")
        start = self._epoch + number * DAY
        trade = self._per_day * (1.0 if number < DENSE_DAYS else TRICKLE)
        for _ in range(max(1, round(trade / 60))):
            self._welcome(rng, created=start + 2 * 3600 + rng.randint(0, 600), new=new)
        count = max(2, round(trade * rng.uniform(0.94, 1.06)))
        # two on the stroke of midnight: a window's edge is where connectors lose records
        moments = [start, start, *(start + rng.randrange(DAY) for _ in range(count - 2))]
        for created in sorted(moments):
            charge = self._till.charge(rng, created=created)
            new.charges.append(charge)
            new.refunds.extend(charge.refunds)
            self._settle(rng, charge, new=new)
        payouts, lines = self._balance.pay_out(rng, start=start)
        new.payouts.extend(payouts)
        new.balance_transactions.extend(lines)

    def _welcome(self, rng: Random, *, created: int, new: Facts) -> None:
        first_day = max(created, self._epoch) // DAY
        renamed = (first_day + rng.randint(2, 60)) * DAY + 7_300 if rng.random() < 0.1 else None
        gone = (first_day + rng.randint(30, 90)) * DAY + 7_900 if rng.random() < 0.02 else None
        name, country = person(rng)
        customer = Customer(
            id=f"cus_{tail(rng, size=14)}",
            created=created,
            moments=tuple(sorted(at for at in (renamed, gone) if at)),
            gone_at=gone,
            name=name if rng.random() < 0.97 else None,
            new_name=person(rng)[0],
            renamed_at=renamed,
            email=f"klant{rng.randrange(10**6)}@example.com",
            country=country,
            number=rng.randrange(10**9),
        )
        self._customers.append(customer)
        new.customers.append(customer)

    def _settle(self, rng: Random, charge: Charge, *, new: Facts) -> None:
        """The balance transactions of a charge's whole life."""
        if charge.settled_at is None:
            return
        # Stripe says charge and refund of cards, payment and payment_refund of all else
        card = charge.method == "card"
        kind = ("charge" if card else "payment", "charge", charge.id)
        money = (charge.amount, charge.currency)
        lines = [self._balance.book(charge.txn, at=charge.settled_at, money=money, kind=kind)]
        for refund in charge.refunds:
            lines.extend(self._settle_refund(refund, card=card))
        if charge.disputed_at is not None:
            kind = ("adjustment", "dispute", charge.dispute)
            money = (-charge.amount, charge.currency)
            ident = f"txn_1{charge.stem[1:]}{tail(rng)}"
            lines.append(self._balance.book(ident, at=charge.disputed_at, money=money, kind=kind))
        new.balance_transactions.extend(lines)

    def _settle_refund(self, refund: Refund, *, card: bool) -> list[Transaction]:
        kind = ("refund" if card else "payment_refund", "refund", refund.id)
        money = (-refund.amount, refund.currency)
        lines = [self._balance.book(refund.txn, at=refund.created, money=money, kind=kind)]
        if refund.failed_at is not None:
            kind = ("refund_failure", "refund_failure", refund.id)
            ident, money = refund.failure_txn, (refund.amount, refund.currency)
            lines.append(self._balance.book(ident, at=refund.failed_at, money=money, kind=kind))
        return lines
