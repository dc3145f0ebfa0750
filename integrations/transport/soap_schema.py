"""The shapes of answers, as the types of a WSDL have them."""

from collections.abc import Iterator
from typing import Any

from zeep import xsd

from integrations.transport.soap_shape import Field, Shape


class Shapes:
    """The shapes of a schema's types, each made once: types hold themselves."""

    def __init__(self, schema: Any) -> None:
        self._schema = schema
        self._known: dict[int, Shape] = {}
        self._named: dict[str, Shape | None] = {}

    def of(self, type_: Any) -> Shape:
        """The shape of a zeep type."""
        if (known := self._known.get(id(type_))) is not None:
            return known
        shape = self._known[id(type_)] = Shape(derived=self.named)
        if isinstance(type_, xsd.ComplexType):
            self._fill(shape, type_)
        else:
            shape.open = type(type_) is xsd.AnyType  # every type is an instance of it
            shape.strips = not shape.open and not isinstance(type_, xsd.String)
        return shape

    def named(self, tag: str) -> Shape | None:
        """The shape of the type with this name; None where the schema has none."""
        if tag not in self._named:
            try:
                self._named[tag] = self.of(self._schema.get_type(tag))
            except (LookupError, ValueError):  # a name that nobody has defined
                self._named[tag] = None
        return self._named[tag]

    def _fill(self, shape: Shape, type_: Any) -> None:
        if type_._array_type is not None:
            shape.open = True
            return
        for many, one in _elements(type_._element, many=False):
            if isinstance(one, xsd.Any):
                shape.open = True
                continue
            if one.name == "_value_1":  # its text, which attributes stand beside
                inner = self.of(one.type)
                shape.strips = inner.strips
                continue
            several = many or one.accepts_multiple or one.qname.text in shape.fields
            shape.fields[one.qname.text] = Field(one.name, several, self.of(one.type))
        _tell_apart(shape)


def _elements(node: Any, *, many: bool) -> Iterator[tuple[bool, Any]]:
    """The elements of a type, each with whether it stands in a group that comes several times."""
    if node is None:
        return
    if isinstance(node, xsd.Group):
        yield from _elements(node.child, many=many or node.accepts_multiple)
    elif isinstance(node, list):
        for one in node:
            yield from _elements(one, many=many or node.accepts_multiple)  # type: ignore[attr-defined]
    else:
        yield many, node


def _tell_apart(shape: Shape) -> None:
    """Elements of one name and two namespaces are known by both."""
    keys = [one.key for one in shape.fields.values()]
    for tag, one in shape.fields.items():
        if keys.count(one.key) > 1:
            shape.fields[tag] = Field(tag, one.many, one.shape)
