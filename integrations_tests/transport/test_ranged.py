"""Lists that are read by ranges: each record comes once, or the pull says what did not fit."""

import re
from typing import Any

import pytest
from pydantic import ValidationError

from integrations.errors import StopStream
from integrations.transport.rest_request import RestRequest
from integrations_tests.transport.conftest import Call, Say, Time, Web
from integrations_tests.transport.pulling import page, pull

SIZES = [0, 1, 3, 4, 5, 8, 9, 17]
"""Records in the list; a range asks for four."""


def numbers(web: Web, time_: Time, **paging: Any) -> list[int]:
    """The records that a pull brings."""
    request = {"path": "/v1", "records": "data", "paging": {"type": "range", "size": 4} | paging}
    pages = pull(web, time_, request)
    return [int(bytes(record)[7:-1]) for each in pages for record in each.records]


def source(count: int, *, most: int = 4, total: bool = True, bare: bool = False) -> Any:
    """A source with so many records, of which it gives so many at a time."""
    unit, told = "" if bare else "items ", str(count) if total else "*"

    def answer(call: Call) -> Say:
        pattern = r"(\d+)-(\d+)" if bare else r"items=(\d+)-(\d+)"
        first, last = map(int, re.fullmatch(pattern, call.headers["Range"]).groups())  # type: ignore[union-attr]
        records = [*range(first, min(first + most, last + 1, count))]
        if not records:
            return Say(b"no", 416, {"Content-Range": f"{unit}*/{count}"})
        said = page(*records)
        said.headers["Content-Range"] = f"{unit}{first}-{records[-1]}/{told}"
        return Say(said.body, 206, said.headers)

    return answer


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("total", [True, False])
@pytest.mark.parametrize("most", [4, 3, 1])
def test_each_record_comes_once(count: int, total: bool, most: int, web: Web, time_: Time) -> None:
    """In the order of the list, wherever it ends, and however few the source gives at a time."""
    web.route = source(count, most=most, total=total)
    assert numbers(web, time_) == list(range(count))


def test_a_list_that_is_told_whole_is_read_side_by_side(web: Web, time_: Time) -> None:
    """From the second range on, and each once."""
    web.route = source(17)
    assert numbers(web, time_) == list(range(17))
    asked = sorted(int(call.headers["Range"][6:].partition("-")[0]) for call in web.calls)
    assert asked == [0, 4, 8, 12, 16]


def test_some_short_ranges_among_many_lose_nothing(web: Web, time_: Time) -> None:
    """What was asked for ahead is asked for anew from where they ended, though it comes to a place
    again that was planned before."""
    whole, short = source(17), source(17, most=2)

    def answer(call: Call) -> Say:
        cut = call.headers["Range"].startswith(("items=4-", "items=6-"))
        said: Say = (short if cut else whole)(call)
        return said

    web.route = answer
    assert numbers(web, time_) == list(range(17))


def test_the_header_without_a_unit(web: Web, time_: Time) -> None:
    """As PostgREST has it; there 200 says that all of the list came, and also that it is unknown."""
    web.route = source(9, bare=True)
    assert numbers(web, time_, unit="") == list(range(9))
    web.answers = [Say([], 200, {"Content-Range": "*/*"})]
    web.route = lambda call: (
        Say(page(0, 1, 2, 3).body, 200, {"Content-Range": "0-3/*"})
        if call.headers["Range"].startswith("0-")
        else Say({"data": []}, 200, {"Content-Range": "*/*"})
    )
    assert numbers(web, time_, unit="") == [0, 1, 2, 3]


def test_a_source_that_knows_no_ranges_gives_the_whole(web: Web, time_: Time) -> None:
    """With 200 and without Content-Range (RFC 9110 section 14.2)."""
    web.answers = [page(*range(9))]
    assert numbers(web, time_) == list(range(9))
    assert len(web.calls) == 1


def ranged(ids: range, said: str | None, status: int = 206) -> Say:
    return Say(page(*ids).body, status, {} if said is None else {"Content-Range": said})


FIRST = ranged(range(4), "items 0-3/*")


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([ranged(range(4), "items 1-4/9")], "do not fit together"),
        ([ranged(range(3), "items 0-3/9")], "3 records and the Content-Range 'items 0-3/9'"),
        ([ranged(range(4), "items 0-3/3")], "do not fit together"),
        ([ranged(range(6), "items 0-5/9")], "do not fit together"),
        ([ranged(range(4), "items */9")], "do not fit together"),
        ([ranged(range(0), "items */9")], "do not fit together"),
        ([ranged(range(0), "items 0-3/9")], "do not fit together"),
        ([ranged(range(4), "bytes 0-3/9")], "Content-Range cannot be read: 'bytes 0-3/9'"),
        ([ranged(range(4), "0-3/9")], "cannot be read"),
        ([ranged(range(4), "items 0-3")], "cannot be read"),
        ([ranged(range(4), None)], "status 206 and no Content-Range"),
        ([Say(b"no", 416)], "status 416 and no Content-Range"),
        ([Say(b"no", 416, {"Content-Range": "items */9"})], "do not fit together"),
        ([Say(b"no", 416, {"Content-Range": "items */*"})], "do not fit together"),
        ([FIRST, ranged(range(3, 7), "items 3-6/9")], "the range items=4-7 has status 206"),
        ([FIRST, ranged(range(5, 9), "items 5-8/9")], "do not fit together"),
        ([FIRST, page(*range(4, 8))], "status 200 and no Content-Range"),
        ([FIRST, Say(b"no", 416, {"Content-Range": "items */9"})], "do not fit together"),
    ],
)
def test_what_does_not_fit_stops_and_is_named(
    answers: list[Say], words: str, web: Web, time_: Time
) -> None:
    """Records would come twice, or be passed over."""
    web.answers = answers
    with pytest.raises(StopStream, match=re.escape(words)):
        numbers(web, time_)


@pytest.mark.parametrize(
    "last", [Say(b"no", 416), Say(b"no", 416, {"Content-Range": "items */4"}), Say({"data": []}, 200, {"Content-Range": "items */4"})]
)  # fmt: skip
def test_an_unknown_total_ends_where_nothing_is(last: Say, web: Web, time_: Time) -> None:
    """Whether or not the source says then how many there are."""
    web.answers = [FIRST, last]
    assert numbers(web, time_) == [0, 1, 2, 3]


@pytest.mark.parametrize("status", [206, 416])
def test_a_part_that_nobody_asked_for_is_no_answer(status: int, web: Web, time_: Time) -> None:
    """Who did not ask for a range cannot know what is missing."""
    web.answers = [Say({"data": []}, status, {"Content-Range": "items 0-3/9"})]
    with pytest.raises(StopStream, match=f"answered {status}"):
        pull(web, time_, {"path": "/v1", "records": "data", "paging": {"type": "single"}})


def test_a_post_has_no_range() -> None:
    """Refused at load."""
    paging = {"type": "range", "size": 4}
    with pytest.raises(ValidationError, match="a meaning for GET only"):
        RestRequest.model_validate({"method": "POST", "path": "/v1", "paging": paging})
