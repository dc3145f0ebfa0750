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


_LIBYAML: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Not in every build of the YAML library."""


class _Loader(yaml.SafeLoader):
    """Reads a file that is wrong: its words for a mistake are plainer than those of libyaml."""


class _Fast(_LIBYAML):  # type: ignore[misc]  # no types
    """Reads a file that is right, ten times as fast: every process that loads the definitions
    reads all files."""


def _timestamp(loader: _Loader | _Fast, node: yaml.ScalarNode) -> Any:
    """Says where a value stands that looks like a date and is none."""
    try:
        return loader.construct_yaml_timestamp(node)
    except ValueError as error:
        found = f"{node.value} is no date: {error}"
        raise yaml.constructor.ConstructorError(None, None, found, node.start_mark) from error


for _each in (_Loader, _Fast):
    _each.add_constructor("tag:yaml.org,2002:timestamp", _timestamp)


def read_yaml(path: Path) -> SourceFile:
    """Parses a file of one YAML document.

    Raises `FixConfig` for a file that cannot be read or parsed, and for a key written twice,
    which YAML would silently resolve to the last.
    """
    try:
        text = path.read_text(encoding="utf-8")
        try:
            nodes, values = _parsed(text, _Fast)
        except (yaml.YAMLError, ValueError):
            nodes, values = _parsed(text, _Loader)
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


def _parsed(
    text: str, loading: type[_Loader | _Fast]
) -> tuple[list[tuple[KeyPath, yaml.Node]], Any]:
    """The places and the values of a text; raises as YAML does."""
    loader = loading(text)
    try:
        root = loader.get_single_node()
        nodes = list(_walk(root))  # before merge keys are resolved, which changes the nodes
        return nodes, None if root is None else loader.construct_document(root)
    finally:
        loader.dispose()


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
