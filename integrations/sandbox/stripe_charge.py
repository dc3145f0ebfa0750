"""A charge in Stripe's words, the largest of its objects: https://docs.stripe.com/api/charges.

And its dispute, which the twin does not serve but tells of in its events.
"""

from typing import Any

from integrations.sandbox.stripe_facts import Charge
from integrations.sandbox.stripe_names import BANKS, CARDS, DAY, EVIDENCE, GOODS

Body = dict[str, Any]

UNSET_ADDRESS: Body = dict.fromkeys(
    ("city", "country", "line1", "line2", "postal_code", "state"), None
)
CHARGE_NULLS: Body = dict.fromkeys(
    (
        "application",
        "application_fee",
        "application_fee_amount",
        "failure_balance_transaction",
        "on_behalf_of",
        "receipt_number",
        "review",
        "shipping",
        "source_transfer",
        "statement_descriptor",
        "statement_descriptor_suffix",
        "transfer_data",
        "transfer_group",
    ),
    None,
)


def charge_body(charge: Charge, now: int) -> Body:
    """The charge as it looks at `now` (epoch seconds), nothing expanded."""
    settled = charge.settled_at is not None and charge.settled_at <= now
    back = _refunded(charge, now)
    failed = charge.decline is not None and charge.decided_at <= now
    status = "failed" if failed else "succeeded" if settled or charge.held else "pending"
    code, message = charge.decline if failed and charge.decline else (None, None)
    return {
        "id": charge.id,
        "object": "charge",
        "amount": charge.amount,
        "amount_captured": charge.amount if settled else 0,
        "amount_refunded": back,
        **CHARGE_NULLS,
        "balance_transaction": charge.txn if settled else None,
        "billing_details": _billing(charge),
        "calculated_statement_descriptor": "BLOEMEN.EXAMPLE" if charge.method == "card" else None,
        "captured": settled,
        "created": charge.created,
        "currency": charge.currency,
        "customer": charge.customer.id if charge.customer else None,
        "description": GOODS[charge.number % len(GOODS)] if charge.number % 11 else None,
        "disputed": charge.disputed_at is not None and charge.disputed_at <= now,
        "failure_code": code,
        "failure_message": message,
        "fraud_details": {},
        "livemode": False,
        "metadata": _order(charge),
        "outcome": _outcome(charge, failed=failed),
        "paid": status == "succeeded",
        "payment_intent": charge.payment_intent,
        "payment_method": f"pm_{charge.stem}{charge.number:08d}",
        "payment_method_details": _method(charge),
        "radar_options": {},
        "receipt_email": charge.customer.email if charge.customer else None,
        "receipt_url": f"https://pay.stripe.com/receipts/payment/{charge.stem}{charge.number}",
        "refunded": back >= charge.amount,
        "status": status,
    }


def dispute_body(charge: Charge) -> Body:
    """The charge's dispute as it is opened: https://docs.stripe.com/api/disputes."""
    opened = charge.disputed_at or 0
    card: Body = {"brand": CARDS[charge.number % len(CARDS)][0], "case_type": "chargeback"}
    card |= {"network_reason_code": "10.4"}
    return {
        "id": charge.dispute,
        "object": "dispute",
        "amount": charge.amount,
        "balance_transactions": [],
        "charge": charge.id,
        "created": opened,
        "currency": charge.currency,
        "enhanced_eligibility_types": [],
        "evidence": {**dict.fromkeys(EVIDENCE), "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": opened + 14 * DAY,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge.payment_intent,
        "payment_method_details": {"card": card, "type": "card"}
        if charge.method == "card"
        else None,
        "reason": "fraudulent",
        "status": "needs_response",
    }


def _refunded(charge: Charge, now: int) -> int:
    return sum(
        refund.amount
        for refund in charge.refunds
        if refund.created <= now and not (refund.failed_at and refund.failed_at <= now)
    )


def _order(charge: Charge) -> dict[str, str]:
    if not charge.number % 5:
        return {}
    order = {"order_id": f"SO-{charge.number % 10**6:06d}", "kanaal": "webshop"}
    return order | ({"opmerking": "graag vóór 12:00 ☀"} if not charge.number % 7 else {})


def _billing(charge: Charge) -> Body:
    buyer = charge.customer
    address = UNSET_ADDRESS
    if buyer is not None:
        address = UNSET_ADDRESS | {
            "city": "Aalsmeer",
            "country": buyer.country,
            "line1": f"Legmeerdijk {charge.number % 400 + 1}",
            "postal_code": f"{1430 + charge.number % 9} AB",
        }
    return {
        "address": address,
        "email": buyer.email if buyer else None,
        "name": buyer.name if buyer else None,
        "phone": None,
        "tax_id": None,
    }


def _outcome(charge: Charge, *, failed: bool) -> Body:
    risk = charge.number % 60
    return {
        "advice_code": "try_again_later" if failed else None,
        "network_advice_code": None,
        "network_decline_code": "01" if failed else None,
        "network_status": "declined_by_network" if failed else "approved_by_network",
        "reason": charge.decline[0] if failed and charge.decline else None,
        "risk_level": "normal",
        "risk_score": risk,
        "seller_message": "The bank declined it." if failed else "Payment complete.",
        "type": "issuer_declined" if failed else "authorized",
    }


def _method(charge: Charge) -> Body:
    if charge.method == "ideal":
        bank, bic = BANKS[charge.number % len(BANKS)]
        ideal = {"bank": bank, "bic": bic, "iban_last4": f"{charge.number % 10_000:04d}"}
        return {"ideal": ideal | {"transaction_id": None, "verified_name": None}, "type": "ideal"}
    if charge.method == "sepa_debit":
        sepa = {"bank_code": "37040044", "branch_code": "", "country": "DE"}
        last4 = f"{charge.number % 10_000:04d}"
        mandate = f"mandate_{charge.stem}"
        sepa |= {"fingerprint": charge.stem[-16:], "last4": last4, "mandate": mandate}
        return {"sepa_debit": sepa, "type": "sepa_debit"}
    return {"card": _card(charge), "type": "card"}


def _card(charge: Charge) -> Body:
    brand, country = CARDS[charge.number % len(CARDS)]
    unavailable = {"status": "unavailable"}
    return {
        "amount_authorized": charge.amount,
        "authorization_code": f"{charge.number % 10**6:06d}",
        "brand": brand,
        "checks": {
            "address_line1_check": None,
            "address_postal_code_check": None,
            "cvc_check": "pass",
        },
        "country": country,
        "exp_month": charge.number % 12 + 1,
        "exp_year": 2027 + charge.number % 5,
        "extended_authorization": {"status": "disabled"},
        "fingerprint": f"{charge.number:016X}",
        "funding": "credit" if charge.number % 3 else "debit",
        "incremental_authorization": unavailable,
        "installments": None,
        "last4": f"{charge.number % 10_000:04d}",
        "mandate": None,
        "multicapture": unavailable,
        "network": brand,
        "network_token": {"used": False},
        "network_transaction_id": f"{charge.number:015d}",
        "overcapture": {"maximum_amount_capturable": charge.amount, **unavailable},
        "regulated_status": "unregulated",
        "three_d_secure": None,
        "wallet": None,
    }
