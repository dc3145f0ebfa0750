"""What a twin is: what stands in for an external system; over HTTP an ASGI app, with faults on
order, else a server of its own."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

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


@runtime_checkable
class OwnServer(Protocol):
    """A twin of a system that is not reached over HTTP; its address is told by who serves it."""

    @property
    def secrets(self) -> Mapping[str, str]:
        """As of a `Twin`."""

    def serve(self) -> AbstractContextManager[str]:
        """Serves for as long as the block runs; gives the address."""


class MakeTwin(Protocol):
    """What the registry holds: a twin from a seed and a clock, with fresh secrets."""

    def __call__(self, seed: int, *, clock: Clock) -> Twin | OwnServer: ...
