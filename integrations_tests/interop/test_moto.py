"""moto's S3, which checks whose requests they are: what it lists and gives is read as it is."""

import gzip
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.config import Config

from integrations.auth.aws import AwsKeys
from integrations.errors import StopConnection, StopStream
from integrations.secrets import Secret
from integrations.transport import Ask
from integrations.transport.file_request import FilesRequest
from integrations.transport.s3 import S3Transport
from integrations_tests.interop.conftest import started

AUTH = AwsKeys(type="aws_keys", access_key_id="id", secret_access_key="secret")
POLICY = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}'
SERVE = """
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
app = DomainDispatcherApplication(create_backend_app)
make_server("127.0.0.1", 0, app, threaded=True, fd={socket}).serve_forever()
"""
MOST = 5
"""Keys to a page."""
BEFORE_KEYS_COUNT = "4"
"""So many requests are answered before anybody's keys are looked at: those that make the keys."""


@dataclass(frozen=True)
class Moto:
    url: str
    secrets: dict[str, str]

    def client(self, service: str = "s3") -> Any:
        return boto3.client(
            service, endpoint_url=self.url, region_name="us-east-1", config=Config(s3={"addressing_style": "path"}),
            aws_access_key_id=self.secrets["id"], aws_secret_access_key=self.secrets["secret"],
        )  # fmt: skip

    def states(self, bucket: str = "archive", **secrets: str) -> dict[str, tuple[str, int]]:
        """What became of each object, and how many records it held."""
        transport = S3Transport(type="s3", base_url=f"{self.url}/{bucket}")
        known = {name: Secret(value) for name, value in (self.secrets | secrets).items()}
        request = FilesRequest(folder="d", files="**/*.json*", format={"type": "json"})  # type: ignore[arg-type]
        with transport.open(
            AUTH, known, clock=lambda: datetime.now(UTC), sleep=lambda s: None, random=lambda: 0.5
        ) as session:
            pages = [*session.pages(request, ask=Ask())]
        return {one.path: (one.state, one.records) for page in pages for one in page.files}


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    log = tmp_path_factory.mktemp("moto") / "log"
    with started(
        log, "-W", "ignore", "-c", SERVE,
        INITIAL_NO_AUTH_ACTION_COUNT=BEFORE_KEYS_COUNT, MOTO_S3_DEFAULT_MAX_KEYS=str(MOST),
    ) as url:  # fmt: skip
        nobody = Moto(url, {"id": "nobody", "secret": "nothing"})
        with closing(nobody.client("iam")) as iam:
            iam.create_user(UserName="reader")
            iam.put_user_policy(UserName="reader", PolicyName="all", PolicyDocument=POLICY)
            key = iam.create_access_key(UserName="reader")["AccessKey"]
        with closing(nobody.client()) as s3:
            s3.create_bucket(Bucket="archive")
        yield Moto(url, {"id": key["AccessKeyId"], "secret": key["SecretAccessKey"]})


def test_what_it_holds_is_read(moto: Moto) -> None:
    """More than a page of keys, names of any kind, an object that was put in parts."""
    with closing(moto.client()) as s3:
        for n in range(12):
            s3.put_object(Bucket="archive", Key=f"d/{n:04}/x.json", Body=b'{"n":%d}\n' % n)
        s3.put_object(
            Bucket="archive", Key="d/é +&=%2F.json.gz", Body=gzip.compress(b'{"a":1}{"a":2}')
        )
        s3.put_object(Bucket="archive", Key="e/no.json", Body=b"{}")
        parts = {"Bucket": "archive", "Key": "d/parts.json"}
        upload = s3.create_multipart_upload(**parts)["UploadId"]
        tag = s3.upload_part(**parts, UploadId=upload, PartNumber=1, Body=b'{"a":1}\n' * 5)["ETag"]
        done = {"Parts": [{"ETag": tag, "PartNumber": 1}]}
        s3.complete_multipart_upload(**parts, UploadId=upload, MultipartUpload=done)

    seen = moto.states()

    assert len(seen) == 14
    assert {*seen.values()} == {("loaded", 1), ("loaded", 2), ("loaded", 5)}
    assert seen["é +&=%2F.json.gz"] == ("loaded", 2)
    assert seen["parts.json"] == ("loaded", 5)


@pytest.mark.parametrize(
    ("secrets", "bucket", "error", "words"),
    [
        ({"secret": "wrong"}, "archive", StopConnection, "SignatureDoesNotMatch"),
        ({"id": "AKIANOBODY"}, "archive", StopConnection, "InvalidAccessKeyId"),
        ({}, "no-such-bucket", StopStream, "NoSuchBucket"),
    ],
)
def test_who_may_not_read_is_told_why(
    moto: Moto, secrets: dict[str, str], bucket: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        moto.states(bucket, **secrets)
