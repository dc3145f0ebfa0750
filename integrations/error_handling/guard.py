"""What stands before every request to a source: a circuit breaker, a quota.

A guard knows no transport. It is asked before a request leaves, repeated and redirected ones too,
and told how it went; it may wait, and it may say that the request must not leave now.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

from integrations.errors import IntegrationError


class Guard(Protocol):
    """One of them. Several threads may ask at a time.

    `endpoint` is the method and the path as a file has it, without keys, cursors or windows.
    """

    def admit(self, endpoint: str) -> None:
        """Before a request leaves: returns when it may. Raises `RetryLater` when it must not."""

    def answered(
        self, endpoint: str, headers: Mapping[str, str], error: IntegrationError | None
    ) -> None:
        """After a request that was admitted, once for each: the answer's headers (none where no
        answer came; names are in lower case) and what was wrong with it."""

    def close(self) -> None:
        """Nothing more is asked; what is held for others is given back."""


@dataclass(frozen=True)
class Guards:
    """Several as one, asked in their order."""

    guards: Sequence[Guard] = ()

    def admit(self, endpoint: str) -> None:
        """Raises as the first one that does."""
        for guard in self.guards:
            guard.admit(endpoint)

    def answered(
        self, endpoint: str, headers: Mapping[str, str], error: IntegrationError | None
    ) -> None:
        """Tells each."""
        for guard in self.guards:
            guard.answered(endpoint, headers, error)

    def close(self) -> None:
        """Closes each, whatever another one raises."""
        with ExitStack() as stack:
            for guard in self.guards:
                stack.callback(guard.close)
