"""REST from end to end: a file's words in, pages of undecoded records out, a circle noticed."""

import json
import logging
import socket
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from pydantic import ValidationError

from integrations.auth.static import NoAuth
from integrations.error_handling.retry import Retry
from integrations.errors import Barred, FixConfig, RetryLater, StopConnection, StopStream
from integrations.names import Window
from integrations.transport import Ask, Session, Transport
from integrations.transport import circle as circle_module
from integrations.transport.rest import RestTransport
from integrations.transport.rest_request import RestRequest
from integrations.transport.slots import filled, slots_in
from integrations_tests.transport.conftest import Say, Time, Web
from integrations_tests.transport.pulling import KEY, SECRETS, VALUE, opened, page, pull, texts

WINDOW = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
STRIPE: dict[str, Any] = {"path": "/v1/things", "records": "data", "paging": {"type": "last_id"}}
BY_URL: dict[str, Any] = STRIPE | {"paging": {"type": "next_url", "next": "next"}}
BY_LINK: dict[str, Any] = {"path": "/v1/things", "paging": {"type": "link_header"}}


# --- pages ----------------------------------------------------------------------------------------


def test_a_list_by_last_id_is_read_to_its_end(web: Web, time_: Time) -> None:
    """The fixed parameters go with every request, the last id with all but the first."""
    web.answers = [page(3, 2, has_more=True), page(1, has_more=False)]
    pages = pull(web, time_, STRIPE | {"params": {"limit": 2, "all": True}})
    assert texts(pages) == [['{"id": 3}', '{"id": 2}'], ['{"id": 1}']]
    assert [each.number for each in pages] == [1, 2]
    assert [each.size for each in pages] == [50, 40]
    assert [call.params for call in web.calls] == [
        {"limit": "2", "all": "true"},
        {"limit": "2", "all": "true", "starting_after": "2"},
    ]


@pytest.mark.parametrize("form", ["{url}/v1/things?cursor=2", "/v1/things?cursor=2", "?cursor=2"])
@pytest.mark.parametrize("kind", ["body", "header"])
def test_a_list_by_address_is_read_to_its_end(form: str, kind: str, web: Web, time_: Time) -> None:
    """The next address is asked as it is, without the parameters of the first."""
    address = form.format(url=web.url)
    if kind == "body":
        web.answers = [page(1, next=address), page(2, next=None)]
    else:
        web.answers = [Say([1], headers={"Link": f'<{address}>; rel="next"'}), Say([2])]
    pages = pull(web, time_, (BY_URL if kind == "body" else BY_LINK) | {"params": {"limit": 1}})
    assert len(texts(pages)) == 2
    assert [call.target for call in web.calls] == ["/v1/things?limit=1", "/v1/things?cursor=2"]
    assert {call.headers["Authorization"] for call in web.calls} == {f"Bearer {VALUE}"}


def test_pages_come_as_they_are_asked_for(web: Web, time_: Time) -> None:
    """Nothing is fetched ahead, and a page carries the time at which its request began."""
    web.answers = [page(1, has_more=True), page(2, has_more=False)]
    with opened(web, time_) as session:
        pages = session.pages(RestRequest.model_validate(STRIPE), ask=Ask())
        assert session.requests == 0
        first = next(pages)
        assert session.requests == 1
        time_.now += timedelta(hours=1)
        second = next(pages)
    assert first.seen_at == datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert second.seen_at == datetime(2026, 1, 1, 13, tzinfo=UTC)


def test_an_empty_list_is_one_empty_page(web: Web, time_: Time) -> None:
    """Nothing there is an answer too."""
    web.answers = [page(has_more=False)]
    assert texts(pull(web, time_, STRIPE)) == [[]]


def test_empty_pages_with_a_next_are_gone_through(web: Web, time_: Time) -> None:
    """A filtered list may have some, and they are no circle."""
    web.answers = [page(next="?c=1"), page(next="?c=2"), page(1, next=None)]
    assert texts(pull(web, time_, BY_URL)) == [[], [], ['{"id": 1}']]


def test_endless_empty_pages_stop_the_stream(
    web: Web, time_: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that always has a next, and never a record."""
    monkeypatch.setattr(circle_module, "_MOST_EMPTY_PAGES", 20)
    web.route = lambda call: page(next=f"?c={n}" if (n := len(web.calls)) < 30 else None)
    with pytest.raises(StopStream, match="20 pages in a row were empty"):
        pull(web, time_, BY_URL)


# --- circles --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "answers", "calls"),
    [
        # The cursor that is being read is given again.
        (BY_URL, [page(1, next="?c=2"), page(2, next="?c=2")], 2),
        # A cycle of three.
        (BY_URL, [page(n, next=f"?c={n % 3}") for n in range(1, 9)], 4),
        # Back to the very first.
        (BY_URL, [page(1, next="?")], 2),
        (BY_LINK, [Say([n], headers={"Link": "<?c=1>; rel=next"}) for n in range(5)], 2),
        # The same last id again: a server that ignores the cursor.
        (STRIPE, [page(1, has_more=True)], 2),
        (STRIPE, [page(1, has_more=True), page(2, has_more=True), page(3, 1, has_more=True)], 3),
        # The same records under ever new cursors.
        (BY_URL, [page(1, 2, next=f"?c={n}") for n in range(9)], 2),
        (BY_URL, [page(n % 2, next=f"?c={n}") for n in range(9)], 3),
    ],
)
def test_a_circle_is_noticed(
    request_: dict[str, Any], answers: list[Say], calls: int, web: Web, time_: Time
) -> None:
    """A request that was made before, and a page that was read before under a new cursor."""
    web.answers = answers
    with pytest.raises(StopStream, match="goes in a circle"):
        pull(web, time_, request_)
    assert len(web.calls) == calls


def test_a_second_pull_may_ask_the_same(web: Web, time_: Time) -> None:
    """The guard is of one pull, not of the session."""
    web.answers = [page(1, has_more=False)]
    with opened(web, time_) as session:
        request = RestRequest.model_validate(STRIPE)
        pulls = [list(session.pages(request, ask=Ask())) for _ in range(2)]
    assert texts(pulls[0]) == texts(pulls[1])


def test_a_repeated_attempt_is_no_circle(web: Web, time_: Time) -> None:
    """The retry asks the same again, which is its job."""
    web.answers = [Say(status=503), Say(status=503), page(1, has_more=False)]
    assert texts(pull(web, time_, STRIPE)) == [['{"id": 1}']]


# --- other origins --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["body", "header"])
def test_a_next_link_to_another_origin_is_refused(
    kind: str, web: Web, other: Web, time_: Time
) -> None:
    """The other server hears nothing."""
    address = f"{other.url}/v1/things?cursor=2"
    web.answers = (
        [page(1, next=address)]
        if kind == "body"
        else [Say([1], headers={"Link": f'<{address}>; rel="next"'})]
    )
    other.answers = [Say([])]
    with pytest.raises(StopStream, match="another origin"):
        pull(web, time_, BY_URL if kind == "body" else BY_LINK)
    assert other.calls == []


# --- retry ----------------------------------------------------------------------------------------


def test_a_passing_fault_is_retried_and_logged(
    web: Web, time_: Time, caplog: pytest.LogCaptureFixture
) -> None:
    """After 1, 2, 4 … s at the most, with Retry-After so much later; every request counts."""
    caplog.set_level(logging.WARNING, logger="integrations")
    web.answers = [
        Say({"error": {"message": "slow down"}}, status=429, headers={"Retry-After": "3"}),
        Say(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"),
        Say(b"<html>maintenance</html>"),
        Say(b'{"data": [{"id"'),
        page(1, has_more=False),
    ]
    with opened(web, time_) as session:
        (only,) = session.pages(RestRequest.model_validate(STRIPE), ask=Ask())
        assert session.requests == 5
    assert time_.waits == [3 + 1, 2, 4, 8]
    assert only.seen_at == datetime(2026, 1, 1, 12, 0, 18, tzinfo=UTC)
    assert [record.message.partition(": ")[0] for record in caplog.records][:1] == [
        "GET /v1/things answered 429"
    ]
    assert len(caplog.records) == 4


def test_the_pages_of_a_pull_share_a_budget(web: Web, time_: Time) -> None:
    """A window of many pages, each of which fails a little, must not take hours to fail."""
    web.answers = [
        *[Say(status=500)] * 2,
        page(1, has_more=True),
        Say(status=500),
        page(2, has_more=True),
        Say(status=503),
    ]
    with pytest.raises(RetryLater, match=r"503 \(gave up after 1 attempt: 4 s were waited, of 4 s"):
        pull(web, time_, STRIPE, retry={"budget_s": 4})
    assert time_.waits == [1, 2, 1]


def test_when_the_budget_is_spent_the_last_fault_is_told(web: Web, time_: Time) -> None:
    """With its attempts."""
    web.answers = [Say(status=503)]
    with pytest.raises(RetryLater, match=r"answered 503 \(gave up after 3 attempts"):
        pull(web, time_, STRIPE, retry={"budget_s": 3})
    assert len(web.calls) == 3


@pytest.mark.parametrize(
    ("say", "expected"),
    [
        (Say(status=401), StopConnection),
        (Say(status=404), StopStream),
        (Say({"items": []}), StopStream),
        (Say({"data": []}), StopStream),
        (Say(status=429, headers={"Retry-After": "86400"}), RetryLater),
    ],
)
def test_what_would_not_help_is_not_repeated(
    say: Say, expected: type[Exception], web: Web, time_: Time
) -> None:
    """One call, no wait."""
    web.answers = [say]
    with pytest.raises(expected):
        pull(web, time_, STRIPE)
    assert (len(web.calls), time_.waits) == (1, [])


NO_SUCH_PAGE = Say(b"<html>nginx</html>", 404, {"Content-Type": "text/html"})


@pytest.mark.parametrize(
    ("path", "answers", "expected"),
    [
        ("/v1/things", [Say(status=404)], Barred),
        ("/v1/things", [Say(status=410)], Barred),
        ("/v1/things", [NO_SUCH_PAGE], Barred),
        ("/v1/things", [page(1, has_more=True), NO_SUCH_PAGE], StopStream),
        ("/v1/{window.start}", [Say(status=404)], StopStream),
        ("/v1/{window.start}", [Say(status=403)], Barred),
    ],
)
def test_a_list_that_is_not_there_is_told_from_a_page_that_is_not(
    path: str, answers: list[Say], expected: type[Exception], web: Web, time_: Time
) -> None:
    """Where each window has a path of its own, or something was answered, others may be there."""
    web.answers = answers
    window = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
    with pytest.raises(StopStream) as caught:
        pull(web, time_, STRIPE | {"path": path}, Ask(window=window))
    assert type(caught.value) is expected


def test_the_settings_of_the_file_reach_the_call(web: Web, time_: Time) -> None:
    """Headers, the vendor's word on retrying, the request's id, and the timeout."""
    web.answers = [Say(status=409, headers={"Stripe-Should-Retry": "true", "Request-Id": "req_1"})]
    with pytest.raises(RetryLater, match="request req_1"):
        pull(
            web,
            time_,
            STRIPE,
            headers={"Stripe-Version": "2026-01-01"},
            should_retry_header="Stripe-Should-Retry",
            request_id_header="Request-Id",
            retry={"budget_s": 0},
        )
    assert web.calls[0].headers["Stripe-Version"] == "2026-01-01"


def test_a_silent_server_does_not_hold_a_run(time_: Time) -> None:
    """The timeout of the file is that of the call."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        transport = RestTransport(type="rest", base_url=url, timeout_s=0.1, retry=Retry(budget_s=0))
        with (
            transport.open(
                NoAuth(type="none"), {}, clock=time_.clock, sleep=time_.sleep, random=time_.random
            ) as session,
            pytest.raises(RetryLater, match="ReadTimeout"),
        ):
            list(session.pages(RestRequest.model_validate(STRIPE), ask=Ask()))


def test_another_address_may_be_given_when_it_is_opened(web: Web, time_: Time) -> None:
    """As for a local stand-in; it is held to the same rules."""
    transport = RestTransport(type="rest", base_url="https://api.example.com")
    web.answers = [page(has_more=False)]
    given: dict[str, Any] = {
        "clock": time_.clock,
        "sleep": time_.sleep,
        "random": time_.random,
    }
    with transport.open(KEY, SECRETS, base_url=web.url, **given) as session:
        assert len(list(session.pages(RestRequest.model_validate(STRIPE), ask=Ask()))) == 1
    with pytest.raises(FixConfig, match="base_url"):
        transport.open(KEY, SECRETS, base_url="api.example.com", **given)


def test_it_is_a_transport(web: Web, time_: Time) -> None:
    """What stands above knows the two protocols only (a type checker holds this line)."""
    transport: Transport[RestRequest] = RestTransport(type="rest", base_url=web.url)
    session: Session[RestRequest] = transport.open(
        KEY, SECRETS, clock=time_.clock, sleep=time_.sleep, random=time_.random
    )
    web.answers = [page(has_more=False)]
    with session:
        list(session.pages(RestRequest.model_validate(STRIPE), ask=Ask()))
    assert session.requests == 1


# --- windows --------------------------------------------------------------------------------------

ODD = Window(
    datetime(2026, 1, 1, 0, 0, 0, 500_500, tzinfo=UTC),
    datetime(2026, 1, 1, 1, 0, 0, 1, tzinfo=UTC),
)


@pytest.mark.parametrize(
    ("window_format", "window", "start", "end"),
    [
        ("iso", WINDOW, "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
        ("naive", WINDOW, "2026-01-01 00:00:00", "2026-01-02 00:00:00"),
        ("epoch_s", WINDOW, "1767225600", "1767312000"),
        ("epoch_ms", WINDOW, "1767225600000", "1767312000000"),
        # A source's units are coarser: rounded outwards, or records at the edge were missed.
        ("iso", ODD, "2026-01-01T00:00:00Z", "2026-01-01T01:00:01Z"),
        ("naive", ODD, "2026-01-01 00:00:00", "2026-01-01 01:00:01"),
        ("epoch_s", ODD, "1767225600", "1767229201"),
        ("epoch_ms", ODD, "1767225600500", "1767229200001"),
    ],
)
def test_the_window_is_said_in_the_sources_terms(
    window_format: str, window: Window, start: str, end: str, web: Web, time_: Time
) -> None:
    """In parameters and in the path, in UTC."""
    web.answers = [page(has_more=False)]
    params = {"created[gte]": "{window.start}", "between": "{window.start}..{window.end}"}
    request = STRIPE | {
        "path": "/v1/{window.start}/things",
        "params": params,
        "window_format": window_format,
    }
    pull(web, time_, request, Ask(window=window))
    assert unquote(web.calls[0].path) == f"/v1/{start}/things"
    assert web.calls[0].params == {"created[gte]": start, "between": f"{start}..{end}"}


def test_the_window_stays_in_every_page(web: Web, time_: Time) -> None:
    """The cursor is merged into the first request's parameters."""
    web.answers = [page(2, has_more=True), page(1, has_more=False)]
    request = STRIPE | {"params": {"created[gte]": "{window.start}"}, "window_format": "epoch_s"}
    pull(web, time_, request, Ask(window=WINDOW))
    assert web.calls[1].params == {"created[gte]": "1767225600", "starting_after": "2"}


@pytest.mark.parametrize(
    ("paging", "said"),
    [
        ({"type": "body_token", "next": "next"}, {"next": "t"}),
        ({"type": "next_url", "next": "next", "param": "cursor"}, {"next": "http://h/x?cursor=t"}),
    ],
)
def test_a_token_is_sent_beside_the_window(
    paging: dict[str, str], said: dict[str, str], web: Web, time_: Time
) -> None:
    """Also where it came in an address that leads elsewhere, and has lost the window."""
    web.answers = [page(2, **said), page(1, next=None)]
    params = {"from": "{window.start}"}
    request = STRIPE | {"params": params, "window_format": "naive", "paging": paging}
    pull(web, time_, request, Ask(window=WINDOW))
    assert [call.path for call in web.calls] == ["/v1/things"] * 2
    assert web.calls[1].params == {"from": "2026-01-01 00:00:00", "cursor": "t"}


def test_a_slot_without_a_window_is_the_files_mistake(web: Web, time_: Time) -> None:
    """Said before anything is sent."""
    web.answers = [page(has_more=False)]
    request = STRIPE | {"params": {"from": "{window.start}"}}
    assert RestRequest.model_validate(request).slots == {"{window.start}"}
    assert RestRequest.model_validate(STRIPE).slots == frozenset()
    with pytest.raises(FixConfig, match="has a slot for a window"):
        pull(web, time_, request)
    assert web.calls == []


# --- what is refused at load ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"params": {"a": "{window.middle}"}}, "'{window.middle}' is no slot"),
        ({"params": {"a": "{window.start"}}, "is no slot"),
        ({"params": {"a": "}"}}, "is no slot"),
        ({"params": {"{window.start}": "a"}}, "pattern"),
        ({"params": {"a": 1.5}}, "params"),
        ({"params": {"a": None}}, "params"),
        ({"path": "/v1/{id}"}, "'{id}' is no slot"),
        ({"path": "v1/things"}, "should be a path"),
        ({"path": "https://other.example.com/v1"}, "should be a path"),
        ({"path": "/v1/things?limit=1"}, "should be a path"),
        ({"path": "/v1/things#x"}, "should be a path"),
        ({"path": "/v1/th ings"}, "should be a path"),
        ({"records": "data."}, "records"),
        ({"records": "a..b"}, "records"),
        ({"paging": {"type": "pages"}}, "paging"),
        ({"window_format": "rfc"}, "window_format"),
        ({"body": "x"}, "body"),
        ({"path": "/v1/{key}"}, "'{key}' is no slot here"),
        ({"params": {"id": "{key}"}}, "'{key}' is no slot here"),
        ({"path": "/v1/{position}"}, "'{position}' is no slot here"),
        ({"path": "/v1/{since}"}, "'{since}' is no slot here"),
        ({"params": {"a": "{position}..{since}"}}, "would never be sent"),
        ({"params": {"a": "{position}", "b": "{window.end}"}}, "for a window and for a cursor"),
        ({"path": "/{window.start}", "params": {"a": "{since}"}}, "for a window and for a cursor"),
        (
            {"paging": {"type": "id_cursor"}, "params": {"starting_after": "{position}"}},
            "the parameter starting_after is the paging's to fill",
        ),
        (
            {"paging": {"type": "body_token", "next": "next"}, "params": {"cursor": "x"}},
            "the parameter cursor is the paging's to fill",
        ),
        (
            {"paging": {"type": "link_header", "param": "page"}, "params": {"page": 1}},
            "the parameter page is the paging's to fill",
        ),
    ],
)
def test_a_request_that_could_not_work_is_refused(changes: dict[str, Any], words: str) -> None:
    """With the value and the rule, while the file is loaded."""
    with pytest.raises(ValidationError) as caught:
        RestRequest.model_validate(STRIPE | changes)
    assert words in str(caught.value)


@pytest.mark.parametrize("records", ["", "data", "a.b.c", "@odata.value"])
def test_a_place_of_records_is_keys_joined_by_dots(records: str) -> None:
    """Or nothing: the body is the list."""
    assert RestRequest.model_validate(STRIPE | {"records": records}).records == records


def test_a_request_says_which_slots_it_uses() -> None:
    """In its path and its parameters, with their braces."""
    params = {"limit": 100, "all": True, "a": "{position}", "b": "from {since}"}
    request = RestRequest.model_validate(STRIPE | {"params": params})
    assert request.slots == {"{position}", "{since}"}
    windows = STRIPE | {"path": "/{window.end}", "params": {"a": "{window.start}"}}
    assert RestRequest.model_validate(windows).slots == {"{window.start}", "{window.end}"}
    assert slots_in(["{key}", "{no}", 7, None]) == {"{key}"}


def test_what_fills_a_slot_is_not_filled_again() -> None:
    """A source's position may look like a slot."""
    values = {"{position}": "{since}", "{since}": "{position}"}
    assert filled("{position} {since}", values) == "{since} {position}"
    assert filled("{position} {key}", values) is None


def test_parameters_keep_their_types() -> None:
    """`true` stays true and 1 stays 1."""
    params = {"a": True, "b": 1, "c": "1"}
    read = RestRequest.model_validate_json(json.dumps(STRIPE | {"params": params})).params
    assert [type(value) for value in read.values()] == [bool, int, str]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"base_url": "api.example.com"}, "should begin with https://"),
        ({"base_url": "ftp://example.com"}, "should begin with https://"),
        ({"base_url": "https://"}, "name a host"),
        ({"base_url": "https://example.com:port"}, "cannot be read"),
        ({"base_url": "https://" + "a" * 64 + ".com"}, "cannot be read"),
        ({"base_url": "https://example.com/v1?key=1"}, "should end with its path"),
        ({"base_url": "https://example.com/ v1"}, "should end with its path"),
        ({"headers": {"authorization": "x"}}, "authorization is for auth_handler"),
        ({"headers": {"Cookie": "x"}}, "Cookie is for auth_handler"),
        ({"headers": {"X-Api-Key": "x"}}, "X-Api-Key is for auth_handler"),
        ({"headers": {"X-AuthToken": "x"}}, "X-AuthToken is for auth_handler"),
        ({"headers": {"apikey": "x"}}, "apikey is for auth_handler"),
        ({"headers": {"X Y": "x"}}, "is no name of a header"),
        ({"headers": {"X": "a\nb"}}, "no header can carry"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"verify": False}, "verify"),
        ({"type": "soap"}, "type"),
    ],
)
def test_a_transport_that_could_not_work_is_refused(changes: dict[str, Any], words: str) -> None:
    """While the file is loaded."""
    with pytest.raises(ValidationError) as caught:
        RestTransport.model_validate({"type": "rest", "base_url": "https://x.example"} | changes)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("params", "refused"),
    [
        ({"api_key": "x"}, True),
        ({"accessToken": "x"}, True),
        ({"client-secret": 7}, True),
        ({"password": ""}, True),
        ({"author": "x", "keyword": "y", "authority": "z"}, False),
        ({"include_keys": True}, False),
        ({"sync_token": "{position}"}, False),
        ({"sync_token": "sk_{position}"}, True),
        ({"sync_token": "{position}{position}"}, True),
    ],
)
def test_a_parameter_that_carries_a_secret_is_refused(
    params: dict[str, Any], *, refused: bool
) -> None:
    """By its name, while the file is loaded; a word that only begins like one is none."""
    with pytest.raises(ValidationError, match="holds none") if refused else nullcontext():
        RestRequest.model_validate(STRIPE | {"params": params})


def test_a_key_in_the_address_is_refused() -> None:
    """A file names secrets, it holds none."""
    with pytest.raises(ValidationError, match="auth_handler"):
        RestTransport(type="rest", base_url="https://user:pass@example.com")
