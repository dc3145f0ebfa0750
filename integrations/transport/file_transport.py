"""How places that hold files are reached, whatever protocol they speak."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, ConfigDict, Field

from integrations.error_handling.breaker import Breaker
from integrations.error_handling.guard import Guard
from integrations.error_handling.limits import Limit
from integrations.error_handling.retry import Retry
from integrations.errors import FixConfig
from integrations.secrets import Secret
from integrations.transport import Clock, Random, Sleep
from integrations.transport.files import LONGEST_S, FileSession, Store

AuthT = TypeVar("AuthT")


def no_credentials_in(parts: SplitResult) -> None:
    """Raises `ValueError` for an address that holds a user or a password."""
    if parts.username is not None or parts.password is not None:
        raise ValueError("the base_url holds a user or password: these belong into auth_handler")


class FileTransport(BaseModel, ABC, Generic[AuthT]):
    """How a place with files is reached; `timeout_s` bounds each silence, in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str
    timeout_s: float = Field(default=30.0, gt=0)
    retry: Retry = Retry()
    breaker: Breaker = Breaker()
    quota: tuple[Limit, ...] = ()

    @property
    def longest_s(self) -> float:
        """How long a call may take: a file has no size that is known beforehand."""
        return LONGEST_S

    def open(
        self,
        auth: AuthT,
        secrets: Mapping[str, Secret],
        *,
        base_url: str | None = None,
        offset_s: float = 0.0,
        clock: Clock,
        sleep: Sleep,
        random: Random,
        guards: Sequence[Guard] = (),
    ) -> FileSession:
        """A session; it logs in with its first request. `base_url` replaces the configured one.

        Raises `FixConfig` for an address that is none.
        """
        try:
            address = urlsplit(self._address(base_url or self.base_url))
        except ValueError as error:
            raise FixConfig(str(error)) from error
        return FileSession(
            self._store(address, auth, secrets), retry=self.retry, settle_s=self._settles,
            clock=clock, sleep=sleep, random=random, guards=guards,
        )  # fmt: skip

    @property
    def _settles(self) -> float:
        """After how many seconds a young file is looked at again; 0: what is there is whole."""
        return 0.0

    @staticmethod
    @abstractmethod
    def _address(value: str) -> str:
        """The address as it is used. Raises `ValueError` for one that cannot be."""

    @abstractmethod
    def _store(self, address: SplitResult, auth: AuthT, secrets: Mapping[str, Secret]) -> Store:
        """What lists and reads there."""
