"""The faults of the network and of the source: what the proxy does between us and any twin.

*Once* is a fault that passes: it meets two requests from the second page on. *For good* is one that
stays until it is lifted.
"""

import gzip
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime

from integrations_tests.faults.bench import pages, proxy
from integrations_tests.faults.bench.cases import EVERY, KINDS, Case, Kind
from integrations_tests.faults.bench.often import for_good, once
from integrations_tests.faults.bench.proxy import Answer, Exchange, Fault
from integrations_tests.faults.bench.rig import Rig
from integrations_tests.faults.bench.shapes import SHAPES
from integrations_tests.faults.bench.untruths import PAGES

HTML = "text/html; charset=utf-8"
LOGIN = b"<!DOCTYPE html><html><title>Sign in</title><body>Please sign in.</body></html>"
NO_JSON = "the answer is no JSON"
NO_ANSWER = "brought no whole answer"


@contextmanager
def refused(rig: Rig) -> Iterator[None]:
    """Nobody listens."""
    rig.proxy.refuse()
    try:
        yield
    finally:
        rig.proxy.lift()


def passing(
    group: str, faults: Mapping[str, tuple[Fault, str]], *, kinds: tuple[Kind, ...] = KINDS
) -> Iterator[Case]:
    """Faults that may pass: once they are got over, for good they are red, and quote."""
    for name, (fault, quoted) in faults.items():
        every = EVERY if name in _OF_EVERY_SHAPE else kinds
        yield Case(
            name=f"{name}, once", group=group, kinds=every, plant=once(fault), expect="recovered"
        )
        yield Case(
            name=f"{name}, for good", group=group, kinds=kinds, plant=for_good(fault),
            expect="red", quoted=quoted,
        )  # fmt: skip


_OF_EVERY_SHAPE = ("cut in the body", "429", "gzip cut short", "a login page with 200")
"""The passing faults after which each shape must ask for the same page again."""
_ALIKE: tuple[Kind, ...] = ("window", "cursor")
"""The kinds for what transport takes as it takes another fault, which all kinds meet."""


CONNECTION = (
    Case(name="refused, for a while", group="connection", plant=once(proxy.refuse(3.0), times=1), expect="recovered"),
    Case(name="refused, for good", group="connection", plant=refused, expect="red", quoted=NO_ANSWER),
    *passing(
        "connection",
        {
            "reset": (proxy.reset, NO_ANSWER),
            "closed without an answer": (proxy.hang_up, NO_ANSWER),
            "cut in the headers": (proxy.cut_in_the_head, NO_ANSWER),
            "cut in the body": (proxy.cut, NO_ANSWER),
            "ended in the body": (proxy.end_early, NO_ANSWER),
            "not HTTP": (proxy.garbage, NO_ANSWER),
        },
    ),
)  # fmt: skip

SLOW = (
    *passing(
        "slow",
        {
            "stalled before the headers": (proxy.stall, NO_ANSWER),
            "stalled in the body": (proxy.stall_in_body, NO_ANSWER),
            # On a busy machine the drops come so late that each alone is waited for in vain.
            "dripping for too long": (proxy.drip(1.5), "gave up after"),
        },
    ),
    Case(name="dripping, and in time", group="slow", plant=once(proxy.drip(0.2)), expect="recovered"),
)  # fmt: skip


def _error(status: int) -> Fault:
    body = json.dumps({"error": {"message": f"we say {status}"}}).encode()
    return proxy.answers(status, body, Content_Type="application/json")


def _busy(status: int) -> Fault:
    body = b"<html><body><h1>We are busy</h1></body></html>"
    return proxy.answers(status, body, Content_Type=HTML)


def echoing(status: int) -> Fault:
    """An error that quotes the key that we sent."""

    def fault(exchange: Exchange) -> None:
        words = {"error": {"message": f"what is {pages.sent_key(exchange)}?"}}
        proxy.answers(status, json.dumps(words).encode(), Content_Type="application/json")(exchange)

    return fault


STATUS = (
    *(
        Case(
            name=f"{status}, {often}", group="status", plant=plant(_error(status)), expect="red",
            # Where a position is asked for, "not found" is said of that.
            quoted="" if status == 404 else f"answered {status}: we say {status}", kinds=kinds,
        )
        for status in (400, 401, 403, 404, 409)
        for often, plant, kinds in (("once", once, ("cursor",)), ("for good", for_good, KINDS))
    ),
    *passing(
        "status",
        {
            "429": (_error(429), "answered 429"),
            "500": (_error(500), "answered 500"),
            "503 in HTML": (_busy(503), "answered 503"),
        },
    ),
    *passing(
        "status",
        {str(status): (_error(status), f"answered {status}") for status in (408, 425)}
        | {f"{status} in HTML": (_busy(status), f"answered {status}") for status in (502, 504)},
        kinds=_ALIKE,
    ),
    Case(name="204, for good", group="status", plant=for_good(proxy.answers(204)), expect="red", quoted="answered 204"),
    Case(name="206, for good", group="status", plant=for_good(
        proxy.changed(lambda answer: replace(answer, status=206))
    ), expect="red", quoted="answered 206"),
    Case(name="400 that quotes the key", group="status", plant=for_good(echoing(400)), expect="red", quoted="answered 400"),
    Case(name="500 that quotes the key", group="status", plant=for_good(echoing(500)), expect="red", quoted="answered 500"),
)  # fmt: skip


def _later(shape: str) -> Fault:
    return proxy.answers(429, b"slow down", Retry_After=shape)


def _dated(seconds: float) -> Fault:
    """A wait until a moment, by the source's clock."""

    def fault(exchange: Exchange) -> None:
        until = format_datetime(exchange.proxy.clock() + timedelta(seconds=seconds), usegmt=True)
        _later(until)(exchange)

    return fault


WAITS: Mapping[str, Fault] = {
    "seconds": _later("4"),
    "zero": _later("0"),
    "negative": _later("-5"),
    "a fraction": _later("1.5"),
    "a date": _dated(4),
    "a date in the past": _dated(-3600),
    "garbage": _later("soon, perhaps"),
    "empty": _later(""),
    "more digits than a number has": _later("1e400"),
}
TOO_LONG: Mapping[str, Fault] = {
    "a billion seconds": _later("1000000000"),
    "sixty digits": _later("9" * 60),
    "next year": _dated(366 * 86_400),
}
_RATED: tuple[Kind, ...] = ("window",)
"""How long is waited has nothing to do with what is read."""

RETRY_AFTER = (
    *(
        Case(name=f"Retry-After: {name}", group="retry-after", kinds=_RATED, plant=once(fault), expect="recovered")
        for name, fault in WAITS.items()
    ),
    *(
        Case(
            name=f"Retry-After: {name}", group="retry-after", kinds=_RATED, plant=once(fault),
            expect="red", quoted="it asks to wait until",
        )
        for name, fault in TOO_LONG.items()
    ),
)  # fmt: skip


def _headed(name: str, value: str) -> Fault:
    return proxy.changed(lambda answer: answer.header(name, value))


def _packed(answer: Answer) -> Answer:
    return replace(answer, body=gzip.compress(answer.body))


def _cut_gzip(answer: Answer) -> Answer:
    packed = _packed(answer).header("Content-Encoding", "gzip")
    return replace(packed, body=packed.body[: len(packed.body) // 2])


def _longer(answer: Answer) -> Answer:
    return replace(answer, length=len(answer.body) + 10)


def _shorter(answer: Answer) -> Answer:
    return replace(answer, length=len(answer.body) - 10)


def _too_long(exchange: Exchange) -> None:
    """Says more than it sends, and ends."""
    exchange.send(_longer(exchange.ask()).wire())
    exchange.close()


BODY = (
    *passing(
        "body",
        {
            "gzip that is none": (_headed("Content-Encoding", "gzip"), NO_ANSWER),
            "gzip that is not said": (proxy.changed(_packed), NO_JSON),
            "gzip cut short": (proxy.changed(_cut_gzip), "a compressed body that is cut"),
            "a length too long": (_too_long, NO_ANSWER),
            # By turns no JSON, and what was left of it in the place of the next answer.
            "a length too short": (proxy.changed(_shorter), ""),
            "a login page with 200": (proxy.answers(200, LOGIN, Content_Type=HTML), NO_JSON),
            "an empty body with 200": (proxy.answers(200), NO_JSON),
            "half a JSON with 200": (
                proxy.changed(lambda one: replace(one, body=one.body[: len(one.body) // 2])),
                NO_JSON,
            ),
        },
    ),
    Case(name="gzip that is one", group="body", plant=for_good(
        proxy.changed(lambda one: _packed(one).header("Content-Encoding", "gzip"))
    ), expect="recovered"),
    Case(name="JSON called HTML", group="body", plant=for_good(_headed("Content-Type", HTML)), expect="recovered"),
    Case(
        name="an error with 200", group="body", expect="red", quoted="where its records should be", kinds=EVERY,
        plant=for_good(proxy.answers(200, b'{"error": {"message": "no"}}')),
    ),
    Case(
        name="null with 200", group="body", expect="red", quoted="has another shape", kinds=EVERY,
        plant=for_good(proxy.answers(200, b"null")),
    ),
    Case(
        name="an error of GraphQL with 200", group="body", expect="red", quoted="answered 200 with an error: no",
        kinds=tuple(name for name, shape in SHAPES.items() if shape.graphql),
        plant=once(proxy.answers(200, b'{"data": null, "errors": [{"message": "no"}]}')),
    ),
)  # fmt: skip


def away(exchange: Exchange) -> None:
    """A redirect to another host."""
    to = exchange.proxy.elsewhere + exchange.target
    proxy.answers(302, Location=to)(exchange)


def round_(exchange: Exchange) -> None:
    """A redirect to itself."""
    proxy.answers(307, Location=exchange.target)(exchange)


def nowhere(exchange: Exchange) -> None:
    """A redirect to what is no address."""
    proxy.answers(301, Location="http://[::1/")(exchange)


ORIGIN = "the credential is not sent to another origin"
ELSEWHERE = (
    Case(name="a redirect to another host", group="elsewhere", plant=once(away), expect="red", quoted=ORIGIN),
    Case(name="a redirect in a circle", group="elsewhere", plant=for_good(round_), expect="red", quoted="was redirected more than 5 times"),
    Case(name="a redirect to itself, once", group="elsewhere", plant=once(round_), expect="recovered"),
    *passing("elsewhere", {"a redirect to nowhere": (nowhere, NO_ANSWER)}),
    Case(name="a next page at another host", group="elsewhere", kinds=("cursor", "link_header", "next_url"), plant=once(pages.elsewhere, times=1), expect={"cursor": "red", "link_header": "red", "next_url": "recovered"}, quoted=ORIGIN),
)  # fmt: skip

CASES: tuple[Case, ...] = (
    *CONNECTION, *SLOW, *STATUS, *RETRY_AFTER, *BODY, *PAGES, *ELSEWHERE,
)  # fmt: skip
