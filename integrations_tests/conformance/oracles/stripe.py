"""What must be in the tables of what Stripe holds, told from Stripe's documentation alone."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx

from integrations.names import Window

Record = dict[str, Any]
DECIMALS = {"jpy": 0, "kwd": 3}
"""Of the currencies that the twin's shop takes; all others have two."""
LARGEST = 2**63 - 1


def let_in(_: httpx.Client, secrets: Mapping[str, str]) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {secrets['api_key']}"}


def records(client: httpx.Client, stream: str, window: Window | None) -> Iterator[Record]:
    """A list, until a page is not full: what it says of more is not believed."""
    params: dict[str, Any] = {"limit": 100}
    if window is not None:
        params["created[gte]"] = int(window.start.timestamp())
        params["created[lt]"] = int(window.end.timestamp())
    while True:
        page = client.get(f"/v1/{stream}", params=params).raise_for_status().json()["data"]
        yield from page
        if len(page) < 100:
            return
        params["starting_after"] = page[-1]["id"]


def expected(stream: str, record: Record) -> Mapping[str, Any] | None:
    if stream != "customers" and not _sound(record):
        return None
    return _MAKERS[stream](record)


def _sound(record: Record) -> bool:
    amount, description = record["amount"], record.get("description") or ""
    return (
        type(amount) is int
        and amount <= LARGEST
        and isinstance(record.get("currency"), str)
        and isinstance(record["created"], int)
        and record.get("status") != "under_review"
        and "\x00" not in description
    )


def _money(record: Record, field: str) -> Decimal:
    return Decimal(record[field]) / 10 ** DECIMALS.get(record["currency"], 2)


def _at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _ident(value: str | Record | None) -> str | None:
    return value["id"] if isinstance(value, dict) else value


def _charge(charge: Record) -> Record:
    status = charge["status"]
    if status == "succeeded":
        status = "paid" if charge["captured"] else "authorised"
        status = "refunded" if charge["refunded"] else status
        status = "disputed" if charge["disputed"] else status
    return {
        "amount": _money(charge, "amount"),
        "amount_refunded": _money(charge, "amount_refunded"),
        "currency": charge["currency"].upper(),
        "status": status,
        "status_raw": charge["status"],
        "method": charge["payment_method_details"]["type"],
        "customer_id": _ident(charge["customer"]),
        "description": charge["description"],
        "failure_code": charge["failure_code"],
        "captured": charge["captured"],
        "livemode": charge["livemode"],
        "created_at": _at(charge["created"]),
        "metadata": charge["metadata"],
    }


def _refund(refund: Record) -> Record:
    return {
        "payment_id": _ident(refund["charge"]),
        "amount": _money(refund, "amount"),
        "currency": refund["currency"].upper(),
        "status": refund["status"].replace("canceled", "cancelled"),
        "status_raw": refund["status"],
        "reason": refund["reason"],
        "created_at": _at(refund["created"]),
        "metadata": refund["metadata"],
    }


def _line(line: Record) -> Record:
    types = {
        "charge": "settled",
        "refund": "refund",
        "dispute": "chargeback",
        "payout": "payout",
        "payout_reversal": "correction",
        "refund_failure": "correction",
    }
    return {
        "type": types[line["reporting_category"]],
        "type_raw": line["reporting_category"],
        "psp_reference": _ident(line["source"]),
        "gross": _money(line, "amount"),
        "gross_currency": line["currency"].upper(),
        "exchange_rate": line["exchange_rate"],
        "net": _money(line, "net"),
        "net_currency": line["currency"].upper(),
        "commission": _money(line, "fee"),
        "booked_at": _at(line["created"]),
    }


def _customer(customer: Record) -> Record:
    address = customer["address"] or {}
    return {
        "name": customer["name"],
        "email": customer["email"],
        "phone": customer["phone"],
        "street": address.get("line1"),
        "postal_code": address.get("postal_code"),
        "city": address.get("city"),
        "country": address.get("country"),
        "currency": customer["currency"] and customer["currency"].upper(),
        "created_at": _at(customer["created"]),
        "metadata": customer["metadata"],
    }


def _payout(payout: Record) -> Record:
    return {
        "amount": _money(payout, "amount"),
        "currency": payout["currency"].upper(),
        "status": payout["status"],
        "status_raw": payout["status"],
        "method": payout["method"],
        "arrival_date": _at(payout["arrival_date"]).date(),
        "created_at": _at(payout["created"]),
        "description": payout["description"],
        "metadata": payout["metadata"],
    }


_MAKERS = {
    "charges": _charge,
    "refunds": _refund,
    "balance_transactions": _line,
    "customers": _customer,
    "payouts": _payout,
}
