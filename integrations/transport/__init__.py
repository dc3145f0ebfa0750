"""A request goes out, pages of records come back: the one door to the network.

Every way to fetch (REST now) gives the same two things, a `Transport` that a file configures and
the `Session` that it opens, so that what stands above knows pages and nothing of a protocol.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self, TypeVar

import msgspec

from integrations.auth import Auth
from integrations.names import Window
from integrations.secrets import Secret

Clock = Callable[[], datetime]
"""The time now, aware and in UTC."""
Sleep = Callable[[float], None]
"""Waits for so many seconds."""
Random = Callable[[], float]
"""A number in [0, 1)."""


@dataclass(frozen=True)
class Page:
    """One answer, split: `number` counts from 1 in each pull.

    `records` are each record's bytes as sent, undecoded. `seen_at` is the UTC time at which the
    request that was answered began, `size` the bytes of the answer's body after decompression.
    """

    number: int
    records: Sequence[bytes | msgspec.Raw]
    seen_at: datetime
    size: int


Request_contra = TypeVar("Request_contra", contravariant=True)


class Session(Protocol[Request_contra]):
    """An open transport; leaving it closes its connections."""

    @property
    def requests(self) -> int:
        """The requests sent so far, repeated and redirected ones included."""

    def pages(self, request: Request_contra, *, window: Window | None) -> Iterator[Page]:
        """The pages of one pull, fetched as they are asked for.

        Raises `RetryLater` when retrying is over, `StopStream` for answers that make no sense,
        `StopConnection` for a refused credential, `FixConfig` for what a file says wrongly.
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
        clock: Clock,
        sleep: Sleep,
        random: Random,
    ) -> Session[Request_contra]:
        """A session that signs with `auth`; `base_url` replaces the configured address."""
