"""Parts of a run that fail one by one: a window that fails is noted, and the others go on.

The rest is not tried where it would fare the same: after a refused credential (sources block who
keeps trying), a stream that is refused as a whole, a wrong setting, a source that stayed away for
as long as its file lets us wait or is left alone, a database to which no connection can be made,
and a landing that others go on from.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import dagster as dg
import psycopg

from integrations.connector_template import loading
from integrations.connector_template.connector import BoundStream
from integrations.connector_template.run import Clock, Run
from integrations.errors import (
    Barred,
    CircuitOpen,
    FixConfig,
    IntegrationError,
    RetryLater,
    StopConnection,
)
from integrations.names import Window
from integrations.orchestration import keys, stops
from integrations.orchestration.telling import Teller
from integrations.redaction import redact, redacted
from integrations.storage.database import living
from integrations.storage.landing import LandingZone
from integrations.storage.transaction import translated
from integrations.transport import Session

_ENDS = (Barred, CircuitOpen, FixConfig, StopConnection)
"""What the next window would meet too."""
MOST_AWAY = 2
"""Windows in a row for which the source may be waited for in vain."""


@dataclass
class Work:
    """What a run over a stream's assets works with. Its connection is another one after a failure,
    and idle between two units. Without a session nothing is asked of the source."""

    stream: BoundStream
    run: Run
    connect: Callable[[], psycopg.Connection[Any]]
    connection: psycopg.Connection[Any]
    zone: LandingZone
    session: Session[Any] | None
    teller: Teller
    clock: Clock
    log: dg.DagsterLogManager
    away: int = 0
    withdrawn: int = 0

    @property
    def loads(self) -> bool:
        """Whether a table is wanted: those of children are loaded with the stream's."""
        return any(keys.table(one.id) in self.teller.selected for one in self.stream.family)

    @property
    def checks(self) -> bool:
        """Whether canonical is wanted."""
        return any(keys.canonical(one.id) in self.teller.selected for one in self.stream.family)

    def close(self) -> None:
        """Closes the connection that it ended with."""
        self.connection.close()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Around asking the source: counts how often in a row it was waited for in vain."""
        try:
            yield
        except RetryLater:
            self.away += 1
            raise
        self.away = 0
        self.revive()

    def revive(self) -> None:
        """Another connection where the server has closed this one while nothing was said on it:
        it was restarted, or ends who is silent for long. Raises RetryLater when it is away."""
        if not living(self.connection):
            self.connection.close()
            try:
                self.connection = self.connect()
            except IntegrationError as error:
                raise error.at(str(self.stream.id)) from None


@dataclass(frozen=True)
class Problem:
    """Why a unit is not well though nothing was raised; `told`: the ledger says so too."""

    words: str
    told: bool


@dataclass(frozen=True)
class Unit:
    """A part of a run that fails by itself: a window that was selected has a `span`. What comes
    after a `chained` one goes on from it, and cannot be done without."""

    do: Callable[[], Problem | None]
    span: Window | None = None
    chained: bool = False


Units = Generator[Unit, None, None]


@dataclass
class Attempts:
    """Does units one after the other, and knows in the end what failed."""

    work: Work
    failed: list[str] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)
    tried: int = 0
    stopped: bool = False

    def make(self, units: Units) -> None:
        """All units, as far as it makes sense; whatever they raise is noted."""
        with closing(units):
            for unit in units:
                self.tried += unit.span is not None
                self._make(unit)
                if self.stopped:
                    return

    def outcome(self, selected: int) -> list[str]:
        """What failed of so many windows, one a line, below how many did and did not; nothing when
        all went well."""
        if not self.failed:
            return self.beside
        failed, left = len(self.failed), selected - self.tried
        rest = f", {left} were not tried" if left else ""
        head = f"{failed} of {selected} windows failed, {self.tried - failed} are done{rest}:"
        return [head, *(f"- {one}" for one in self.failed), *self.beside]

    def _make(self, unit: Unit) -> None:
        began = self.work.clock()
        try:
            with translated(self.work.stream.id):
                self.work.revive()
                problem = unit.do()
        except Exception as error:  # noqa: BLE001  # noted, shown, and raised at the end
            ends = isinstance(error, _ENDS) or unit.chained
            self.stopped = self.stopped or ends or self.work.away >= MOST_AWAY
            self._note(error, unit.span, began)
            return
        if problem is not None:
            self.stopped = self.stopped or unit.chained
            self._add(problem.words, unit.span, told=problem.told)

    def _note(self, error: Exception, span: Window | None, began: datetime) -> None:
        """What failed: in the ledger, in the list and in the log."""
        work, told = self.work, True
        said = f"{f'{span}: ' if span else ''}{redact(str(error))}"
        try:
            # Always anew: the failure may be that the old one broke, noticed or not.
            work.connection.close()
            work.connection = work.connect()
            loading.note_failure(
                work.stream.id, span, error,
                connection=work.connection, run=work.run, began_at=began, clock=work.clock,
            )  # fmt: skip
        except Exception as unable:  # noqa: BLE001  # the unit's own error is the one to show
            self.stopped, told = True, False
            said = f"{said} (not in the ledger: {redact(str(unable))})"
        self._add(said, span, told=told)
        with suppress(Exception):  # Dagster's storage may be what fails
            work.log.error(redacted(error))
            stops.note(work.teller.telling.instance, work.run.run_id, error, work.stream.id)

    def _add(self, words: str, span: Window | None, *, told: bool) -> None:
        (self.beside if span is None else self.failed).append(words)
        if not told:
            self.untold.append(words)
