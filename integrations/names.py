"""What a piece of work is called: which stream, which window.

Every layer speaks of these two, so they stand below all of them.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

NAME = r"^[a-z](_?[a-z0-9])*$"
"""Connector, connection, stream and entity names: they become Postgres identifiers and Dagster
groups and ops, joined by two underscores, which no name holds, so that no two joins are alike."""
LONGEST_NAME = 24
"""Two names joined must stay under Postgres's 63 bytes."""
NAME_RULE = (
    f"it has at most {LONGEST_NAME} of a-z, 0-9 and single _, begins with a letter, ends with no _"
)
"""The same in words."""


def is_name(text: str) -> bool:
    """Whether a connector, connection, stream or entity may be called so."""
    return len(text) <= LONGEST_NAME and re.fullmatch(NAME, text) is not None


@dataclass(frozen=True, order=True)
class StreamId:
    """One kind of record of one account; `str()` gives `stripe/main/charges`."""

    connector: str
    connection: str
    stream: str

    def __post_init__(self) -> None:
        for name in (self.connector, self.connection, self.stream):
            if not is_name(name):
                raise ValueError(f"{name!r} is no name: {NAME_RULE}")

    def __str__(self) -> str:
        return f"{self.connector}/{self.connection}/{self.stream}"


@dataclass(frozen=True, order=True)
class Window:
    """A half-open stretch of time `[start, end)`, both aware and in UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        for moment in (self.start, self.end):
            if moment.utcoffset() != UTC.utcoffset(None):
                raise ValueError(f"{moment!r} is not in UTC")
        if not self.start < self.end:
            raise ValueError(f"a window must end after it starts: {self.start} … {self.end}")

    @property
    def label(self) -> str:
        """Its name in folders, tables and messages: the start, `2026-01-01T00-00Z`."""
        return self.start.strftime("%Y-%m-%dT%H-%MZ")

    def __str__(self) -> str:
        return f"[{self.start:%Y-%m-%d %H:%M}, {self.end:%Y-%m-%d %H:%M}) UTC"
