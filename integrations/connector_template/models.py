"""The models that mappings name: entities that are shipped, and those of the user.

A short name (`payment`) is a shipped entity. `schema:Parcel` is the class Parcel of the schema.py
beside the connector's file, or of a module that can be imported: `my_package.models:Parcel`.
"""

import importlib
import inspect
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from integrations.canonical import ENTITIES
from integrations.connector_template.own_file import run
from integrations.errors import FixConfig
from integrations.transformation.mapping import MappingErrors

if TYPE_CHECKING:
    from integrations.canonical.entity import Entity

Defined = Mapping[str, "type[Entity]"]
"""Models by the name of their entity."""


class Models:
    """What the mappings of one folder may name.

    An entity is defined once: `known` are the user's entities of connectors that were read before.
    """

    def __init__(self, folder: Path, *, known: Defined | None = None) -> None:
        self.folder = folder
        self._known = dict(known or {})

    def find(self, named: str) -> "type[Entity]":
        """The model that a file means; raises `MappingErrors` where there is none that fits."""
        if ":" not in named:
            if named not in ENTITIES:
                raise _mistakes([_unknown(named)])
            return ENTITIES[named]
        from integrations.canonical.fitness import misfits

        model = self._imported(named)
        if found := misfits(model):
            raise _mistakes(f"`{named}` is no entity: {one}" for one in found)
        name = model.entity_name()
        first = ENTITIES.get(name) or self._known.setdefault(name, model)
        if first.definition() != model.definition():
            told = f"the entity {name!r} of {_place(model)} is another than that of {_place(first)}"
            raise _mistakes([f"{told}; an entity is defined once: rename one of the classes"])
        return model

    def _imported(self, named: str) -> "type[Entity]":
        from integrations.canonical.entity import Entity

        path, _, name = named.partition(":")
        found: Any = getattr(module := self._module(path), name, None)
        if found is None:
            close = get_close_matches(name, vars(module), n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise _mistakes([f"`{named}`: {path} has no {name!r}{hint}"])
        if not (inspect.isclass(found) and issubclass(found, Entity) and found is not Entity):
            raise _mistakes([f"`{named}` is no subclass of integrations.canonical.entity.Entity"])
        return found

    def _module(self, path: str) -> ModuleType:
        file = self.folder / f"{path}.py"
        try:
            if "." not in path and file.is_file():
                return _beside(file, file.read_bytes())
            return importlib.import_module(path)
        except FixConfig as error:
            raise _mistakes(map(str, error.mistakes)) from error
        except BaseException as error:  # whatever the module raises is a mistake of the module
            told = f"{path!r} cannot be imported: {type(error).__name__}: {error}"
            beside = "" if "." in path else f", and no {path}.py is beside the file"
            raise _mistakes([f"{told}{beside}"]) from error


@lru_cache(maxsize=64)
def _beside(file: Path, source: bytes) -> ModuleType:
    """A file that is as it was makes the same classes: a file is read more than once."""
    return run(file)


def _unknown(name: str) -> str:
    if close := get_close_matches(name, ENTITIES, n=1):
        return f"no entity {name!r}; did you mean {close[0]!r}?"
    known = ", ".join(sorted(ENTITIES))
    return f"no entity {name!r}; there are {known}, and your own: `schema:Class`"


def _place(model: "type[Entity]") -> str:
    return f"{inspect.getsourcefile(model)}:{model.__qualname__}"


def _mistakes(messages: Iterable[str]) -> MappingErrors:
    return MappingErrors([(("entity",), message) for message in messages])
