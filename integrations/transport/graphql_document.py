"""Reading a GraphQL document at load: what would fail, or be cut in silence, is refused there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from graphql import (
        FieldNode,
        FragmentDefinitionNode,
        SelectionSetNode,
        VariableDefinitionNode,
        VariableNode,
    )

# graphql-core is imported where a document is read: files without one need not pay for it.


@dataclass(frozen=True)
class Selected:
    """A field of the document: `below` by the names under which an answer has them."""

    name: str
    arguments: frozenset[str]
    below: "Mapping[str, Selected]"

    def at(self, place: str) -> "Selected | None":
        """The field at a place, names joined by dots; None where the document has none."""
        found: Selected | None = self
        for name in place.split("."):
            found = found.below.get(name) if found else None
        return found

    @property
    def is_connection(self) -> bool:
        """Whether it looks like one of Relay's, or like a list that is cut."""
        return "edges" in self.below or not self.arguments.isdisjoint({"first", "last"})

    @property
    def tells_more(self) -> bool:
        """Whether it asks if there is more, and where."""
        info = self.below.get("pageInfo")
        return info is not None and {"hasNextPage", "endCursor"} <= info.below.keys()

    @property
    def node(self) -> "Selected | None":
        """The node of its edges."""
        return self.at("edges.node")


@dataclass(frozen=True)
class Document:
    """A query: its fields below `data`, its variables with whether each must be given, and those of
    them that are declared as numbers: a server refuses a text there (spec.graphql.org, 3.5.1)."""

    data: Selected
    variables: Mapping[str, bool]
    numbers: frozenset[str] = frozenset()

    @classmethod
    def read(cls, text: str) -> Self:
        """Raises `ValueError`, with the line, for a text that is no single query."""
        from graphql import (
            FragmentDefinitionNode,
            GraphQLSyntaxError,
            NonNullTypeNode,
            OperationDefinitionNode,
            OperationType,
            parse,
        )

        try:
            tree = parse(text)
        except GraphQLSyntaxError as error:
            line = error.locations[0].line if error.locations else 1
            raise ValueError(f"line {line} of the query: {error.message}") from error
        operations = [one for one in tree.definitions if isinstance(one, OperationDefinitionNode)]
        if len(operations) != 1 or operations[0].operation is not OperationType.QUERY:
            raise ValueError("it should hold one operation, a query: we only read")
        (operation,) = operations
        fragments = {
            one.name.value: one
            for one in tree.definitions
            if isinstance(one, FragmentDefinitionNode)
        }
        declared = operation.variable_definitions or ()
        required = {
            one.variable.name.value: isinstance(one.type, NonNullTypeNode)
            and one.default_value is None
            for one in declared
        }
        used = _used(tree, {id(one.variable) for one in declared})
        _same(required.keys(), used)
        below = _fields(operation.selection_set, fragments, frozenset())
        numbers = (one.variable.name.value for one in declared if _type(one) in ("Int", "Float"))
        data = Selected("data", frozenset(), below)
        return cls(Selected("", frozenset(), {"data": data}), required, frozenset(numbers))

    def takes(self, given: Mapping[str, bool]) -> None:
        """Raises `ValueError` for variables that are given and not declared, or the other way
        round; `given` says of each whether it always has a value."""
        for name in given.keys() - self.variables.keys():
            raise ValueError(f"the query declares no variable ${name}")
        for name, required in self.variables.items():
            if name not in given:
                raise ValueError(f"the query's variable ${name} is never given")
            if required and not given[name]:
                raise ValueError(f"the query needs ${name}, which does not always have a value")

    def connection(self, place: str) -> Selected:
        """Raises `ValueError` where the document has no whole connection at the place."""
        found = self.data.at(place)
        if found is None:
            raise ValueError(f"the query asks for nothing at {place}")
        if found.node is None:
            raise ValueError(f"{place} should ask for edges {{ node {{ … }} }}")
        if not found.tells_more:
            raise ValueError(
                f"{place} should ask for pageInfo {{ hasNextPage endCursor }}: without it nobody "
                "sees that it is cut"
            )
        return found


def connections(node: Selected, at: str = "") -> Iterator[tuple[str, Selected]]:
    """The connections inside a record, with their places in it; not those inside these."""
    for name, field in node.below.items():
        place = f"{at}.{name}" if at else name
        if field.is_connection:
            yield place, field
        else:
            yield from connections(field, place)


def _type(declared: "VariableDefinitionNode") -> str:
    """The name of a variable's type, "" for a list."""
    from graphql import NamedTypeNode, NonNullTypeNode

    inner = declared.type.type if isinstance(declared.type, NonNullTypeNode) else declared.type
    return inner.name.value if isinstance(inner, NamedTypeNode) else ""


def _same(declared: object, used: set[str]) -> None:
    names = set(declared)  # type: ignore[call-overload]
    for name in sorted(names - used):
        raise ValueError(f"the query declares ${name} and does not use it")
    for name in sorted(used - names):
        raise ValueError(f"the query uses ${name} and does not declare it")


def _used(tree: object, declarations: set[int]) -> set[str]:
    from graphql import Visitor, visit

    found: set[str] = set()

    class Uses(Visitor):
        def enter_variable(self, node: "VariableNode", *_: object) -> None:
            if id(node) not in declarations:
                found.add(node.name.value)

    visit(tree, Uses())  # type: ignore[arg-type]
    return found


def _fields(
    selection: "SelectionSetNode | None",
    fragments: "Mapping[str, FragmentDefinitionNode]",
    within: frozenset[str],
) -> dict[str, Selected]:
    """Fields by their names in the answer, those of fragments among them."""
    from graphql import FieldNode, FragmentSpreadNode, InlineFragmentNode

    fields: dict[str, Selected] = {}
    for one in selection.selections if selection else ():
        if isinstance(one, FieldNode):
            below = _fields(one.selection_set, fragments, within)
            _merge(fields, {_named(one): Selected(one.name.value, _arguments(one), below)})
        elif isinstance(one, InlineFragmentNode):
            _merge(fields, _fields(one.selection_set, fragments, within))
        elif isinstance(one, FragmentSpreadNode):
            name = one.name.value
            if name not in fragments or name in within:
                raise ValueError(f"the fragment {name} is not defined, or holds itself")
            _merge(fields, _fields(fragments[name].selection_set, fragments, within | {name}))
    return fields


def _merge(fields: dict[str, Selected], more: Mapping[str, Selected]) -> None:
    for name, field in more.items():
        if (known := fields.get(name)) is None:
            fields[name] = field
            continue
        below = dict(known.below)
        _merge(below, field.below)
        fields[name] = Selected(known.name, known.arguments | field.arguments, below)


def _named(field: "FieldNode") -> str:
    return field.alias.value if field.alias else field.name.value


def _arguments(field: "FieldNode") -> frozenset[str]:
    return frozenset(argument.name.value for argument in field.arguments)
