"""Each kind of paging reads one answer and says what comes next, or that it cannot be known."""

import json
from dataclasses import replace
from typing import Any, get_args

import msgspec
import pytest
from pydantic import TypeAdapter, ValidationError

from integrations.errors import IntegrationError, RetryLater, StopStream
from integrations.transport.answer import Answer, Next
from integrations.transport.body import records_in, text_of, value_at
from integrations.transport.counted import Offset, PageNumber
from integrations.transport.paging import (
    BodyToken,
    HeaderToken,
    IdCursor,
    LastId,
    LinkHeader,
    NextUrl,
    Paging,
    SequenceNumber,
    Single,
)
from integrations.transport.ranged import Range

URL = "https://api.example.com/v1/things?limit=2"


def answer(body: Any, records: list[Any] | None = None, **headers: str) -> Answer:
    raws = [msgspec.Raw(json.dumps(record).encode()) for record in records or []]
    return Answer(URL, headers, json.dumps(body).encode(), raws)


LAST_ID = LastId(type="last_id")
NO_MORE = LastId(type="last_id", more=None)
OTHER_ID = LastId(type="last_id", param="after", id="meta.key", more="page.more")
BY_ID = IdCursor(type="id_cursor")
OTHER_CURSOR = IdCursor(type="id_cursor", older="max", newer="min", id="m.k", more="more")
NEXT_URL = NextUrl(type="next_url", next="links.next")
ODATA = NextUrl(type="next_url", next="@odata.nextLink")
CURSOR_OF_URL = NextUrl(type="next_url", next="next", param="cursor")
TOKEN = BodyToken(type="body_token", next="next")
OTHER_TOKEN = BodyToken(type="body_token", next="page.token", param="after")
LINK = LinkHeader(type="link_header")
CURSOR_OF_LINK = LinkHeader(type="link_header", param="cursor")


@pytest.mark.parametrize(
    ("paging", "said", "expected"),
    [
        (LAST_ID, answer({"has_more": False}, [{"id": "a"}]), None),
        (LAST_ID, answer({"has_more": False}), None),
        (
            LAST_ID,
            answer({"has_more": True}, [{"id": "a"}, {"id": "b"}]),
            Next(params={"starting_after": "b"}),
        ),
        (LAST_ID, answer({"has_more": True}, [{"id": 7}]), Next(params={"starting_after": "7"})),
        (
            OTHER_ID,
            answer({"page": {"more": True}}, [{"meta": {"key": "k"}}]),
            Next(params={"after": "k"}),
        ),
        (NO_MORE, answer({"has_more": False}, [{"id": "a"}]), Next(params={"starting_after": "a"})),
        (NO_MORE, answer({}), None),
        (
            NEXT_URL,
            answer({"links": {"next": "https://api.example.com/v1/things?cursor=c"}}),
            Next(url="https://api.example.com/v1/things?cursor=c"),
        ),
        (
            NEXT_URL,
            answer({"links": {"next": "?cursor=c"}}),
            Next(url="https://api.example.com/v1/things?cursor=c"),
        ),
        (
            NEXT_URL,
            answer({"links": {"next": "/v2/things"}}),
            Next(url="https://api.example.com/v2/things"),
        ),
        (NEXT_URL, answer({"links": {"next": None}}), None),
        (NEXT_URL, answer({"links": {"next": ""}}), None),
        (NEXT_URL, answer({"links": {}}), None),
        (NEXT_URL, answer({}), None),
        (ODATA, answer({"@odata.nextLink": URL}), Next(url=URL)),
        # Of an address that loses the filters, or names another origin, its cursor is all there is.
        (
            CURSOR_OF_URL,
            answer({"next": "http://other.example.com/things?size=1&cursor=cD0z%3D"}),
            Next(params={"cursor": "cD0z="}),
        ),
        (CURSOR_OF_URL, answer({"next": None}), None),
        (
            CURSOR_OF_LINK,
            answer([], link='</things/?cursor=a%2Fb>; rel="next"'),
            Next(params={"cursor": "a/b"}),
        ),
        (CURSOR_OF_LINK, answer([], link='</things/?cursor=a>; rel="prev"'), None),
        (TOKEN, answer({"next": "cD0z="}), Next(params={"cursor": "cD0z="})),
        (TOKEN, answer({"next": 253542282}), Next(params={"cursor": "253542282"})),
        (TOKEN, answer({"next": 0}), Next(params={"cursor": "0"})),
        (TOKEN, answer({"next": None}), None),
        (TOKEN, answer({"next": ""}), None),
        (TOKEN, answer({"previous": "x"}), None),
        (OTHER_TOKEN, answer({"page": {"token": "t"}}), Next(params={"after": "t"})),
        (OTHER_TOKEN, answer({"page": None}), None),
        (Single(type="single"), answer({"has_more": True}), None),
        (BY_ID, answer({"has_more": False}, [{"id": "a"}]), None),
        (
            BY_ID,
            answer({"has_more": True}, [{"id": "a"}, {"id": "b"}]),
            Next(params={"starting_after": "b"}),
        ),
        (
            BY_ID,
            replace(
                answer({"has_more": True}, [{"id": "a"}, {"id": "b"}]),
                params={"ending_before": "0"},
            ),
            Next(params={"ending_before": "a"}),
        ),
        (
            OTHER_CURSOR,
            replace(
                answer({"more": True}, [{"m": {"k": 2}}, {"m": {"k": 1}}]),
                params={"min": "0", "ending_before": "x"},
            ),
            Next(params={"min": "2"}),
        ),
    ],
)
def test_an_answer_says_what_comes_next(paging: Any, said: Answer, expected: Next | None) -> None:
    """Parameters to merge, a whole address, or the end."""
    assert expected == paging.follow(said)


C = "https://api.example.com/v1/things?cursor=a,b;c"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", None),
        (f'<{C}>; rel="next"', C),
        (f"<{C}>; rel=next", C),
        (f"<{C}>;rel=NEXT", C),
        (f'<{C}>; REL="prev next"', C),
        (f'<{C}>; title="a, b; rel=\\"x\\""; rel="next"', C),
        (f'</first>; rel="first", <{C}>; rel="next", </last>; rel="last"', C),
        (f'</p>; rel="prev" , , <{C}>;  rel = "next"', C),
        ('<?cursor=2>; rel="next"', "https://api.example.com/v1/things?cursor=2"),
        ("</last>; rel=last", None),
        (f"<{C}>", None),
        (f'<{C}>; rel="nextish"', None),
        (f'<{C}>; rel="last"; rel="next"', None),  # the first counts
        (f'<{C}>; rel="next"; anchor="#foo"', None),  # a link of another resource
    ],
)
def test_a_link_header_is_read_as_its_rfc_says(header: str, expected: str | None) -> None:
    """RFC 8288: any order, quotes, several relations and links."""
    assert LINK.follow(answer([], link=header)) == (Next(url=expected) if expected else None)


@pytest.mark.parametrize(
    ("paging", "said", "words"),
    [
        (LAST_ID, answer({"data": []}), "'has_more' should be true or false, it is missing"),
        (LAST_ID, answer({"has_more": None}), "it is missing or null"),
        (LAST_ID, answer({"has_more": "false"}), "it is 'false'"),
        (LAST_ID, answer({"has_more": 1}), "it is 1"),
        (LAST_ID, answer({"has_more": True}), "the page is empty, yet"),
        (LAST_ID, answer({"has_more": True}, [{"id": "a"}, {}]), "missing or null as its 'id'"),
        (LAST_ID, answer({"has_more": True}, [{"id": None}]), "missing or null as its 'id'"),
        (LAST_ID, answer({"has_more": True}, [{"id": ""}]), "'' as its 'id'"),
        (LAST_ID, answer({"has_more": True}, [{"id": True}]), "True as its 'id'"),
        (LAST_ID, answer({"has_more": True}, [{"id": {"x": 1}}]), "as its 'id'"),
        (LAST_ID, answer({"has_more": True}, ["text"]), "another shape"),
        (LAST_ID, answer([1]), "another shape: Expected `object`, got `array`"),
        (BY_ID, answer({"has_more": 1}), "'has_more' should be true or false, it is 1"),
        (BY_ID, answer({"has_more": True}), "the page is empty, yet"),
        (BY_ID, answer({"has_more": True}, [{"id": "a"}, {"id": 0.5}]), "has 0.5 as its 'id'"),
        (NEXT_URL, answer({"links": {"next": 7}}), "should be an address, it is 7"),
        (NEXT_URL, answer({"links": {"next": {"href": "x"}}}), "should be an address"),
        (NEXT_URL, answer({"links": {"next": "http://[::1/"}}), "cannot be read"),
        (NEXT_URL, answer({"links": "none"}), "another shape"),
        (
            CURSOR_OF_URL,
            answer({"next": "/things?size=1&key=x"}),
            "one 'cursor'; it has 'size, key'",
        ),
        (CURSOR_OF_URL, answer({"next": "/things?cursor="}), "should have one 'cursor'"),
        (CURSOR_OF_URL, answer({"next": "/things?cursor=a&cursor=b"}), "it has 'cursor, cursor'"),
        (CURSOR_OF_URL, answer({"next": "http://[::1/"}), "cannot be read"),
        (CURSOR_OF_URL, answer({"next": "/things?cursor=%ff"}), "cannot be read: '/things'"),
        (
            CURSOR_OF_LINK,
            answer([], link='</things>; rel="next"'),
            "should have one 'cursor'; it has 'none'",
        ),
        (TOKEN, answer({"next": 1.5}), "'next' should be a token, it is 1.5"),
        (TOKEN, answer({"next": True}), "should be a token, it is True"),
        (TOKEN, answer({"next": {"href": "x"}}), "should be a token"),
        (TOKEN, answer([1]), "another shape"),
        (LINK, answer([], link='https://no-brackets; rel="next"'), "Link header cannot be read"),
        (LINK, answer([], link='</a>; rel="prev", </b; rel="next"'), "Link header cannot be read"),
        (LINK, answer([], link='</b>; rel="next'), "Link header cannot be read"),
    ],
)
def test_an_answer_that_does_not_say_stops_the_stream(
    paging: Any, said: Answer, words: str
) -> None:
    """Guessing that it was the last page would lose the rest and look like success."""
    with pytest.raises(StopStream) as caught:
        paging.follow(said)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        {"type": "offset", "total": "total"},
        {"type": "offset", "size": 10},
        {"type": "offset", "total": "total", "total_header": "X-Total", "size": 10},
        {"type": "range"},
        {"type": "range", "size": 0},
        {"type": "range", "size": 4, "unit": "items 2"},
        {"type": "single", "total": "total", "total_header": "X-Total"},
        {"type": "sequence", "number": "n", "size": 4, "newest_first": True},
        {"type": "sequence", "number": "n", "size": 4},
        {"type": "sequence", "number": "n", "highest": "top"},
        {"type": "sequence", "number": "n", "highest": "top", "highest_header": "X", "size": 4},
        {"type": "header_token"},
        {"type": "header_token", "next": "not a name"},
        {"type": "next_url"},
        {"type": "next_url", "next": ""},
        {"type": "next_url", "next": "a..b"},
        {"type": "next_url", "next": "links.next", "more": "x"},
        {"type": "next_url", "next": "links.next", "param": ""},
        {"type": "link_header", "param": ""},
        {"type": "body_token"},
        {"type": "body_token", "next": "next", "param": ""},
        {"type": "last_id", "id": ".id"},
        {"type": "last_id", "param": ""},
        {"type": "id_cursor", "older": "cursor", "newer": "cursor"},
        {"type": "id_cursor", "param": "cursor"},
        {"type": "page_number", "total": "total"},
        {"type": "page_number", "total_header": "X-Total"},
        {"type": "page_number", "total": "total", "total_header": "X-Total", "size": 10},
        {"type": "page_number", "pages": "pages", "size": 10},
        {"type": "page_number", "pages": "pages", "total": "total", "size": 10},
        {},
    ],
)
def test_a_paging_that_is_none_is_refused(given: dict[str, str]) -> None:
    """At load, by its type and its fields."""
    with pytest.raises(ValidationError):
        TypeAdapter(Paging).validate_python(given)


def test_every_paging_says_whether_its_order_is_immutable() -> None:
    """An address may hold an offset, and offsets shift: whoever takes absence for a deletion asks."""
    kinds = get_args(get_args(Paging)[0])
    assert {kind for kind in kinds if kind.immutable} == {LastId, IdCursor, Single}
    assert {kind for kind in kinds if not kind.immutable} == {
        BodyToken,
        NextUrl,
        LinkHeader,
        PageNumber,
        Offset,
        Range,
        HeaderToken,
        SequenceNumber,
    }


# --- the body -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "path", "expected"),
    [
        (
            b'{"data": [{"id": 1.10}, {"id" : "\\u00e9"}]}',
            "data",
            ['{"id": 1.10}', '{"id" : "\\u00e9"}'],
        ),
        (b'{"a": {"b": [1, 2]}}', "a.b", ["1", "2"]),
        (b'{"a.b": [1]}', "a.b", ["1"]),
        (b' [ {"x": [1]} , 2 ] ', "", ['{"x": [1]}', "2"]),
        (b'{"data": []}', "data", []),
    ],
)
def test_records_are_the_bytes_that_were_sent(body: bytes, path: str, expected: list[str]) -> None:
    """Split, not decoded: numbers and escapes stay as they are."""
    assert expected == [bytes(raw).decode() for raw in records_in(body, path)]


@pytest.mark.parametrize(
    ("body", "path", "expected", "words"),
    [
        (b"", "data", RetryLater, "no JSON"),
        (b"<html>Down for maintenance</html>", "data", RetryLater, "no JSON"),
        (b'{"data": [{"id": 1}, {"id"', "data", RetryLater, "no JSON"),
        (b'[{"id": 1}', "", RetryLater, "no JSON"),
        (b'{"data": []} {', "data", RetryLater, "no JSON"),
        (b"{}", "data", StopStream, "no 'data'"),
        (b'{"a": {}}', "a.b", StopStream, "no 'a.b'"),
        (b'{"a": []}', "a.b", StopStream, "another shape"),
        (b'{"data": {}}', "data", StopStream, "'data' of the answer has another shape"),
        (b'{"data": null}', "data", StopStream, "another shape"),
        (b"[]", "data", StopStream, "another shape"),
        (b'{"\xff": 1, "data": []}', "data", StopStream, "no UTF-8"),
        (b'{"data": []}', "", StopStream, "the answer has another shape"),
        (b'{"data": [' + b"[" * 9_000 + b"]" * 9_000 + b"]}", "data", StopStream, "too deeply"),
    ],
)
def test_a_body_of_another_shape_is_no_empty_page(
    body: bytes, path: str, expected: type[IntegrationError], words: str
) -> None:
    """What is cut or no JSON may be better next time; what is another JSON will not."""
    with pytest.raises(expected) as caught:
        records_in(body, path)
    assert type(caught.value) is expected
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("path", "expected"),
    [("a.b", b"3"), ("a.c.d", b"2"), ("a.e", b"null"), ("a.x", None), ("x.y", None), ("n.y", None)],
)
def test_a_value_is_found_by_its_path(path: str, expected: bytes | None) -> None:
    """The whole path as one key first; None where a key on the way is absent or null."""
    raw = value_at(b'{"a": {"e": null, "c.d": 2}, "a.b": 3, "n": null}', path)
    assert expected == (None if raw is None else bytes(raw))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'"a"', "a"),
        (b'"\\u00e9\\n"', "é\n"),
        (b"7", "7"),
        (b"-7", "-7"),
        (b"9" * 5_000, "9" * 5_000),
        (b'""', None),
        (b"1.0", None),
        (b"1e3", None),
        (b"true", None),
        (b"null", None),
        (b"{}", None),
        (b"[]", None),
        (b'"\xff"', None),
        (None, None),
    ],
)
def test_a_text_or_a_whole_number_is_read_as_text(raw: bytes | None, expected: str | None) -> None:
    """Ids and positions are one of the two; nothing else can be asked for again."""
    assert text_of(raw) == expected
