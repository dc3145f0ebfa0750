"""A request goes out, pages of records come back: the one door to the network.

Every way to fetch (REST now) gives the same two things, a `Transport` that a file configures and
the `Session` that it opens, so that what stands above knows pages and nothing of a protocol.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

import msgspec

from integrations.auth import Auth
from integrations.error_handling.guard import Guard
from integrations.names import Window
from integrations.secrets import Secret
from integrations.storage.manifest import FileSeen

if TYPE_CHECKING:  # it stands above, and needs what is here
    from integrations.transport.one_request import OneRequest

Clock = Callable[[], datetime]
"""The time now, aware and in UTC."""
Sleep = Callable[[float], None]
"""Waits for so many seconds."""
Random = Callable[[], float]
"""A number in [0, 1)."""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What of a stream is wanted: a window, what follows a position, or what happened since.

    `since` (aware, UTC) is for a reader without a position; of the two at most one is given. None
    of all three is everything. `parent` are the values of a parent's record, by their slots.
    """

    window: Window | None = None
    position: str | None = None
    since: datetime | None = None
    parent: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.position is not None and self.since is not None:
            raise ValueError("who has a position does not read from a moment")
        if self.position == "":
            raise ValueError("a position is no empty text")
        if self.since is not None and self.since.utcoffset() != timedelta():
            raise ValueError(f"{self.since!r} is not in UTC")


@dataclass(frozen=True)
class Page:
    """One answer, split: `number` counts from 1 in each pull.

    `records` are each record's bytes as sent, undecoded; those of a list with the newest first are
    turned round. `seen_at` is the UTC time at which the request that was answered began, by the
    source's clock, and `size` the bytes of the answer's body after decompression. `position` is
    where a reader stands who has this page and all before it; None: nowhere yet. `since` is when
    the pull began, where that was with a request for something else; None: with its first page.
    `files` are those of which is known with this page what becomes of them.
    """

    number: int
    records: Sequence[bytes | msgspec.Raw]
    seen_at: datetime
    size: int
    position: str | None = None
    since: datetime | None = None
    files: tuple[FileSeen, ...] = ()


@dataclass(frozen=True)
class One:
    """A single record: its bytes as sent; `seen_at` and `size` as of a `Page`."""

    record: bytes
    seen_at: datetime
    size: int


Request_contra = TypeVar("Request_contra", contravariant=True)


class Session(Protocol[Request_contra]):
    """An open transport; leaving it closes its connections."""

    @property
    def requests(self) -> int:
        """The requests sent so far, repeated and redirected ones included."""

    @property
    def offset_s(self) -> float:
        """How many seconds the source's clock is ahead of ours, as far as its answers told."""

    @property
    def guards(self) -> Sequence[Guard]:
        """What stands around each request, the outermost first."""

    def pages(
        self, request: Request_contra, *, ask: Ask, position: str | None = None
    ) -> Generator[Page, None, None]:
        """The pages of one pull, in their order; from the second on some may be fetched ahead.

        `position` is the place of the position in a record, where records carry it: their order
        must then be ascending. Raises `RetryLater` when retrying is over, `StopStream` for answers
        that make no sense, `PositionGone` when the source does not know `ask.position` any more,
        `Barred` when it refuses the stream as a whole, `StopConnection` for a refused credential,
        `FixConfig` for what a file says wrongly.
        """

    def one(
        self, request: "OneRequest", *, key: str, patience_s: float | None = None
    ) -> One | None:
        """The record with this key, None when the source says that it has none. Errors as above.

        `patience_s` bounds for how long a passing fault is tried again.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        place: TracebackType | None,
    ) -> None: ...


class Transport(Protocol[Request_contra]):
    """How a connection is reached; a frozen model that a connector's file fills."""

    def open(
        self,
        auth: Auth,
        secrets: Mapping[str, Secret],
        *,
        base_url: str | None = None,
        offset_s: float = 0.0,
        clock: Clock,
        sleep: Sleep,
        random: Random,
    ) -> Session[Request_contra]:
        """A session that signs with `auth`; `base_url` replaces the configured address.

        `offset_s` is what an earlier session knew of the source's clock.
        """
