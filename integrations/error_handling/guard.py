"""What stands around every request of a connection: it may hold it back, and hears how it ended."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from integrations.errors import IntegrationError


@dataclass
class Exchange:
    """A request and what came of it.

    `endpoint` is what its siblings share: the list or the record that is asked for, without this
    request's own values. `status` is None as long as nothing was answered; `headers` are found by
    their names in any case. `body` is a whole answer's with a status that its call takes,
    decompressed, "" else, also of one that is kept in a file; `error` is what the answer or its
    absence was translated to, None where all was well.
    """

    endpoint: str
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    error: IntegrationError | None = None


class Guard(Protocol):
    """One guard of a connection; several threads may be inside at a time."""

    def around(self, exchange: Exchange) -> AbstractContextManager[None]:
        """Entered before a request is sent, left when its answer is read and `exchange` filled in.

        Raises on entering what holds the request back: `RetryLater` with the seconds after which it
        may be tried, or an error that ends the call. Left with `error` and `status` None, the
        request was not sent: a guard behind this one held it back.
        """
