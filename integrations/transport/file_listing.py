"""What of a folder's listing is to be read: pure, with all that is known of its files as a value.

A position holds every file that the listing showed, so a file is new, or changed, by comparison:
names do not sort by time, times are set back, and late files come into old folders.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Literal, Self

import msgspec

State = Literal["loaded", "refused", "waiting"]

UNFINISHED = (".part", ".partial", ".filepart", ".tmp", ".temp", ".crdownload", ".inprogress")
"""How the names of files end that somebody is still writing."""
GROWING, EMPTY = "is still being written", "is empty"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Unread(Exception):
    """A file cannot be read, in words; the others are.

    `waiting`: it may be well the next time, without that it is refused. `again`: it is looked at
    again then, though it looks the same. `records` were read before it broke.
    """

    def __init__(
        self, reason: str, *, waiting: bool = False, again: bool = False, records: int = 0
    ) -> None:
        super().__init__(reason)
        self.reason, self.waiting, self.again = reason, waiting, again or waiting
        self.records = records


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A file as its listing shows it: the path below the folder, its size, and a `tag` that changes
    with the content: a time, an ETag. `problem` says why it cannot be read at all."""

    path: str
    size: int
    tag: str
    modified_at: datetime | None = None
    problem: str = ""

    @property
    def unfinished(self) -> bool:
        """Whether its name says that it is being written."""
        return self.path.endswith(UNFINISHED)


class Entry(msgspec.Struct, array_like=True, frozen=True):
    """What is known of a file: size and tag as they were, and the content's hash or why it was not
    loaded. One to be looked at `again` may change though these do not."""

    size: int
    tag: str
    state: State
    note: str = ""
    again: bool = False


class _Written(msgspec.Struct):
    at: int
    files: dict[str, Entry]
    listed: int = 0


@dataclass
class Known:
    """What a position says: every file that was seen, the last moment that a reading began, and
    when the last pull that came to its end had listed them."""

    files: dict[str, Entry] = field(default_factory=dict)
    at: int = 0
    listed: int = 0

    @classmethod
    def read(cls, position: str | None) -> Self:
        """Raises msgspec's errors for what is no such position."""
        if position is None:
            return cls()
        written = msgspec.json.decode(position, type=_Written)
        return cls(written.files, written.at, written.listed)

    def written(self) -> str:
        """The position as text."""
        return msgspec.json.encode(_Written(self.at, self.files, self.listed)).decode()

    @property
    def last(self) -> datetime | None:
        """When all that was listed then had been read; None before the first time."""
        return _EPOCH + self.listed * _MICROSECOND if self.listed else None

    def ended(self, listed: datetime) -> None:
        """All is read that a listing, begun at `listed`, has shown."""
        self.listed = max((listed - _EPOCH) // _MICROSECOND, self.listed)

    def moment(self, now: datetime) -> datetime:
        """When a reading begins: now, but later than every one before it, whatever the clock."""
        self.at = max((now - _EPOCH) // _MICROSECOND, self.at + 1)
        return _EPOCH + self.at * _MICROSECOND

    def only(self, listed: Iterable[Listed]) -> None:
        """Forgets the files that are not there any more; what was loaded of them stays."""
        there = {one.path for one in listed}
        self.files = {path: entry for path, entry in self.files.items() if path in there}

    def is_news(self, one: Listed) -> bool:
        """Whether a file is to be looked at."""
        entry = self.files.get(one.path)
        return entry is None or entry.again or (entry.size, entry.tag) != (one.size, one.tag)

    def set(self, one: Listed, entry: Entry) -> bool:
        """Keeps what became of a file; whether that is new."""
        was, self.files[one.path] = self.files.get(one.path), entry
        return was != entry


def in_order(listed: Iterable[Listed]) -> list[Listed]:
    """The files in the order in which they are to be read: what was written later says more."""
    return sorted(listed, key=lambda one: (one.modified_at or _EPOCH, one.path))


def matching(listed: Iterable[Listed], pattern: str) -> Iterator[Listed]:
    """The files whose path matches: `*` and `?` within a folder's name, `**/` for any folders. One
    that is being written counts by the name that it will have."""
    matches = compiled(pattern).fullmatch
    for one in listed:
        path = one.path
        if matches(path) or (one.unfinished and matches(path.rpartition(".")[0])):
            yield one


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern of paths as a regular expression. Hidden files are meant as all others are."""
    parts = []
    for part in re.split(r"(\*\*/|\*|\?)", pattern):
        match part:
            case "**/":
                parts.append("(?:[^/]*/)*")  # S3 has folders without a name
            case "*":
                parts.append("[^/]*")
            case "?":
                parts.append("[^/]")
            case _:
                parts.append(re.escape(part))
    return re.compile("".join(parts), re.DOTALL)
