"""The circuit breaker around every request of a connection, shared by all processes.

Nothing is written while all is well: once a second at the most is looked whether another process
has seen a failure. Where there was one, all tell what became of their calls, so that one process
without a network does not speak for the others.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TypeVar

import psycopg

from integrations.error_handling.breaker import Breaker, Counts, added, slot
from integrations.error_handling.guard import Exchange
from integrations.errors import CircuitOpen, IntegrationError, RetryLater
from integrations.redaction import redact
from integrations.storage.circuits import Change, Circuit, Circuits, Known

T = TypeVar("T")

EVERY_S = 1.0
"""How often the database is asked at the most, but for the calls that open, try and close."""
AWAY_S = 30.0
"""For how long a database that does not answer is let be: the circuits are our own meanwhile."""
_WHY = 300  # characters of a failure that are kept
_log = logging.getLogger(__name__)


class CircuitGuard:
    """The guard of one session; `name` is its connection's, `claim_s` how long a request may take.

    `known` is what the circuits are when it begins. Closing it tells what is still to be told.
    `monotonic` gives seconds.
    """

    def __init__(
        self,
        breaker: Breaker,
        circuits: Circuits,
        *,
        name: str,
        known: Known,
        claim_s: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._breaker, self._circuits, self._name = breaker, circuits, name
        self._claim_s, self._monotonic = claim_s, monotonic
        self._lock = threading.Condition()
        self._trying: set[str] = set()
        self._known: dict[str, Circuit] = {}
        self._untold: dict[str, tuple[Counts, str]] = {}
        self._away_until = float("-inf")
        self._take(known)

    @contextmanager
    def around(self, exchange: Exchange) -> Iterator[None]:
        """Raises `CircuitOpen` instead of making a call to an endpoint that is left alone, and for
        a call that failed when it is so from now on."""
        endpoint = exchange.endpoint
        probe = self._entered(endpoint)
        try:
            yield
        except IntegrationError as error:
            shut = self._left(endpoint, probe, well=well(exchange), why=error.what)
            if shut is not None:
                raise shut from error
            raise
        except BaseException:
            self._left(endpoint, probe, well=None)
            raise
        # What a redirect leads to is asked next, and tells.
        leads_on = exchange.status is not None and 300 <= exchange.status < 400
        self._left(endpoint, probe, well=None if leads_on else True)

    def close(self) -> None:
        """Tells what became of the last calls, where any failed of late."""
        with self._lock:
            self._tell()
            self._circuits.close()
            self._away_until = float("inf")  # a call that nobody waits for any more may still end

    def _entered(self, endpoint: str) -> datetime | None:
        """Until when the call that is made has time if it is the one that tries. Where one of our
        own tries already, others of the same pull may have been begun beside it: they wait."""
        with self._lock:
            self._lock.wait_for(lambda: endpoint not in self._trying, timeout=self._claim_s)
            self._look()
            circuit = self._known.get(endpoint, Circuit())
            if circuit.until is None:
                return None
            if self._now() < max(circuit.until, circuit.probe_until or circuit.until):
                raise self._open(endpoint, circuit)
            before, after = self._change(
                endpoint, lambda one, now: self._breaker.claimed(one, now, claim_s=self._claim_s)
            )
            if after.until is not None and after == before:
                raise self._open(endpoint, after)
            if after.probe_until is not None:
                self._trying.add(endpoint)
            return after.probe_until

    def _left(
        self, endpoint: str, probe: datetime | None, *, well: bool | None, why: str = ""
    ) -> CircuitOpen | None:
        why = redact(why)[:_WHY]
        with self._lock:
            if probe is not None:
                self._trying.discard(endpoint)
                self._lock.notify_all()
                self._change(
                    endpoint,
                    lambda one, now: self._breaker.answered(one, probe, now, well=well, why=why),
                )
            elif well is not None:
                self._count(endpoint, failed=not well, why=why)
            circuit = self._known.get(endpoint, Circuit())
        return self._open(endpoint, circuit) if well is False and circuit.until else None

    def _count(self, endpoint: str, *, failed: bool, why: str) -> None:
        now = self._now()
        counts, last = self._untold.get(endpoint, ({}, ""))
        counts = self._breaker.recent(added(counts, {slot(now): (1, int(failed))}), now)
        self._untold[endpoint] = counts, why or last
        circuit = self._known.get(endpoint, Circuit())
        if failed and (
            self._due() or self._breaker.told(circuit, counts, now).until != circuit.until
        ):
            self._tell_of(endpoint)

    def _look(self) -> None:
        """Sees what others have told, and tells what they want to know, if that is due."""
        if not self._due():
            return
        self._looked = self._monotonic()
        known = self._shared(self._circuits.known)
        if known is not None:
            self._take(known)
        self._tell()

    def _due(self) -> bool:
        return self._monotonic() >= self._looked + EVERY_S

    def _take(self, known: Known) -> None:
        self._known = dict(known.circuits)
        self._looked = self._monotonic()
        self._clock = known.at, self._looked

    def _tell(self) -> None:
        """Of endpoints where a call has failed, our own or another process's."""
        now = self._now()
        for endpoint, (counts, _) in list(self._untold.items()):
            circuit = self._known.get(endpoint, Circuit())
            failed = any(failures for _, failures in counts.values())
            if failed or self._breaker.troubled(circuit, now):
                self._tell_of(endpoint)

    def _tell_of(self, endpoint: str) -> None:
        counts, why = self._untold.pop(endpoint)
        self._looked = self._monotonic()
        self._change(endpoint, lambda one, now: self._breaker.told(one, counts, now, why=why))

    def _change(self, endpoint: str, change: Change) -> tuple[Circuit, Circuit]:
        """Changes the circuit that all share; our own where the database is away."""
        done = self._shared(lambda: self._circuits.change(endpoint, change))
        if done is None:
            before = self._known.get(endpoint, Circuit())
            after = change(before, self._now())
        else:
            before, after, now = done
            self._clock = now, self._monotonic()
        self._known[endpoint] = after
        return before, after

    def _shared(self, ask: Callable[[], T]) -> T | None:
        """What the database says; None where it is away, and then it is let be for a while."""
        if self._monotonic() < self._away_until:
            return None
        try:
            return ask()
        except (IntegrationError, psycopg.Error) as error:
            self._away_until = self._monotonic() + AWAY_S
            _log.warning(
                "%s: whether others can reach it is not known: %s", self._name, redact(str(error))
            )
            return None

    def _now(self) -> datetime:
        """The time by the database's clock."""
        moment, then = self._clock
        return moment + timedelta(seconds=self._monotonic() - then)

    def _open(self, endpoint: str, circuit: Circuit) -> CircuitOpen:
        assert circuit.until is not None, "else it may be asked"
        until = max(circuit.until, circuit.probe_until or circuit.until)
        when = f"until {until:%Y-%m-%d %H:%M:%S} UTC"
        if circuit.probe_until is not None:
            when = f"while another call tries it, {when} at the latest"
        return CircuitOpen(
            f"{endpoint} failed again and again, and is left alone {when}; the last time:"
            f" {circuit.why}",
            until=until,
            todo="The first run after that tries it; `integrations connections close-circuits"
            f" {self._name}` has it asked at once.",
        )


def well(exchange: Exchange) -> bool | None:
    """What an exchange says of its endpoint's health; None: nothing.

    Ill is one that brings no whole answer, or a status that speaks of the server (5xx, and 408 of
    its patience). One that says for how long to wait is alive, and so is one that refuses a call,
    tells us that it was too many (429), or says in a whole answer what went wrong: quotas and
    mistakes go on however long an endpoint is left alone.
    """
    error, status = exchange.error, exchange.status
    if error is None:
        return None  # held back by a guard behind this one
    passing = isinstance(error, RetryLater)
    if isinstance(error, RetryLater) and error.retry_after:
        return True
    if status is None:
        return False if passing else None
    if status in (200, 206):
        return bool(exchange.body) or not passing
    return status != 408 and status < 500
