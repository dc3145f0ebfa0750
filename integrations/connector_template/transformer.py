"""Part four of a connector's file: what each stream's records become, one mapping a stream.

The mapping itself belongs to the transformation layer; here a file's mappings are bound to the
canonical entities they fill and to the functions of the folder's `transformer.py`, and every
mistake in them is gathered.
"""

import importlib.util
import inspect
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from integrations.canonical import ENTITIES
from integrations.errors import FixConfig, Mistake
from integrations.transformation.function import Function
from integrations.transformation.mapping import BoundMapping, MappingErrors, StreamMapping

KeyPath = tuple[str | int, ...]
Functions = Mapping[str, Function]
FILE = "transformer.py"


def functions(folder: Path) -> dict[str, Function]:
    """The public functions of a folder's `transformer.py`, by name; none where there is no file.

    Raises `FixConfig` when the file cannot be imported.
    """
    file = folder / FILE
    if not file.exists():
        return {}
    spec = importlib.util.spec_from_file_location(f"_connector_{folder.name}_transformer", file)
    assert spec is not None, "a path that ends in .py has a spec"
    assert spec.loader is not None, "and a loader"
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException as error:  # whatever the file raises is a mistake of the file
        found = f"cannot be imported: {type(error).__name__}: {error}"
        mistake = Mistake(found, file=str(file), line=_line(error, file))
        raise FixConfig(
            "the functions cannot be read", where=str(file), mistakes=[mistake]
        ) from error
    own = inspect.getmembers(module, inspect.isfunction)
    return {
        name: function
        for name, function in own
        if function.__module__ == module.__name__ and not name.startswith("_")
    }


def _line(error: BaseException, file: Path) -> int:
    """The line of a file at which its import stopped; 0 where the error names none."""
    if isinstance(error, SyntaxError) and error.filename == str(file):
        return error.lineno or 0
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno or 0 for frame in reversed(frames) if frame.filename == str(file)), 0)


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


def bind(mapping: StreamMapping, functions: Functions) -> BoundMapping:
    """The mapping with its entity; raises `MappingErrors` with every mistake at once."""
    if mapping.entity not in ENTITIES:
        known = ", ".join(sorted(ENTITIES))
        raise MappingErrors([(("entity",), f"no entity {mapping.entity!r}; there are {known}")])
    return mapping.bind(ENTITIES[mapping.entity], functions=functions)


def mistakes(transformer: Mapping[str, Any], functions: Functions) -> Iterator[tuple[KeyPath, str]]:
    """What is wrong between mappings and entities, as (path below `transformer`, message).

    Takes the file's plain values, so that one malformed mapping hides no mistake of another.
    """
    for stream, values in transformer.items():
        try:
            bind(StreamMapping.model_validate(values), functions)
        except ValidationError:
            continue  # reported with the rest of the file's shape
        except MappingErrors as errors:
            for path, message in errors.mistakes:
                yield (stream, *path), message
