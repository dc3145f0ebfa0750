"""Auth and transport, and the store, as Dagster resources.

Thin holders: what they hold is made by the layers below, which know nothing of Dagster. A
connection's resource shows in the UI how it reaches the source and the names of its secrets; the
values are read when a run opens it, and never before.
"""

import logging
import random
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import psycopg
from pydantic import TypeAdapter

from integrations.connector_template.auth_handler import AuthHandler
from integrations.connector_template.config_schema import SANDBOX, ConnectorConfig
from integrations.connector_template.sync_handler import AnyTransport
from integrations.error_handling.budget import Use
from integrations.error_handling.circuit_guard import CircuitGuard
from integrations.error_handling.guard import Guard
from integrations.error_handling.quota import QuotaGuard
from integrations.error_handling.shared_budget import SharedBudget
from integrations.errors import IntegrationError
from integrations.redaction import redact
from integrations.sandbox.address import twin
from integrations.secrets import Secret, SecretRef
from integrations.settings import Settings
from integrations.storage import circuits, clocks, quotas
from integrations.storage.landing import LandingZone
from integrations.storage.store import open_store
from integrations.transport import Session

_log = logging.getLogger(__name__)


def now() -> datetime:
    """The clock, in UTC."""
    return datetime.now(UTC)


class ConnectionResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # holds no generic
    """One account at a source: its credential and the way to it.

    `secrets` says where each secret is found (`{"api_key": {"env": "STRIPE_API_KEY"}}`). The
    connection `sandbox` takes its address and its secrets from the twin that runs on this machine,
    whatever is configured, so that no real key can reach a twin and no twin a real table.

    An endpoint that fails as the transport's `breaker` says is left alone by all runs for a while:
    `integrations status` shows until when, `integrations connections close-circuits` ends it.
    """

    connector: str
    connection: str
    base_url: str = ""
    auth_handler: dict[str, Any]
    transport: dict[str, Any]
    secrets: dict[str, Any] = {}  # noqa: RUF012  # pydantic copies it

    @classmethod
    def of(cls, connector: str, connection: str, config: ConnectorConfig) -> "ConnectionResource":
        """The resource of a connection, from its connector's file."""
        account = config.connections[connection]
        return cls(
            connector=connector,
            connection=connection,
            # No address at all for the sandbox: its twin's is looked up when a run opens it.
            base_url="the local twin"
            if connection == SANDBOX
            else account.base_url or config.sync_handler.transport.base_url,
            auth_handler=config.auth_handler.model_dump(mode="json", exclude_none=True),
            transport=config.sync_handler.transport.model_dump(mode="json", exclude_none=True),
            secrets={
                k: ref.model_dump(mode="json", exclude_none=True)
                for k, ref in account.secrets.items()
            },
        )

    @contextmanager
    def session(
        self,
        connection: psycopg.Connection[Any],
        *,
        sleep: Callable[[float], None] = time.sleep,
        backfill: bool = False,
    ) -> Iterator[Session[Any]]:
        """A session that begins with what earlier ones learned of the source's clock and its
        quotas, and leaves what it has learned itself in the store. `connection` must be idle, and
        is left so.

        `sleep` waits between two tries of a request. A `backfill` leaves a part of each quota to
        the live sync. Raises as `open` does.
        """
        held, known = quotas.begin(connection, self.connector, self.connection)
        with ExitStack() as stack:
            breaker = stack.enter_context(closing(self._breaker(connection)))
            connection.rollback()
            quota = stack.enter_context(closing(self._shared_quota(known=known, backfill=backfill)))
            session = stack.enter_context(
                self.open(offset_s=held, sleep=sleep, guards=[breaker, quota])
            )
            try:
                yield session
            finally:
                if session.offset_s != held:
                    self._keep(session.offset_s)

    def _breaker(self, connection: psycopg.Connection[Any]) -> CircuitGuard:
        transport = self._transport()
        return CircuitGuard(
            transport.breaker,
            circuits.Circuits(connection, self.connector, self.connection),
            name=f"{self.connector}/{self.connection}",
            known=circuits.known(connection, self.connector, self.connection),
            claim_s=transport.longest_s,
        )

    def _keep(self, offset_s: float) -> None:
        """By a connection of its own: what the session was for may have broken the caller's."""
        try:
            with closing(StoreResource().connect()) as connection:
                clocks.hold(connection, self.connector, self.connection, offset_s=offset_s)
                connection.commit()
        except (IntegrationError, psycopg.Error) as error:
            # The next session measures it anew, with its first answer.
            _log.warning("the source's clock could not be kept: %s", redact(str(error)))

    def open(
        self,
        *,
        offset_s: float = 0.0,
        sleep: Callable[[float], None] = time.sleep,
        guards: Sequence[Guard] | None = None,
    ) -> Session[Any]:
        """A session that is logged in; the caller closes it. `offset_s` is by how many seconds
        the source's clock is known to be ahead of ours. Without `guards` of its own it has those
        that need no store.

        Raises `FixConfig` when a secret cannot be found, or the twin does not run.
        """
        base_url, secrets = self._account()
        # That the two fit each other was seen when the file was read.
        auth: Any = TypeAdapter(AuthHandler).validate_python(self.auth_handler)
        return self._transport().open(
            auth,
            secrets,
            base_url=base_url,
            offset_s=offset_s,
            clock=now,
            sleep=sleep,
            random=random.random,
            guards=[self._quota()] if guards is None else guards,
        )

    def _shared_quota(self, *, known: bool, backfill: bool) -> QuotaGuard:
        budget = SharedBudget(
            lambda: StoreResource().connect(), connector=self.connector, connection=self.connection
        )
        return self._quota(shared=budget, known=known, backfill=backfill)

    def _quota(
        self, *, shared: SharedBudget | None = None, known: bool = False, backfill: bool = False
    ) -> QuotaGuard:
        """What holds requests back before a quota is spent. A twin has none but those it tells."""
        return QuotaGuard(
            () if self.connection == SANDBOX else self._transport().quota,
            holder=uuid.uuid4().hex[:12],
            now=now,
            shared=shared,
            known=known,
            backfill=backfill,
        )

    def _transport(self) -> AnyTransport:
        return TypeAdapter[AnyTransport](AnyTransport).validate_python(self.transport)

    def _account(self) -> tuple[str, dict[str, Secret]]:
        if self.connection == SANDBOX:
            address = twin(Settings.find(create=True).home, self.connector)
            return address.url, address.secrets
        references = TypeAdapter(dict[str, SecretRef]).validate_python(self.secrets)
        return self.base_url, {name: ref.resolve() for name, ref in references.items()}


def quota_uses(session: Session[Any] | None) -> list[Use]:
    """What is left of the quotas of a session's connection, as far as is known."""
    guards = session.guards if session is not None else ()
    return [use for one in guards if isinstance(one, QuotaGuard) for use in one.uses()]


class StoreResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # holds no generic
    """Our side: the Postgres database and the landing zone, as the environment names them."""

    def connect(self) -> psycopg.Connection[Any]:
        """A connection to the migrated database; starts the embedded server where none is named."""
        return open_store(Settings.find(create=True))

    def zone(self) -> LandingZone:
        """The landing zone."""
        return LandingZone(Settings.find(create=True).landing_url)


STORE = StoreResource()
"""The one that all connectors have in common: where Dagster merges their definitions, a resource of
the same name must be the same object."""
