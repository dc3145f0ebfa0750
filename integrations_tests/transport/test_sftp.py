"""SFTP as it is spoken: who is let in, what is listed, what is fetched; and how each failure reads."""

import errno
import gzip
import io
import json
import os
import resource
import socket
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
from paramiko import SFTPServer
from pydantic import ValidationError

from integrations.auth.ssh import Login, SshKey, SshPassword
from integrations.error_handling.guard import Exchange
from integrations.error_handling.retry import Retry
from integrations.errors import FixConfig, RetryLater, StopConnection, StopStream
from integrations.sandbox.sftp_server import Door, Item, Shelf, key_of, new_key, public, serving
from integrations.secrets import Secret
from integrations.transport import Ask, Page, file_unpacking
from integrations.transport.file_listing import Unread
from integrations.transport.file_request import FilesRequest
from integrations.transport.file_unpacking import Limits, unpacked
from integrations.transport.sftp import SftpTransport
from integrations.transport.ssh_connection import SSH_ERRORS, connected

AT = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 2, 1, tzinfo=UTC)
HOST, OWN, OTHER = new_key(), new_key(), new_key()
PASSWORD = SshPassword(type="ssh_password", username="user", password="word", host_key="host")
KEY = SshKey(type="ssh_key", username="user", private_key="key", host_key="host")
GOOD = {"user": "anna", "word": "open-sesame-7", "key": OWN, "host": public(key_of(HOST))}
CSV = {"type": "csv", "separator": ";"}


@dataclass
class Server:
    """A server of files, and a session to read it by."""

    url: str
    shelf: Shelf
    items: dict[str, Item]
    slept: list[float] = field(default_factory=list)
    guards: tuple[Any, ...] = ()

    def put(self, path: str, data: bytes, *, link: str = "") -> None:
        self.items[path] = Item(data, AT, link)

    def session(self, auth: Any = PASSWORD, *, links: str = "refuse", **secrets: str) -> Any:
        transport = SftpTransport(
            type="sftp", base_url=self.url, links=links, retry=Retry(budget_s=60)
        )  # type: ignore[arg-type]
        return transport.open(
            auth, {name: Secret(value) for name, value in (GOOD | secrets).items()},
            clock=lambda: NOW, sleep=self.slept.append, random=lambda: 0.5, guards=self.guards,
        )  # fmt: skip

    def read(self, files: str = "*.csv", *, folder: str = "/in", **options: Any) -> list[Page]:
        format_ = options.pop("format", CSV)
        request = FilesRequest(folder=folder, files=files, format=format_, **options)
        with self.session() as session:
            return [*session.pages(request, ask=Ask())]

    def states(self, *args: Any, **options: Any) -> dict[str, str]:
        """What became of each file, with its reason."""
        seen = [one for page in self.read(*args, **options) for one in page.files]
        return {one.path: f"{one.state} {one.reason}".strip() for one in seen}


@pytest.fixture
def server() -> Iterator[Server]:
    items: dict[str, Item] = {}
    shelf = Shelf(lambda: items)
    door = Door("anna", password=GOOD["word"], key=key_of(OWN))
    with serving(shelf, door, host_key=key_of(HOST)) as url:
        yield Server(url, shelf, items)


def records(pages: list[Page]) -> list[bytes]:
    return [bytes(one) for page in pages for one in page.records]


@pytest.mark.parametrize("auth", [PASSWORD, KEY], ids=["password", "key"])
def test_who_has_a_credential_reads(server: Server, auth: Any) -> None:
    """By password or by key; folders within folders, names of any kind."""
    for name in ("a.csv", "sub/é ü.csv", "sub/deep/[x] '; rm -rf.csv", "sub/..csv", "other.txt"):
        server.put(f"/in/{name}", b"a;b\n1;2\n")
    with server.session(auth) as session:
        request = FilesRequest(folder="/in/", files="**/*.csv", format=CSV)
        pages = [*session.pages(request, ask=Ask())]
    assert len(records(pages)) == 4
    assert {one.path for page in pages for one in page.files} == {
        "a.csv", "sub/é ü.csv", "sub/deep/[x] '; rm -rf.csv", "sub/..csv",
    }  # fmt: skip


Wrong = Callable[[Server], Any]


@pytest.mark.parametrize(
    ("act", "error", "words"),
    [
        (lambda s: s.session(word="no").pages, StopConnection, "refused the credential. Check it .its secrets: host, user, word."),
        (lambda s: s.session(user="bob").pages, StopConnection, "refused the credential"),
        (lambda s: s.session(KEY, key=OTHER).pages, StopConnection, "refused the credential"),
        (lambda s: s.session(host=public(key_of(OTHER))).pages, StopConnection, "shows another host key .* SHA256:.* Nothing was sent"),
        (lambda s: s.session(host="ssh-ed25519 no!").pages, FixConfig, "host's key cannot be read"),
        (lambda s: s.session(host=f"@revoked * {GOOD['host']}").pages, FixConfig, "host's key cannot be read"),
        (lambda s: s.session(host=" ").pages, FixConfig, "host's key is empty"),
        (lambda s: s.session(KEY, key="-----BEGIN X-----").pages, FixConfig, "private key cannot be read"),
    ],
)  # fmt: skip
def test_who_has_not_is_told_why(
    server: Server, act: Wrong, error: type[Exception], words: str
) -> None:
    """One try for each, since servers lock accounts; nothing of a secret in the words."""
    request = FilesRequest(folder="/in", files="*.csv", format=CSV)
    with pytest.raises(error, match=words) as caught:
        [*act(server)(request, ask=Ask())]
    assert server.slept == []
    for secret in (GOOD["word"], OWN, OTHER):
        assert secret not in str(caught.value)


def test_a_host_that_is_not_known_hears_no_password(server: Server) -> None:
    """The key is looked at before anything is said."""
    with pytest.raises(StopConnection, match="another host key"):
        [
            *server.session(host=public(key_of(OTHER))).pages(
                FilesRequest(files="*", format=CSV), ask=Ask()
            )
        ]
    assert server.shelf.logins == []
    server.put("/in/a.csv", b"a\n")
    server.read()
    assert server.shelf.logins == ["anna"]


def test_a_server_that_lets_in_and_says_no_more_is_left(server: Server) -> None:
    """However far it came; each silence has its end."""
    with serving(server.shelf, Door("anna", password=GOOD["word"]), host_key=key_of(HOST)) as url:
        silent = threading.Event()
        address = urlsplit(url)
        login = Login("anna", public(key_of(HOST)), password=Secret(GOOD["word"]))
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(SFTPServer, "start_subsystem", lambda *_: silent.wait(20))
            begun = time.monotonic()
            with pytest.raises(SSH_ERRORS):
                connected(
                    (address.hostname or "", address.port or 0), login,
                    names=frozenset(), timeout_s=1.0,
                )  # fmt: skip
            took = time.monotonic() - begun
        silent.set()
    assert took < 10


@pytest.mark.parametrize(
    "form", ["# 127.0.0.1:22 SSH-2.0-x ssh-rsa\nhost {}\n", "ssh-files.example.com {}", "[h]:2222,::1 {} me@x"]
)  # fmt: skip
def test_a_host_key_is_written_as_ssh_keyscan_does(server: Server, form: str) -> None:
    """With remarks above it, and whatever the host is called."""
    server.put("/in/a.csv", SMALL)
    request = FilesRequest(folder="/in", files="*.csv", format=CSV)
    with server.session(host=form.format(GOOD["host"])) as session:
        assert len(records([*session.pages(request, ask=Ask())])) == 1


def test_nobody_listens_is_tried_again(server: Server) -> None:
    """A refused connection, and a host that speaks no SSH, may be well later."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    server.url = f"sftp://127.0.0.1:{port}"
    with pytest.raises(RetryLater, match=f"nothing listens at 127.0.0.1:{port} .gave up after"):
        server.read()
    assert len(server.slept) > 3


def test_a_missing_folder_stops_the_stream(server: Server) -> None:
    """And not the others: it is no fault of the connection."""
    with pytest.raises(StopStream, match=r"no folder '/nix' at .* Correct `folder`"):
        server.read(folder="/nix")


def test_links_are_followed_only_where_the_file_says_so(server: Server) -> None:
    """A link may lead out of the folder, to what is nobody's business."""
    server.put("/etc/secret", b"a;b\n1;2\n")
    server.put("/in/a.csv", b"", link="../etc/secret")
    server.put("/in/b.csv", b"", link="nowhere")
    assert server.states() == {
        "a.csv": "refused is a symbolic link", "b.csv": "refused is a symbolic link",
    }  # fmt: skip
    request = FilesRequest(folder="/in", files="*.csv", format=CSV)
    with server.session(links="read") as session:
        pages = [*session.pages(request, ask=Ask())]
    assert {one.path: one.state for page in pages for one in page.files} == {
        "a.csv": "loaded", "b.csv": "refused",
    }  # fmt: skip


def test_a_file_that_may_not_be_read_costs_itself(server: Server) -> None:
    """It is refused, looked at again the next time, and told of once."""
    server.put("/in/a.csv", b"a;b\n1;2\n")
    server.put("/in/b.csv", b"a;b\n3;4\n")
    server.shelf.denied.add("/in/a.csv")
    pages = server.read()
    assert len(records(pages)) == 1
    request = FilesRequest(folder="/in", files="*.csv", format=CSV)
    with server.session() as session:
        (page,) = session.pages(request, ask=Ask(position=pages[-1].position))
        assert (page.records, page.files) == ([], ())
        server.shelf.denied.clear()
        (page, _) = session.pages(request, ask=Ask(position=pages[-1].position))
    assert len(page.records) == 1


def test_a_download_goes_on_where_it_broke(server: Server) -> None:
    """Twice in one file; what came is what is there."""
    lines = b"".join(b"%d;%d\n" % (n, n * n) for n in range(40_000))
    server.put("/in/a.csv", b"a;b\n" + lines)
    server.shelf.breaks += [100_000, 300_000]
    found = records(server.read())
    assert (len(found), found[-1]) == (
        40_000,
        b'{"_file":"a.csv","_line":40000,"a":"39999","b":"1599920001"}',
    )
    assert len(server.slept) == 2
    assert not server.shelf.breaks


def _zip(*members: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return out.getvalue()


SMALL = b"a;b\n1;2\n"
PACKED = {
    "gzip": (gzip.compress(SMALL), "loaded"),
    "gzip of two members": (gzip.compress(b"a;b\n") + gzip.compress(b"1;2\n"), "loaded"),
    "cut gzip": (gzip.compress(os.urandom(9_000))[:-20], "refused is gzip that is cut off"),
    "broken gzip": (gzip.compress(SMALL)[:-8] + b"12345678", "refused is broken gzip"),
    "gzip bomb": (gzip.compress(b"0" * (20 << 20)), "refused becomes more than 200 times as large"),
    "zip": (_zip(("x.csv", SMALL)), "loaded"),
    "zip bomb": (_zip(("x.csv", b"0" * (20 << 20))), "refused becomes more than 200 times as large"),
    "cut zip": (_zip(("x.csv", SMALL))[:-30], "refused is a broken zip"),
    "zip that climbs": (_zip(("../../etc/x.csv", SMALL)), "refused is an archive with a name that leads out"),
    "zip from the root": (_zip(("/etc/x.csv", SMALL)), "refused is an archive with a name that leads out"),
    "too large": (gzip.compress(os.urandom(300_000)), "refused becomes larger than 200000 bytes"),
}  # fmt: skip


@pytest.mark.parametrize("kind", PACKED)
def test_what_is_packed_is_unpacked_within_limits(server: Server, kind: str) -> None:
    """Bombs, halves and paths that lead elsewhere are refused before a record of them is read."""
    data, expected = PACKED[kind]
    server.put("/in/a.csv", data)
    pages = server.read(most_bytes=200_000 if kind == "too large" else 1 << 30)
    ((seen,),) = [page.files for page in pages if page.files]
    assert f"{seen.state} {seen.reason}".strip().startswith(expected)
    assert len(records(pages)) == (1 if expected == "loaded" else 0)


def test_every_file_of_an_archive_is_read(server: Server) -> None:
    """Each under its own name below the archive's."""
    server.put("/in/a.csv.zip", _zip(("b.csv", b"a\n2\n"), ("a.csv", b"a\n1\n"), ("sub/", b"")))
    found = records(server.read("*.zip"))
    assert found == [
        b'{"_file":"a.csv.zip/a.csv","_line":1,"a":"1"}',
        b'{"_file":"a.csv.zip/b.csv","_line":1,"a":"2"}',
    ]


def test_an_archive_may_hold_more_files_than_may_be_open(server: Server) -> None:
    """Each is read whole, and none of another."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)
    members = [(f"{n:03}.csv", b"a\n%d\n" % n) for n in range(400)]
    server.put("/in/a.zip", _zip(*members))
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, most[1]))
    try:
        found = [json.loads(one) for one in records(server.read("*.zip"))]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, most)
    assert [(one["_file"], one["a"]) for one in found] == [
        (f"a.zip/{n:03}.csv", str(n)) for n in range(400)
    ]


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_a_broken_archive_costs_itself(method: int) -> None:
    """Wherever a byte of it is another."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr("é.csv", SMALL * 20)
    data = out.getvalue()
    limits = Limits(1 << 20, 200)
    for at in range(4, len(data)):
        broken = io.BytesIO(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
        with suppress(Unread), unpacked(broken, limits=limits):
            pass


def test_a_disk_that_is_full_is_no_fault_of_an_archive(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not refused for ever: the pull breaks, and the next one reads it."""

    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(file_unpacking, "spooled", lambda: nullcontext(Full()))
    with (
        pytest.raises(OSError, match="No space left"),
        unpacked(io.BytesIO(_zip(("a.csv", SMALL))), limits=Limits(1 << 20, 200)),
    ):
        pass


def test_guards_stand_around_each_request(server: Server) -> None:
    """They know a listing from a fetch, and hear how each has ended."""
    heard: list[Exchange] = []

    class Listening:
        def around(self, exchange: Exchange) -> Any:
            heard.append(exchange)
            return io.StringIO()  # a context manager that does nothing

    server.guards = (Listening(),)
    server.put("/in/a.csv", SMALL)
    server.shelf.breaks.append(4)
    server.read()
    assert [(one.endpoint, one.status, type(one.error).__name__) for one in heard] == [
        ("LIST /in/*.csv", 200, "NoneType"), ("GET /in/*.csv", None, "RetryLater"), ("GET /in/*.csv", 200, "NoneType"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "address", ["https://x", "sftp://", "sftp://a:b@x", "sftp://x/folder", "sftp://x:port", "sftp://x y"]
)  # fmt: skip
def test_an_address_that_is_none_is_refused(address: str) -> None:
    """At load: users, folders and other protocols stand elsewhere."""
    with pytest.raises(ValidationError):
        SftpTransport(type="sftp", base_url=address)


@pytest.mark.parametrize(
    ("folder", "files"), [("/a/../b", "*"), ("", "../x"), ("", "/x"), ("", "")]
)
def test_a_path_that_leads_out_is_refused(folder: str, files: str) -> None:
    """A request stays in its folder."""
    with pytest.raises(ValidationError):
        FilesRequest(folder=folder, files=files, format=CSV)  # type: ignore[arg-type]
