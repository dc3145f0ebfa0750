"""Each fault of the proxy does on the wire what it says."""

import gzip
import json
import re
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from integrations.sandbox.server import running
from integrations_tests.faults.bench import network, pages, proxy
from integrations_tests.faults.bench.proxy import Fault, Proxy

NOW = datetime(2024, 3, 3, tzinfo=UTC)
PATIENCE_S = 10.0
SHORT_S = 0.4
"""For how long a test listens where it expects that nothing more comes."""
KEY = "sk_test_0123456789abcdef"


async def numbers(scope: Scope, receive: Receive, send: Send) -> None:
    """Three records a page, newest first, of ten."""
    params = Request(scope).query_params
    begin = int(params.get("starting_after", 0))
    data = [{"id": str(number)} for number in range(begin + 1, min(begin + 4, 11))]
    await JSONResponse({"data": data, "has_more": begin + 3 < 10})(scope, receive, send)


class Now:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(scope="module")
def clock() -> Now:
    return Now()


@pytest.fixture(scope="module")
def opened(clock: Now) -> Iterator[Proxy]:
    with running(numbers) as url, Proxy(url, clock=clock) as made:
        yield made


@pytest.fixture
def one(opened: Proxy) -> Iterator[Proxy]:
    yield opened
    opened.lift()


@contextmanager
def connected(one: Proxy, *, patience_s: float = PATIENCE_S) -> Iterator[socket.socket]:
    port = int(one.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=patience_s) as client:
        yield client


def ask(client: socket.socket, target: str = "/v1/numbers") -> None:
    head = f"GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n"
    client.sendall(head.encode())


def heard(client: socket.socket, *, all_of_it: bool = False) -> tuple[bytes, str]:
    """What comes, and how it ends: whole (as long as it says of itself, unless `all_of_it`),
    closed, reset or silence."""
    data = b""
    while all_of_it or not is_whole(data):
        try:
            piece = client.recv(65_536)
        except ConnectionResetError:
            return data, "reset"
        except TimeoutError:
            return data, "silence"
        if not piece:
            return data, "closed"
        data += piece
    return data, "whole"


def is_whole(data: bytes) -> bool:
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: ([0-9]+)", head)
    return length is not None and len(body) >= int(length[1])


def said(
    one: Proxy, target: str = "/v1/numbers", *, until_silence: bool = False
) -> tuple[bytes, bytes, str]:
    """Head and body of the answer to a request, and how the connection ends."""
    with connected(one, patience_s=SHORT_S if until_silence else PATIENCE_S) as client:
        ask(client, target)
        data, end = heard(client, all_of_it=until_silence)
    head, _, body = data.partition(b"\r\n\r\n")
    return head, body, end


WHOLE = b'{"data":[{"id":"1"},{"id":"2"},{"id":"3"}],"has_more":true}'
ENDS: list[tuple[Fault, int, str]] = [
    (proxy.reset, 0, "reset"),
    (proxy.hang_up, 0, "closed"),
    (proxy.cut_in_the_head, 0, "closed"),
    (proxy.cut, len(WHOLE) // 2, "reset"),
    (proxy.end_early, len(WHOLE) // 2, "closed"),
    (proxy.stall, 0, "silence"),
    (proxy.stall_in_body, len(WHOLE) // 2, "silence"),
]
"""Faults, how much of the body arrives, and what happens then."""


def test_without_a_fault_it_passes_on(one: Proxy) -> None:
    """The twin's own answer, on a connection that stays open."""
    head, body, end = said(one)
    assert (head.split(b"\r\n")[0], body, end) == (b"HTTP/1.1 200 OK", WHOLE, "whole")
    assert b"content-type: application/json" in head


@pytest.mark.parametrize(
    ("fault", "size", "end"), ENDS, ids=lambda one: getattr(one, "__name__", "")
)
def test_how_an_answer_ends(one: Proxy, fault: Fault, size: int, end: str) -> None:
    with one.planted(fault):
        _, body, ended = said(one, until_silence=end == "silence")
    # What a reset overtakes may never arrive.
    assert (body in (WHOLE[:size], b"") if end == "reset" else body == WHOLE[:size], ended) == (
        True,
        end,
    )


def test_a_fault_meets_whom_it_is_planted_for(one: Proxy) -> None:
    """From the second request of the path on, twice, and nobody after it is lifted."""
    planted = one.plant(proxy.answers(503), path="/v1/numbers", after=1, times=2)
    found = [said(one, target)[0].split()[1] for target in ["/v1/numbers", "/v1/other"] * 2]
    assert found == [b"200", b"200", b"503", b"200"]
    assert [said(one)[0].split()[1] for _ in range(2)] == [b"503", b"200"]
    assert planted.met == 2
    one.plant(proxy.answers(503))
    one.lift()
    assert said(one)[0].split()[1] == b"200"


def test_refused_for_a_while(one: Proxy, clock: Now) -> None:
    """Nobody listens, and who was connected is cut off, until the source's clock says so."""
    with connected(one) as early:
        one.refuse(3.0)
        # Who was not let in yet is reset by the system.
        assert heard(early) in ((b"", "closed"), (b"", "reset"))
    with pytest.raises(ConnectionRefusedError), connected(one):
        pass
    clock.now += timedelta(seconds=3)
    until = time.monotonic() + 2
    while time.monotonic() < until:
        try:
            assert said(one)[1] == WHOLE
            return
        except ConnectionRefusedError:
            time.sleep(0.005)
    pytest.fail("nobody came back")


def test_dripping_takes_its_time(one: Proxy) -> None:
    with one.planted(proxy.drip(0.3)):
        began = time.monotonic()
        assert said(one)[1] == WHOLE
    assert time.monotonic() - began >= 0.2  # the last piece is not waited for


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 425, 429, 500, 502, 503, 504])
def test_a_status(one: Proxy, status: int) -> None:
    with one.planted(proxy.answers(status, b"no", Retry_After="7")):
        head, body, _ = said(one)
    assert (int(head.split()[1]), body) == (status, b"no")
    assert b"Retry-After: 7" in head


@pytest.mark.parametrize("name", [*network.WAITS, *network.TOO_LONG])
def test_a_wait(one: Proxy, clock: Now, name: str) -> None:
    """Each shape of Retry-After is sent once, as it is named."""
    with one.planted((network.WAITS | network.TOO_LONG)[name]):
        head, _, _ = said(one)
    assert head.count(b"Retry-After:") == 1
    if "date" in name or "year" in name:
        assert b"GMT" in head.partition(b"Retry-After:")[2]


def test_lies_about_the_body(one: Proxy) -> None:
    """Packed and not said, said and not packed, longer and shorter than said."""
    with one.planted(proxy.changed(network._packed)):
        head, body, _ = said(one)
    assert (b"encoding" in head.lower(), gzip.decompress(body)) == (False, WHOLE)
    with one.planted(proxy.changed(lambda answer: answer.header("Content-Encoding", "gzip"))):
        head, body, _ = said(one)
    assert (b"Content-Encoding: gzip" in head, body) == (True, WHOLE)
    for off in (10, -10):
        with one.planted(proxy.changed(lambda a, off=off: replace(a, length=len(a.body) + off))):
            head, body, _ = said(one, until_silence=True)
        assert (f"Content-Length: {len(WHOLE) + off}".encode() in head, body) == (True, WHOLE)


def ids(body: bytes) -> list[str]:
    return [record["id"] for record in json.loads(body)["data"]]


LIES: list[tuple[Fault, list[str], bool]] = [
    (pages.skip, ["4", "5", "6"], True),
    (pages.page(pages.swallow_inside), ["1", "3"], True),
    (pages.page(pages.swallow_edges), ["2"], True),
    (pages.page(pages.empty), [], True),
    (pages.page(pages.nothing), [], False),
    (pages.page(pages.end_here), ["1", "2", "3"], False),
    (pages.page(pages.backwards), ["3", "2", "1"], True),
    (pages.page(pages.twice), ["1", "1", "2", "2", "3", "3"], True),
]


@pytest.mark.parametrize(("fault", "shown", "more"), LIES)
def test_an_untruth_of_a_page(one: Proxy, fault: Fault, shown: list[str], more: bool) -> None:
    """What stands in the first page then, and whether it says that there is more."""
    with one.planted(fault):
        _, body, _ = said(one)
    assert (ids(body), json.loads(body)["has_more"]) == (shown, more)


def test_pages_in_another_order(one: Proxy) -> None:
    """Whatever is asked for; the last of them for ever."""
    with one.planted(pages.repeat(1, 3, 2)):
        found = [ids(said(one, target)[1]) for target in ["/n", "/n?starting_after=3"] * 2]
    assert [first for first, *_ in found] == ["1", "7", "4", "4"]


def test_another_host_keeps_what_it_hears(one: Proxy) -> None:
    """A redirect leads there, and a key that arrives there is found, in base64 too."""
    with one.planted(network.away):
        head, _, _ = said(one)
        assert f"Location: {one.elsewhere}/v1/numbers".encode() in head
        assert (one.heard(KEY), one.strangers) == ([], 0)
        other = ("127.0.0.1", int(one.elsewhere.rpartition(":")[2]))
        with socket.create_connection(other, timeout=PATIENCE_S) as client:
            ask(client)
            assert heard(client)[0].startswith(b"HTTP/1.1 200")
    # Also when the fault is over: that is when the bench looks.
    assert (one.heard(KEY), one.strangers) == ([one.elsewhere], 1)


def wait_for(condition: Callable[[], bool]) -> None:
    """Until it holds, for two seconds at the most."""
    until = time.monotonic() + 2
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_who_hangs_up_while_it_stalls_is_let_go(one: Proxy) -> None:
    """No thread waits for a client that is gone."""
    with one.planted(proxy.stall):
        with connected(one) as client:
            ask(client)
            wait_for(lambda: bool(one._door._open))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wait_for(lambda: not one._door._open)
