"""A source that a test changes as it goes, behind the sandbox connection of a test's home."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from integrations.connector_template.connector import BoundFeed, BoundStream
from integrations.connector_template.folders import SHIPPED, read
from integrations.names import StreamId
from integrations.orchestration.resources import now
from integrations.processes import named
from integrations.sandbox.address import FILE
from integrations.sandbox.faults import Clock
from integrations.sandbox.server import running
from integrations_tests.lanes.life import Life

EVENTS = StreamId("stripe", "sandbox", "events")


@contextmanager
def living(home: Path, *, clock: Clock = now) -> Iterator[Life]:
    """Serves a source in the twin's place."""
    life = Life(clock=clock)
    with running(life) as url:
        served = {"stripe": {"url": url, "secrets": dict(life.secrets)}, **named()}
        (home / FILE).write_text(json.dumps(served))
        yield life


def events() -> BoundFeed:
    """The feed of Stripe's sandbox."""
    (connector,), broken = read([SHIPPED / "stripe"])
    assert not broken
    return next(feed for feed in connector.feeds() if feed.id == EVENTS)


def routed(name: str) -> BoundStream:
    """A stream that it speaks of."""
    return next(stream for stream in events().routes.values() if stream.id.stream == name)
