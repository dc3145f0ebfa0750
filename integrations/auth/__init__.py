"""Who we are: a credential signs requests, and does no I/O.

The contract is httpx's own auth flow, in two small protocols, so that a credential can be read and
tested without a network and this layer knows no HTTP library.
"""

from collections.abc import Generator, Mapping, MutableMapping
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


class Auth(Protocol):
    """A credential: it signs the request, and may answer a response with a further request."""

    def secret_names(self) -> frozenset[str]:
        """The names of the secrets that `flow` looks up."""

    def flow(
        self, request: Request, secrets: Mapping[str, Secret]
    ) -> Generator[Request, Response, None]:
        """Yields requests to send, is sent their responses; the last response is the answer.

        Raises `FixConfig` when a secret is missing or cannot be put into a header.
        """
