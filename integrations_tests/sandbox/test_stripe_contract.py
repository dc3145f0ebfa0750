"""The twin against Stripe's published files, where they are at hand beside the repository."""

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from integrations.sandbox.stripe import EPOCH
from integrations.sandbox.stripe_contract import violation
from integrations.sandbox.stripe_events import event_body, events_of
from integrations.sandbox.stripe_shop import Shop
from integrations_tests.sandbox.conftest import SEED, epoch_s
from integrations_tests.sandbox.test_stripe_data import look

CONTRACTS = Path(__file__).parents[2].parent / "shared" / "contracts" / "stripe"
LATE = EPOCH + timedelta(days=53, hours=12)
NAMES = {
    "charges": "charge",
    "refunds": "refund",
    "balance_transactions": "balance_transaction",
    "payouts": "payout",
    "customers": "customer",
}
OLD = {"source", "refunds"}
"""In Stripe's sample of a charge, but only in the answers of versions before 2022-11-15."""

pytestmark = pytest.mark.skipif(
    not CONTRACTS.is_dir(), reason="Stripe's contract files are not beside the repository"
)


@pytest.fixture(scope="module")
def seen() -> dict[str, list[dict[str, Any]]]:
    return look(LATE)


@pytest.fixture(scope="module")
def told() -> dict[str, list[dict[str, Any]]]:
    """Some hundred events of every type, and the disputes that some of them carry."""
    facts = Shop(SEED, epoch=EPOCH, per_day=60, bad_charges=()).live_until(epoch_s(LATE))
    bodies = [event_body(event) for event in [*events_of(facts)] if not event.bad]
    by_type: dict[str, list[dict[str, Any]]] = {}
    for event in bodies:
        by_type.setdefault(event["type"], []).append(event)
    disputes = [event["data"]["object"] for event in by_type["charge.dispute.created"]]
    return {"event": [e for few in by_type.values() for e in few[:20]], "dispute": disputes}


@pytest.fixture(scope="module")
def schemas() -> dict[str, Any]:
    """The schemas of all files; what they only point to is taken as anything."""
    known: dict[str, Any] = {}
    for file in sorted((CONTRACTS / "openapi").glob("*.yml")):
        known |= yaml.load(file.read_text(), Loader=yaml.CSafeLoader)["components"]["schemas"]
    return {name: _as_json_schema(schema, known) for name, schema in known.items()}


def _as_json_schema(node: Any, known: Mapping[str, Any]) -> Any:
    """OpenAPI 3.0's dialect as JSON Schema: `nullable`, and references that resolve."""
    if isinstance(node, list):
        return [_as_json_schema(item, known) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        name = str(node["$ref"]).rpartition("/")[2]
        return {"$ref": f"#/$defs/{name}"} if name in known else {}
    made = {key: _as_json_schema(value, known) for key, value in node.items() if key != "nullable"}
    return {"anyOf": [{"type": "null"}, made]} if node.get("nullable") is True else made


def mistakes(schemas: Mapping[str, Any], name: str, things: list[dict[str, Any]]) -> list[str]:
    check = Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": dict(schemas)})
    return [f"{thing.get('id')}: {e.message}" for thing in things for e in check.iter_errors(thing)]


@pytest.mark.parametrize("kind", [kind for kind in NAMES if kind != "customers"])
def test_objects_pass_the_openapi_schema(
    seen: dict[str, list[dict[str, Any]]], schemas: dict[str, Any], kind: str
) -> None:
    """Good objects of every state pass Stripe's own schema, and a spoilt one does not."""
    things = seen[kind][:: max(1, len(seen[kind]) // 300)]
    assert mistakes(schemas, NAMES[kind], things) == []
    assert mistakes(schemas, NAMES[kind], [things[0] | {"amount": "12"}])


@pytest.mark.parametrize("name", ["event", "dispute"])
def test_the_feed_passes_the_openapi_schema(
    told: dict[str, list[dict[str, Any]]], schemas: dict[str, Any], name: str
) -> None:
    """Events of every type, and disputes, pass Stripe's own schema and carry its sample's fields."""
    assert mistakes(schemas, name, told[name]) == []
    assert mistakes(schemas, name, [told[name][0] | {"livemode": "no"}])
    sample = json.loads((CONTRACTS / "samples" / f"{name}.json").read_text())
    assert sample.keys() - told[name][0].keys() == set()
    assert sample.get("evidence", {}).keys() - told[name][0].get("evidence", {}).keys() == set()


def test_our_description_admits_the_sample_of_an_event() -> None:
    """Events have no list of facts of their own, but a description all the same."""
    sample = (CONTRACTS / "samples" / "event.json").read_bytes()
    assert violation("events", body=sample) is None


@pytest.mark.parametrize("kind", NAMES)
def test_objects_have_the_fields_of_the_sample(
    seen: dict[str, list[dict[str, Any]]], kind: str
) -> None:
    """Whatever Stripe's published sample carries, ours carries."""
    sample = json.loads((CONTRACTS / "samples" / f"{NAMES[kind]}.json").read_text())
    missing = sample.keys() - seen[kind][0].keys() - OLD
    assert missing - {"customer", "customer_account", "payment_method"} == set()


@pytest.mark.parametrize("kind", NAMES)
def test_our_description_admits_the_sample(kind: str) -> None:
    """Our words for the contract are not narrower than Stripe's own example."""
    sample = json.loads((CONTRACTS / "samples" / f"{NAMES[kind]}.json").read_text())
    assert violation(kind, body=json.dumps(sample).encode()) is None
