"""What every twin is: an ASGI app that stands in for an external system, with faults on order."""

from collections.abc import Mapping
from typing import Protocol

from starlette.types import Receive, Scope, Send

from integrations.sandbox.faults import Clock, Faults


class Twin(Protocol):
    """A local stand-in of an external system, to be served by `server.running`."""

    @property
    def secrets(self) -> Mapping[str, str]:
        """What a connection needs to be let in, by the connector's names of its secrets."""

    @property
    def faults(self) -> Faults:
        """Where a test orders what is to go wrong."""

    @property
    def requests(self) -> int:
        """How many requests came in, refused ones included."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI app."""


class MakeTwin(Protocol):
    """What the registry holds: a twin from a seed and a clock, with fresh secrets."""

    def __call__(self, seed: int, *, clock: Clock) -> Twin: ...
