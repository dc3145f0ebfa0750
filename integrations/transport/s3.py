"""S3: objects of a bucket, at AWS or whatever else speaks its protocol."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Protocol
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from integrations.auth.aws import AwsLogin
from integrations.error_handling.breaker import Breaker
from integrations.error_handling.guard import Guard
from integrations.error_handling.limits import Limit
from integrations.error_handling.retry import Retry
from integrations.errors import FixConfig
from integrations.secrets import Secret
from integrations.transport import Clock, Random, Sleep
from integrations.transport.files import LONGEST_S, FileSession


def _is_bucket(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"\s", value):
        raise ValueError("the base_url should begin with https:// (or http://) and name a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("the base_url holds a user or password: these belong into auth_handler")
    if not re.fullmatch(r"/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/?", parts.path) or parts.query:
        raise ValueError("the base_url ends with the bucket: https://s3.example.com/my-bucket")
    _ = parts.port  # or it cannot be one
    return value.rstrip("/")


class AwsAuth(Protocol):
    """A credential for S3."""

    def aws_login(self, secrets: Mapping[str, Secret]) -> AwsLogin: ...
    def secret_names(self) -> frozenset[str]: ...


class S3Transport(BaseModel):
    """How a bucket is reached: `base_url` is the endpoint with the bucket behind it,
    `https://s3.eu-central-1.amazonaws.com/my-bucket`, and `region` what requests are signed for.

    `timeout_s` bounds each silence.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["s3"]
    base_url: Annotated[str, AfterValidator(_is_bucket)]
    region: str = Field(default="us-east-1", pattern=r"^[a-z0-9-]+$")
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
        auth: AwsAuth,
        secrets: Mapping[str, Secret],
        *,
        base_url: str | None = None,
        offset_s: float = 0.0,
        clock: Clock,
        sleep: Sleep,
        random: Random,
        guards: Sequence[Guard] = (),
    ) -> FileSession:
        """A session; `base_url` replaces the configured one."""
        try:
            address = urlsplit(_is_bucket(base_url or self.base_url))
        except ValueError as error:
            raise FixConfig(str(error)) from error
        from integrations.transport.s3_store import S3Store  # boto3 takes long to import

        store = S3Store(
            f"{address.scheme}://{address.netloc}",
            address.path.strip("/"),
            auth.aws_login(secrets),
            names=auth.secret_names(),
            region=self.region,
            timeout_s=self.timeout_s,
        )
        return FileSession(
            store, retry=self.retry, settle_s=0,
            clock=clock, sleep=sleep, random=random, guards=guards,
        )  # fmt: skip
