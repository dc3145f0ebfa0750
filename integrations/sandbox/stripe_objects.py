"""Facts in Stripe's words: the JSON objects of its API, as they look at a moment.

Field for field after https://docs.stripe.com/api (charges, refunds, balance transactions,
customers, payouts). Deliberately bad objects are made here, last, out of good ones.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from integrations.sandbox.stripe_charge import UNSET_ADDRESS, Body, charge_body
from integrations.sandbox.stripe_facts import Charge, Customer, Fact, Payout, Refund, Transaction

LONE_SURROGATE = "lone-surrogate-goes-here"
"""No encoder writes half a surrogate pair, so this stands in for one until the bytes are made."""


def stage(fact: Fact, *, now: int) -> int:
    """How many of the fact's changes have passed: its look is the same while this is."""
    return bisect_right(fact.moments, now)


def body(fact: Fact, *, now: int) -> Body:
    """The object as the API gives it at `now` (epoch seconds), nothing expanded."""
    made = _MAKERS[type(fact)](fact, now)
    if fact.bad:
        _WAYS_TO_BREAK[fact.bad](made)
    return made


def encode(made: Body) -> bytes:
    """Its JSON, where the deliberately bad may hold what no proper encoder writes."""
    return msgspec.json.encode(made).replace(LONE_SURROGATE.encode(), rb"\ud83d")


def deleted(customer: Fact) -> Body:
    """What is left of a deleted customer."""
    return {"id": customer.id, "object": "customer", "deleted": True}


def _refund(refund: Refund, now: int) -> Body:
    failed = refund.failed_at is not None and refund.failed_at <= now
    status = "failed" if failed else "succeeded" if refund.done_at <= now else "pending"
    made: Body = {
        "id": refund.id,
        "object": "refund",
        "amount": refund.amount,
        "balance_transaction": refund.txn,
        "charge": refund.charge,
        "created": refund.created,
        "currency": refund.currency,
        "destination_details": {
            "card": {
                "reference": f"{refund.created % 10**9:09d}",
                "reference_status": "available",
                "reference_type": "acquirer_reference_number",
                "type": "refund",
            },
            "type": "card",
        },
        "metadata": {"ticket": f"T{refund.created % 10**5}"} if refund.created % 2 else {},
        "payment_intent": refund.payment_intent,
        "reason": refund.reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": status,
        "transfer_reversal": None,
    }
    if refund.charge.startswith("py_"):
        made["destination_details"] = {"type": "bank_transfer", "bank_transfer": {}}
    if failed:
        made["failure_reason"] = "expired_or_canceled_card"
        made["failure_balance_transaction"] = refund.failure_txn
    return made


def _transaction(line: Transaction, now: int) -> Body:
    fee: Body = {
        "amount": line.fee,
        "application": None,
        "currency": line.currency,
        "description": "Stripe processing fees",
        "type": "stripe_fee",
    }
    return {
        "id": line.id,
        "object": "balance_transaction",
        "amount": line.amount,
        "available_on": line.available_on,
        "balance_type": "payments",
        "created": line.created,
        "currency": line.currency,
        "description": "STRIPE PAYOUT" if line.category == "payout" else None,
        "exchange_rate": line.exchange_rate,
        "fee": line.fee,
        "fee_details": [fee] if line.fee else [],
        "net": line.amount - line.fee,
        "reporting_category": line.category,
        "source": line.source,
        "status": "available" if line.available_on <= now else "pending",
        "type": line.type,
    }


def _customer(customer: Customer, now: int) -> Body:
    renamed = customer.renamed_at is not None and customer.renamed_at <= now
    known = customer.number % 3
    address = UNSET_ADDRESS | {"city": "Aalsmeer", "country": customer.country}
    return {
        "id": customer.id,
        "object": "customer",
        "address": address if known else None,
        "balance": 0,
        "created": customer.created,
        "currency": "eur" if known else None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": customer.email if customer.number % 50 else None,
        "invoice_prefix": f"{customer.number:08X}"[-8:],
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": {"debiteur": str(customer.number % 10**5)} if known == 1 else {},
        "name": customer.new_name if renamed else customer.name,
        "next_invoice_sequence": 1,
        "phone": f"+31 20 {customer.number % 10**7:07d}" if known == 2 else None,
        "preferred_locales": ["nl"] if known else [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }


def _payout(payout: Payout, now: int) -> Body:
    passed = stage(payout, now=now)
    status = ("pending", "in_transit", "failed" if payout.failed else "paid")[passed]
    failed = status == "failed"
    return {
        "id": payout.id,
        "object": "payout",
        "amount": payout.amount,
        "application_fee": None,
        "application_fee_amount": None,
        "arrival_date": payout.arrives,
        "automatic": True,
        "balance_transaction": payout.txn,
        "created": payout.created,
        "currency": payout.currency,
        "description": "STRIPE PAYOUT",
        "destination": f"ba_1{payout.currency}LkdIwHu7ixq7wLm2rT",
        "failure_balance_transaction": payout.failure_txn if failed else None,
        "failure_code": "account_closed" if failed else None,
        "failure_message": "The bank account has been closed." if failed else None,
        "livemode": False,
        "metadata": {},
        "method": "standard",
        "original_payout": None,
        "payout_method": None,
        "reconciliation_status": "completed" if status == "paid" else "in_progress",
        "reversed_by": None,
        "source_type": "card",
        "statement_descriptor": None,
        "status": status,
        "trace_id": {"status": "pending" if passed < 2 else "supported", "value": None},
        "type": "bank_account",
    }


_MAKERS: Mapping[type[Fact], Callable[[Any, int], Body]] = {
    Charge: charge_body,
    Refund: _refund,
    Transaction: _transaction,
    Customer: _customer,
    Payout: _payout,
}

_WAYS_TO_BREAK: Mapping[str, Callable[[Body], object]] = {
    "amount_text": lambda made: made.update(amount=f"{made['amount']}"),
    "amount_fraction": lambda made: made.update(amount=made["amount"] + 0.5),
    "amount_overflow": lambda made: made.update(amount=2**63 + made["amount"]),
    "currency_missing": lambda made: made.pop("currency"),
    "created_null": lambda made: made.update(created=None),
    "status_unknown": lambda made: made.update(status="under_review"),
    "description_nul": lambda made: made.update(description="Tulpen\x0040 stuks"),
    "description_surrogate": lambda made: made.update(description=f"Boeket {LONE_SURROGATE}"),
}
