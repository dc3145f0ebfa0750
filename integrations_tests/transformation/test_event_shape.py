"""The shape of a feed's events: which work, and which streams they speak to in hints."""

from typing import Any

import pytest
from pydantic import ValidationError

from integrations.transformation.events import EventShape
from integrations_tests.transformation.things import STRIPE_EVENT


@pytest.mark.parametrize(
    ("changes", "reread", "hint"),
    [
        ({}, True, False),
        ({}, False, True),
        ({"at": "t", "precision": "exact"}, False, False),
        ({"at": "t", "precision": "exact"}, True, False),
        ({"at": "t", "precision": "exact", "representation": "at_delivery"}, True, True),
        ({"at": None}, True, True),
        ({"record": None, "key": "k", "kind": "o"}, True, True),
        ({"precision": None}, False, True),
    ],
)
def test_which_streams_are_spoken_to_in_hints(
    changes: dict[str, Any], reread: bool, hint: bool
) -> None:
    """Whole seconds are good enough only where something reads the records again."""
    values = {name: value for name, value in (STRIPE_EVENT | changes).items() if value is not None}
    assert EventShape.model_validate(values).is_hint(reread=reread) is hint


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"type": None}, "`deleted` is a pattern for the event's `type`, whose place is missing"),
        ({"precision": "exact"}, "epoch_s gives whole seconds, so `precision` cannot be exact"),
        ({"at": {"type": "epoch_s"}}, "`at` needs `from`: where the moment of type epoch_s stands"),
        ({"key": "type"}, "`type` is read as string in one place, as string_or_integer in another"),
        ({"key": "created"}, "`created` is read as integer in one place"),
        ({"kind": "data"}, "`data` is read as a value, yet `data.object.id` lies inside it"),
        ({"kind": "data"}, "`data` is read as a value, yet the record `data.object` lies there"),
        ({"key": "data.object"}, "`data.object` is read as a value, yet the record `data.object`"),
        ({"at": {"type": "integer", "from": "c"}}, "a moment is a path, or has a `type`: one of"),
        ({"at": {"type": "date", "from": "c"}}, "a moment is a path, or has a `type`: one of"),
        ({"at": {"type": "python", "call": "f", "reads": {}}}, "a moment is a path, or has a"),
        ({"at": "a b"}, "String should match pattern"),
        ({"representation": None}, "Field required"),
        ({"key": None}, "Field required"),
        ({"kind": None}, "Field required"),
        ({"precision": "ms"}, "Input should be 'seconds' or 'exact'"),
        ({"deleted": ""}, "String should have at least 1 character"),
        ({"when": "x"}, "Extra inputs are not permitted"),
    ],
)
def test_a_shape_that_cannot_work_is_refused(changes: dict[str, Any], message: str) -> None:
    """Before any event comes."""
    values = {name: value for name, value in (STRIPE_EVENT | changes).items() if value is not None}
    with pytest.raises(ValidationError) as caught:
        EventShape.model_validate(values)
    assert message in str(caught.value)
