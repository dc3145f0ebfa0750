"""A process that asks a source whenever it is told to: `python -m …asker DATABASE URL BREAKER`.

Each line that it reads is one pull, so many seconds after the one before; what it prints is how
that ended. It shares no memory with the others, only the database.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from time import monotonic

from integrations.auth.static import NoAuth
from integrations.error_handling.breaker import Breaker
from integrations.error_handling.circuit_guard import CircuitGuard
from integrations.errors import IntegrationError
from integrations.storage.circuits import Circuits, known
from integrations.storage.database import connect
from integrations.transport import Ask
from integrations.transport.rest import RestTransport
from integrations.transport.rest_request import RestRequest

CLAIM_S = 900.0


@contextmanager
def asking(
    database: str,
    url: str,
    breaker: Breaker,
    *,
    name: str = "main",
    clock: Callable[[], float] = monotonic,
) -> Iterator[Callable[..., str]]:
    """A session as a run opens it, and how to pull with it: gives the name of the error's class and
    its words, or "well"."""
    transport = RestTransport.model_validate(
        {"type": "rest", "base_url": url, "retry": {"budget_s": 0}, "concurrency": 1}
    )
    with connect(database) as connection:
        circuits = Circuits(connection, "shop", name)
        found = known(connection, "shop", name)
        guard = CircuitGuard(
            breaker, circuits, name=f"shop/{name}", known=found, claim_s=CLAIM_S, monotonic=clock
        )
        session = transport.open(
            NoAuth(type="none"), {}, clock=lambda: datetime.now(UTC), sleep=lambda _: None,
            random=lambda: 0.5, guards=[guard],
        )  # fmt: skip

        def ask(path: str = "/things") -> str:
            request = RestRequest.model_validate({"path": path, "paging": {"type": "single"}})
            try:
                list(session.pages(request, ask=Ask()))
            except IntegrationError as error:
                return f"{type(error).__name__}: {error}"
            return "well"

        with closing(guard), session:
            yield ask


class Seconds:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def main(database: str, url: str, breaker: str) -> None:
    clock = Seconds()
    with asking(database, url, Breaker.model_validate_json(breaker), clock=clock) as ask:
        for line in sys.stdin:
            clock.now += float(line)
            print(ask(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
