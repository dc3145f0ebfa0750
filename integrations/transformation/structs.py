"""Paths into JSON as msgspec Structs that decode just these places and skip the rest."""

import re
from collections.abc import Callable, Iterator, Mapping
from operator import attrgetter
from typing import Any

import msgspec

from integrations.transformation.kinds import Kind

DECODING = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""All that msgspec raises on bytes that are not what was asked for."""

HALF_PAIR = re.compile(
    rb"(\\\\|\\u[dD][89abAB]..\\u[dD][c-fC-F]..)"  # an escaped backslash, or a whole pair: kept
    rb"|\\u[dD][89a-fA-F]..",
    re.DOTALL,
)
"""Half of a surrogate pair: where the group is empty; or what looks like one and is none."""

SLICE = 1000
"""Records that are Python objects at one time."""

Tree = dict[str, Any]
"""Nested dictionaries, a Kind at each leaf."""


def tree(paths: Mapping[str, Kind]) -> Tree:
    """The paths, levels parted by dots, as a tree."""
    root: Tree = {}
    for path, kind in paths.items():
        *parents, leaf = path.split(".")
        inner = root
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[leaf] = kind
    return root


def struct(of: Mapping[str, Any]) -> type[msgspec.Struct]:
    """A Struct that decodes just the tree; its attributes are numbered, JSON names can be any.

    What is absent or null is None, but a place of a kind that is kept as it was sent holds the
    bytes of whatever stands there, none where it is absent.
    """
    fields: list[tuple[str, Any, Any]] = []
    for number, (name, node) in enumerate(of.items()):
        at = f"v{number}"
        if isinstance(node, Kind) and node.as_sent:
            fields.append((at, node.json, msgspec.field(default=msgspec.Raw(b""), name=name)))
        else:
            type_ = node.json if isinstance(node, Kind) else struct(node)
            fields.append((at, type_ | None, msgspec.field(default=None, name=name)))
    return msgspec.defstruct("Record", fields, gc=False)


def places(
    of: Mapping[str, Any], path: str = "", at: tuple[str, ...] = ()
) -> Iterator[tuple[str, Kind, tuple[str, ...]]]:
    """Each leaf of a tree: its path, its kind, and the attributes that lead to it in `struct`."""
    for number, (name, node) in enumerate(of.items()):
        here = f"{path}.{name}" if path else name
        if isinstance(node, Kind):
            yield here, node, (*at, f"v{number}")
        else:
            yield from places(node, here, (*at, f"v{number}"))


def getter(at: tuple[str, ...]) -> Callable[[Any], Any]:
    """Reads the value behind these attributes; None where one on the way is None."""
    read = attrgetter(".".join(at))
    if len(at) == 1:
        return read

    def get(record: Any) -> Any:
        try:
            return read(record)
        except AttributeError:
            return None

    return get
