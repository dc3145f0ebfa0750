"""A real S3 server over HTTP, of one bucket: it lists, it gives objects and parts of them, and it
lets nobody in whose signature is wrong.

Signatures are checked as AWS documents them (Signature Version 4,
docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html): by no library
of the client's side, whose mistakes it would share.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from urllib.parse import quote
from xml.sax.saxutils import escape

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<scope>[^,]+), ?"
    r"SignedHeaders=(?P<headers>[^,]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)


@dataclass(frozen=True)
class Thing:
    """An object: its bytes and when they were put there."""

    data: bytes
    at: datetime

    @property
    def etag(self) -> str:
        """The MD5, as S3 has it for what is put in one piece."""
        return f'"{hashlib.md5(self.data, usedforsecurity=False).hexdigest()}"'


@dataclass(frozen=True)
class Bucket:
    """What is served: a bucket's name, its objects by key, those of now, and the keys of who may
    read them. Lists have `most` keys to a page; `opened` hears which objects are read."""

    name: str
    objects: Callable[[], Mapping[str, Thing]]
    key_id: str
    secret: str
    opened: Callable[[str], None] = lambda key: None
    most: int = 1_000


def s3_app(bucket: Bucket) -> Starlette:
    """The ASGI app."""

    async def listed(request: Request) -> Response:
        return _refused(request, bucket) or _listing(request, bucket)

    async def given(request: Request) -> Response:
        return _refused(request, bucket) or _object(request, bucket)

    async def nothing(request: Request) -> Response:
        return _refused(request, bucket) or _error(404, "NoSuchBucket", "There is no such bucket")

    return Starlette(
        routes=[
            Route(f"/{bucket.name}", listed),
            Route(f"/{bucket.name}/", listed),
            Route(f"/{bucket.name}/{{key:path}}", given, methods=["GET", "HEAD"]),
            Route("/{rest:path}", nothing),
        ]
    )


def _listing(request: Request, bucket: Bucket) -> Response:
    """ListObjectsV2."""
    asked = request.query_params
    prefix, delimiter = asked.get("prefix", ""), asked.get("delimiter", "")
    after = asked.get("continuation-token") or asked.get("start-after") or ""
    most = min(int(asked.get("max-keys", "1000")), bucket.most)
    objects = bucket.objects()
    found: dict[str, str] = {}
    for key in sorted(objects, key=lambda key: key.encode()):
        below = key.removeprefix(prefix)
        if not key.startswith(prefix) or (delimiter and delimiter in below):
            continue
        if key.encode() > after.encode():
            found[key] = _content(key, objects[key], encoded=asked.get("encoding-type") == "url")
    keys = [*found][:most]
    more = len(found) > len(keys)
    onward = f"<NextContinuationToken>{escape(keys[-1])}</NextContinuationToken>" if more else ""
    return _xml(
        200,
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>{bucket.name}</Name><KeyCount>{len(keys)}</KeyCount><MaxKeys>{most}</MaxKeys>"
        f"<IsTruncated>{str(more).lower()}</IsTruncated>{onward}"
        + "<EncodingType>url</EncodingType>" * (asked.get("encoding-type") == "url")
        + "".join(found[key] for key in keys)
        + "</ListBucketResult>",
    )


def _content(key: str, thing: Thing, *, encoded: bool) -> str:
    name = quote(key, safe="/") if encoded else escape(key)
    return (
        f"<Contents><Key>{name}</Key><LastModified>{thing.at:%Y-%m-%dT%H:%M:%S.000Z}"
        f"</LastModified><ETag>{escape(thing.etag)}</ETag><Size>{len(thing.data)}</Size>"
        "<StorageClass>STANDARD</StorageClass></Contents>"
    )


def _object(request: Request, bucket: Bucket) -> Response:
    """GetObject, whole or from a byte on, and only as the one that is meant."""
    key = request.path_params["key"]
    thing = bucket.objects().get(key)
    if thing is None:
        return _error(404, "NoSuchKey", "The specified key does not exist.")
    wanted = request.headers.get("if-match")
    if wanted not in (None, "*", thing.etag):
        return _error(412, "PreconditionFailed", "The object is another one.")
    bucket.opened(key)
    headers = {
        "ETag": thing.etag,
        "Last-Modified": format_datetime(thing.at, usegmt=True),
        "Accept-Ranges": "bytes",
    }
    part = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
    if part is None:
        return Response(thing.data, headers=headers, media_type="binary/octet-stream")
    begin, size = int(part[1]), len(thing.data)
    if begin >= size:
        return _error(416, "InvalidRange", "The requested range is not satisfiable.")
    headers["Content-Range"] = f"bytes {begin}-{size - 1}/{size}"
    return Response(thing.data[begin:], 206, headers=headers, media_type="binary/octet-stream")


def _refused(request: Request, bucket: Bucket) -> Response | None:
    """What is wrong with a request's signature; None for nothing."""
    told = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    if told is None:
        return _error(403, "AccessDenied", "Access Denied")
    if told["key"] != bucket.key_id:
        words = "The AWS Access Key Id you provided does not exist in our records."
        return _error(403, "InvalidAccessKeyId", words)
    if not hmac.compare_digest(_signature(request, told, bucket.secret), told["signature"]):
        words = "The request signature we calculated does not match the signature you provided."
        return _error(403, "SignatureDoesNotMatch", words)
    return None


def _signature(request: Request, told: "re.Match[str]", secret: str) -> str:
    query = "&".join(sorted(filter(None, request.scope["query_string"].decode().split("&"))))
    query = "&".join(pair if "=" in pair else f"{pair}=" for pair in query.split("&") if pair)
    names = told["headers"].split(";")
    headers = "".join(f"{n}:{' '.join(request.headers.get(n, '').split())}\n" for n in names)
    canonical = "\n".join(
        [
            request.method,
            request.scope["raw_path"].decode(),
            query,
            headers,
            told["headers"],
            request.headers.get("x-amz-content-sha256", ""),
        ]
    )
    at, scope = request.headers.get("x-amz-date", ""), told["scope"]
    text = "\n".join(
        ["AWS4-HMAC-SHA256", at, scope, hashlib.sha256(canonical.encode()).hexdigest()]
    )
    key = f"AWS4{secret}".encode()
    for step in scope.split("/"):
        key = hmac.digest(key, step.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def _error(status: int, code: str, words: str) -> Response:
    return _xml(status, f"<Error><Code>{code}</Code><Message>{words}</Message></Error>")


def _xml(status: int, body: str) -> Response:
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    return Response(head + body, status, media_type="application/xml")
