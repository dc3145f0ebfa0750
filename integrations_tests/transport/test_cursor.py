"""Reading by cursor: what is asked for, where a reader stands after each page, and a lost place."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrations.errors import Barred, FixConfig, PositionGone, RetryLater, StopStream
from integrations.names import Window
from integrations.transport import Ask, Page
from integrations.transport.rest_request import RestRequest
from integrations.transport.rest_session import RestSession
from integrations_tests.transport.conftest import Call, Say, Time, Web
from integrations_tests.transport.pulling import opened, page, pull, texts

SINCE = datetime(2026, 1, 1, 0, 0, 0, 900_000, tzinfo=UTC)
FEED: dict[str, Any] = {
    "path": "/v1/events",
    "params": {"limit": 2, "ending_before": "{position}", "created[gte]": "{since}"},
    "window_format": "epoch_s",
    "records": "data",
    "paging": {"type": "id_cursor"},
}
CHANGES: dict[str, Any] = {
    "path": "/changes",
    "params": {"after": "{position}"},
    "records": "data",
    "paging": {"type": "next_url", "next": "next"},
}


def at(position: str) -> Ask:
    return Ask(position=position)


def stands(pages: list[Page]) -> list[str | None]:
    return [each.position for each in pages]


def seqs(*values: Any, next: str | None = None) -> Say:  # noqa: A002  # the body's own word
    return Say({"data": [{"seq": value} for value in values], "next": next})


# --- what is asked for ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        (Ask(), {"limit": "2"}),
        (at("evt_1"), {"limit": "2", "ending_before": "evt_1"}),
        (Ask(since=SINCE), {"limit": "2", "created[gte]": "1767225600"}),
    ],
)
def test_a_parameter_without_a_value_is_left_out(
    ask: Ask, expected: dict[str, str], web: Web, time_: Time
) -> None:
    """A moment is said like a window's start, and cut like one."""
    web.answers = [page(has_more=False)]
    pull(web, time_, FEED, ask)
    assert web.calls[0].params == expected


@pytest.mark.parametrize(
    ("window_format", "expected"),
    [("iso", "2026-01-01T00:00:00Z"), ("epoch_s", "1767225600"), ("epoch_ms", "1767225600900")],
)
def test_a_moment_is_said_in_the_sources_terms(
    window_format: str, expected: str, web: Web, time_: Time
) -> None:
    """As `window_format` says, and within other text."""
    web.answers = [page(has_more=False)]
    params = {"filter": "updated ge {since}"}
    pull(web, time_, FEED | {"params": params, "window_format": window_format}, Ask(since=SINCE))
    assert web.calls[0].params == {"filter": f"updated ge {expected}"}


@pytest.mark.parametrize(
    "position",
    [
        "a&b=c",
        "100%",
        "é/ü ☃ 𝄞",
        "+ +",
        "{since}",
        "{window.start}",
        "%7B",
        "#",
        "7" * 5_000,
        "\\",
        '"',
    ],
)
def test_a_position_is_sent_as_it_is(position: str, web: Web, time_: Time) -> None:
    """Whatever characters it has, and also on each further page."""
    answers = [page("x&y=z", has_more=True), page(has_more=False)]
    web.answers = list(answers)
    pull(web, time_, FEED, at(position))
    assert [call.params["ending_before"] for call in web.calls] == [position, "x&y=z"]
    web.answers = list(answers)
    prefixed = FEED | {"params": {"since_id": "eq:{position}"}}
    pull(web, time_, prefixed, at(position))
    assert {call.params["since_id"] for call in web.calls[2:]} == {f"eq:{position}"}


def test_one_reads_from_a_position_or_from_a_moment() -> None:
    """Not from both, nor from an empty position; a moment is in UTC."""
    for wrong in (
        {"position": "1", "since": SINCE},
        {"position": ""},
        {"since": SINCE.replace(tzinfo=None)},
    ):
        with pytest.raises(ValueError, match=r"position|UTC"):
            Ask(**wrong)


def test_a_position_that_no_slot_takes_is_the_files_mistake(web: Web, time_: Time) -> None:
    """Read from the start it would look like news."""
    with pytest.raises(FixConfig, match="no slot for the position"):
        pull(web, time_, FEED | {"params": {}}, at("evt_1"))
    assert web.calls == []


# --- id by id -------------------------------------------------------------------------------------


def test_a_feed_is_read_on_from_a_position(web: Web, time_: Time) -> None:
    """Each page after the newest of the one before, and each page moves the reader on."""
    web.answers = [page(3, 2, has_more=True), page(5, 4, has_more=True), page(6, has_more=False)]
    pages = pull(web, time_, FEED, at("1"))
    assert [call.params for call in web.calls] == [
        {"limit": "2", "ending_before": before} for before in ("1", "3", "5")
    ]
    assert stands(pages) == ["3", "5", "6"]


def test_a_feed_is_read_back_to_a_moment(web: Web, time_: Time) -> None:
    """Downwards; only who has come to the end stands anywhere, and that is at the very newest."""
    web.answers = [page(6, 5, has_more=True), page(4, 3, has_more=True), page(2, has_more=False)]
    pages = pull(web, time_, FEED, Ask(since=SINCE))
    assert [call.params.get("starting_after") for call in web.calls] == [None, "5", "3"]
    assert {call.params["created[gte]"] for call in web.calls} == {"1767225600"}
    assert stands(pages) == [None, None, "6"]


@pytest.mark.parametrize("ask", [Ask(), at("evt_9"), Ask(since=SINCE)])
def test_no_news_leave_a_reader_where_he_was(ask: Ask, web: Web, time_: Time) -> None:
    """Nowhere, if he had no position."""
    web.answers = [page(has_more=False)]
    assert stands(pull(web, time_, FEED, ask)) == [ask.position]


def test_an_empty_page_at_the_end_leaves_the_newest(web: Web, time_: Time) -> None:
    """Some sources say that there is more, and then there is nothing."""
    web.answers = [page(3, 2, has_more=True), page(has_more=False)]
    assert stands(pull(web, time_, FEED, at("1"))) == ["3", "3"]
    web.answers = [page(3, 2, has_more=True), page(has_more=False)]
    assert stands(pull(web, time_, FEED)) == [None, "3"]


def test_a_feed_that_repeats_the_cursors_own_record_is_read_to_its_end(
    web: Web, time_: Time
) -> None:
    """The repeated record is a duplicate for those above; what happened last comes last."""
    web.answers = [page(3, 2, 1, has_more=True), page(4, 3, has_more=False)]
    pages = pull(web, time_, FEED, at("1"))
    assert texts(pages)[1] == ['{"id": 3}', '{"id": 4}']
    assert stands(pages) == ["3", "4"]
    web.answers = [page(4, has_more=False)]
    assert stands(pull(web, time_, FEED, at("4"))) == ["4"]


@pytest.mark.parametrize(
    "answers",
    [
        [page(1, has_more=True)],  # always more, always the cursor's own record
        [page(2, has_more=True), page(1, has_more=True)],
        [page(3, 2, has_more=True)],  # a server that ignores the cursor
    ],
)
def test_a_feed_that_lies_about_more_stops(answers: list[Say], web: Web, time_: Time) -> None:
    """By the guard against circles."""
    web.answers = answers
    with pytest.raises(StopStream, match="in a circle"):
        pull(web, time_, FEED, at("1"))


def test_a_feed_with_more_and_nothing_stops(web: Web, time_: Time) -> None:
    """What comes next cannot be asked for."""
    web.answers = [page(has_more=True)]
    with pytest.raises(StopStream, match="the page is empty, yet"):
        pull(web, time_, FEED, at("1"))


def test_ids_may_be_numbers_of_any_length(web: Web, time_: Time) -> None:
    """Digits are kept as sent; no number of ours is in between."""
    big = 12345678901234567890123456789012345678901234567890
    web.answers = [page(big, has_more=True), page(big + 1, has_more=False)]
    assert stands(pull(web, time_, FEED, at("1"))) == [str(big), str(big + 1)]
    assert web.calls[1].params["ending_before"] == str(big)


@pytest.mark.parametrize("wrong", [None, "", True, 1.5, {"a": 1}, [1]])
def test_a_newest_record_without_an_id_stops(wrong: Any, web: Web, time_: Time) -> None:
    """No position can be made of it, also where no further page is asked for."""
    web.answers = [page(wrong, 1, has_more=False)]
    with pytest.raises(StopStream, match="as its 'id'"):
        pull(web, time_, FEED, at("1"))


def test_a_zero_character_is_no_position(web: Web, time_: Time) -> None:
    """No database keeps one."""
    web.answers = [page("a\0", has_more=False)]
    with pytest.raises(StopStream, match="cannot be kept"):
        pull(web, time_, FEED)


def test_a_place_makes_no_position_where_the_newest_is_first(web: Web, time_: Time) -> None:
    """Such a list has its position in its paging."""
    with pytest.raises(FixConfig, match="newest first"):
        pull(web, time_, FEED, position="seq")


def test_pages_by_window_or_in_full_stand_nowhere(web: Web, time_: Time) -> None:
    """Nobody commits them as a position."""
    web.answers = [page(2, has_more=True), page(1, has_more=False)]
    listed = {"path": "/x", "records": "data", "paging": {"type": "last_id"}}
    assert stands(pull(web, time_, listed)) == [None, None]


class Feed:
    """A feed as Stripe has it, onto which something is written before each answer."""

    def __init__(self, first: int, news: list[int]) -> None:
        self.ids = list(range(1, first + 1))
        self.news = list(news)

    def route(self, call: Call) -> Say:
        for _ in range(self.news.pop(0) if self.news else 0):
            self.ids.append(len(self.ids) + 1)
        limit, params = int(call.params["limit"]), call.params
        if "ending_before" in params:
            rest = [each for each in self.ids if each > int(params["ending_before"])]
            found, more = rest[:limit][::-1], len(rest) > limit
        else:
            below = int(params.get("starting_after", "999"))
            rest = [each for each in reversed(self.ids) if each < below]
            found, more = rest[:limit], len(rest) > limit
        return page(*found, has_more=more)


@pytest.fixture
def session(web: Web, time_: Time) -> Iterator[RestSession]:
    """One for all the readers of a property."""
    with opened(web, time_) as session:
        yield session


@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.integers(0, 7),
    st.lists(st.integers(0, 3), max_size=8),
    st.lists(st.integers(0, 4), max_size=5),
    st.integers(1, 3),
)
def test_a_reader_who_goes_on_from_where_he_stands_misses_nothing(
    web: Web, session: RestSession, first: int, news: list[int], stops: list[int], limit: int
) -> None:
    """However often he stops in the middle, and whatever is written meanwhile."""
    feed = Feed(first, news)
    web.route = feed.route
    request = RestRequest.model_validate(FEED | {"params": FEED["params"] | {"limit": limit}})
    position: str | None = None
    committed: set[int] = set()
    for stop in [*stops, None]:
        if stop is None:
            feed.news = []
        held: set[int] = set()  # what no position covers is lost with the reader
        for each in islice(session.pages(request, ask=Ask(position=position)), stop):
            held |= {json.loads(bytes(record))["id"] for record in each.records}
            if each.position is not None:
                position, committed = each.position, committed | held
        assert committed == set(range(1, int(position or 0) + 1))
    assert committed == set(feed.ids)


# --- ascending ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pages", "asked", "expected"),
    [
        ([[1, 2], [3]], None, ["2", "3"]),
        ([[9, 10], [11, 100]], "8", ["10", "100"]),
        ([["9", "10"], ["11"]], None, ["10", "11"]),  # digits are numbers as text too
        ([["2026-01-01T09Z", "2026-01-01T10Z"], []], None, ["2026-01-01T10Z"] * 2),
        ([["a&b", "é"], ["☃"]], None, ["é", "☃"]),
        ([[5, 5, 5], [5, 5, 6]], "5", ["5", "6"]),  # ties
        ([[7, 7, 7]], "7", ["7"]),
        ([[]], "7", ["7"]),
        ([[]], None, [None]),
        ([[], [3], []], None, [None, "3", "3"]),
        ([[-5, -4], [0, 3]], None, ["-4", "3"]),
        ([[2**63, 2**64, 2**65]], str(2**63), [str(2**65)]),
        ([["9" * 5_000]], "1" * 4_999, ["9" * 5_000]),
        ([["a"], ["b"]], "10", ["a", "b"]),
    ],
)
def test_a_reader_stands_at_the_last_records_value(
    pages: list[list[Any]], asked: str | None, expected: list[str | None], web: Web, time_: Time
) -> None:
    """Numbers are compared as numbers, all else as text; an empty page leaves him where he was."""
    last = len(pages) - 1
    web.answers = [
        seqs(*values, next=None if n == last else f"?c={n}") for n, values in enumerate(pages)
    ]
    assert stands(pull(web, time_, CHANGES, Ask(position=asked), position="seq")) == expected


@pytest.mark.parametrize(
    ("pages", "asked", "words"),
    [
        ([[3, 2, 4]], None, "'2' comes after '3'"),  # the page's last is its greatest
        ([[10, 9]], None, "'9' comes after '10'"),
        ([[1, 2], [1, 3]], None, "'1' comes after '2'"),
        ([[3], [2]], None, "'2' comes after '3'"),
        ([["b", "a"]], None, "'a' comes after 'b'"),
        ([[6, 7]], "7", "'6' comes after '7'"),  # the source does not heed the position
        ([[3], [], [2]], None, "'2' comes after '3'"),
        ([["1a", "10", "9", "9a", "8"]], None, "'10' comes after '1a'"),
    ],
)
def test_another_order_stops_the_stream(
    pages: list[list[Any]], asked: str | None, words: str, web: Web, time_: Time
) -> None:
    """Before the page is given: its position would leave behind what comes later."""
    web.answers = [seqs(*values, next=f"?c={n}") for n, values in enumerate(pages)]
    with pytest.raises(StopStream, match="not in ascending order of 'seq'") as caught:
        pull(web, time_, CHANGES, Ask(position=asked), position="seq")
    assert words in str(caught.value)
    assert len(web.calls) == len(pages)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"seq": None}, "missing or null"),
        ({}, "missing or null"),
        ({"seq": ""}, "it is ''"),
        ({"seq": 1.5}, "it is 1.5"),
        ({"seq": 1e3}, "it is 1000.0"),
        ({"seq": True}, "it is True"),
        ({"seq": [1]}, "it is [1]"),
        ({"seq": "a\0b"}, "cannot be kept"),
        ("text", "another shape"),
    ],
)
def test_a_record_without_a_position_stops_the_stream(
    record: Any, words: str, web: Web, time_: Time
) -> None:
    """Wherever it stands in its page."""
    web.answers = [Say({"data": [{"seq": 1}, record, {"seq": 2}]})]
    with pytest.raises(StopStream) as caught:
        pull(web, time_, CHANGES, position="seq")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("place", "record"),
    [
        ("meta.seq", {"meta": {"a": 1, "seq": 7}}),
        ("meta.seq", {"meta.seq": 7}),
        ("@odata.seq", {"@odata.seq": "7"}),
        ("sé.q", {"sé": {"q": 7}}),
    ],
)
def test_a_position_may_stand_deeper(place: str, record: Any, web: Web, time_: Time) -> None:
    """Keys joined by dots, as everywhere, and a key that has a dot itself."""
    web.answers = [Say({"data": [record]})]
    assert stands(pull(web, time_, CHANGES, position=place)) == ["7"]


def test_positions_go_on_over_ids_too(web: Web, time_: Time) -> None:
    """A list oldest first whose next page is asked with the last id."""
    request = CHANGES | {
        "paging": {"type": "last_id", "param": "after", "id": "seq", "more": "more"}
    }
    web.answers = [
        Say({"data": [{"seq": 8}, {"seq": 9}], "more": True}),
        Say({"data": [{"seq": 10}], "more": False}),
    ]
    assert stands(pull(web, time_, request, at("7"), position="seq")) == ["9", "10"]
    assert [call.params for call in web.calls] == [{"after": "7"}, {"after": "9"}]


def test_a_page_full_of_one_position_that_is_asked_for_again_stops(web: Web, time_: Time) -> None:
    """More ties than a page holds, and a cursor that includes them: no way on, and it is said."""
    request = CHANGES | {
        "paging": {"type": "last_id", "param": "after", "id": "seq", "more": "more"}
    }
    web.answers = [Say({"data": [{"seq": 8, "n": 1}, {"seq": 8, "n": 2}], "more": True})]
    with pytest.raises(StopStream, match="in a circle"):
        pull(web, time_, request, at("8"), position="seq")


# --- a position that is gone ----------------------------------------------------------------------


def stripe_error(**error: Any) -> dict[str, Any]:
    return {"error": {"type": "invalid_request_error", "message": "No such event"} | error}


HTML = {"Content-Type": "text/html; charset=utf-8"}


@pytest.mark.parametrize(
    ("say", "expected"),
    [
        (Say(stripe_error(code="resource_missing", param="ending_before"), 400), PositionGone),
        (Say(stripe_error(code="resource_missing", param="ending_before"), 404), PositionGone),
        (Say(stripe_error(code="resource_missing"), 400), PositionGone),
        (Say({"code": "resource_missing"}, 400), PositionGone),
        (Say(b"", 404), PositionGone),
        (Say({"message": "gone"}, 410), PositionGone),
        (Say([1], 410), PositionGone),
        (Say({"error": "gone"}, 410), PositionGone),
        # Another parameter's fault, another fault, another machine's answer.
        (Say(stripe_error(code="resource_missing", param="customer"), 400), StopStream),
        (Say(stripe_error(code="resource_missing", param="customer"), 404), StopStream),
        (Say(stripe_error(code="parameter_unknown", param="ending_before"), 400), StopStream),
        (Say(stripe_error(code=["resource_missing"]), 400), StopStream),
        (Say(b"{", 400), StopStream),
        (Say(b"<html>no such page</html>", 404, HTML), StopStream),
        (Say(stripe_error(code="resource_missing"), 403), Barred),
        (Say(stripe_error(code="resource_missing"), 429), RetryLater),
    ],
)
@pytest.mark.parametrize("page_number", [1, 2])
def test_a_position_that_the_source_forgot_is_told_apart(
    page_number: int, say: Say, expected: type[Exception], web: Web, time_: Time
) -> None:
    """404, 410, or a 400 that says so of the parameter; on the first page or a later one."""
    web.answers = [page(2, has_more=True)] * (page_number - 1) + [say]
    with pytest.raises(expected) as caught:
        pull(web, time_, FEED, at("evt_1"), retry={"budget_s": 0})
    assert type(caught.value) is expected
    assert "/v1/events answered" in str(caught.value)


@pytest.mark.parametrize("ask", [Ask(), Ask(since=SINCE)])
def test_who_had_no_position_has_lost_none(ask: Ask, web: Web, time_: Time) -> None:
    """The same answer is then a wrong path, or another mistake."""
    web.answers = [Say(stripe_error(code="resource_missing"), 404)]
    with pytest.raises(Barred, match="Correct the request's path"):
        pull(web, time_, FEED, ask)


def test_a_next_address_that_is_gone_is_no_lost_position(web: Web, time_: Time) -> None:
    """It holds the source's own cursor; the position was good for the first page."""
    web.answers = [seqs(8, next="?c=2"), Say({}, 404)]
    with pytest.raises(StopStream) as caught:
        pull(web, time_, CHANGES, at("7"), position="seq")
    assert type(caught.value) is StopStream


def test_a_vendor_that_says_to_retry_is_believed_first(web: Web, time_: Time) -> None:
    """A 404 that passes is no lost position."""
    web.answers = [Say({}, 404, {"Stripe-Should-Retry": "true"}), page(2, has_more=False)]
    pages = pull(web, time_, FEED, at("1"), should_retry_header="Stripe-Should-Retry")
    assert stands(pages) == ["2"]


def test_a_window_needs_no_position(web: Web, time_: Time) -> None:
    """A list by window may be paged by ids too."""
    window = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
    request = FEED | {"params": {"created[gte]": "{window.start}"}}
    web.answers = [page(2, has_more=True), page(1, has_more=False)]
    pull(web, time_, request, Ask(window=window))
    assert [call.params.get("starting_after") for call in web.calls] == [None, "2"]
