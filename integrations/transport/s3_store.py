"""The objects of a bucket, listed and fetched by boto3."""

import threading
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from typing import IO, Any

import boto3
from botocore.config import Config

from integrations.auth.aws import AwsLogin
from integrations.errors import RetryLater
from integrations.secrets import Secret
from integrations.transport.file_listing import Listed, Unread
from integrations.transport.s3_errors import EXPIRED, S3_ERRORS, code_of, translated

_CHUNK = 1 << 18
_CHANGED = "was changed while it was read"
_UNREAD = {
    "NoSuchKey": Unread("went away before it was read", waiting=True),
    "404": Unread("went away before it was read", waiting=True),
    "PreconditionFailed": Unread(_CHANGED, waiting=True),
    "412": Unread(_CHANGED, waiting=True),
    "AccessDenied": Unread("may not be read by this account", again=True),
    "InvalidObjectState": Unread("lies in an archive, from which it is to be restored", again=True),
}
"""What S3 says of one object (docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html)."""


class S3Store:
    """The objects of a bucket. An object is there as a whole, or not at all."""

    grows = False

    def __init__(
        self,
        endpoint: str,
        bucket: str,
        login: AwsLogin,
        *,
        names: frozenset[str],
        region: str,
        timeout_s: float,
    ) -> None:
        self._endpoint, self._bucket, self._login = endpoint, bucket, login
        self._names, self._region, self._timeout_s = names, region, timeout_s
        self._client: Any = None
        self.requests = 0

    def listing(self, folder: str, *, deep: bool, needed: bool = True) -> Iterator[Listed]:
        """As `Store.listing`; where there is no object there is no folder either."""
        prefix = _prefix(folder)
        asked = {"Bucket": self._bucket, "Prefix": prefix} | ({} if deep else {"Delimiter": "/"})
        onward: dict[str, str] = {}
        try:
            while True:
                self.requests += 1
                page = self._connected().list_objects_v2(**asked, **onward)
                for found in page.get("Contents", ()):
                    if not found["Key"].endswith("/"):  # what consoles make for a folder
                        yield Listed(
                            path=found["Key"].removeprefix(prefix),
                            size=found["Size"],
                            tag=found["ETag"].strip('"'),
                            modified_at=found["LastModified"],
                        )
                if not page.get("IsTruncated"):
                    return
                onward = {"ContinuationToken": page["NextContinuationToken"]}
        except S3_ERRORS as error:
            raise self._said(error, f"listing {self._bucket}/{prefix}") from error

    def fetch(self, folder: str, file: Listed, into: IO[bytes]) -> None:
        """As `Store.fetch`; only the object that was listed is taken (If-Match)."""
        key = f"{_prefix(folder)}{file.path}"
        begin = into.seek(0, 2)
        if begin >= file.size:
            return
        rest = {"Range": f"bytes={begin}-"} if begin else {}
        try:
            self.requests += 1
            answer = self._connected().get_object(
                Bucket=self._bucket, Key=key, IfMatch=f'"{file.tag}"', **rest
            )
            if rest and "ContentRange" not in answer:
                into.seek(0)  # not every server gives a part
                into.truncate()
            body = answer["Body"]
            while piece := body.read(_CHUNK):
                into.write(piece)
        except S3_ERRORS as error:
            if (unread := _UNREAD.get(code_of(error))) is not None:
                raise Unread(unread.reason, waiting=unread.waiting, again=unread.again) from error
            raise self._said(error, f"reading {file.path}") from error
        if into.tell() != file.size:
            raise RetryLater(f"reading {file.path} gave {into.tell()} bytes of {file.size}")

    def _said(self, error: Exception, what: str) -> Exception:
        if code_of(error) in EXPIRED:
            self.close()  # the next one is signed anew
        return translated(error, what, endpoint=self._endpoint, names=self._names)

    def _connected(self) -> Any:
        if self._client is None:
            self._client = self._made()
        return self._client

    def _made(self) -> Any:
        login = self._login
        if login.role:
            login = _taken_on(login, self._region)
            self.requests += 1
        keys: dict[str, str | None] = {}
        if login.access_key_id and login.secret_access_key:
            token = login.session_token.reveal() if login.session_token else None
            keys = {
                "aws_access_key_id": login.access_key_id,
                "aws_secret_access_key": login.secret_access_key.reveal(),
                "aws_session_token": token,
            }
        options = Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            connect_timeout=self._timeout_s,
            read_timeout=self._timeout_s,
            retries={"total_max_attempts": 1},  # ours is the one retry
            # Others than AWS know nothing of its newer checksums.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        session = _nobodys() if keys else boto3.Session()
        with _making:  # sessions are not for several threads at a time
            return session.client(
                "s3",
                region_name=self._region,
                endpoint_url=self._endpoint,
                config=options,
                **keys,
            )

    def close(self) -> None:
        """Closes the connections; the next request makes others."""
        client, self._client = self._client, None
        if client is not None:
            client.close()


def _prefix(folder: str) -> str:
    """How the keys of a folder's objects begin."""
    plain = folder.strip("/")
    return f"{plain}/" if plain else ""


_making = threading.Lock()


@cache
def _nobodys() -> Any:
    """A session for clients that bring their keys: a new one would read botocore's description of
    S3 again, which takes longer than a request."""
    return boto3.Session()


def _taken_on(login: AwsLogin, region: str) -> AwsLogin:
    """The keys of a role, for an hour."""
    external = {"ExternalId": login.external_id} if login.external_id else {}
    client = boto3.Session().client(
        "sts", region_name=region, config=Config(retries={"total_max_attempts": 1})
    )
    with closing(client):
        given = client.assume_role(RoleArn=login.role, RoleSessionName="integrations", **external)[
            "Credentials"
        ]
    return AwsLogin(
        given["AccessKeyId"], Secret(given["SecretAccessKey"]), Secret(given["SessionToken"])
    )
