"""The plain values of a connector's file, before any model has read them.

What lies between the parts is looked for here, so that one mistake hides no other: a part that a
model refuses is skipped by whoever needs the model, and read by everybody else.
"""

from collections.abc import Iterator
from typing import Any

from pydantic import TypeAdapter, ValidationError

from integrations.connector_template.source_file import KeyPath
from integrations.transport.slots import SLOTS, slots_in

Found = Iterator[tuple[KeyPath, str]]
"""Mistakes, as (key path, message)."""


def part(values: Any, *path: str) -> dict[str, Any]:
    """The mapping at a path of plain values; empty where the file holds something else."""
    for segment in path:
        values = values.get(segment) if isinstance(values, dict) else None
    return values if isinstance(values, dict) else {}


def valid(type_: Any, values: Any) -> Any:
    """The values as the type has them; None where they do not fit, which others report."""
    try:
        return TypeAdapter(type_).validate_python(values)
    except ValidationError:
        return None


def slots(request: dict[str, Any]) -> list[str]:
    """The slots in a request's path and parameters or variables, in the order of `SLOTS`."""
    found = slots_in(
        [
            request.get("path"),
            *part(request, "params").values(),
            *part(request, "variables").values(),
        ]
    )
    return [slot for slot in SLOTS if slot in found]
