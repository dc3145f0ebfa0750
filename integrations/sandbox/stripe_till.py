"""Draws charges and their refunds, each with its whole life, for the shop behind Stripe's twin."""

from collections.abc import Iterator, Sequence
from random import Random

import msgspec

from integrations.sandbox.stripe_facts import Charge, Customer, Refund
from integrations.sandbox.stripe_names import (
    AMOUNTS,
    CURRENCIES,
    DAY,
    DECLINES,
    METHODS,
    REASONS,
    base62,
    tail,
)

BAD_SHARE = 0.003
BAD_CHARGES = (
    "amount_text",
    "currency_missing",
    "created_null",
    "status_unknown",
    "description_nul",
    "amount_fraction",
    "amount_overflow",
)
"""One kind more is made on demand: `description_surrogate`, half a surrogate pair, which strict
decoders refuse together with the whole page around it."""
BAD_REFUNDS = ("amount_text", "currency_missing", "created_null", "amount_overflow")


class Till:
    """Draws what customers pay and get back; `customers` may grow while it is used."""

    def __init__(
        self, account: str, *, customers: Sequence[Customer], bad_charges: Sequence[str]
    ) -> None:
        self._account = account
        self._customers = customers
        self._charges = _Spread(bad_charges)
        self._refunds = _Spread(BAD_REFUNDS)

    def charge(self, rng: Random, *, created: int) -> Charge:
        """A charge of `created` (epoch seconds) with all that will become of it."""
        stem = f"3{base62(created)}{self._account}"
        amount, currency = _price(rng)
        method = rng.choices(*METHODS)[0] if currency == "eur" else "card"
        failed = rng.random() < 0.06
        held = method == "card" and not failed and rng.random() < 0.03
        # a hold is captured, and a SEPA debit decided, by a nightly batch some days later
        waits = held or method == "sepa_debit"
        decided = _night(rng, created, low=1, high=5) if waits else created
        charge = Charge(
            id=f"{'ch' if method == 'card' else 'py'}_{stem}{tail(rng)}",
            created=created,
            bad=self._charges.next(),
            amount=amount,
            currency=currency,
            stem=stem,
            customer=rng.choice(self._customers) if rng.random() < 0.8 else None,
            method=method,
            held=held,
            decided_at=decided,
            settled_at=None if failed else decided,
            decline=rng.choice(DECLINES) if failed else None,
            moments=(decided,) if decided > created else (),
            txn=f"txn_{stem}{tail(rng)}",
            number=rng.randrange(10**9),
        )
        return charge if failed else self._with_sequel(rng, charge)

    def _with_sequel(self, rng: Random, charge: Charge) -> Charge:
        refunds = tuple(self._give_back(rng, charge)) if rng.random() < 0.08 else ()
        disputed = not refunds and rng.random() < 0.004
        disputed_at = _night(rng, charge.decided_at, low=5, high=30) if disputed else None
        returned = [at for refund in refunds for at in (refund.created, refund.failed_at)]
        changes = (charge.decided_at, disputed_at, *returned)
        moments = tuple(sorted(at for at in changes if at and at > charge.created))
        return msgspec.structs.replace(
            charge,
            refunds=refunds,
            disputed_at=disputed_at,
            dispute=f"dp_1{charge.stem[1:]}{tail(rng)}" if disputed else "",
            moments=moments,
        )

    def _give_back(self, rng: Random, charge: Charge) -> Iterator[Refund]:
        whole = rng.random() < 0.7
        parts = (charge.amount,) if whole else (charge.amount // 10 * 2, charge.amount // 10 * 3)
        at, card = charge.decided_at, charge.method == "card"
        for part in parts[: rng.randint(1, 2)]:
            at = _night(rng, at, low=1, high=12)
            done = at if card else _night(rng, at, low=2, high=4)
            failed_at = _night(rng, done, low=1, high=3) if rng.random() < 0.03 else None
            yield Refund(
                id=f"{'re' if card else 'pyr'}_{charge.stem}{tail(rng)}",
                created=at,
                moments=tuple(moment for moment in (done, failed_at) if moment and moment > at),
                bad=self._refunds.next(),
                amount=part,
                currency=charge.currency,
                charge=charge.id,
                stem=charge.stem,
                reason=rng.choice(REASONS),
                done_at=done,
                failed_at=failed_at,
                txn=f"txn_{charge.stem}{tail(rng)}",
                failure_txn=f"txn_{charge.stem}{tail(rng)}",
            )


class _Spread:
    """Says how each object is bad, mostly '' for not at all: evenly, so that no day is all bad."""

    def __init__(self, ways: Sequence[str]) -> None:
        self._ways = ways
        self._drawn = 0

    def next(self) -> str:
        before = int(self._drawn * BAD_SHARE)
        self._drawn += 1
        bad = int(self._drawn * BAD_SHARE) > before
        return self._ways[before % len(self._ways)] if bad and self._ways else ""


def _price(rng: Random) -> tuple[int, str]:
    """Minor units and currency; Stripe wants the last of three decimals to be 0."""
    currency = rng.choices(*CURRENCIES)[0]
    amount = rng.randint(*AMOUNTS[currency])
    return (amount // 10 * 10 if currency == "kwd" else amount), currency


def _night(rng: Random, after: int, *, low: int, high: int) -> int:
    """A moment of the nightly batch, `low` to `high` days after `after`'s day."""
    return (after // DAY + rng.randint(low, high)) * DAY + rng.randint(3_600, 3 * 3_600 - 1)
