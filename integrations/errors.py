"""Our errors: an error's class is its remedy, its message is what, where and what to do.

IntegrationError
├── RetryLater         the other side is busy, away or slow: the same call may succeed later
│   ├── CircuitOpen    so often that nobody asks it before a certain time, and waiting here is vain
│   └── QuotaSpent     we hold the call back ourselves, before the other side would refuse it
├── StopStream         this stream's answers cannot be trusted or read: it stops, its siblings go on
│   ├── PositionGone   the source no longer knows the position: the stream is read again from a
│   │                  moment
│   └── Barred         the source refuses the stream as a whole: no more of it is asked in the run
├── StopConnection     the credential was refused: every stream of the connection stops
├── FixConfig          a file, a setting or the environment is wrong: a person changes it
└── LedgerUnbalanced   counts that must agree do not: nothing is committed, this is our bug

One record that cannot pass is no exception: it is a row among the refused (`storage.quarantine`).
Foreign exceptions are translated once, where they enter, with `from`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


class IntegrationError(Exception):
    """Base of all our errors.

    `what` happened, `where` (connector/connection/stream and window, or a file), and `todo`: what
    a person does about it. `str()` joins the three into one line.
    """

    def __init__(self, what: str, *, where: str = "", todo: str = "") -> None:
        self.what = what
        self.where = where
        self.todo = todo
        super().__init__(what)

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head.rstrip('.')}. {self.todo}" if self.todo else head

    def at(self, where: str) -> "IntegrationError":
        """The same error with a place, unless it already names one."""
        self.where = self.where or where
        return self


class RetryLater(IntegrationError):
    """A passing fault. `retry_after` is what the other side asked for, in seconds, or None."""

    def __init__(
        self, what: str, *, where: str = "", todo: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(what, where=where, todo=todo)
        self.retry_after = retry_after


class CircuitOpen(RetryLater):
    """An endpoint is left alone, by all processes, `until` a moment (aware); the call was not made,
    or was the last one to fail."""

    def __init__(self, what: str, *, until: datetime, where: str = "", todo: str = "") -> None:
        super().__init__(what, where=where, todo=todo)
        self.until = until


class QuotaSpent(RetryLater):
    """A call that was not made, since it would be beyond a quota or before its turn. `wait_s` is
    after how many seconds it may be tried."""

    def __init__(self, what: str, *, wait_s: float, where: str = "", todo: str = "") -> None:
        super().__init__(what, where=where, todo=todo, retry_after=wait_s)
        self.wait_s = wait_s


class StopStream(IntegrationError):
    """The stream cannot go on, and trying again at once would not help."""


class PositionGone(StopStream):
    """The position that a stream would be read from is one that the source no longer knows."""


class Barred(StopStream):
    """The source has no such stream, or none for this credential, whatever of it is asked."""


class StopConnection(IntegrationError):
    """The credential of a connection was refused."""


class LedgerUnbalanced(IntegrationError):
    """The fates of a load do not add up to what was received."""


@dataclass(frozen=True)
class Mistake:
    """One mistake in a file: `line` and `column` count from 1, 0 where unknown."""

    message: str
    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line or "") if part)
        return f"{place}: {self.message}" if place else self.message


class FixConfig(IntegrationError):
    """A file, a setting or the environment is wrong. `mistakes` holds every one that was found."""

    def __init__(
        self, what: str, *, where: str = "", todo: str = "", mistakes: Sequence[Mistake] = ()
    ) -> None:
        super().__init__(what, where=where, todo=todo)
        self.mistakes = tuple(mistakes)

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *(f"  {mistake}" for mistake in self.mistakes)])
