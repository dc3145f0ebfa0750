"""Django REST framework (django-rest-framework.org): pages by number, by offset and by its signed
cursor, behind a login; what thousands of in-house systems look like."""

from collections.abc import Callable
from typing import Any

import pytest

from integrations.errors import StopConnection, StopStream
from integrations_tests.interop.apps import WORD
from integrations_tests.interop.reading import read
from integrations_tests.interop.shop import ORDERS, PAGE, sorted_

Serve = Callable[[str], str]
COUNTED = {"total": "count", "size": PAGE}
NEXT = {"type": "next_url", "next": "next"}
PAGES = {"path": "/pages", "params": {"size": PAGE}, "records": "results"}
OFFSETS = {"path": "/offsets", "params": {"limit": PAGE}, "records": "results"}
CURSORS = {"path": "/cursors", "records": "results"}

SHAPES: list[tuple[str, dict[str, Any]]] = [
    ("numbers, with a total", PAGES | {"paging": {"type": "page_number", **COUNTED}}),
    ("numbers, by the next address", PAGES | {"paging": NEXT}),
    ("a number from the next address", PAGES | {"paging": NEXT | {"param": "page"}}),
    ("offsets, with a total", OFFSETS | {"paging": {"type": "offset", **COUNTED}}),
    ("offsets until nothing comes", OFFSETS | {"paging": {"type": "offset"}}),
    ("offsets until nothing comes, capped", OFFSETS | {"params": {"limit": 100}, "paging": {"type": "offset"}}),
    ("a cursor in an address, over equal values", CURSORS | {"paging": NEXT}),
    ("a cursor from the next address, over equal values", CURSORS | {"paging": NEXT | {"param": "cursor"}}),
]  # fmt: skip


@pytest.mark.parametrize("request_", [case[1] for case in SHAPES], ids=[case[0] for case in SHAPES])
def test_all_records_come_once(
    serve: Serve, orders: list[dict[str, Any]], request_: dict[str, Any]
) -> None:
    records, pages = read(serve("rest_framework"), request_, word=WORD)
    assert sorted_(records) == sorted_(orders)
    assert [size for size in pages if size] == [PAGE] * (ORDERS // PAGE) + [ORDERS % PAGE]


STOPPED: list[tuple[str, dict[str, Any], str, type[Exception], str]] = [
    ("a wrong password", PAGES | {"paging": NEXT}, "wrong", StopConnection, r"answered 401: Invalid username/password\."),
    ("a page after the last", PAGES | {"paging": {"type": "page_number"}}, WORD, StopStream, r"answered 404: Invalid page\."),
    ("a size that is quietly capped", PAGES | {"params": {"size": 10}, "paging": {"type": "page_number", **COUNTED, "size": 10}}, WORD, StopStream, "holds 5 records, where there should be 10"),
    ("offsets of which it is quietly capped", OFFSETS | {"params": {"limit": 10}, "paging": {"type": "offset", **COUNTED, "size": 10}}, WORD, StopStream, "holds 5, where there should be 10"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("request_", "word", "stopped", "said"),
    [case[1:] for case in STOPPED],
    ids=[case[0] for case in STOPPED],
)
def test_what_would_lose_records_is_told_in_its_words(
    serve: Serve, request_: dict[str, Any], word: str, stopped: type[Exception], said: str
) -> None:
    with pytest.raises(stopped, match=said):
        read(serve("rest_framework"), request_, word=word)
