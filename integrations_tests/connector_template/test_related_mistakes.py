"""What is wrong with the details of a list's records and with the lists above it, line by line."""

from pathlib import Path

import pytest

from integrations_tests.connector_template.florist import changed, write
from integrations_tests.connector_template.test_mistakes import Line, said

BUYERS_READ = (
    "{type: full}\n        request: {path: /buyers, records: items, "
    "paging: {type: next_url, next: next}}"
)
RELATED: dict[str, tuple[str, str, list[Line]]] = {
    "a parent that is no stream": (
        "{type: full}",
        "{path: '/b/{parent.id}', paging: {type: single}, parent: {stream: shops}}",
        [(19, "a parent of 'buyers' is 'shops', which is no stream of `sync_handler`")],
    ),
    "a parent within another": (
        "{type: full}",
        "{path: '/b/{parent.id}', paging: {type: single}, parent: {request: "
        "{path: '/c/{parent.id}', paging: {type: single}, parent: {stream: shops}}}}",
        [(19, "a parent of 'buyers' is 'shops', which is no stream of `sync_handler`")],
    ),
    "a stream that is its own parent": (
        "{type: full}",
        "{path: '/b/{parent.id}', paging: {type: single}, parent: {stream: buyers}}",
        [(19, "a parent of 'buyers' is 'buyers', and the parents of that come to 'buyers' again")],
    ),
    "a parent that has windows": (
        "{type: full}",
        "{path: '/b/{parent.id}', paging: {type: single}, parent: {stream: orders}}",
        [
            (19, "stream 'buyers' is read in full, and its request has {window.end}, which then has no value"),
            (19, "stream 'buyers' is read in full, and its request has {window.start}, which then has no value"),
        ],
    ),
    "a parent and a cursor": (
        "{type: cursor, position: at}",
        "{path: '/b/{parent.id}', params: {after: '{position}'}, paging: {type: single}, "
        "parent: {request: {path: /b, paging: {type: single}}}}",
        [(19, "stream 'buyers' is read by cursor: a position in many lists is none")],
    ),
    "absence below parents that move": (
        "{type: full, deletes: absence}",
        "{path: '/b/{parent.id}', paging: {type: single}, "
        "parent: {request: {path: /b, paging: {type: offset}}}}",
        [
            (
                18,
                "`deletes: absence` cannot be had over parents that come in pages of type offset: "
                "one that moves between pages is passed over with its list",
            )
        ],
    ),
    "a slot without its parent": (
        "{type: full}",
        "{path: '/b/{parent.id}', paging: {type: single}}",
        [(19, "`sync_handler.streams.buyers.request`: a slot {parent.…} and `parent` need each other")],
    ),
    "a detail without the key": (
        "{type: full}",
        "{path: /b, paging: {type: single}, detail: {path: /b/one}}",
        [
            (
                19,
                "`sync_handler.streams.buyers.request.detail.path`: it should have {key} where the "
                "record's key goes: '/v1/charges/{key}'",
            )
        ],
    ),
}  # fmt: skip
"""By name: how the buyers are read, with which request, and what is wrong with it."""


@pytest.mark.parametrize(("sync", "request_", "lines"), RELATED.values(), ids=RELATED)
def test_a_mistake_beside_a_list_is_shown_with_its_line(
    sync: str, request_: str, lines: list[Line], tmp_path: Path
) -> None:
    """Of details and of parents."""
    text = changed((BUYERS_READ, f"{sync}\n        request: {request_}"))
    found = said(write(tmp_path / "florist", text))
    assert found == [f"defs.yaml:{line}: {message}" for line, message in lines]
