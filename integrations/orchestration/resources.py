"""Auth and transport, and the store, as Dagster resources.

Thin holders: what they hold is made by the layers below, which know nothing of Dagster. A
connection's resource shows in the UI how it reaches the source and the names of its secrets; the
values are read when a run opens it, and never before.
"""

import random
import time
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import psycopg
from pydantic import TypeAdapter

from integrations.connector_template.auth_handler import AuthHandler
from integrations.connector_template.config_schema import SANDBOX, ConnectorConfig
from integrations.sandbox.address import twin
from integrations.secrets import Secret, SecretRef
from integrations.settings import Settings
from integrations.storage.landing import LandingZone
from integrations.storage.store import open_store
from integrations.transport.rest import RestSession, RestTransport


def now() -> datetime:
    """The clock, in UTC."""
    return datetime.now(UTC)


class ConnectionResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # holds no generic
    """One account at a source: its credential and the way to it.

    `secrets` says where each secret is found (`{"api_key": {"env": "STRIPE_API_KEY"}}`). The
    connection `sandbox` takes its address and its secrets from the twin that runs on this machine,
    whatever is configured, so that no real key can reach a twin and no twin a real table.
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

    def open(self) -> RestSession:
        """A session that is logged in; the caller closes it.

        Raises `FixConfig` when a secret cannot be found, or the twin does not run.
        """
        base_url, secrets = self._account()
        transport = RestTransport.model_validate(self.transport)
        return transport.open(
            TypeAdapter(AuthHandler).validate_python(self.auth_handler),
            secrets,
            base_url=base_url,
            clock=now,
            sleep=time.sleep,
            random=random.random,
        )

    def _account(self) -> tuple[str, dict[str, Secret]]:
        if self.connection == SANDBOX:
            address = twin(Settings.find(create=True).home, self.connector)
            return address.url, address.secrets
        references = TypeAdapter(dict[str, SecretRef]).validate_python(self.secrets)
        return self.base_url, {name: ref.resolve() for name, ref in references.items()}


class StoreResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # holds no generic
    """Our side: the Postgres database and the landing zone, as the environment names them."""

    def connect(self) -> psycopg.Connection:
        """A connection to the migrated database; starts the embedded server where none is named."""
        return open_store(Settings.find(create=True))

    def zone(self) -> LandingZone:
        """The landing zone."""
        return LandingZone(Settings.find(create=True).landing_url)
