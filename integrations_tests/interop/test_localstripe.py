"""localstripe (github.com/adrienverge/localstripe), somebody else's idea of Stripe: the shipped
connector, as it stands, fills its tables from it by the command line.

Charges and events are not among them: it has neither a window's filter nor `ending_before`.
"""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from integrations.processes import named
from integrations.sandbox.address import FILE
from integrations.storage.database import connect
from integrations_tests.interop.conftest import started, synced
from integrations_tests.interop.stripe_server import __name__ as server

pytestmark = pytest.mark.filterwarnings(
    # Dagster asks pydantic for its fields by their old name.
    "ignore::pydantic.warnings.PydanticDeprecatedSince20:dagster"
)

KEY = "sk_test_of_another_house"
CUSTOMERS, PAYOUTS = 120, 3
"""More than a page of the connector, and less."""
STREAMS = ("stripe/sandbox/customers", "stripe/sandbox/payouts")


@pytest.fixture
def stripe(tmp_path: Path) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {KEY}"}
    with (
        started(tmp_path / "log", "-m", server, "{socket}") as url,
        httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=30) as client,
    ):
        yield client


def create(stripe: httpx.Client, kind: str, **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = stripe.post(f"/v1/{kind}", json=fields).raise_for_status().json()
    return made


def test_the_shipped_connector_fills_its_tables_from_it(
    stripe: httpx.Client, home: Path, database: str
) -> None:
    served = {"url": str(stripe.base_url), "secrets": {"api_key": KEY}}
    (home / FILE).write_text(json.dumps({"stripe": served, **named()}))
    made = [
        create(stripe, "customers", name=f"Zoë {n}", email=f"{n}@example.com", address={"country": "nl"})
        for n in range(CUSTOMERS)
    ]  # fmt: skip
    for number in range(PAYOUTS):
        create(stripe, "payouts", amount=1210 + number, currency="eur", status="paid")

    lines = synced(*STREAMS)
    assert (lines["stripe/customers"]["inserted"], lines["stripe/customers"]["api_calls"]) == (
        CUSTOMERS,
        2,
    )
    with connect(database) as connection:
        payouts = connection.execute("SELECT amount, currency, status FROM canonical.payout")
        assert {*payouts} == {(Decimal(f"12.1{n}"), "EUR", "paid") for n in range(PAYOUTS)}
        customers = connection.execute(
            "SELECT source_id, name, email, country FROM canonical.customer"
        )
        assert sorted(customers) == sorted((c["id"], c["name"], c["email"], "NL") for c in made)
