"""Fetching ahead: while one page is worked on, those after it are on their way.

Only the first attempt of a call is made ahead. What fails is made again by who waits for it, one
call after the other, so that retries do not go out in bundles and nobody sleeps behind his back.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from itertools import islice
from threading import Thread
from typing import Generic, TypeVar

from integrations.errors import QuotaSpent, RetryLater

T = TypeVar("T")


class Ahead(Generic[T]):
    """Calls in the order in which their results are wanted, at most `most` of them under way.

    With `most` 1 nothing is made ahead. A call that is under way when nobody wants it any more goes
    on to its end unheard; it keeps no process from ending.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._calls: deque[_Call[T]] = deque()

    def __len__(self) -> int:
        return len(self._calls)

    def put(self, call: Callable[[], T]) -> None:
        """Adds a call, to be made after those that are here."""
        self._calls.append(_Call(call))

    def keep(self, count: int) -> None:
        """Forgets all calls but the first so many."""
        while len(self._calls) > count:
            self._calls.pop()

    def start(self) -> None:
        """Sets the first calls off."""
        if self._most > 1:
            for call in islice(self._calls, self._most):
                call.start()

    def take(self) -> Callable[[], T]:
        """The first call: gives its result, or raises its error; called again, it is made again.

        When it fails, others that were under way may have failed for the same reason; that is
        waited for once, so their first attempts do not count.
        """
        call = self._calls.popleft()

        def made() -> T:
            try:
                return call()
            except RetryLater:
                for other in self._calls:
                    other.forgiven = True
                raise

        return made


class _Call(Generic[T]):
    """A call, and its first attempt where that is under way; `forgiven` when its failure would be
    no news."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._future: Future[T] | None = None
        self.forgiven = False

    def start(self) -> None:
        if self._future is None:
            self._future, self.forgiven = Future(), False
            # Not of a pool: the interpreter waits at its end for the threads of pools.
            Thread(target=self._run, args=[self._future], daemon=True).start()

    def _run(self, future: Future[T]) -> None:
        try:
            future.set_result(self._call())
        except BaseException as error:  # noqa: BLE001  # who waits for it raises it
            future.set_exception(error)

    def __call__(self) -> T:
        future, self._future = self._future, None
        if future is not None:
            try:
                return future.result()
            except QuotaSpent:
                pass  # it was not made; how long it has to wait is known anew
            except RetryLater:
                if not self.forgiven:
                    raise
        return self._call()
