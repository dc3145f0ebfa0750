"""Which streams and feeds have to wait for an endpoint that is left alone since it failed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg

from integrations.connector_template.connector import BoundFeed, BoundStream
from integrations.names import StreamId
from integrations.redaction import redact
from integrations.storage import circuits


@dataclass(frozen=True)
class Shut:
    """An endpoint that is left alone, until a moment (UTC), and its last failure."""

    endpoint: str
    until: datetime
    why: str

    def __str__(self) -> str:
        until = f"{self.until:%Y-%m-%d %H:%M:%S} UTC"
        return f"{self.endpoint} is left alone until a run tries it after {until}: {self.why}"


def keeping(
    connection: psycopg.Connection[Any], readers: Iterable[BoundStream | BoundFeed]
) -> dict[StreamId, Shut]:
    """Of streams and feeds that have to wait: for which endpoint, and until when."""
    readers = list(readers)
    accounts = {(one.id.connector, one.id.connection) for one in readers}
    known = {one: circuits.known(connection, *one).circuits for one in accounts}
    found: dict[StreamId, Shut] = {}
    for reader in readers:
        here = known[reader.id.connector, reader.id.connection]
        for endpoint in _endpoints(reader):
            circuit = here.get(endpoint)
            if circuit is not None and circuit.until is not None:
                until = max(circuit.until, circuit.probe_until or circuit.until).astimezone(UTC)
                found[reader.id] = Shut(endpoint, until, redact(circuit.why))
    return found


def _endpoints(reader: BoundStream | BoundFeed) -> Iterator[str]:
    """What its pulls ask, the list last: nothing goes without that."""
    if isinstance(reader, BoundFeed):
        yield reader.feed.request.asks
        return
    stream = reader.stream
    if stream.one is not None:
        yield stream.one.asks
    yield from stream.request.endpoints
