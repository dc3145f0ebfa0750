"""A YAML file with the line of every value, so that a mistake can be shown where it was made."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from integrations.errors import FixConfig, Mistake

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class SourceFile:
    """The values of a file and, per key path, the (line, column) at which it stands, from 1."""

    path: Path
    values: Any
    places: dict[KeyPath, tuple[int, int]]

    def mistake(self, at: KeyPath, message: str) -> Mistake:
        """A mistake at a key path; segments the file does not have (a union's tag) are skipped."""
        known: KeyPath = ()
        for segment in at:
            if (*known, segment) in self.places:
                known = (*known, segment)
        line, column = self.places.get(known, (1, 1))
        return Mistake(message, file=str(self.path), line=line, column=column)


class _Loader(yaml.SafeLoader):
    """A loader that says where a value stands that looks like a date and is none."""

    def construct_yaml_timestamp(self, node: yaml.ScalarNode) -> Any:
        try:
            return super().construct_yaml_timestamp(node)
        except ValueError as error:
            found = f"{node.value} is no date: {error}"
            raise yaml.constructor.ConstructorError(None, None, found, node.start_mark) from error


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _Loader.construct_yaml_timestamp)


def read_yaml(path: Path) -> SourceFile:
    """Parses a file of one YAML document.

    Raises `FixConfig` for a file that cannot be read or parsed, and for a key written twice,
    which YAML would silently resolve to the last.
    """
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.load(text, Loader=_Loader)  # noqa: S506  # a SafeLoader
        nodes = list(_walk(root))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        found = Mistake(str(error.problem), file=str(path), line=line, column=column)
        raise FixConfig("the file is no YAML", where=str(path), mistakes=[found]) from error
    except RecursionError as error:
        raise FixConfig("an anchor of the file holds itself", where=str(path)) from error
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise FixConfig(f"the file cannot be read: {error}", where=str(path)) from error
    places: dict[KeyPath, tuple[int, int]] = {}
    twice: list[Mistake] = []
    for at, node in nodes:
        if at in places:
            line = node.start_mark.line + 1
            twice.append(Mistake(f"{at[-1]!r} is written twice", file=str(path), line=line))
        places[at] = (node.start_mark.line + 1, node.start_mark.column + 1)
    if twice:
        raise FixConfig("the file says one thing twice", where=str(path), mistakes=twice)
    return SourceFile(path, values, places)


def _walk(node: yaml.Node | None, at: KeyPath = ()) -> Iterator[tuple[KeyPath, yaml.Node]]:
    """Every key path below a node, with the node that marks its place: a key, or a list's item."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            yield (*at, key.value), key
            yield from _walk(value, (*at, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield (*at, index), item
            yield from _walk(item, (*at, index))
