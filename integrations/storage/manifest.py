"""The manifest: what a landing holds, written last, so that without it there is no landing."""

from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from integrations.names import StreamId, Window

MANIFEST = "manifest.json"
UNSURE = timedelta(seconds=5)
"""By how much two pulls must differ in the source's time for it to say which is the later one: that
time is measured to some seconds. Between nearer ones our own clock decides."""
_MOMENT = "%Y%m%dT%H%M%S.%fZ"
"""How a landing's id begins: text that sorts by time."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a landing: `bytes` and `sha256` are of the file."""

    name: str
    records: int
    bytes: int
    sha256: str


FileState = Literal["loaded", "refused", "waiting", "same"]
"""What becomes of a file: its records are read; it is refused, with a reason; it is left alone for
now; or it was written again and holds what it held."""


class FileSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A file or object of the source that is new to us, or changed.

    `read_at` (UTC) is when its reading began: its records have it as `seen_at`, and no others. So a
    row tells of the reading that it is of. `reason` says why it is refused or waits, or what is odd
    about one that is loaded; `modified_at` is by the source's clock, None where it does not tell.
    """

    path: str
    state: FileState
    read_at: datetime
    size: int
    reason: str = ""
    modified_at: datetime | None = None
    hash: str = ""
    records: int = 0


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a landing holds. `records` and `requests` are transport's own counts, `bytes` the size
    of the pages, `hash` a SHA-256 over the parts. Landing ids sort by when their pull began.

    `said_at` is when it began by the source's clock. `cursor` is where a cursor stream's landing
    goes on from and where it ends, None for other streams; `ended` says that the source had nothing
    after it. `files` are those that the pull has seen, of a source that has files.
    """

    landing: str
    stream: StreamId
    window: Window | None
    generation: int
    run_id: str
    root_run_id: str
    began_at: datetime
    ended_at: datetime
    requests: int
    records: int
    bytes: int
    parts: tuple[Part, ...]
    hash: str
    said_at: datetime | None = None
    cursor: tuple[str | None, str | None] | None = None
    fetched: tuple[Part, ...] = ()
    ended: bool = True
    files: tuple[FileSeen, ...] = ()

    @property
    def at(self) -> datetime:
        """When the source began to say it, as far as that is known."""
        return self.said_at or self.began_at


def began_at(landing: str) -> datetime:
    """When the pull of a landing began, UTC: its id says so."""
    return datetime.strptime(landing.partition("-")[0], _MOMENT).replace(tzinfo=UTC)


def moment(at: datetime) -> str:
    """How the id of a landing begins whose pull began at this time (aware)."""
    return at.astimezone(UTC).strftime(_MOMENT)
