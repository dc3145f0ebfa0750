"""When a source said something, by its own clock: what moves the held offset, and what does not."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from integrations.auth.static import NoAuth
from integrations.sandbox.server import running
from integrations.transport import Ask, Page
from integrations.transport.one_request import OneRequest
from integrations.transport.rest import RestTransport
from integrations.transport.rest_request import RestRequest
from integrations.transport.rest_session import RestSession
from integrations.transport.source_clock import SourceClock
from integrations_tests.transport.conftest import Say, Time, Web
from integrations_tests.transport.pulling import opened, page

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LIST = RestRequest.model_validate(
    {"path": "/things", "records": "data", "paging": {"type": "single"}}
)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def dated(moment: datetime) -> dict[str, str]:
    return {"date": format_datetime(moment, usegmt=True)}


class Ticking:
    """Our clock and the monotonic one; only the first can be set."""

    def __init__(self) -> None:
        self.now, self.tick = NOON, 100.0

    def passes(self, spent_s: float) -> None:
        self.now += seconds(spent_s)
        self.tick += spent_s

    def source(self, offset_s: float = 0.0) -> SourceClock:
        return SourceClock(lambda: self.now, offset_s=offset_s, monotonic=lambda: self.tick)


def answer(
    source: SourceClock,
    ours: Ticking,
    headers: dict[str, str],
    *,
    took: float = 0.2,
    set_by: float = 0.0,
    status: int = 200,
) -> datetime:
    """`seen_at` of a request that takes so long, while which our clock is set by so much."""
    began = source.start()
    ours.passes(took)
    ours.now += seconds(set_by)
    return source.answered(began, status=status, headers=headers)


# --- what moves the offset, and what does not -----------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"date": ""},
        {"date": "yesterday"},
        {"date": "1"},
        {"date": "Thu, 01 Jan 2026 13:00:00 +0000"},
        {"date": "Thu, 99 Jan 2026 13:00:00 GMT"},
        {"date": "Thu, 01 Foo 2026 13:00:00 GMT"},
        {"date": "Thu, 01 Jan 0000 13:00:00 GMT"},
        {"date": "Thu, 01 Jan 2026 13:00:00 GMT, Thu, 01 Jan 2026 13:00:00 GMT"},
        dated(datetime(1970, 1, 1, tzinfo=UTC)),
        dated(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        dated(NOON + seconds(3600)) | {"age": "3600"},
        dated(NOON + seconds(3600)) | {"age": "x"},
    ],
)
@pytest.mark.parametrize("held", [0.0, -7.5])
def test_a_date_that_says_nothing_moves_nothing(headers: dict[str, str], held: float) -> None:
    """Missing, garbage, from a clock that is none, or out of a cache: the offset stays as held."""
    ours = Ticking()
    source = ours.source(held)
    assert answer(source, ours, headers) == NOON + seconds(held)
    assert source.offset_s == held


def test_an_error_of_a_gateway_is_dated_by_the_gateway() -> None:
    """What stands before the source has a clock of its own."""
    ours = Ticking()
    source = ours.source()
    for status in (500, 502, 503, 504):
        answer(source, ours, dated(NOON + seconds(60)), status=status)
        assert source.offset_s == 0
    answer(source, ours, dated(NOON + seconds(60)), status=404)
    assert source.offset_s != 0


@given(st.lists(st.floats(-2, 2), min_size=1, max_size=20), st.floats(0, 20))
def test_jitter_moves_nothing(jitter: list[float], took: float) -> None:
    """Nodes that differ, whole seconds and the way there and back are no other clock."""
    ours = Ticking()
    source = ours.source()
    for each in jitter:
        date = (ours.now + seconds(each)).replace(microsecond=0)
        began = ours.now
        assert answer(source, ours, dated(date), took=took) == began
        ours.passes(1.0)
    assert source.offset_s == 0


@pytest.mark.parametrize("off", [-86_400.0, -3_600.0, -4.0, 4.0, 60.0, 86_400.0 * 200])
def test_a_clock_that_is_off_is_followed_and_told(
    off: float, caplog: pytest.LogCaptureFixture
) -> None:
    """At the first answer, to within a second, with a line in the log; then it is held."""
    caplog.set_level(logging.WARNING, logger="integrations")
    ours = Ticking()
    source = ours.source()
    seen = [answer(source, ours, dated(ours.now + seconds(off))) for _ in range(5)]
    assert abs(source.offset_s - off) < 1
    assert [one - NOON for one in seen] == [seconds(source.offset_s + n / 5) for n in range(5)]
    assert len(caplog.records) == 1
    assert f"is {source.offset_s:.1f} s ahead of ours" in caplog.text


@pytest.mark.parametrize(
    ("held", "date", "moved"),
    [
        (0.0, -4, True),
        (0.0, -3, False),
        (0.0, 2, False),
        (0.0, 3, True),
        (60.0, 57, False),
        (60.0, 56, True),
        (60.0, 62, False),
        (60.0, 63, True),
    ],
)
def test_it_moves_when_surely_off_by_more_than_two_seconds(
    *, held: float, date: int, moved: bool
) -> None:
    """A date is cut: it may have been written a second later."""
    ours = Ticking()
    source = ours.source(held)
    answer(source, ours, dated(NOON + seconds(date)), took=0.0)
    assert source.offset_s == (date + 0.5 if moved else held)


def test_an_answer_that_took_long_leaves_the_offset_alone() -> None:
    """It may be dated at its beginning or at its end: that alone is no other clock."""
    for at in (0.0, 15.0, 30.0):
        ours = Ticking()
        source = ours.source()
        assert answer(source, ours, dated(NOON + seconds(at)), took=30.0) == NOON
        assert source.offset_s == 0


def test_what_was_held_is_taken_up() -> None:
    """An offset of an earlier session holds before the first answer and after it."""
    ours = Ticking()
    source = ours.source(3_600.0)
    assert answer(source, ours, {}) == NOON + seconds(3_600)
    assert answer(source, ours, dated(ours.now + seconds(3_602))) > NOON + seconds(3_600)
    assert source.offset_s == 3_600


# --- our clock is set -----------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.0, -3_600.0, 3_600.0, -86_400.0, 7.0]),  # set between two requests
            st.sampled_from([0.0, -3_600.0, 3_600.0]),  # and while one is waited for
            st.floats(0, 5),
            st.floats(-0.5, 0.5),
        ),
        min_size=1,
        max_size=15,
    )
)
def test_seen_at_is_the_sources_time_however_ours_is_set(
    steps: list[tuple[float, float, float, float]],
) -> None:
    """With the source's clock steady it is off by no more than 3 s and the time of the answer."""
    ours = Ticking()
    source = ours.source()
    true = NOON + seconds(1_000)  # the source's clock
    for between, during, took, jitter in steps:
        ours.now += seconds(between)
        began = true
        true += seconds(took)
        date = (true + seconds(jitter)).replace(microsecond=0)
        seen = answer(source, ours, dated(date), took=took, set_by=during)
        assert abs((seen - began).total_seconds()) <= 3.5 + took
        ours.passes(10)
        true += seconds(10)


# --- over a real connection -----------------------------------------------------------------------


class Dated:
    """An app that dates its answers as a test says; `during` is done while it answers."""

    def __init__(self) -> None:
        self.date: str | None = None
        self.during = lambda: None

    async def __call__(self, scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        self.during()
        headers = {} if self.date is None else {"date": self.date}
        gone = Request(scope).url.path == "/gone"
        body = {"data": [{"id": 1}]}
        answered: Response = JSONResponse(body, 404 if gone else 200, headers)
        await answered(scope, receive, send)

    def says(self, moment: datetime) -> None:
        self.date = format_datetime(moment, usegmt=True)


@contextmanager
def session_with(app: Dated, time_: Time, offset_s: float = 0.0) -> Iterator[RestSession]:
    with (
        running(app) as url,
        RestTransport(type="rest", base_url=url).open(
            NoAuth(type="none"),
            {},
            offset_s=offset_s,
            clock=time_.clock,
            sleep=time_.sleep,
            random=time_.random,
        ) as session,
    ):
        yield session


def only(session: RestSession) -> Page:
    (found,) = session.pages(LIST, ask=Ask())
    return found


def test_a_clock_set_back_in_the_middle_of_a_session_sets_nothing_back(time_: Time) -> None:
    """Between two requests, while one is answered, and forward again."""
    app = Dated()
    true = time_.now
    with session_with(app, time_) as session:
        seen = []

        def set_by(hours: int) -> None:
            time_.now += timedelta(hours=hours)

        for between, during in [(0, 0), (-1, 0), (0, 0), (0, -1), (0, 0), (2, 0), (0, 1), (0, -3)]:
            set_by(between)
            app.says(true)
            app.during = lambda during=during: set_by(during)  # type: ignore[misc]
            seen.append(only(session).seen_at)
            true += seconds(10)
            time_.now += seconds(10)
    expected = [NOON + seconds(10 * n) for n in range(8)]
    assert all(abs((a - b).total_seconds()) < 1.5 for a, b in zip(seen, expected, strict=True))
    assert seen == sorted(seen)


@pytest.mark.parametrize("date", [None, "garbage", "Thu, 01 Jan 2026 12:00:01 GMT"])
def test_a_source_without_a_usable_date_is_seen_by_our_clock(date: str | None, time_: Time) -> None:
    """No date, an unreadable one, and one that is about right."""
    app = Dated()
    app.date = date
    with session_with(app, time_) as session:
        assert only(session).seen_at == NOON
        assert session.offset_s == 0


def test_the_offset_is_held_from_answer_to_answer(time_: Time) -> None:
    """One record and one that is not there tell it too, and it can be handed to a later session."""
    app = Dated()
    with session_with(app, time_) as session:
        app.says(NOON + seconds(90))
        assert session.one(OneRequest(path="/{key}"), key="gone") is None
        assert session.offset_s == pytest.approx(90.5, abs=0.1)
        app.date = None
        one = session.one(OneRequest(path="/{key}"), key="there")
        assert one is not None
        assert one.seen_at == NOON + seconds(session.offset_s) == only(session).seen_at
        held = session.offset_s
    with session_with(app, time_, held) as session:
        assert session.offset_s == held
        assert only(session).seen_at == NOON + seconds(held)


def test_a_redirect_is_seen_when_its_last_request_began(web: Web, time_: Time) -> None:
    """And each answer on the way is one of the source."""
    web.answers = [
        Say(status=302, headers={"Location": "/x", **dated(NOON + seconds(60))}),
        page(1),
    ]
    with opened(web, time_) as session:
        assert only(session).seen_at == NOON + seconds(session.offset_s)
        assert session.offset_s == pytest.approx(60.5, abs=0.1)
