"""One record by its key: where it is asked for, what is given back, and when there is none."""

from typing import Any

import pytest
from pydantic import ValidationError

from integrations.errors import Barred, RetryLater, StopConnection, StopStream
from integrations.transport import One
from integrations.transport.one_request import OneRequest
from integrations_tests.transport.conftest import Say, Time, Web
from integrations_tests.transport.pulling import VALUE, opened

CHARGE: dict[str, Any] = {"path": "/v1/charges/{key}"}


def fetch(
    web: Web, time_: Time, *, key: str = "ch_1", request: dict[str, Any] = CHARGE, **changes: Any
) -> One | None:
    with opened(web, time_, **changes) as session:
        return session.one(OneRequest.model_validate(request), key=key)


@pytest.mark.parametrize(
    ("key", "target"),
    [
        ("ch_1", "ch_1"),
        ("a/b?c#d", "a%2Fb%3Fc%23d"),
        ("../../secret", "..%2F..%2Fsecret"),
        ("..a", "..a"),
        ("a b+c&d=e", "a%20b%2Bc%26d%3De"),
        ("100%", "100%25"),
        ("%2e%2e", "%252e%252e"),
        ("é☃", "%C3%A9%E2%98%83"),
        ("{key}", "%7Bkey%7D"),
        ("https://other.example/x", "https%3A%2F%2Fother.example%2Fx"),
        ("\r\nX: y", "%0D%0AX%3A%20y"),
        ("9" * 2_000, "9" * 2_000),
    ],
)
def test_a_record_is_asked_for_by_its_key(key: str, target: str, web: Web, time_: Time) -> None:
    """Percent-encoded as a whole, so that a key never leaves its place in the path."""
    web.answers = [Say({"id": key})]
    assert fetch(web, time_, key=key) is not None
    assert web.calls[0].target == f"/v1/charges/{target}"
    assert web.calls[0].headers["Authorization"] == f"Bearer {VALUE}"


@pytest.mark.parametrize("key", ["", ".", "..", "\ud800"])
def test_a_key_that_leads_elsewhere_is_refused(key: str, web: Web, time_: Time) -> None:
    """Nothing is sent: the list, or a folder above, would have answered."""
    with pytest.raises(StopStream, match="no key that a record can be fetched by"):
        fetch(web, time_, key=key)
    assert web.calls == []


@pytest.mark.parametrize(
    ("body", "place", "expected"),
    [
        (b' {"id": 1.10, "n" : null}\n', "", b' {"id": 1.10, "n" : null}\n'),
        (b'{"data": {"order": {"id" : 7}}}', "data.order", b'{"id" : 7}'),
        (rb'{"x":"\ud83d","o":{"a":"\ud83d"}}', "o", rb'{"a":"\ud83d"}'),
        (rb'{"a":"\ud83d"}', "", rb'{"a":"\ud83d"}'),
    ],
)
def test_a_record_is_the_bytes_that_were_sent(
    body: bytes, place: str, expected: bytes, web: Web, time_: Time
) -> None:
    """From its place in the body, with when it was seen and the answer's size."""
    web.answers = [Say(body)]
    one = fetch(web, time_, request=CHARGE | {"record": place})
    assert one == One(expected, time_.now, len(body))


@pytest.mark.parametrize("status", [404, 410])
def test_a_record_that_is_not_there_is_none(status: int, web: Web, time_: Time) -> None:
    """The source says so in its own words; one call."""
    web.answers = [Say({"error": {"code": "resource_missing", "param": "id"}}, status)]
    assert fetch(web, time_) is None
    assert len(web.calls) == 1


@pytest.mark.parametrize(
    ("say", "expected"),
    [
        (Say({"error": {"code": "resource_missing"}}, 400), StopStream),
        (Say(b"<html>nginx</html>", 404, {"Content-Type": "text/html"}), StopStream),
        (Say(status=403), Barred),
        (Say(status=401), StopConnection),
        (Say([1]), StopStream),
        (Say({"data": None}), StopStream),
        (Say({"data": [1]}), StopStream),
        (Say({}), StopStream),
        (Say(status=204), StopStream),
        (Say(b"<html>"), RetryLater),
        (Say(status=503), RetryLater),
    ],
)
def test_anything_else_does_not_say_that_it_is_gone(
    say: Say, expected: type[Exception], web: Web, time_: Time
) -> None:
    """A deletion that nobody made would be loaded."""
    web.answers = [say]
    with pytest.raises(expected) as caught:
        fetch(web, time_, request=CHARGE | {"record": "data"}, retry={"budget_s": 0})
    assert type(caught.value) is expected


def test_a_passing_fault_is_waited_for(web: Web, time_: Time) -> None:
    """With the one retry of the transport; every request counts."""
    web.answers = [Say(status=503), Say({"id": 1})]
    with opened(web, time_) as session:
        assert session.one(OneRequest.model_validate(CHARGE), key="1") is not None
        assert session.requests == 2
    assert time_.waits == [1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"path": "/v1/charges"}, "should have {key}"),
        ({"path": "/v1/{id}"}, "'{id}' is no slot here"),
        ({"path": "/v1/{key}/{position}"}, "'{position}' is no slot here"),
        ({"path": "v1/{key}"}, "should be a path"),
        ({"path": "/v1?id={key}"}, "should be a path"),
        ({"record": "a..b"}, "record"),
        ({"params": {}}, "params"),
    ],
)
def test_a_request_that_could_not_work_is_refused(changes: dict[str, Any], words: str) -> None:
    """While the file is loaded."""
    with pytest.raises(ValidationError) as caught:
        OneRequest.model_validate(CHARGE | changes)
    assert words in str(caught.value)
