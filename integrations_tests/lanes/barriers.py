"""Something that happens when the product comes to one of its barriers, in this very process."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_waiting: dict[str, Callable[[], object]] = {}


class Interrupted(Exception):
    """Raised in the middle of the work, as if the process had ended there."""


def interrupt() -> None:
    raise Interrupted


@contextmanager
def at(barrier: str, happens: Callable[[], object]) -> Iterator[None]:
    """Inside, the first who comes to the audit event `integrations.<barrier>` waits for it."""
    _waiting[f"integrations.{barrier}"] = happens
    yield
    assert not _waiting.pop(f"integrations.{barrier}", None), f"nobody came to {barrier}"


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if happens := _waiting.pop(event, None):
        happens()


sys.addaudithook(_hook)  # for as long as the process lives: hooks cannot be taken back
