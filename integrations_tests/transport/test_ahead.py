"""Pages that are on their way before they are wanted: as many as may be, in their order, each once."""

import subprocess
import sys
import threading
import time
from collections import Counter
from itertools import islice
from typing import Any

import pytest

from integrations.errors import StopStream
from integrations.transport import Ask
from integrations.transport.rest_request import RestRequest
from integrations_tests.transport.conftest import Call, Say, Time, Web
from integrations_tests.transport.pulling import opened, page, pull, texts

PAGES = 9
BY_NUMBER = {
    "path": "/v1/things",
    "records": "data",
    "paging": {"type": "page_number", "pages": "meta.pages"},
}
BY_LAST_ID = {"path": "/v1/things", "records": "data", "paging": {"type": "last_id"}}
LONG_S = 20.0
"""Longer than anything here takes: who waits so long waits in vain."""


def number_of(call: Call) -> int:
    return int(call.params.get("page", "1"))


def numbered(call: Call) -> Say:
    """A page of one record, which is its number."""
    return page(number_of(call), meta={"pages": PAGES})


def ids(*numbers: int) -> list[list[str]]:
    return [[f'{{"id": {number}}}'] for number in numbers]


@pytest.mark.parametrize("concurrency", [1, 2, 4, 16])
@pytest.mark.parametrize(
    ("paging", "body"),
    [
        ({"pages": "meta.pages"}, {"meta": {"pages": PAGES}}),
        ({"total": "total", "size": 1}, {"total": PAGES}),
        ({"pages": "last", "first": 0, "param": "p"}, {"last": PAGES}),
    ],
)
def test_every_page_is_read_once_and_in_its_order(
    paging: dict[str, Any], body: dict[str, Any], concurrency: int, web: Web, time_: Time
) -> None:
    """However many are on their way; the first is asked for without a number."""
    name, first = paging.get("param", "page"), paging.get("first", 1)
    web.route = lambda call: page(int(call.params.get(name, first)), **body)
    request = BY_NUMBER | {"paging": {"type": "page_number"} | paging}
    pages = pull(web, time_, request, concurrency=concurrency)
    assert texts(pages) == ids(*range(first, first + PAGES))
    assert [each.number for each in pages] == list(range(1, PAGES + 1))
    asked = Counter(call.params.get(name) for call in web.calls)
    assert asked == Counter([None, *map(str, range(first + 1, first + PAGES))])


def test_as_many_pages_are_on_their_way_as_may_be(web: Web, time_: Time) -> None:
    """The source answers only when four ask at a time, and last what was asked first."""
    four, here, most = threading.Barrier(4), Counter[str](), 0
    lock = threading.Lock()

    def together(call: Call) -> Say:
        nonlocal most
        if number_of(call) > 1:
            with lock:
                here["now"] += 1
                most = max(most, here["now"])
            four.wait(LONG_S)
            with lock:
                here["now"] -= 1
        return numbered(call)

    web.route = together
    assert texts(pull(web, time_, BY_NUMBER, concurrency=4)) == ids(*range(1, PAGES + 1))
    assert most == 4


def test_the_next_page_is_on_its_way_while_one_is_worked_on(web: Web, time_: Time) -> None:
    """Where each page names the next: one ahead, from the second on."""
    third = threading.Event()

    def after(call: Call) -> Say:
        number = int(call.params.get("starting_after", "0")) + 1
        if number == 3:
            third.set()
        return page(number, has_more=number < 4)

    web.route = after
    with opened(web, time_) as session:
        pages = session.pages(RestRequest.model_validate(BY_LAST_ID), ask=Ask())
        first = list(islice(pages, 2))
        assert third.wait(LONG_S)
        assert texts(first + list(pages)) == ids(1, 2, 3, 4)
    assert len(web.calls) == 4


def test_with_one_at_a_time_nothing_is_fetched_before_it_is_wanted(web: Web, time_: Time) -> None:
    """For sources that count, or that forbid it."""
    web.route = numbered
    with opened(web, time_, concurrency=1) as session:
        pages = session.pages(RestRequest.model_validate(BY_NUMBER), ask=Ask())
        for count in range(1, PAGES + 1):
            next(pages)
            assert len(web.calls) == session.requests == count


def test_what_failed_ahead_is_tried_again_when_it_is_wanted(web: Web, time_: Time) -> None:
    """One page after the other, with one wait for each failure, and the good ones are kept."""
    tries = Counter[int]()

    def shaky(call: Call) -> Say:
        number = number_of(call)
        tries[number] += 1
        if number in (3, 5) and tries[number] <= 2:
            return Say(status=503)
        return numbered(call)

    web.route = shaky
    assert texts(pull(web, time_, BY_NUMBER)) == ids(*range(1, PAGES + 1))
    assert tries == {number: 3 if number in (3, 5) else 1 for number in range(1, PAGES + 1)}
    # Page 5 failed ahead while page 3 did: that is waited for once.
    assert time_.waits == [1, 2, 1]


def test_a_page_that_is_refused_ends_the_pull_at_its_place(web: Web, time_: Time) -> None:
    """What comes before it is given, what comes after it is not."""
    web.route = lambda call: Say(status=400) if number_of(call) == 4 else numbered(call)
    read = []
    with opened(web, time_) as session:
        pages = session.pages(RestRequest.model_validate(BY_NUMBER), ask=Ask())
        with pytest.raises(StopStream, match="400"):
            read.extend(pages)
    assert texts(read) == ids(1, 2, 3)


def test_who_leaves_in_the_middle_does_not_wait_for_what_is_on_its_way(
    web: Web, time_: Time
) -> None:
    """The pages after it are still asked for, and nobody wants them."""
    late = threading.Event()

    def slow(call: Call) -> Say:
        if number_of(call) > 3:
            late.wait(LONG_S)
        return numbered(call)

    web.route = slow
    with opened(web, time_) as session:
        pages = session.pages(RestRequest.model_validate(BY_NUMBER), ask=Ask())
        assert texts(list(islice(pages, 3))) == ids(1, 2, 3)
        pages.close()
        assert not late.is_set()
    late.set()


def test_a_rate_limit_is_waited_for_once(web: Web, time_: Time) -> None:
    """By however many pages it was met."""
    began, limited = time_.now, Counter[int]()

    def limit(call: Call) -> Say:
        if number_of(call) > 1 and time_.now == began:
            limited[number_of(call)] += 1
            return Say(status=429, headers={"Retry-After": "2"})
        return numbered(call)

    web.route = limit
    assert texts(pull(web, time_, BY_NUMBER, concurrency=4)) == ids(*range(1, PAGES + 1))
    assert time_.waits == [2 + 1]
    assert max(limited.values()) == 1


def test_a_list_that_shrinks_while_it_is_read_ends_at_its_new_end(web: Web, time_: Time) -> None:
    """Pages that are not there any more are not wanted, though they are asked for already."""

    def shrunk(call: Call) -> Say:
        number = number_of(call)
        return (
            Say(status=404) if number > 3 else page(number, meta={"pages": 6 if number < 2 else 3})
        )

    web.route = shrunk
    assert texts(pull(web, time_, BY_NUMBER)) == ids(1, 2, 3)


def test_a_page_on_its_way_keeps_no_process_from_ending(web: Web) -> None:
    """After a failure or Ctrl-C: nobody waits for an answer that nobody wants."""
    never = threading.Event()
    web.route = lambda call: numbered(call) if number_of(call) < 3 or never.wait(LONG_S) else Say()
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", LEAVING, web.url], check=True, timeout=LONG_S)
    assert time.monotonic() < began + LONG_S
    never.set()


LEAVING = """
import sys
from itertools import islice
from integrations_tests.transport.conftest import Time
from integrations_tests.transport.pulling import KEY, SECRETS
from integrations_tests.transport.test_ahead import BY_NUMBER
from integrations.transport import Ask
from integrations.transport.rest import RestTransport
from integrations.transport.rest_request import RestRequest

time = Time()
transport = RestTransport(type="rest", base_url=sys.argv[1], timeout_s=60)
with transport.open(
    KEY, SECRETS, clock=time.clock, sleep=time.sleep, random=time.random
) as session:
    pages = session.pages(RestRequest.model_validate(BY_NUMBER), ask=Ask())
    assert len(list(islice(pages, 2))) == 2
"""


def test_a_list_that_grows_while_it_is_read_is_read_to_its_new_end(web: Web, time_: Time) -> None:
    """Each answer says anew how many pages there are."""
    web.route = lambda call: page(number_of(call), meta={"pages": min(PAGES, number_of(call) + 1)})
    assert texts(pull(web, time_, BY_NUMBER)) == ids(*range(1, PAGES + 1))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            page(1, total=5),
            "page 1 of 3 holds 1 records, where there should be 2",
        ),  # capped quietly
        (page(1, total=2), "page 1 of 1 holds 1 records, where there should be 2"),
        (page(total=5), "page 1 of 3 holds 0 records"),
        (page(1, total="5"), "'total' should be a number, it is '5'"),
        (page(1, total=True), "'total' should be a number, it is True"),
        (page(1), "'total' should be a number, it is missing or null"),
    ],
)
def test_pages_that_could_not_be_all_stop_the_stream(
    answer: Say, words: str, web: Web, time_: Time
) -> None:
    """Fewer to a page than asked for would leave the last ones out."""
    web.answers = [answer]
    paging = {"type": "page_number", "total": "total", "size": 2}
    with pytest.raises(StopStream, match=words):
        pull(web, time_, BY_NUMBER | {"paging": paging})


def test_the_parameter_of_the_page_is_the_paging_s_to_fill() -> None:
    """A first page that is not the first one would hide those before it."""
    with pytest.raises(ValueError, match="page is the paging's to fill"):
        RestRequest.model_validate(BY_NUMBER | {"params": {"page": 1}})
