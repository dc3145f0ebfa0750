"""What is asked for beside a list: the detail of each record, and one list for each parent. Each
record comes once and in its place, whole, or marked with the call that did not tell it."""

import json
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pytest
from pydantic import ValidationError

from integrations.errors import RetryLater, StopConnection, StopStream
from integrations.names import Window
from integrations.transport import Ask
from integrations.transport.rest_request import RestRequest
from integrations.unanswered import MARK, reason_of
from integrations_tests.transport.conftest import Call, Say, Time, Web
from integrations_tests.transport.pulling import opened, page, pull, texts

LONG_S = 20.0
DETAILED: dict[str, Any] = {
    "path": "/orders",
    "records": "data",
    "paging": {"type": "page_number", "pages": "pages"},
    "detail": {"path": "/orders/{key}", "record": "order"},
}
BUYERS = {"path": "/buyers", "records": "data", "paging": {"type": "last_id"}}
OF_BUYERS: dict[str, Any] = {
    "path": "/buyers/{parent.id}/orders",
    "records": "data",
    "paging": {"type": "last_id"},
    "parent": {"request": BUYERS, "put": "buyer"},
}


def number(call: Call) -> int:
    return int(call.path.rpartition("/")[2])


def orders(odd: dict[int, Say] | None = None, *, pages: int = 2) -> Callable[[Call], Say]:
    """Pages of four orders, of which some have another detail than the others."""

    def answer(call: Call) -> Say:
        if call.path == "/orders":
            start = 4 * int(call.params.get("page", 1)) - 4
            return page(*range(start, start + 4), pages=pages)
        id_ = number(call)
        return (odd or {}).get(id_) or Say({"order": {"id": id_, "lines": [id_]}})

    return answer


def records(web: Web, time_: Time, request: dict[str, Any], **changes: Any) -> list[Any]:
    """The records of a pull, decoded; of a marked one its reason."""
    pages = pull(web, time_, request, **changes)
    assert [each.number for each in pages] == [*range(1, len(pages) + 1)]
    found = [bytes(record) for each in pages for record in each.records]
    return [reason_of(one) if one.startswith(MARK) else json.loads(one) for one in found]


# --- details --------------------------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", [1, 4])
def test_each_record_is_its_detail(concurrency: int, web: Web, time_: Time) -> None:
    """In the order of the list; the bytes of both are counted."""
    web.route = orders()
    request = RestRequest.model_validate(DETAILED)
    with opened(web, time_, concurrency=concurrency) as session:
        pages = list(session.pages(request, ask=Ask()))
        assert session.requests == 10
    assert texts(pages) == [
        [f'{{"id": {id_}, "lines": [{id_}]}}' for id_ in ids] for ids in (range(4), range(4, 8))
    ]
    assert pages[0].size == sum(
        len(say.content) for say in (web.route(call) for call in web.calls if (call.path == "/orders" and not call.params) or call.path in {f"/orders/{id_}" for id_ in range(4)})
    )  # fmt: skip


def test_a_long_page_comes_in_parts(web: Web, time_: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that nobody keeps the details of a whole list: each record once, each byte counted once,
    and the position with the last part, for it is that of all."""
    monkeypatch.setattr("integrations.transport.rest_session._DETAILS", 3)
    web.route = lambda call: (
        page(*range(7))
        if call.path == "/orders"
        else Say({"order": {"id": number(call)}}, 404 if number(call) == 4 else 200)
    )
    request = RestRequest.model_validate(DETAILED | {"paging": {"type": "single"}})
    with opened(web, time_, concurrency=1) as session:
        pages = session.pages(request, ask=Ask(), position="id")
        first = next(pages)
        assert (len(first.records), session.requests) == (3, 1 + 3)
        found = [first, *pages]
    assert [(one.number, len(one.records), one.position) for one in found] == [
        (1, 3, None),
        (2, 3, None),
        (3, 1, "6"),
    ]
    assert sum(one.size for one in found) == len(page(*range(7)).content) + sum(
        len(Say({"order": {"id": id_}}).content) for id_ in range(7) if id_ != 4
    )
    web.route = lambda call: page()
    assert [len(one.records) for one in pull(web, time_, request.model_dump())] == [0]


def test_a_detail_is_put_over_the_record(web: Web, time_: Time) -> None:
    """Field by field, each as it was sent, half a surrogate too."""
    web.route = lambda call: (
        Say(rb'{"data": [{"id":1,"n":1.10,"a":"\ud83d","state":"x"}]}')
        if call.path == "/orders"
        else Say(b' {"state" : "done", "lines":[ 1 ]}\n')
    )
    request = DETAILED | {
        "paging": {"type": "single"},
        "detail": {"path": "/orders/{key}", "put": "merge"},
    }
    ((record,),) = texts(pull(web, time_, request))
    assert record == r'{"id":1,"n":1.10,"a":"\ud83d","state":"done","lines":[ 1 ]}'


def test_no_more_than_may_be_are_on_their_way(web: Web, time_: Time) -> None:
    """Four details at a time, for the source answers only when four ask; and no page beside them:
    each is asked for when all details of the one before it are answered."""
    four, answered, before = threading.Barrier(4), Counter[str](), list[int]()
    plain = orders(pages=4)

    def together(call: Call) -> Say:
        if call.path == "/orders":
            before.append(answered["details"])
        else:
            four.wait(LONG_S)
            answered["details"] += 1
            four.wait(LONG_S)
        return plain(call)

    web.route = together
    assert len(records(web, time_, DETAILED)) == 16
    assert before == [0, 4, 8, 12]


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("kind", ["application/json", "text/html"])
def test_a_detail_that_is_not_there_marks_its_record(
    status: int, kind: str, web: Web, time_: Time
) -> None:
    """With the call, the same each time, and what was listed; the others go on."""
    web.route = orders({2: Say(b"request 123", status, {"Content-Type": kind, "X-Id": "r1"})})
    found = records(web, time_, DETAILED, request_id_header="X-Id")
    assert found[2] == f"GET /orders/2 answered {status}"
    assert [one["id"] for at, one in enumerate(found) if at != 2] == [0, 1, 3, 4, 5, 6, 7]
    marked = texts(pull(web, time_, DETAILED))[0][2]
    assert json.loads(marked)["id"] == 2


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"x": 1}, "the listed record has no 'id' to ask by"),
        ({"id": None}, "the listed record has no 'id' to ask by"),
        ({}, "the listed record has no 'id' to ask by"),
        ({"id": ".."}, "'..' is no key that a record can be fetched by"),
    ],
)
def test_a_record_that_cannot_be_asked_for(record: Any, reason: str, web: Web, time_: Time) -> None:
    """Nothing is sent for it; one that is no object is left to its mapping."""
    web.route = lambda call: Say({"data": [record, 7, {"id": 3}], "pages": 1}) if call.path == "/orders" else Say({"order": {}})  # fmt: skip
    found = records(web, time_, DETAILED)
    assert found == [reason, 7, {}]
    assert [call.path for call in web.calls] == ["/orders", "/orders/3"]


def test_a_detail_that_fails_in_passing_is_asked_again_alone(web: Web, time_: Time) -> None:
    """Neither its page nor its neighbours are; when it stays so, the pull fails."""
    tries, plain = Counter[str](), orders()

    def shaky(call: Call) -> Say:
        tries[call.path] += 1
        return Say(status=503) if call.path == "/orders/5" and tries[call.path] < 3 else plain(call)

    web.route = shaky
    assert [one["id"] for one in records(web, time_, DETAILED)] == [*range(8)]
    assert tries == {"/orders": 2, **{f"/orders/{id_}": 1 for id_ in range(8)}, "/orders/5": 3}
    assert time_.waits == [1, 2]
    web.route = orders({5: Say(status=503)})
    with pytest.raises(RetryLater, match="GET /orders/5 answered 503"):
        records(web, time_, DETAILED, retry={"budget_s": 3})


@pytest.mark.parametrize(
    ("say", "error"),
    [
        (Say(status=401), StopConnection),
        (Say(status=403), StopStream),
        (Say({"other": {}}), StopStream),
        (Say({"order": [1]}), StopStream),
    ],
)
def test_anything_else_stops_the_pull(
    say: Say, error: type[Exception], web: Web, time_: Time
) -> None:
    """It is not about this one record."""
    web.route = orders({5: say})
    with pytest.raises(error):
        records(web, time_, DETAILED)


# --- parents --------------------------------------------------------------------------------------


def shop(odd: dict[str, Say] | None = None) -> Callable[[Call], Say]:
    """Buyers 1 to 6, three a page; each has as many orders as its number, two a page."""

    def answer(call: Call) -> Say:
        after = int(call.params.get("starting_after", 0))
        if call.path in (odd or {}):
            return (odd or {})[call.path]
        if call.path == "/buyers":
            return page(*range(after + 1, after + 4), has_more=after < 3)
        count = int(call.path.split("/")[2])
        return page(*range(after + 1, min(after + 2, count) + 1), has_more=after + 2 < count)

    return answer


def expected(*buyers: int) -> list[Any]:
    return [
        {"buyer": {"id": str(one)}, "id": order} for one in buyers for order in range(1, one + 1)
    ]


@pytest.mark.parametrize("concurrency", [1, 4])
def test_one_list_for_each_parent(concurrency: int, web: Web, time_: Time) -> None:
    """One after the other, each to its end, each page asked for once."""
    web.route = shop()
    found = records(web, time_, OF_BUYERS, concurrency=concurrency)
    assert found == expected(1, 2, 3, 4, 5, 6)
    asked = Counter(call.target for call in web.calls)
    assert set(asked.values()) == {1}
    assert sum(asked.values()) == 2 + (1 + 1 + 2 + 2 + 3 + 3)


def test_without_put_the_records_are_as_they_were_sent(web: Web, time_: Time) -> None:
    web.route = shop()
    assert records(web, time_, OF_BUYERS | {"parent": {"request": BUYERS}})[:2] == [
        {"id": 1},
        {"id": 1},
    ]


@pytest.mark.parametrize("own", ["7", {"id": "7"}, None])
def test_a_record_that_has_the_parents_field_stops_the_pull(
    own: Any, web: Web, time_: Time
) -> None:
    """One of the two would be read, and nobody could say which; within another it is no harm."""
    web.route = lambda call: (
        page(1, has_more=False)
        if call.path == "/buyers"
        else Say({"data": [{"x": {"buyer": 1}}, {"buyer": own}]})
    )
    with pytest.raises(StopStream, match="a record has a field 'buyer' itself"):
        records(web, time_, OF_BUYERS | {"paging": {"type": "single"}})
    web.route = lambda call: (
        page(1, has_more=False) if call.path == "/buyers" else Say({"data": [{"x": {"buyer": 1}}]})
    )
    found = records(web, time_, OF_BUYERS | {"paging": {"type": "single"}})
    assert found == [{"buyer": {"id": "1"}, "x": {"buyer": 1}}]


def test_a_parents_field_stays_beside_a_detail(web: Web, time_: Time) -> None:
    """Which is put over the record; also in one whose detail is not told."""
    plain = shop()
    web.route = lambda call: (
        plain(call)
        if call.path.startswith("/buyers")
        else Say({"deep": True}, 404 if call.path == "/orders/2" else 200)
    )
    detail = {"path": "/orders/{key}", "put": "merge"}
    found = records(web, time_, OF_BUYERS | {"detail": detail})
    assert found[:3] == [
        {"buyer": {"id": "1"}, "id": 1, "deep": True},
        {"buyer": {"id": "2"}, "id": 1, "deep": True},
        "GET /orders/2 answered 404",
    ]


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_parent_whose_list_is_refused_is_marked(status: int, web: Web, time_: Time) -> None:
    """One record stands for it, the same each time; the others go on."""
    web.route = shop({"/buyers/2/orders": Say({"message": "request 7"}, status)})
    pages = pull(web, time_, OF_BUYERS)
    assert bytes(pages[1].records[0]) == (
        MARK + b'"GET /buyers/2/orders answered %d","buyer":{"id":"2"}}' % status
    )
    found = records(web, time_, OF_BUYERS)
    assert found == [*expected(1), f"GET /buyers/2/orders answered {status}", *expected(3, 4, 5, 6)]


def test_the_first_pages_are_fetched_side_by_side(web: Web, time_: Time) -> None:
    """Of as many parents as may be: the source answers only when three ask."""
    three, plain = threading.Barrier(3), shop()

    def together(call: Call) -> Say:
        if call.path != "/buyers" and "starting_after" not in call.params:
            three.wait(LONG_S)
        return plain(call)

    web.route = together
    assert records(web, time_, OF_BUYERS) == expected(1, 2, 3, 4, 5, 6)


def test_nothing_is_asked_before_it_is_wanted(web: Web, time_: Time) -> None:
    """Whoever wants one page of many lists has not read all of them."""
    web.route = shop()
    with opened(web, time_, concurrency=2) as session:
        pages = session.pages(RestRequest.model_validate(OF_BUYERS), ask=Ask())
        assert len(list(islice(pages, 1))) == 1
        pages.close()
        assert session.requests <= 3


@pytest.mark.parametrize("status", [200, 404])
def test_a_pull_begins_with_its_first_parents(status: int, web: Web, time_: Time) -> None:
    """Not with the first list: whoever became a parent in between is not among them."""
    begin, plain = (
        time_.now,
        shop({"/buyers/1/orders": Say({"data": [], "has_more": False}, status)}),
    )
    busy = {"/buyers/1/orders", "/buyers/2/orders"}

    def answer(call: Call) -> Say:
        if call.path in busy:
            busy.remove(call.path)
            return Say(status=503)
        return plain(call)

    web.route = answer
    pages = pull(web, time_, OF_BUYERS, concurrency=1)
    assert {one.since for one in pages} == {begin}
    assert max(one.seen_at for one in pages) > begin


def test_what_is_filled_in_is_not_looked_at_again(web: Web, time_: Time) -> None:
    """A parent's value may look like a slot, or lead elsewhere in a path; in a parameter it may be
    anything. A window is asked for on both levels, where they have slots for it."""
    keys = ["{window.start}", "a/b", "..", "ü"]
    web.route = lambda call: Say({"data": [{"k": {"id": key}} for key in keys]}) if call.path == "/buyers" else Say({"data": [{}]})  # fmt: skip
    above = {
        "path": "/buyers", "records": "data", "paging": {"type": "single"},
        "params": {"from": "{window.start}"},
    }  # fmt: skip
    request = {
        "path": "/of/{parent.k.id}",
        "params": {"buyer": "{parent.k.id}", "to": "{window.end}"},
        "records": "data",
        "paging": {"type": "single"},
        "parent": {"request": above, "put": "by"},
    }
    window = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
    found = records(web, time_, request, ask=Ask(window=window))
    good = [key for key in keys if key != ".."]
    assert found[2] == "'..' is no key that a record can be fetched by"
    assert [one["by"]["k"]["id"] for at, one in enumerate(found) if at != 2] == good
    assert web.calls[0].params == {"from": "2026-01-01T00:00:00Z"}
    asked = sorted(web.calls[1:], key=lambda call: good.index(call.params["buyer"]))
    assert [call.target.partition("?")[0] for call in asked] == [
        "/of/%7Bwindow.start%7D",
        "/of/a%2Fb",
        "/of/%C3%BC",
    ]
    assert {call.params["to"] for call in asked} == {"2026-01-02T00:00:00Z"}


def test_parents_may_have_parents_and_their_records_details(web: Web, time_: Time) -> None:
    """A parent that was not told itself is told on."""
    plain = shop({"/buyers/2/orders": Say(status=404)})

    def answer(call: Call) -> Say:
        parts = call.path.split("/")
        if parts[1] == "orders":
            return page(int(parts[2]) * 10)
        if parts[1] == "lines":
            return Say({"id": int(parts[2]), "deep": True})
        return plain(call)

    web.route = answer
    request = {
        "path": "/orders/{parent.id}",
        "records": "data",
        "paging": {"type": "single"},
        "parent": {"request": OF_BUYERS},
        "detail": {"path": "/lines/{key}"},
    }
    found = records(web, time_, request)
    assert found[:3] == [
        {"id": 10, "deep": True},
        "GET /buyers/2/orders answered 404",
        {"id": 10, "deep": True},
    ]
    assert len(found) == 1 + 1 + 3 + 4 + 5 + 6


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"parent": None}, "need each other"),
        ({"path": "/orders"}, "need each other"),
        ({"path": "/buyers/{parent}/orders"}, "'{parent}' is no slot here"),
        ({"path": "/buyers/{parent.}/orders"}, "'{parent.}' is no slot here"),
        ({"path": "/{parent.id}/{parent.id.no}"}, "id of the parent is a value and a place"),
        ({"parent": {}}, "one of stream and request"),
        ({"parent": {"stream": "buyers", "request": BUYERS}}, "one of stream and request"),
        ({"parent": {"request": BUYERS | {"detail": {"path": "/b/{key}"}}}}, "and no detail"),
        ({"detail": {"path": "/orders"}}, "should have {key}"),
        ({"detail": {"path": "/orders/{key}"}}, "what `parent.put` puts into it: say `put: merge`"),
        ({"detail": {"path": "/o/{key}", "put": "beside"}}, "'replace' or 'merge'"),
    ],
)
def test_a_request_that_could_not_work_is_refused(change: dict[str, Any], words: str) -> None:
    """While the file is loaded."""
    with pytest.raises(ValidationError) as caught:
        RestRequest.model_validate(OF_BUYERS | change)
    assert words in str(caught.value)
