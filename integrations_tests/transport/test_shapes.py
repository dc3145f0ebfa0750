"""What holds for every shape of paging: a page that the source caps in silence, and lists whose
newest records come first."""

from collections.abc import Callable
from typing import Any, get_args

import pytest

from integrations.errors import StopStream
from integrations.transport.paging import Paging
from integrations_tests.transport.conftest import Call, Say, Time, Web
from integrations_tests.transport.pulling import page, pull

COUNT, ASKED, CAP = 9, 4, 2
"""Records, which are numbers from 1 on; a page is asked for four and holds two."""

Answer = Callable[[list[int], Call], Say]


def _from(start: int, ids: list[int], **body: Any) -> Say:
    return page(*ids[start : start + CAP], **body)


def last_id(ids: list[int], call: Call) -> Say:
    after = call.params.get("starting_after")
    start = ids.index(int(after)) + 1 if after else 0
    return _from(start, ids, has_more=start + CAP < len(ids))


def page_number(ids: list[int], call: Call) -> Say:
    pages = -(-len(ids) // CAP)
    start = (int(call.params.get("page", 1)) - 1) * CAP
    return _from(start, ids, total=len(ids), pages=pages)


def offset(ids: list[int], call: Call) -> Say:
    return _from(int(call.params.get("offset", 0)), ids, total=len(ids))


def ranged(ids: list[int], call: Call) -> Say:
    start = int(call.headers["Range"][6:].partition("-")[0])
    said = _from(start, ids)
    last = start + len(said.body["data"]) - 1
    return Say(said.body, 206, {"Content-Range": f"items {start}-{last}/{len(ids)}"})


def sequence(ids: list[int], call: Call) -> Say:
    return _from(int(call.params.get("sequence", 0)), ids, top=len(ids))


def tokens(ids: list[int], call: Call) -> Say:
    start = int(call.params.get("cursor", 0))
    follows = start + CAP if start + CAP < len(ids) else None
    said = _from(start, ids, next=follows, url=follows and f"?cursor={follows}")
    if follows is not None:
        said.headers.update({"X-Next": str(follows), "Link": f'<?cursor={follows}>; rel="next"'})
    return said


def single(ids: list[int], call: Call) -> Say:
    return _from(0, ids, total=len(ids))


STOPS = "should be 4|9 records"
SHAPES: dict[str, tuple[dict[str, Any], Answer, str]] = {
    "last id": ({"type": "last_id"}, last_id, ""),
    "last id, to the empty page": ({"type": "last_id", "more": None}, last_id, ""),
    "id cursor": ({"type": "id_cursor"}, last_id, ""),
    "id cursor, to the empty page": ({"type": "id_cursor", "more": None}, last_id, ""),
    "page": ({"type": "page_number"}, page_number, ""),
    "page of so many": ({"type": "page_number", "pages": "pages"}, page_number, ""),
    "page by total": ({"type": "page_number", "total": "total", "size": ASKED}, page_number, STOPS),
    "offset": ({"type": "offset"}, offset, ""),
    "offset by total": ({"type": "offset", "total": "total", "size": ASKED}, offset, STOPS),
    "range": ({"type": "range", "size": ASKED}, ranged, ""),
    "sequence": ({"type": "sequence", "number": "id", "highest": "top", "size": ASKED}, sequence, ""),
    "body token": ({"type": "body_token", "next": "next"}, tokens, ""),
    "header token": ({"type": "header_token", "next": "X-Next"}, tokens, ""),
    "next url": ({"type": "next_url", "next": "url"}, tokens, ""),
    "link": ({"type": "link_header"}, tokens, ""),
    "single by total": ({"type": "single", "total": "total"}, single, STOPS),
}  # fmt: skip
"""By name: the paging, what its source answers, and with what words it stops (""; it goes on)."""


def pulled(web: Web, time_: Time, name: str, ids: list[int], **more: Any) -> list[tuple[Any, int]]:
    """When each record is said, and its number, in the order in which a pull brings them."""
    paging, answer, _ = SHAPES[name]
    web.route = lambda call: answer(ids, call)
    asked = {"path": "/v1", "records": "data", "params": {"limit": ASKED}, "paging": paging | more}
    return [
        (one.seen_at, int(bytes(record)[7:-1]))
        for one in pull(web, time_, asked)
        for record in one.records
    ]


def test_every_shape_is_here() -> None:
    """One that is added has to say what it does."""
    kinds = {
        get_args(kind.model_fields["type"].annotation)[0] for kind in get_args(get_args(Paging)[0])
    }
    assert {paging["type"] for paging, *_ in SHAPES.values()} == kinds


@pytest.mark.parametrize("name", SHAPES)
def test_a_page_that_is_capped_in_silence(name: str, web: Web, time_: Time) -> None:
    """What came is followed, or the pull stops and names it: nothing is passed over."""
    ids, stops = [*range(1, COUNT + 1)], SHAPES[name][2]
    if stops:
        with pytest.raises(StopStream, match=stops):
            pulled(web, time_, name, ids)
    else:
        assert sorted(number for _, number in pulled(web, time_, name, ids)) == ids


FALLING = [
    name
    for name, (paging, _, stops) in SHAPES.items()
    if paging["type"] != "sequence" and not stops
]
RISING = [name for name in FALLING if SHAPES[name][0]["type"] != "id_cursor"]


@pytest.mark.parametrize("name", FALLING)
def test_of_a_list_with_the_newest_first_the_newest_counts(
    name: str, web: Web, time_: Time
) -> None:
    """Of two statements about a record the one that is said later counts, of one time the last
    one: sorted so, the records are in the order in which they came to be."""
    falling = [*range(COUNT, 0, -1)]
    more = {"newest_first": True} if name in RISING else {}  # an id_cursor is so by itself
    told = pulled(web, time_, name, falling, **more)
    assert [number for _, number in sorted(told, key=lambda one: one[0])] == falling[::-1]
    assert max(at for at, _ in told) == time_.now


@pytest.mark.parametrize("name", RISING)
def test_of_any_other_list_the_last_one_counts(name: str, web: Web, time_: Time) -> None:
    """As it came."""
    ids = [*range(1, COUNT + 1)]
    assert pulled(web, time_, name, ids) == [(time_.now, number) for number in ids]
