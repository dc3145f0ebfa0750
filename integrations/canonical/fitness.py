"""What a user's own model has to hold to: the same as ours, and no test of ours sees it first."""

from collections.abc import Iterator
from typing import Any, get_type_hints

from integrations.canonical.entity import POSTGRES, Entity

_TYPES = "Text, Integer, Float, Bool, Timestamp, Date, Money, Quantity, Json or Bytes"


def misfits(model: type[Entity]) -> list[str]:
    """Everything that keeps a model from being an entity; empty for one that can be loaded."""
    try:
        if found := list(_misfits(model)):
            return found
        model.table()
    except Exception as error:  # noqa: BLE001  # whatever pandera or the table says of it
        return [f"{type(error).__name__}: {error}".removeprefix("ValueError: ")]
    return []


def _misfits(model: type[Entity]) -> Iterator[str]:
    schema: Any = model.to_schema()
    types = get_type_hints(model, include_extras=True)
    for name, spec in schema.columns.items():
        if next(iter(getattr(types.get(name), "__metadata__", ())), None) not in POSTGRES:
            yield f"the column {name!r} has a type of its own; a column is {_TYPES}"
        if spec.unique:
            yield f"the column {name!r} is unique, which a batch of rows cannot show"
    if schema.index is not None:
        yield "it has an index, and rows have none"
    if schema.checks or schema.unique or schema.parsers:
        yield "it looks at whole batches of rows; checks are of single values"
