"""No record costs a step of Python: pages, batches and columns do."""

from collections import Counter
from collections.abc import Callable

import pytest

from integrations_tests.hot_path.conftest import Shop
from integrations_tests.hot_path.counting import Place, grown, objects_of, steps_of

FEW, MANY = 500, 2_000
LEAST = 0.5
"""Steps a record. A loop costs at least three; what goes by bytes, as COPY does, far less."""
SPLIT = "_decoded"
"""What splits a page: an object a record, made in C, through which its bytes are kept."""
RENDERING = {"_id", "_json_text", "_rendering.<locals>.rendered", "getter.<locals>.get"}
"""What makes the text of a value that Arrow cannot read: an id or an object, a map. A step of each
for each record; no other function of the path may have one."""


def whole_sync(
    shop: Shop, count: Callable[[Callable[[], object]], Counter[Place]]
) -> dict[str, float]:
    """By function, what each further record costs in landing and loading a page, when all that is
    done once is done; and in all, under ""."""
    for records in (FEW, MANY):
        shop.holds(pages=1, records=records)
        assert shop.sync().inserted == records, "every record goes all the way"
    found = []
    for records in (FEW, MANY):
        shop.holds(pages=1, records=records)
        found.append(count(shop.sync))
    few, many = found
    return grown(few, many, records=MANY - FEW)


def test_no_step_of_python(plain: Shop) -> None:
    """A page with more records takes no more steps, from the answer to the commit: nothing goes
    through them one by one."""
    more = whole_sync(plain, steps_of)
    assert more.pop("") < LEAST
    assert more == {}


def test_only_what_arrow_cannot_read_is_made_in_python(mixed: Shop) -> None:
    """An id that may be an object, and a map, cost steps; these alone, and not more of them."""
    more = whole_sync(mixed, steps_of)
    assert more.pop("") < 60
    assert more.keys() <= RENDERING


def test_no_step_to_tell_absent_from_null(keeping: Shop) -> None:
    """Where it matters which of the two a missing value is, records are looked at again, a thousand
    at a time, and still not one by one."""
    more = whole_sync(keeping, steps_of)
    assert more.pop("") < 2 * LEAST
    assert more == {}


def test_no_object_of_python(plain: Shop) -> None:
    """No call from our code makes an object a record, as `to_pylist()` would, but the split."""
    more = whole_sync(plain, objects_of)
    more.pop("")
    assert more == {SPLIT: pytest.approx(1, abs=0.01)}
