"""The twin against the published fields of ShipHero's types, where they are beside the repository."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import graphql
import pytest
from jsonschema import Draft7Validator

from integrations.sandbox.shiphero import EPOCH, KINDS
from integrations.sandbox.shiphero_schema import SCHEMA
from integrations_tests.sandbox.test_shiphero_api import another

CONTRACTS = Path(__file__).parents[2].parent / "shared" / "contracts" / "shiphero"
LATE = EPOCH + timedelta(days=20)
TYPES = {"orders": "Order", "shipments": "Shipment", "returns": "Return"}
SCALARS = {"integer": "Int", "boolean": "Boolean", "string": "String"}
Json = dict[str, Any]

pytestmark = pytest.mark.skipif(
    not CONTRACTS.is_dir(), reason="ShipHero's contract files are not beside the repository"
)


def contract(kind: str) -> Json:
    found: Json = json.loads((CONTRACTS / f"{kind}.json").read_text())
    return found


def kind_of(schema: Json) -> str:
    said = schema["type"]
    (kind,) = {said} if isinstance(said, str) else {*said} - {"null"}
    return str(kind)


def differences(schema: Json, type_: Any, at: str) -> Iterator[str]:
    """Where a type of ours is not what the contract says; stricter about null it may be."""
    bare = graphql.get_nullable_type(type_)
    if "null" not in schema["type"] and bare is type_:
        yield f"{at} may be null here"
    kind = kind_of(schema)
    if kind == "array":
        if isinstance(bare, graphql.GraphQLList):
            yield from differences(schema["items"] | {"type": ["object", "null"]}, bare.of_type, at)
        else:
            yield f"{at} is no list here"
    elif kind == "object":
        for name, inner in schema.get("properties", {}).items():
            fields = getattr(bare, "fields", {})
            if name in fields:
                yield from differences(inner, fields[name].type, f"{at}.{name}")
            else:
                yield f"{at}.{name} is not there"
    else:
        wanted = "ISODateTime" if schema.get("format") == "date-time" else SCALARS[kind]
        if str(bare) != wanted:
            yield f"{at} is {bare} here"


def selected(schema: Json) -> str:
    """All fields of the contract, as a query asks for them."""
    if kind_of(schema) == "array":
        return selected(schema["items"])
    if kind_of(schema) != "object":
        return ""
    inner = " ".join(f"{name} {selected(one)}" for name, one in schema["properties"].items())
    return f"{{ {inner} }}"


@pytest.mark.parametrize("kind", KINDS)
def test_the_schema_has_the_fields_of_the_contract(kind: str) -> None:
    """Each by its name, with its type, and never null where it is not there; another type shows."""
    found = contract(kind)
    assert [*differences(found, SCHEMA.type_map[TYPES[kind]], kind)] == [f"{kind} may be null here"]
    found["properties"]["legacy_id"] = {"type": "string"}
    assert f"{kind}.legacy_id is Int here" in [
        *differences(found, SCHEMA.type_map[TYPES[kind]], kind)
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_as_the_contract_says(kind: str) -> None:
    """A query for every field of the contract, in every state; a spoilt answer would not pass."""
    query = f"{{ {kind} {{ data {{ edges {{ node {selected(contract(kind))} }} }} }} }}"
    with another(seed=7, clock=lambda: LATE) as ask:
        answer = ask(query)
    assert "errors" not in answer
    nodes = [edge["node"] for edge in answer["data"][kind]["data"]["edges"]]
    check = Draft7Validator(contract(kind))
    assert [error.message for node in nodes for error in check.iter_errors(node)] == []
    assert len(nodes) == 100
    assert list(check.iter_errors(nodes[0] | {"legacy_id": "x"}))
