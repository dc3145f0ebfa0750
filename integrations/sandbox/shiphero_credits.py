"""What a query costs at ShipHero, and the credits that it is paid with.

A connection costs what it may give, `first` records and all that lies below each of them; without a
`first` that is 100. The credits come back by the second (developer.shiphero.com/getting-started).
"""

import threading
from collections.abc import Mapping
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
)

from integrations.sandbox.faults import Clock
from integrations.sandbox.shiphero_schema import MOST


def cost(document: DocumentNode, variables: Mapping[str, Any]) -> int:
    """The credits that the operation in a document needs."""
    fragments = {
        one.name.value: one.selection_set
        for one in document.definitions
        if isinstance(one, FragmentDefinitionNode)
    }
    operations = [one for one in document.definitions if isinstance(one, OperationDefinitionNode)]
    return 1 + sum(_below(one.selection_set, fragments, variables) for one in operations)


def _below(
    selection: SelectionSetNode | None,
    fragments: Mapping[str, SelectionSetNode],
    variables: Mapping[str, Any],
) -> int:
    total = 0
    for one in selection.selections if selection else ():
        if isinstance(one, FragmentSpreadNode):
            inner = fragments.get(one.name.value)
        else:
            inner = one.selection_set  # type: ignore[attr-defined]
        below = _below(inner, fragments, variables)
        is_connection = isinstance(one, FieldNode) and any(
            isinstance(field, FieldNode) and field.name.value == "edges"
            for field in (inner.selections if inner else ())
        )
        total += _first(one, variables) * (1 + below) if is_connection else below
    return total


def _first(field: Any, variables: Mapping[str, Any]) -> int:
    for argument in field.arguments:
        if argument.name.value == "first":
            if isinstance(argument.value, IntValueNode):
                return int(argument.value.value)
            if isinstance(argument.value, VariableNode):
                return int(variables.get(argument.value.name.value) or MOST)
    return MOST


class Credits:
    """An account's credits: at most `most`, of which `per_second` come back."""

    def __init__(self, clock: Clock, *, most: int, per_second: int) -> None:
        self.most, self._clock, self._per_second = most, clock, per_second
        self._left, self._at = float(most), clock().timestamp()
        self._spending = threading.Lock()

    def spend(self, needed: int) -> dict[str, Any] | None:
        """Takes the credits; None where they were there, else what is said of it."""
        with self._spending:
            now = self._clock().timestamp()
            back = max(0.0, now - self._at) * self._per_second
            self._left, self._at = min(float(self.most), self._left + back), now
            if needed <= self._left:
                self._left -= needed
                return None
            left = int(self._left)
            wait = max(1, -int((self._left - needed) // self._per_second))
        said = (
            "There are not enough credits to perform the requested operation, which requires "
            f"{needed} credits, but the are only {left} left. In {wait} seconds you will have "
            "enough credits to perform the operation"
        )
        return {
            "code": 30,
            "message": said,
            "required_credits": needed,
            "remaining_credits": left,
            "time_remaining": f"{wait} seconds",
        }
