"""The breaker around real calls: who asks an endpoint that fails, and who does not.

Each `asking` is what a process has, with a database connection of its own; some are processes.
"""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import Any

import psycopg
import pytest

from integrations.error_handling import circuit_guard
from integrations.error_handling.breaker import Breaker
from integrations.error_handling.circuit_guard import CircuitGuard, well
from integrations.error_handling.guard import Exchange
from integrations.errors import (
    CircuitOpen,
    IntegrationError,
    RetryLater,
    StopConnection,
    StopStream,
)
from integrations.storage.circuits import Circuit, Circuits, known
from integrations_tests.error_handling import asker
from integrations_tests.error_handling.asker import Seconds, asking
from integrations_tests.transport.conftest import Call, Say, Web, web

__all__ = ["web"]

RULES = Breaker(calls=4, lasting_s=0, cool_s=600)
ILL, WELL = Say(status=503), Say([])
SHUT = "CircuitOpen: GET /things failed again and again, and is left alone "
TRIED = f"{SHUT}while another call tries it, until 20"


def passes(connection: psycopg.Connection[Any], seconds: float) -> None:
    """So much time goes by, as the circuits have it."""
    connection.execute(
        "UPDATE integrations.circuits SET open_until = open_until - %(s)s * interval '1 s',"
        " probe_until = probe_until - %(s)s * interval '1 s'",
        {"s": seconds},
    )
    connection.commit()


def shut(ask: Callable[..., str]) -> None:
    """Asks until it is left alone."""
    ended = [ask() for _ in range(RULES.calls)]
    assert all(end.startswith("RetryLater") for end in ended[:-1])
    assert ended[-1].startswith(SHUT)


def test_an_endpoint_that_fails_is_left_alone_by_all(web: Web, database: str) -> None:
    """By who saw it, at once; by who begins after that; and within a second by who was there. Its
    siblings live on, and other connections."""
    web.route = lambda call: WELL if call.path == "/else" else ILL
    seconds = Seconds()
    with (
        asking(database, web.url, RULES) as one,
        asking(database, web.url, RULES, clock=seconds) as two,
    ):
        shut(one)
        seconds.now += circuit_guard.EVERY_S
        with asking(database, web.url, RULES) as late:
            for ask in (one, two, late):
                assert ask().startswith(SHUT)
                assert ask("/else") == "well"
        assert [call.path for call in web.calls].count("/things") == RULES.calls
        with asking(database, web.url, RULES, name="other") as other:
            assert other().startswith("RetryLater")


def test_it_says_until_when_and_why_and_what_to_do(web: Web, database: str) -> None:
    """The vendor's words of the last failure too."""
    web.answers = [Say({"message": "We are moving house"}, status=503)]
    with asking(database, web.url, RULES) as ask:
        shut(ask)
        said = ask()
    assert "; the last time: GET /things answered 503: We are moving house. The first run" in said
    assert "`integrations connections close-circuits shop/main` has it asked at once." in said


def test_one_of_many_tries_it(web: Web, database: str, connection: psycopg.Connection[Any]) -> None:
    """All others fail at once while it does; when it was answered they all may ask again."""
    web.answers = [ILL]
    ended: list[str] = []
    seconds, answer = Seconds(), threading.Event()

    def slow(_: Call) -> Say:
        answer.wait(10)
        return WELL

    def work(ask: Callable[..., str]) -> None:
        ended.append(ask())
        if len(ended) == len(asks) - 1:
            answer.set()

    with ExitStack() as stack:
        asks = [
            stack.enter_context(asking(database, web.url, RULES, clock=seconds)) for _ in "123456"
        ]
        shut(asks[0])
        passes(connection, 600)
        seconds.now += circuit_guard.EVERY_S
        web.calls.clear()
        web.route = slow
        threads = [threading.Thread(target=work, args=[ask]) for ask in asks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        *others, last = ended
        assert (len(web.calls), last) == (1, "well")
        assert [end[: len(TRIED)] for end in others] == [TRIED] * 5
        seconds.now += circuit_guard.EVERY_S
        assert [ask() for ask in asks] == ["well"] * 6


def test_a_try_that_fails_shuts_it_for_twice_as_long(
    web: Web, database: str, connection: psycopg.Connection[Any]
) -> None:
    """It costs one call, whose maker is told at once."""
    web.answers = [ILL]
    with asking(database, web.url, RULES) as ask:
        shut(ask)
    for cooled in (600, 1200):
        passes(connection, cooled)
        with asking(database, web.url, RULES) as run:
            web.calls.clear()
            assert [run()[: len(SHUT)] for _ in range(5)] == [SHUT] * 5
            assert len(web.calls) == 1
        found = known(connection, "shop", "main").circuits["GET /things"]
        connection.rollback()
        assert found.cool_s == 2 * cooled


@pytest.mark.parametrize("leads_to", [ILL, WELL])
def test_a_redirect_is_no_answer(
    web: Web, database: str, connection: psycopg.Connection[Any], leads_to: Say
) -> None:
    """What it leads to says whether the endpoint is well, also of a call that tries it."""
    moved = Say(status=302, headers={"Location": "/moved"})
    web.route = lambda call: answers[call.path]
    answers = {"/things": moved, "/moved": ILL}
    with asking(database, web.url, RULES) as ask:
        shut(ask)
        answers["/moved"] = leads_to
    passes(connection, 600)
    with asking(database, web.url, RULES) as run:
        web.calls.clear()
        assert run().startswith("well" if leads_to is WELL else SHUT)
        assert [call.path for call in web.calls] == ["/things", "/moved"]
    found = known(connection, "shop", "main").circuits["GET /things"]
    assert found.cool_s == (0 if leads_to is WELL else 1200)


def test_processes_ask_an_endpoint_that_is_shut_only_to_try_it(
    web: Web, database: str, connection: psycopg.Connection[Any]
) -> None:
    """One that is killed while it tries keeps the others away only for as long as a call may
    take."""
    web.answers = [ILL]
    words = [sys.executable, "-m", asker.__name__, database, web.url, RULES.model_dump_json()]
    with ExitStack() as stack:
        crew = [stack.enter_context(process(words)) for _ in "123"]
        told = together(crew, RULES.calls)
        assert {end.partition(":")[0] for end in told} == {"RetryLater", "CircuitOpen"}
        for cooled, calls in ((0, 0), (600, 1), (0, 0)):
            passes(connection, cooled)
            web.calls.clear()
            assert [end[: len(SHUT)] for end in together(crew, 2)] == [SHUT] * 6
            assert len(web.calls) == calls
        passes(connection, 1200)
        victim, *others = crew
        asked = threading.Event()

        def silent(_: Call) -> Say:
            asked.set()
            threading.Event().wait(0.5)
            return ILL

        web.route = silent
        begin(victim)
        assert asked.wait(10)
        victim.kill()
        web.route = lambda _: WELL
        assert [end[: len(TRIED)] for end in together(others, 1)] == [TRIED] * 2
        passes(connection, asker.CLAIM_S)
        assert "well" in together(others, 1)
        assert together(others, 1) == ["well"] * 2


@contextmanager
def process(words: list[str]) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    try:
        yield process
    finally:
        with suppress(BrokenPipeError):
            process.communicate(timeout=20)


def begin(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write(f"{circuit_guard.EVERY_S}\n")


def together(crew: "list[subprocess.Popen[str]]", times: int) -> list[str]:
    """How the pulls of all ended, which they began at the same time."""
    for one in crew * times:
        begin(one)
    return [one.stdout.readline().strip() for one in crew * times if one.stdout is not None]


def test_one_process_without_a_network_does_not_speak_for_all(web: Web, database: str) -> None:
    """The calls of the others count too, also those from before the first failure."""
    seconds = Seconds()
    with (
        asking(database, web.url, RULES, clock=seconds) as most,
        asking(database, web.url, RULES, clock=seconds) as one,
    ):
        web.answers = [WELL]
        assert {most() for _ in range(20)} == {"well"}
        ended = []
        for _ in range(2 * RULES.calls):
            seconds.now += circuit_guard.EVERY_S
            for ask, say in ((one, ILL), (most, WELL)):
                web.answers = [say]
                ended.append(ask().partition(":")[0])
        assert ended == ["RetryLater", "well"] * 2 * RULES.calls


class Counted(Circuits):
    """Counts how often the database is asked."""

    asked = 0

    def _connection(self) -> psycopg.Connection[Any]:
        self.asked += 1
        return super()._connection()


@contextmanager
def guarded(
    connection: psycopg.Connection[Any], seconds: Seconds | None = None
) -> Iterator[tuple[CircuitGuard, Counted]]:
    """A guard as of a run that begins now."""
    circuits = Counted(connection, "shop", "main")
    guard = CircuitGuard(
        RULES, circuits, name="shop/main", known=known(connection, "shop", "main"), claim_s=60,
        monotonic=seconds or Seconds(),
    )  # fmt: skip
    connection.rollback()
    with closing(guard):
        yield guard, circuits


def ends(guard: CircuitGuard, error: IntegrationError | None = None) -> type[Exception] | None:
    """A call that ends so: what its maker hears."""
    exchange = Exchange("GET /things")
    try:
        with guard.around(exchange):
            if error is not None:
                exchange.error = error
                raise error
    except IntegrationError as heard:
        return type(heard)
    return None


def test_while_all_is_well_the_database_is_hardly_asked(
    connection: psycopg.Connection[Any],
) -> None:
    """Not in the first second, once in each after it, and nothing is left there."""
    with guarded(connection) as (guard, circuits):
        assert [ends(guard) for _ in range(100)] == [None] * 100
    assert (circuits.asked, circuits._own) == (0, None)
    seconds = Seconds()
    with guarded(connection, seconds) as (guard, circuits):
        for _ in range(80):
            seconds.now += 0.125
            assert ends(guard) is None
    assert circuits.asked == 10
    assert known(connection, "shop", "main").circuits == {}


def test_what_failed_last_is_told_at_the_end(connection: psycopg.Connection[Any]) -> None:
    """Runs that end before a second has passed are counted together."""
    heard = []
    for _ in range(RULES.calls + 1):
        with guarded(connection) as (guard, _circuits):
            heard.append(ends(guard, RetryLater("down")))
    assert heard == [RetryLater] * 3 + [CircuitOpen] * 2


def test_a_database_that_is_away_stops_no_pull(
    connection: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The breaker goes by what it sees itself, and does not ask at every call."""
    seconds = Seconds()

    def away(*_: object, **__: object) -> None:
        raise RetryLater("the database cannot be reached")

    with guarded(connection, seconds) as (guard, circuits):
        with monkeypatch.context() as patch:
            patch.setattr("integrations.storage.circuits.connect", away)
            heard = [ends(guard, RetryLater("down")) for _ in range(RULES.calls)]
            assert heard == [RetryLater] * 3 + [CircuitOpen]
            assert ends(guard) is CircuitOpen
            assert circuits.asked == 1
            seconds.now += RULES.cool_s
            assert [ends(guard), ends(guard)] == [None, None]  # it tries, and is answered
            assert 2 <= circuits.asked <= 3
        assert "shop/main: whether others can reach it is not known" in caplog.text
        seconds.now += circuit_guard.AWAY_S
        heard = [ends(guard, RetryLater("down")) for _ in range(RULES.calls)]
        assert heard[-1] is CircuitOpen
    assert known(connection, "shop", "main").circuits["GET /things"].until is not None


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RetryLater("a quota, behind this one")])
def test_a_try_that_is_not_made_is_no_try(
    connection: psycopg.Connection[Any], error: BaseException
) -> None:
    """The next call makes it."""
    with guarded(connection) as (guard, _):
        for _ in range(RULES.calls):
            ends(guard, RetryLater("down"))
    passes(connection, 600)
    with guarded(connection) as (guard, _):
        with pytest.raises(type(error)), guard.around(Exchange("GET /things")):
            raise error
        assert ends(guard) is None
    assert known(connection, "shop", "main").circuits == {"GET /things": Circuit()}


LATER, STOP = RetryLater("x"), StopStream("x")


@pytest.mark.parametrize(
    ("exchange", "expected"),
    [
        (Exchange("", error=LATER), False),  # no network, no answer
        (Exchange("", 200, error=LATER), False),  # cut
        (Exchange("", 206, error=LATER), False),  # a range of a list, cut
        (Exchange("", 500, error=LATER), False),
        (Exchange("", 503, error=STOP), False),  # a header says that it is no use to try again
        (Exchange("", 408, error=LATER), False),
        (Exchange("", 503, error=RetryLater("x", retry_after=0)), False),  # which says nothing
        (Exchange("", 503, error=RetryLater("x", retry_after=9)), True),
        (Exchange("", 429, error=LATER), True),
        (Exchange("", 409, error=LATER), True),
        (Exchange("", 404, error=STOP), True),
        (Exchange("", 401, error=StopConnection("x")), True),
        (Exchange("", 200, body=b"{}", error=LATER), True),  # GraphQL: throttled, or an error
        (Exchange("", 206, body=b"{}", error=LATER), True),
        (Exchange("", 200, error=STOP), True),
        (Exchange("", error=STOP), None),  # what we cannot even send
        (Exchange("", error=StopConnection("x")), None),  # the login was refused
        (Exchange("", 200), None),
    ],
)
def test_what_is_ill(exchange: Exchange, expected: bool | None) -> None:
    """Quotas and mistakes of ours are not."""
    assert well(exchange) is expected
