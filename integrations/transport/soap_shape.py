"""What is known of an answer before it comes: which elements there are, and which are lists.

A list is one because the schema says that it may have several, not because several came: else a
field would be a text on one day and a list on the next.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

ANY = "*"
"""Stands in a place for an element of whatever name: those of an encoded array have none of their
own."""


@dataclass(frozen=True)
class Field:
    """An element inside another: its `key` in the record, whether it is a list, and its shape."""

    key: str
    many: bool
    shape: "Shape"


@dataclass
class Shape:
    """What may be in an element; `fields` by their tags. `open`: nothing is known of that, as in
    `xs:any` and encoded arrays. `strips`: white space around its text says nothing."""

    fields: dict[str, Field] = field(default_factory=dict)
    open: bool = False
    strips: bool = False
    derived: Callable[[str], "Shape | None"] = field(default=lambda _: None, repr=False)
    """The shape of the type with this name, for elements that say their own."""

    @property
    def unknown(self) -> "Shape":
        """That of an element inside of which nothing is declared, unless it says its own type."""
        return Shape(open=True, derived=self.derived)


def below(shape: Shape, place: str) -> Shape | None:
    """The shape at a place (names joined by dots), None where the schema has no such element."""
    for name in place.split("."):
        found = [one.shape for tag, one in shape.fields.items() if name in (ANY, local(tag))]
        if not found and not shape.open:
            return None
        shape = found[0] if found else shape.unknown
    return shape


def local(tag: str) -> str:
    """A tag without its namespace."""
    return tag.rpartition("}")[2]
