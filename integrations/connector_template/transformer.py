"""Part four of a connector's file: what each stream's records become, one mapping a stream.

The mapping itself belongs to the transformation layer; here a file's mappings are bound to the
canonical entities they fill and to the functions of the folder's `transformer.py`, and every
mistake in them is gathered.
"""

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from integrations.connector_template import lookups
from integrations.connector_template.lookups import Files, Other
from integrations.connector_template.models import Models
from integrations.connector_template.own_file import run
from integrations.connector_template.plain_values import valid
from integrations.connector_template.source_file import KeyPath
from integrations.transformation.function import Function
from integrations.transformation.mapping import BoundMapping, MappingErrors, StreamMapping

Functions = Mapping[str, Function]
FILE = "transformer.py"
HASH = "hash"
"""The rule that needs a secret."""


def functions(folder: Path) -> dict[str, Function]:
    """The public functions of a folder's `transformer.py`, by name; none where there is no file.

    Raises `FixConfig` when the file cannot be imported.
    """
    file = folder / FILE
    if not file.exists():
        return {}
    module = run(file)
    own = inspect.getmembers(module, inspect.isfunction)
    return {
        name: function
        for name, function in own
        if function.__module__ == module.__name__ and not name.startswith("_")
    }


def _absent(**_: Any) -> Any:
    raise NotImplementedError("the file that holds it cannot be imported")


class Unknown(dict[str, Function]):
    """The functions of a file that cannot be imported: any name may be one of them."""

    def __bool__(self) -> bool:
        return True

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> Function:
        return _absent


def secret_names(given: Any) -> Iterator[str]:
    """The secrets that the rules in a file's plain values name, wherever these stand."""
    if isinstance(given, dict):
        if given.get("type") == HASH and isinstance(given.get("secret"), str):
            yield given["secret"]
        given = list(given.values())
    for one in given if isinstance(given, list) else ():
        yield from secret_names(one)


def bound(
    mappings: Mapping[str, StreamMapping],
    functions: Functions,
    *,
    models: Models,
    parents: Mapping[str, str],
) -> dict[str, BoundMapping]:
    """The mappings of a file that has no mistakes, by stream; `parents` are the names of child
    streams' parents."""
    files = _files(mappings, models)
    of = {name: mappings[parent] for name, parent in parents.items()}
    return {
        name: bind(mapping, functions, models=models, files=files, of=of.get(name))
        for name, mapping in mappings.items()
    }


def bind(
    mapping: StreamMapping,
    functions: Functions,
    *,
    models: Models,
    files: Files,
    of: StreamMapping | None = None,
) -> BoundMapping:
    """The mapping with its entity; raises `MappingErrors` with every mistake at once. `of` is the
    mapping of a child stream's parent."""
    entity = models.find(mapping.entity)
    return mapping.bind(entity, functions=functions, looking=files, of=of)


def _files(mappings: Mapping[str, StreamMapping | None], models: Models) -> Files:
    return Files(models.folder, {name: _other(given, models) for name, given in mappings.items()})


def _other(mapping: StreamMapping | None, models: Models) -> Other | None:
    """What others may look up in a stream; None where its own mapping is wrong."""
    if mapping is None:
        return None
    try:
        return Other(models.find(mapping.entity), frozenset(mapping.fields))
    except MappingErrors:
        return None


def mistakes(
    transformer: Mapping[str, Any],
    functions: Functions,
    *,
    models: Models,
    parents: Mapping[str, str],
) -> Iterator[tuple[KeyPath, str]]:
    """What is wrong between mappings and entities, as (path below `transformer`, message).

    `parents` are the names of child streams' parents. Takes the file's plain values, so that one
    malformed mapping hides no mistake of another.
    """
    # One that does not fit its model is reported with the rest of the file's shape.
    mappings = {stream: valid(StreamMapping, values) for stream, values in transformer.items()}
    files = _files(mappings, models)
    right = {stream: mapping for stream, mapping in mappings.items() if mapping is not None}
    for stream, mapping in right.items():
        try:
            of = right.get(parents.get(stream, ""))
            bind(mapping, functions, models=models, files=files, of=of)
        except MappingErrors as errors:
            for path, message in errors.mistakes:
                yield (stream, *path), message
    for stream, path, message in lookups.circles(lookups.edges(right), parents=parents):
        yield (stream, *path), message
