"""S3: objects of a bucket, at AWS or whatever else speaks its protocol."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Protocol
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field

from integrations.auth.aws import AwsLogin
from integrations.secrets import Secret
from integrations.transport.file_transport import FileTransport, no_credentials_in
from integrations.transport.files import Store


def _is_bucket(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"\s", value):
        raise ValueError("the base_url should begin with https:// (or http://) and name a host")
    no_credentials_in(parts)
    if not re.fullmatch(r"/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/?", parts.path) or parts.query:
        raise ValueError("the base_url ends with the bucket: https://s3.example.com/my-bucket")
    _ = parts.port  # or it cannot be one
    return value.rstrip("/")


class AwsAuth(Protocol):
    """A credential for S3."""

    def aws_login(self, secrets: Mapping[str, Secret]) -> AwsLogin: ...
    def secret_names(self) -> frozenset[str]: ...


class S3Transport(FileTransport[AwsAuth]):
    """How a bucket is reached: `base_url` is the endpoint with the bucket behind it,
    `https://s3.eu-central-1.amazonaws.com/my-bucket`, and `region` what requests are signed for.

    `timeout_s` bounds each silence.
    """

    type: Literal["s3"]
    base_url: Annotated[str, AfterValidator(_is_bucket)]
    region: str = Field(default="us-east-1", pattern=r"^[a-z0-9-]+$")

    _address = staticmethod(_is_bucket)

    def _store(self, address: SplitResult, auth: AwsAuth, secrets: Mapping[str, Secret]) -> Store:
        from integrations.transport.s3_store import S3Store  # boto3 takes long to import

        return S3Store(
            f"{address.scheme}://{address.netloc}",
            address.path.strip("/"),
            auth.aws_login(secrets),
            names=auth.secret_names(),
            region=self.region,
            timeout_s=self.timeout_s,
        )
