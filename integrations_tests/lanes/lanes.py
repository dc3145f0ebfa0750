"""One account at a source that lives, and all the ways in which its records come to us."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count
from typing import Any, cast

import msgspec
import psycopg
import pyarrow as pa

from integrations.connector_template import feed, loading, pull, replaying
from integrations.connector_template.connector import (
    BoundFeed,
    BoundStream,
    Connector,
    read_connector,
)
from integrations.connector_template.feed import Turn
from integrations.connector_template.folders import SHIPPED
from integrations.connector_template.run import Run
from integrations.names import StreamId, Window
from integrations.secrets import Secret
from integrations.storage import positions
from integrations.storage.landing import LandingZone
from integrations.storage.ledger import Cause, LedgerEntry
from integrations.storage.manifest import Manifest
from integrations.sync_state.windows import LENGTH, WindowSync
from integrations.transformation.transform import Transformer
from integrations.transport.rest_session import RestSession

Rows = dict[str, dict[str, Any]]
"""By source id, the columns of the entity."""


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, start: datetime) -> None:
        self.now = start

    def __call__(self) -> datetime:
        return self.now

    def goes(self, **span: float) -> datetime:
        """Moves it on, or back; gives the time then."""
        self.now += timedelta(**span)
        return self.now


@cache
def stripe() -> Connector:
    """The connector as it is shipped; reading it takes longer than most tests."""
    return read_connector(SHIPPED / "stripe")


@dataclass
class Lanes:
    """A connection of Stripe's connector to a source; each verb is one run of its own.

    `account` is the connection's name, `start` from when on it is read. `name` goes into the ids of
    runs, which must differ where several of these work on one account.
    """

    url: str
    secrets: Mapping[str, str]
    account: str
    connection: psycopg.Connection[Any]
    zone: LandingZone
    clock: Callable[[], datetime]
    start: datetime
    name: str = "run"
    connector: Connector = field(default_factory=stripe)
    runs: Iterator[int] = field(default_factory=lambda: count(1))

    def id(self, name: str) -> StreamId:
        return StreamId("stripe", self.account, name)

    def stream(self, name: str) -> BoundStream:
        """A stream of the connection, beginning when the test's source does."""
        found = next(one for one in self.connector.streams() if one.id.stream == name)
        account = found.connection.model_copy(update={"start": self.start.date()})
        return replace(found, id=self.id(name), connection=account)

    @property
    def events(self) -> BoundFeed:
        """The feed, routed to those streams."""
        found = next(self.connector.feeds())
        routes = {kind: self.stream(to.id.stream) for kind, to in found.routes.items()}
        return replace(found, id=self.id(found.id.stream), routes=routes)

    def session(self) -> RestSession:
        """Logged in; waiting takes no time."""
        config = self.connector.config
        return config.sync_handler.transport.open(
            config.auth_handler,
            {name: Secret(value) for name, value in self.secrets.items()},
            base_url=self.url,
            clock=self.clock,
            sleep=lambda _: None,
            random=lambda: 0.5,
        )

    def run(self, cause: Cause = "sync", *, accept: bool = False) -> Run:
        run_id = f"{self.name}{next(self.runs)}"
        return Run(run_id, run_id, cause, accept)

    def land(self, stream: BoundStream, window: Window | None, run: Run) -> Manifest:
        generation = positions.generation(self.connection, stream.id)
        self.connection.rollback()
        with self.session() as session:
            return pull.land(
                stream, window, generation=generation,
                session=session, zone=self.zone, run=run, clock=self.clock,
            )  # fmt: skip

    def load(self, stream: BoundStream, manifest: Manifest, run: Run) -> LedgerEntry:
        _, entry = loading.load(
            stream, manifest,
            connection=self.connection, zone=self.zone, run=run, clock=self.clock,
        )  # fmt: skip
        assert entry is not None, "only a cursor can be passed by another run"
        return entry

    def sync(self, name: str, window: Window | None = None, *, accept: bool = False) -> LedgerEntry:
        """Lands and loads one window, or the whole of a stream without windows."""
        stream, run = self.stream(name), self.run(accept=accept)
        return self.load(stream, self.land(stream, window, run), run)

    def windows(self, name: str) -> list[Window]:
        """The windows of a stream that have passed, and the one that has not."""
        stream = self.stream(name)
        sync = stream.stream.sync
        assert isinstance(sync, WindowSync)
        until = self.clock() + LENGTH[sync.cadence]
        return list(sync.windows(stream.connection.begins_at, until))

    def turn(self, *, accept: bool = False, look_back: bool = True) -> Turn:
        """One turn of the feed."""
        with self.session() as session:
            return feed.turn(
                self.events,
                connection=self.connection,
                zone=self.zone,
                session=session,
                run=self.run("push", accept=accept),
                clock=self.clock,
                look_back=look_back,
            )

    def replay(self, name: str, windows: Iterable[Window | None] = (None,)) -> list[LedgerEntry]:
        """Loads again what is landed of a stream, of both lanes."""
        stream, run = self.stream(name), self.run("replay")
        entries = [
            self.load(stream, manifest, run)
            for manifest in replaying.pulled(stream, windows, zone=self.zone)
        ]
        pushed = replaying.load_pushed(
            stream, self.events,
            connection=self.connection, zone=self.zone, run=run, clock=self.clock,
        )  # fmt: skip
        return entries + [entry for _, entry in pushed]

    def table(self, name: str) -> Rows:
        """The live rows of a stream, without stamps."""
        return {key: values for key, (values, deleted) in self.rows(name).items() if not deleted}

    def rows(self, name: str) -> dict[str, tuple[dict[str, Any], bool]]:
        """All rows of a stream: the columns of the entity, and whether the row is deleted."""
        spec = self.stream(name).mapping.entity.table()
        if self._is_null("SELECT to_regclass(%s)", f"canonical.{spec.entity}"):
            return {}
        columns = [column.name for column in spec.columns]
        found = self.fetch(
            f"SELECT source_id, _deleted_at IS NOT NULL, {', '.join(columns)}"
            f" FROM canonical.{spec.entity}"
            " WHERE (connector, connection, stream) = ('stripe', %s, %s)",
            self.account,
            name,
        )
        return {
            key: (dict(zip(columns, values, strict=True)), deleted)
            for key, deleted, *values in found
        }

    def fetch(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows of a query, in a transaction of its own."""
        found = self.connection.execute(cast(Any, query), values).fetchall()
        self.connection.rollback()
        return found

    def _is_null(self, query: str, *values: str) -> bool:
        return self.fetch(query, *values) == [(None,)]


def mapped(stream: BoundStream, objects: Mapping[str, Mapping[str, Any]]) -> Rows:
    """Objects as the rows that they become."""
    records = pa.array([msgspec.json.encode(dict(one)) for one in objects.values()], pa.binary())
    result = Transformer(stream.mapping).run(records, seen_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert not result.refused.num_rows, result.refused.to_pylist()
    columns = stream.mapping.entity.table().columns
    return {
        row["source_id"]: {
            one.name: _decoded(row[one.name]) if one.type == "jsonb" else row[one.name]
            for one in columns
        }
        for row in result.rows.to_pylist()
    }


def _decoded(text: str | None) -> object:
    return None if text is None else msgspec.json.decode(text)
