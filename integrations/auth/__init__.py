"""Who we are: a credential signs requests, and does no I/O.

The contract is httpx's own auth flow, in two small protocols, so that a credential can be read and
tested without a network and this layer knows no HTTP library.
"""

import threading
from collections.abc import Generator, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Protocol

from integrations.secrets import Secret


class Request(Protocol):
    """What a credential may touch of a request."""

    @property
    def headers(self) -> MutableMapping[str, str]:
        """The headers that will be sent; names are not case-sensitive."""


class Response(Protocol):
    """What a credential may read of an answer."""

    @property
    def status_code(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The answer's headers."""

    @property
    def content(self) -> bytes:
        """The whole body; only of an answer to a `Post`, for others are still on their way."""


@dataclass(frozen=True)
class Post:
    """A request of the credential's own: a JSON object to a path of the source's origin."""

    path: str
    body: Mapping[str, Secret]


@dataclass(frozen=True)
class Memory:
    """What a credential has learned in a session: what it holds, and which paths have `refused` to
    log it in. Who changes either has the `lock`: calls may be signed from several threads at a
    time."""

    held: dict[str, Secret] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Auth(Protocol):
    """A credential: it signs the request, and may answer a response with a further request."""

    def secret_names(self) -> frozenset[str]:
        """The names of the secrets that `flow` looks up."""

    def flow(
        self, request: Request, secrets: Mapping[str, Secret], memory: Memory
    ) -> Generator[Request | Post, Response, None]:
        """Yields requests to send, is sent their responses; the last response is the answer.

        What it yields is `request` or a `Post`. Raises `FixConfig` when a secret is missing or
        cannot be sent, `StopConnection` and `RetryLater` for a login that brings nothing.
        """
