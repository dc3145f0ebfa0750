"""S3 as it is spoken: lists, objects, parts of them, whose requests they are; how failures read."""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from integrations.auth.aws import AwsDefault, AwsKeys
from integrations.error_handling.retry import Retry
from integrations.errors import FixConfig, RetryLater, StopConnection, StopStream
from integrations.sandbox.faults import Fault, Gate
from integrations.sandbox.s3_server import Bucket, Thing, s3_app
from integrations.sandbox.server import running
from integrations.secrets import Secret
from integrations.transport import Ask, Page, files
from integrations.transport.file_request import FilesRequest
from integrations.transport.s3 import S3Transport

NOW = datetime(2026, 2, 10, 12, tzinfo=UTC)
KEYS = AwsKeys(type="aws_keys", access_key_id="id", secret_access_key="secret")
GOOD = {"id": "AKTESTTESTTEST", "secret": "s3cr3t/with+signs=7"}
JSON_ = {"type": "json"}


@dataclass
class Server:
    """A bucket that is served, and a session to read it by."""

    url: str
    gate: Gate
    things: dict[str, Thing]
    slept: list[float] = field(default_factory=list)
    now: datetime = NOW

    def put(self, key: str, data: bytes = b'{"a":1}') -> None:
        self.things[key] = Thing(data, NOW - timedelta(hours=1))

    def session(self, auth: Any = KEYS, *, url: str = "", **secrets: str) -> Any:
        transport = S3Transport(type="s3", base_url=f"{self.url}/box", retry=Retry(budget_s=60))
        return transport.open(
            auth, {name: Secret(value) for name, value in (GOOD | secrets).items()},
            base_url=url or None, clock=lambda: self.now, sleep=self.slept.append, random=lambda: 0.5,
        )  # fmt: skip

    def read(self, meant: str = "**/*", *, after: str | None = None, **options: Any) -> list[Page]:
        request = FilesRequest(files=meant, **({"format": JSON_} | options))
        with self.session() as session:
            return [*session.pages(request, ask=Ask(position=after))]


@pytest.fixture
def server() -> Iterator[Server]:
    things: dict[str, Thing] = {}
    bucket = Bucket("box", lambda: things, GOOD["id"], GOOD["secret"], most=7)
    gate = Gate(s3_app(bucket), clock=lambda: NOW)
    with running(gate) as url:
        yield Server(url, gate, things)


def states(pages: list[Page]) -> dict[str, str]:
    seen = [one for page in pages for one in page.files]
    return {one.path: f"{one.state} {one.reason}".strip() for one in seen}


def test_a_list_is_read_page_by_page(server: Server) -> None:
    """Names of any kind, below the folder alone; folders' markers are no objects."""
    names = [f"d/{n:02}.json" for n in range(20)] + ["d/é +&=%2F ü~.json", "d/a b/'x'(1).json"]
    for name in (*names, "d/", "dd/no.json", "e/no.json"):
        server.put(name)
    pages = server.read("**/*.json", folder="d")
    assert {*states(pages)} == {name.removeprefix("d/") for name in names}
    assert len([one for page in pages for one in page.records]) == 22
    assert sum("list-type" in line for line in server.gate.log) == 4


def test_a_key_may_begin_with_a_slash(server: Server) -> None:
    """And is another object than the one without."""
    server.put("/a.json")
    server.put("d//a.json")
    assert states(server.read()) == {"/a.json": "loaded", "d//a.json": "loaded"}
    assert states(server.read(folder="d")) == {"/a.json": "loaded"}


def test_without_folders_within_only_the_folder_is_asked_for(server: Server) -> None:
    """What is deeper is not even listed."""
    server.put("d/a.json")
    server.put("d/e/b.json")
    assert {*states(server.read("*.json", folder="d"))} == {"a.json"}
    assert "delimiter" in server.gate.log[0]


def test_days_are_looked_back_to(server: Server) -> None:
    """First all, then the folders of the last days: a late object in one of them is found, the
    folders before are not asked for."""
    for day in ("2026-01-01", "2026-02-09", "2026-02-10"):
        server.put(f"d/dt={day}/x.json")
    first = server.read(folder="d", days="dt=YYYY-MM-DD", lookback_days=2)
    assert len(states(first)) == 3
    server.gate.log.clear()
    server.put("d/dt=2026-02-08/late.json")
    server.put("d/dt=2026-01-01/never.json")
    server.now += timedelta(days=1)
    second = server.read(
        folder="d", days="dt=YYYY-MM-DD", lookback_days=2, after=first[-1].position
    )
    assert states(second) == {"dt=2026-02-08/late.json": "loaded"}
    days = [
        line.partition("prefix=d%2Fdt%3D")[2][:10]
        for line in server.gate.log
        if "list-type" in line
    ]
    assert days == ["2026-02-08", "2026-02-09", "2026-02-10", "2026-02-11", "2026-02-12"]


def test_a_pull_that_breaks_lists_its_days_again(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has listed and not read is of old days, and of no less account."""
    monkeypatch.setattr(files, "_OFTEN_FILES", 1)
    for day in ("2025-01-01", "2025-01-02", "2025-01-03"):
        server.put(f"dt={day}/x.json")
    request = FilesRequest(files="**/*", format=JSON_, days="dt=YYYY-MM-DD")  # type: ignore[arg-type]
    with server.session() as session:
        reached = next(page for page in session.pages(request, ask=Ask()) if page.position)
    server.now += timedelta(days=1)
    second = server.read(days="dt=YYYY-MM-DD", after=reached.position)
    assert {*states([reached])} == {"dt=2025-01-01/x.json"}
    assert {*states(second)} == {"dt=2025-01-02/x.json", "dt=2025-01-03/x.json"}


def test_days_are_looked_back_to_from_when_they_were_listed(server: Server) -> None:
    """A pull may take days itself, and what comes meanwhile was not in its list."""
    server.put("dt=2026-02-10/x.json")
    server.put("dt=2026-02-10/z.json")
    request = FilesRequest(
        files="**/*", format=JSON_, days="dt=YYYY-MM-DD", lookback_days=1  # type: ignore[arg-type]
    )  # fmt: skip
    with server.session() as session:
        pages = session.pages(request, ask=Ask())
        first = [next(pages)]
        server.now += timedelta(days=9)
        first += pages
    server.put("dt=2026-02-12/y.json")
    second = server.read(days="dt=YYYY-MM-DD", lookback_days=1, after=first[-1].position)
    assert {*states(second)} == {"dt=2026-02-12/y.json"}


def test_an_object_that_changes_meanwhile_waits(server: Server) -> None:
    """Only the object that was listed is taken: another one is for the next pull."""
    server.put("a.json", b'{"a":1}')

    def change(body: bytes) -> bytes:
        server.put("a.json", b'{"a":22}')
        return body

    server.gate.faults.append(Fault(path="/box", rewrite=change))
    pages = server.read()
    assert states(pages) == {"a.json": "waiting was changed while it was read"}
    pages = server.read(after=pages[-1].position)
    assert [bytes(one) for page in pages for one in page.records] == [b'{"a":22}']


@pytest.mark.parametrize(("code", "status", "expected"), [
    ("NoSuchKey", 404, "waiting went away before it was read"),
    ("AccessDenied", 403, "refused may not be read by this account"),
    ("InvalidObjectState", 403, "refused lies in an archive, from which it is to be restored"),
])  # fmt: skip
def test_an_object_that_cannot_be_had_costs_itself(
    server: Server, code: str, status: int, expected: str
) -> None:
    server.put("a.json")
    server.put("b.json")
    server.gate.faults.append(Fault(path="/box/a.json", status=status, body=_error(code)))
    assert states(server.read()) == {"a.json": expected, "b.json": "loaded"}
    assert server.slept == []


def test_a_download_goes_on_where_it_broke(server: Server) -> None:
    """By a range of the same object; what came is what is there."""
    lines = b"".join(b'{"n":%d}\n' % n for n in range(60_000))
    server.put("a.json", lines)
    for _ in range(2):
        server.gate.faults.append(Fault(path="/box/a.json", cut=200_000))
    pages = server.read()
    assert b"\n".join(bytes(one) for page in pages for one in page.records) + b"\n" == lines
    assert len(server.slept) == 2


def test_an_empty_object_holds_nothing_and_a_half_one_is_refused(server: Server) -> None:
    """Objects appear whole: an empty one is no half of one."""
    server.put("a.json", b"")
    server.put("b.json.gz", gzip.compress(b'{"a":1}')[:-4])
    assert states(server.read()) == {
        "a.json": "loaded is empty", "b.json.gz": "refused is gzip that is cut off",
    }  # fmt: skip


def _error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()


@pytest.mark.parametrize(
    ("secrets", "error", "words"),
    [
        (
            {"secret": "wrong-wrong"},
            StopConnection,
            r"SignatureDoesNotMatch.*\(its secrets: id, secret\)",
        ),
        ({"id": "AKNOBODY"}, StopConnection, "InvalidAccessKeyId"),
    ],
)
def test_a_wrong_key_stops_the_connection(
    server: Server, secrets: dict[str, str], error: type[Exception], words: str
) -> None:
    """One request, and no secret in the words."""
    with pytest.raises(error, match=words) as caught:
        [*server.session(**secrets).pages(FilesRequest(files="*", format=JSON_), ask=Ask())]  # type: ignore[arg-type]
    assert server.slept == []
    assert server.gate.requests == 1
    assert "wrong-wrong" not in str(caught.value)


@pytest.mark.parametrize(("status", "code", "error", "words"), [
    (404, "NoSuchBucket", StopStream, "NoSuchBucket"),
    (403, "AccessDenied", StopStream, "s3:ListBucket"),
    (301, "PermanentRedirect", FixConfig, "Correct `region`"),
    (400, "AuthorizationHeaderMalformed", FixConfig, "Correct `region`"),
    (403, "RequestTimeTooSkewed", StopConnection, "clock"),
    (400, "ExpiredToken", RetryLater, "gave up after"),
    (503, "SlowDown", RetryLater, "gave up after"),
])  # fmt: skip
def test_what_s3_says_has_its_remedy(
    server: Server, status: int, code: str, error: type[Exception], words: str
) -> None:
    # Where a bucket is elsewhere, boto3 asks of itself where, and is told nothing.
    times = 1 if "Correct" in words else 99
    server.gate.faults.append(Fault(path="/box", times=times, status=status, body=_error(code)))
    with pytest.raises(error, match=words):
        server.read()


def test_slow_down_is_waited_for(server: Server) -> None:
    """As long as it is asked for, and then all is read."""
    server.put("a.json")
    headers = {"Retry-After": "9"}
    fault = Fault(path="/box", status=503, headers=headers, body=_error("SlowDown"))
    server.gate.faults.append(fault)
    assert states(server.read()) == {"a.json": "loaded"}
    assert 9 <= server.slept[0] < 12


def test_nobody_listens_is_tried_again(server: Server) -> None:
    """A server that is away may be back."""
    with pytest.raises(RetryLater, match="broke"):
        [
            *server.session(url="http://127.0.0.1:9/box").pages(
                FilesRequest(files="*", format=JSON_), ask=Ask()
            )
        ]  # type: ignore[arg-type]
    assert len(server.slept) > 3


def test_the_machines_own_credential(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """What boto3 finds in the environment is who we are; without any that is said."""
    server.put("a.json")
    own = AwsDefault(type="aws_default")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    request = FilesRequest(files="*", format=JSON_)  # type: ignore[arg-type]
    with pytest.raises(FixConfig, match="no credential of AWS"):
        [*server.session(own).pages(request, ask=Ask())]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", GOOD["id"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", GOOD["secret"])
    assert states([*server.session(own).pages(request, ask=Ask())]) == {"a.json": "loaded"}


@pytest.mark.parametrize(
    "address", ["s3://box", "https://x", "https://x/", "https://x/a/b", "https://u:p@x/box", "https://x/box?a"]
)  # fmt: skip
def test_an_address_that_is_none_is_refused(address: str) -> None:
    """It is the endpoint with the bucket behind it, and no more."""
    with pytest.raises(ValidationError):
        S3Transport(type="s3", base_url=address)


@pytest.mark.parametrize("days", ["dt=YYYY-MM", "YYYY/MM/DD/DD", "/YYYY/MM/DD", "../YYYYMMDD"])
def test_days_that_name_no_folder_are_refused(days: str) -> None:
    """Year, month and day, each once, below the folder."""
    with pytest.raises(ValidationError):
        FilesRequest(files="**/*", format=JSON_, days=days)  # type: ignore[arg-type]


def test_files_that_are_in_no_day_are_refused() -> None:
    """No file would ever be read, and nobody be told."""
    with pytest.raises(ValidationError, match="a path with the days' folders"):
        FilesRequest(files="*.csv", format=JSON_, days="YYYY/MM/DD")  # type: ignore[arg-type]
