"""The twin against Sendcloud's published files, where they are at hand beside the repository."""

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from integrations.sandbox.sendcloud import EPOCH, KINDS
from integrations.sandbox.sendcloud_contract import violation
from integrations.sandbox.sendcloud_depot import Depot
from integrations.sandbox.sendcloud_dialects import micros
from integrations.sandbox.sendcloud_names import STATUSES
from integrations.sandbox.sendcloud_objects import body
from integrations.sandbox.sendcloud_query import SendcloudError

CONTRACTS = Path(__file__).parents[2].parent / "shared" / "contracts" / "sendcloud"
LATE = micros(EPOCH + timedelta(days=40))
SEED = 7
Json = dict[str, Any]
SCHEMAS = {
    "shipments": ("sendcloud-shipments", "shipment-response"),
    "parcels": ("sendcloud-v2-parcels", "ParcelResponseShort"),
    "returns": ("sendcloud-v3-returns", "Return"),
}
SAMPLES = {
    "shipments": ("v3_shipments_page.json", "data"),
    "parcels": ("v2_parcels_page.json", "parcels"),
}

pytestmark = pytest.mark.skipif(
    not CONTRACTS.is_dir(), reason="Sendcloud's contract files are not beside the repository"
)


@pytest.fixture(scope="module")
def seen() -> dict[str, list[Json]]:
    """Good objects of forty days, in every state."""
    new = Depot(SEED, epoch=EPOCH, per_day=20).live_until(LATE)
    return {
        kind: [
            body(fact, now=LATE)
            for fact in getattr(new, kind)
            if fact.created <= LATE and not fact.bad
        ]
        for kind in KINDS
    }


def document(kind: str) -> Json:
    name, _ = SCHEMAS[kind]
    file = CONTRACTS / f"{name}.openapi.yml"
    loaded: Json = yaml.load(file.read_text(), Loader=yaml.CSafeLoader)
    return loaded


def as_json_schema(node: Any) -> Any:
    """What these files write beside JSON Schema's own: `nullable`, and null beside a reference."""
    if isinstance(node, list):
        return [as_json_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {key: as_json_schema(value) for key, value in node.items() if key != "nullable"}
    null = node.get("nullable") is True or ("$ref" in node and "null" in node.get("type", ()))
    if null and "$ref" in made:
        made.pop("type", None)
    return {"anyOf": [{"type": "null"}, made]} if null else made


def mistakes(spec: Mapping[str, Any], schema: Json, things: list[Any]) -> list[str]:
    check = Draft202012Validator({"components": as_json_schema(spec["components"]), **schema})
    return [f"{e.json_path}: {e.message}" for thing in things for e in check.iter_errors(thing)]


@pytest.mark.parametrize("kind", KINDS)
def test_objects_pass_the_openapi_schema(seen: dict[str, list[Json]], kind: str) -> None:
    """Good objects of every state pass Sendcloud's own schema, and a spoilt one does not."""
    things = [{**thing} for thing in seen[kind][:: max(1, len(seen[kind]) // 150)]]
    for thing in things:
        # Null in the file's own example, and by its schema an object.
        thing.pop("customs_information", None)
    schema = {"$ref": f"#/components/schemas/{SCHEMAS[kind][1]}"}
    assert mistakes(document(kind), schema, things) == []
    spoilt = {"shipments": "order_number", "parcels": "weight", "returns": "weight"}[kind]
    assert mistakes(document(kind), schema, [things[0] | {spoilt: 12}])


@pytest.mark.parametrize("kind", SAMPLES)
def test_objects_have_the_fields_of_the_sample(seen: dict[str, list[Json]], kind: str) -> None:
    """Whatever Sendcloud's published sample carries, ours carries, down to a box and its goods."""
    file, place = SAMPLES[kind]
    sample = json.loads((CONTRACTS / "samples" / file).read_text())[place][0]
    ours = next(thing for thing in seen[kind] if date_announced(thing))
    assert sample.keys() - ours.keys() == set()
    for box, own in zip(sample.get("parcels", []), ours.get("parcels", []), strict=True):
        assert box.keys() - own.keys() == set()
        optional = {"material_content", "intended_use", "dds_reference", "taric_doc_code"}
        optional |= {"manufacturer_product_id", "manufacturer_product_id_std"}
        assert box["parcel_items"][0].keys() - own["parcel_items"][0].keys() <= optional


def date_announced(thing: Json) -> object:
    boxes = thing.get("parcels")
    return boxes[0].get("dimensions") if boxes else thing.get("date_announced")


@pytest.mark.parametrize("kind", KINDS)
def test_our_description_admits_the_sample(kind: str) -> None:
    """Our words for the contract are not narrower than Sendcloud's own example."""
    if kind in SAMPLES:
        file, place = SAMPLES[kind]
        (sample,) = json.loads((CONTRACTS / "samples" / file).read_text())[place]
    else:
        answer = document(kind)["paths"]["/returns"]["get"]["responses"]["200"]
        (sample,) = answer["content"]["application/json"]["examples"]["Success"]["value"]["data"]
    assert violation(kind, body=json.dumps(sample).encode()) is None


def test_every_return_has_the_example_s_fields(seen: dict[str, list[Json]]) -> None:
    """And an id, which the reference promises in words and leaves out of the example."""
    answer = document("returns")["paths"]["/returns"]["get"]["responses"]["200"]
    (sample,) = answer["content"]["application/json"]["examples"]["Success"]["value"]["data"]
    assert all(thing.keys() - sample.keys() == {"id", "status"} for thing in seen["returns"])
    assert all(sample.keys() - thing.keys() == set() for thing in seen["returns"])


def test_the_statuses_are_those_of_the_reference() -> None:
    """Those that a return's filter knows, in the spelling of v3."""
    parameters = document("returns")["paths"]["/returns"]["get"]["parameters"]
    (known,) = [p["schema"]["enum"] for p in parameters if p.get("name") == "parent_parcel_status"]
    assert {word.upper().replace("-", "_") for word in known} == STATUSES.keys()


def test_refusals_have_the_shape_of_the_samples() -> None:
    """v3's as Sendcloud answered, v2's as its file has it."""
    error = SendcloudError("Invalid username/password.", status=401, code="authentication_failed")
    sample = json.loads((CONTRACTS / "samples" / "v3_401.json").read_text())
    assert error.body("/api/v3/shipments") == sample
    answer = document("parcels")["paths"]["/parcels"]["get"]["responses"]["404"]
    example = answer["content"]["application/json"]["examples"]["InvalidCursor"]["value"]
    error = SendcloudError("Invalid cursor", status=404, code="not_found")
    assert error.body("/api/v2/parcels") == example
    said = "Validation failed, announced_after is not a datetime"
    pointer = "/list_shipments/filters"
    error = SendcloudError(said, status=400, code="validation_error", pointer=pointer)
    answer = document("shipments")["paths"]["/shipments"]["get"]["responses"]["400"]
    example = answer["content"]["application/json"]["examples"]["ValidationError"]["value"]
    assert error.body("/api/v3/shipments") == example
