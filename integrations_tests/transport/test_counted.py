"""Lists that are paged by number, by offset or by a token in a header, from end to end: whatever the
source does, each record comes once, or the pull says what it could not read."""

import gzip
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import ValidationError

from integrations.errors import PositionGone, RetryLater, StopStream
from integrations.transport import Ask
from integrations.transport.rest_request import RestRequest
from integrations_tests.transport.conftest import Call, Say, Time, Web
from integrations_tests.transport.pulling import page, pull, texts

SIZES = [0, 1, 3, 4, 5, 8, 9]
"""Records in the list; a page holds four."""


@dataclass
class Shop:
    """A source with so many records, which are their numbers; its pages hold `most`."""

    count: int
    most: int = 4
    totals: bool = True

    def by_offset(self, call: Call) -> Say:
        return self._page(int((call.body or call.params).get("offset", 0)))

    def by_number(self, call: Call) -> Say:
        return self._page((int((call.body or call.params).get("page", 1)) - 1) * self.most)

    def by_token(self, call: Call) -> Say:
        """As The Things Stack: a token comes without any other parameter."""
        token = call.params.get("continuation_token")
        if token is not None and len(call.params) > 1:
            return Say({"message": "a token and other parameters"}, status=400)
        start = int((token or "t0")[1:])
        more = start + self.most < self.count
        said = self._page(start)
        said.headers.update({"X-Continuation-Token": f"t{start + self.most}"} if more else {})
        return said

    def _page(self, start: int) -> Say:
        told = {"meta": {"total": self.count}} if self.totals else {}
        said = page(*range(start, min(start + self.most, self.count)), **told)
        said.headers.update({"X-Total-Count": str(self.count)} if self.totals else {})
        return said


def numbers(web: Web, time_: Time, paging: dict[str, Any], **request: Any) -> list[int]:
    """The records that a pull brings."""
    asked = {"path": "/v1/things", "records": "data", "params": {"limit": 4}, "paging": paging}
    pages = pull(web, time_, asked | request)
    return [int(bytes(record)[7:-1]) for each in pages for record in each.records]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize(
    "paging",
    [
        {"type": "offset"},
        {"type": "offset", "total": "meta.total", "size": 4},
        {"type": "offset", "total_header": "x-total-count", "size": 4},
        {"type": "page_number"},
        {"type": "page_number", "total": "meta.total", "size": 4},
        {"type": "page_number", "total_header": "X-Total-Count", "size": 4},
    ],
)
def test_each_record_comes_once(
    paging: dict[str, Any], count: int, method: str, web: Web, time_: Time
) -> None:
    """In the order of the list, wherever its end lies, asked for in the address or in a body."""
    shop = Shop(count)
    web.route = shop.by_offset if paging["type"] == "offset" else shop.by_number
    assert numbers(web, time_, paging, method=method) == list(range(count))


@pytest.mark.parametrize("count", SIZES)
def test_a_token_of_a_header_stands_alone(count: int, web: Web, time_: Time) -> None:
    """Until there is none."""
    web.route = Shop(count).by_token
    paging = {
        "type": "header_token",
        "next": "X-Continuation-Token",
        "param": "continuation_token",
        "alone": True,
    }
    assert numbers(web, time_, paging) == list(range(count))


@pytest.mark.parametrize("told", [{"highest": "top"}, {"highest_header": "X-Highest"}])
@pytest.mark.parametrize(
    "held",
    [[], [1], [4], [1, 2, 3, 4], [5], [3, 9], [9, 17], [16], [1, 2, 30], [*range(1, 14)]],
)
def test_a_sequence_with_holes(
    held: list[int], told: dict[str, str], web: Web, time_: Time
) -> None:
    """An empty page is not its end: a source that looks at four numbers at a time finds none where
    those were deleted, or are another's."""
    top = str(max(held, default=0))

    def four(call: Call) -> Say:
        after = int(call.params.get("sequence", 0))
        found = [number for number in held if after < number <= after + 4]
        said = page(*found, top=int(top))
        said.headers["X-Highest"] = top
        return said

    web.route = four
    paging = {"type": "sequence", "number": "id", "size": 4, **told}
    assert numbers(web, time_, paging) == held


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        ([0, 1], "from 0 to 1 in 'id' are no answer to what comes after 0"),
        ([3, 2], "in ascending order"),
        (["a"], "should be a number, it is 'a'"),
    ],
)
def test_a_sequence_that_is_none(ids: list[Any], said: str, web: Web, time_: Time) -> None:
    """What it passes over would never be asked for."""
    web.answers = [page(*ids, top=9)]
    with pytest.raises(StopStream, match=said):
        numbers(web, time_, {"type": "sequence", "number": "id", "size": 4, "highest": "top"})


def test_a_source_that_gives_less_than_was_asked_for(web: Web, time_: Time) -> None:
    """Without a total the next page begins where the records end."""
    web.route = Shop(9, most=2, totals=False).by_offset
    assert numbers(web, time_, {"type": "offset"}) == list(range(9))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("offset", "the page after 0 of 9 records holds 2, where there should be 4"),
        ("page_number", "page 1 of 3 holds 2 records, where there should be 4"),
    ],
)
def test_a_capped_page_stops_who_counts_on(kind: str, words: str, web: Web, time_: Time) -> None:
    """The records between would never be asked for."""
    shop = Shop(9, most=2)
    web.route = shop.by_offset if kind == "offset" else shop.by_number
    with pytest.raises(StopStream, match=f"{words}. If the source gives no larger pages"):
        numbers(web, time_, {"type": kind, "total": "meta.total", "size": 4})


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({}, "missing or null"),
        ({"X-Total-Count": "many"}, "'many'"),
        ({"X-Total-Count": "-1"}, "'-1'"),
        ({"X-Total-Count": "1.5"}, "'1.5'"),
    ],
)
def test_a_total_that_is_none(headers: dict[str, str], told: str, web: Web, time_: Time) -> None:
    """Nothing says then where the list ends."""
    web.answers = [Say({"data": [{"id": 1}]}, headers=headers)]
    with pytest.raises(StopStream, match=f"X-Total-Count should be a number, it is {told}"):
        numbers(web, time_, {"type": "offset", "total_header": "X-Total-Count", "size": 4})


def test_a_post_sends_its_parameters_as_json(web: Web, time_: Time) -> None:
    """With their types; a name with dots is a place, that of the paging too."""
    shop = Shop(6)
    web.route = lambda call: shop._page(call.body["filter"].get("offset", 0))
    params = {"filter.first": 4, "filter.open": True, "q": "{since}"}
    paging = {"type": "offset", "param": "filter.offset"}
    assert numbers(web, time_, paging, method="POST", params=params) == list(range(6))
    assert [call.body["filter"].get("offset") for call in web.calls] == [None, 4, 6]
    assert web.calls[1].body == {"filter": {"first": 4, "open": True, "offset": 4}}
    assert web.calls[1].params == {}
    assert web.calls[1].headers["Content-Type"] == "application/json"


def test_a_post_is_not_made_a_get(web: Web, time_: Time) -> None:
    """As redirects do, except those that say that they do not."""
    web.answers = [Say(status=307, headers={"Location": "/v2/things"}), page(1), page()]
    assert numbers(web, time_, {"type": "page_number"}, method="POST") == [1]
    assert web.calls[1].path == "/v2/things"
    assert web.calls[1].body == {"limit": 4}
    web.answers = [Say(status=303, headers={"Location": "/v2/things"})]
    with pytest.raises(StopStream, match="answered 303, a redirect that makes a POST a GET"):
        numbers(web, time_, {"type": "page_number"}, method="POST")


@pytest.mark.parametrize(
    ("params", "paging", "told"),
    [
        ({"filter": "a", "filter.b": 1}, {"type": "single"}, "filter is a value and a place"),
        ({"filter": "a"}, {"type": "offset", "param": "filter.offset"}, "filter is a value and"),
        ({}, {"type": "next_url", "next": "next"}, "next_url takes the `param`"),
        ({}, {"type": "link_header"}, "link_header takes the `param`"),
    ],
)
def test_what_a_post_cannot_ask(params: dict[str, Any], paging: dict[str, Any], told: str) -> None:
    """Refused at load."""
    with pytest.raises(ValidationError, match=told):
        RestRequest.model_validate(
            {"method": "POST", "path": "/v1", "params": params, "paging": paging}
        )


@pytest.mark.parametrize(
    ("said", "whole"),
    [
        ({"partial": True}, False),
        ({"partial": {"shards": 3}}, False),
        ({"partial": False}, True),
        ({"partial": None}, True),
        ({"partial": {}}, True),
        ({}, True),
    ],
)
def test_an_answer_that_says_it_is_partial(
    said: dict[str, Any], whole: bool, web: Web, time_: Time
) -> None:
    """Is asked for again, or the pull fails: what is missing would look as if it were not there."""
    web.answers = [page(1, **said), page(1)]
    single = {"type": "single"}
    assert numbers(web, time_, single, partial="partial") == [1]
    assert len(web.calls) == (1 if whole else 2)
    if not whole:
        web.answers = [page(1, **said)]
        with pytest.raises(RetryLater, match="not whole: its 'partial' says so"):
            numbers(web, time_, single, partial="partial")


@pytest.mark.parametrize("change", [{"records": ""}, {"records": "", "format": "ndjson"}])
def test_a_mark_has_its_place_beside_the_records(change: dict[str, Any]) -> None:
    """Where there is nothing beside them, it could never be found."""
    request = {"path": "/v1", "records": "data", "partial": "p", "paging": {"type": "single"}}
    with pytest.raises(ValidationError, match="partial is a place beside the records"):
        RestRequest.model_validate(request | change)


def test_a_token_that_the_source_forgot_is_not_the_position(web: Web, time_: Time) -> None:
    """Who is told that the position is gone would read from the start again."""
    request = {
        "path": "/v1/things",
        "records": "data",
        "params": {"after": "{position}"},
        "paging": {"type": "header_token", "next": "X-Next", "param": "token", "alone": True},
    }
    first = page(1)
    first.headers["X-Next"] = "t"
    web.answers = [first, Say(status=404)]
    with pytest.raises(StopStream) as caught:
        pull(web, time_, request, Ask(position="p"))
    assert type(caught.value) is StopStream
    web.answers = [Say(status=404)]
    with pytest.raises(PositionGone):
        pull(web, time_, request, Ask(position="p"))


def test_a_login_page_is_named(web: Web, time_: Time) -> None:
    """With status 200 it is nothing else that can be read."""
    web.answers = [Say(b"\n <!doctype html><title>Log in</title>")]
    with pytest.raises(RetryLater, match="no JSON but a page of HTML or XML"):
        numbers(web, time_, {"type": "single"})


LINE = b'{"result":{"id":1}}\n'
LINES = {
    "path": "/v1/things",
    "format": "ndjson",
    "records": "result",
    "paging": {"type": "single"},
}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", []),
        (b"\n\n", []),
        (b'{"result":{"id": 1}}', ['{"id": 1}']),
        (b'{"result":{"id": 1}}\n\n{"seen":"x","result":{"id":2.50}}\r\n', ['{"id": 1}', '{"id":2.50}']),
        (b'{"result":{"id":"\\ud800, \\n"}}\n', ['{"id":"\\ud800, \\n"}']),
    ],
)  # fmt: skip
def test_each_line_is_a_record(body: bytes, expected: list[str], web: Web, time_: Time) -> None:
    """As it was sent; blank lines are none."""
    web.answers = [Say(body)]
    assert [each for one in texts(pull(web, time_, LINES)) for each in one] == expected
    web.answers = [Say(body)]
    whole = pull(web, time_, LINES | {"records": ""})
    assert sum(len(one.records) for one in whole) == len(expected)


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (b'{"result":{"id":', "no JSON, or not all of it"),
        (b'{"error":{"message":"shard away"}}', "line 2 of the answer has no 'result'"),
        (b"<html>", "no JSON, or not all of it"),
        (b'{"result":{"id":2}\n"b":3}', "has 3 lines, and 2 JSON objects"),
        (b'{"result":{"id":"a\nb"}}', "has 3 lines, and 2 JSON objects"),
    ],
)
def test_lines_that_break_off(last: bytes, said: str, web: Web, time_: Time) -> None:
    """Are asked for again; what is there of them is not all."""
    cut = Say(b'{"result":{"id":1}}\n' + last)
    web.answers = [cut, Say(b'{"result":{"id":1}}\n{"result":{"id":2}}\n')]
    assert texts(pull(web, time_, LINES)) == [['{"id":1}', '{"id":2}']]
    web.answers = [cut]
    with pytest.raises(RetryLater, match=said):
        pull(web, time_, LINES)


def test_lines_that_end_with_the_connection(web: Web, time_: Time) -> None:
    """Would look whole, wherever it broke."""
    web.answers = [Say(raw=b'HTTP/1.1 200 OK\r\n\r\n{"result":{"id":1}}\n')]
    with pytest.raises(StopStream, match="neither its length nor its end"):
        pull(web, time_, LINES)


@pytest.mark.parametrize(
    "packed",
    [gzip.compress(LINE * 1_000)[:-9], gzip.compress(LINE) + gzip.compress(LINE)],
    ids=["cut", "two in a row"],
)
def test_packed_lines_that_are_not_all(packed: bytes, web: Web, time_: Time) -> None:
    """What could be unpacked is whole lines, and not all of them."""
    headers = {"Content-Encoding": "gzip"}
    web.answers = [Say(packed, headers=headers), Say(gzip.compress(LINE * 2), headers=headers)]
    assert texts(pull(web, time_, LINES)) == [['{"id":1}'] * 2]
    assert len(web.calls) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"records": "a.b"},
        {"partial": "partial"},
        {"paging": {"type": "body_token", "next": "next"}},
        {"paging": {"type": "page_number", "pages": "pages"}},
        {"paging": {"type": "offset", "total": "total", "size": 2}},
        {"paging": {"type": "last_id"}},
    ],
)
def test_what_lines_cannot_tell(change: dict[str, Any]) -> None:
    """Refused at load."""
    with pytest.raises(ValidationError):
        RestRequest.model_validate(LINES | change)
