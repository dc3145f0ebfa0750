"""OpenSSH's own server: what it lists and gives is read as it is, bytes in names included."""

import getpass
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from integrations.auth.ssh import SshKey
from integrations.errors import StopConnection
from integrations.secrets import Secret
from integrations.transport import Ask, Page
from integrations.transport.file_request import FilesRequest
from integrations.transport.sftp import SftpTransport
from integrations_tests.needs import found, needs

pytestmark = needs("sshd")
AUTH = SshKey(
    type="ssh_key", username="user", private_key="key", passphrase="word", host_key="host"
)
CONFIG = """
ListenAddress 127.0.0.1:{port}
HostKey {folder}/ed25519
HostKey {folder}/rsa
AuthorizedKeysFile {folder}/own.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
"""


@dataclass(frozen=True)
class Sshd:
    url: str
    keys: Path
    files: Path

    def read(
        self, *, position: str | None = None, host: str = "ed25519", **options: Any
    ) -> list[Page]:
        secrets = {
            "user": getpass.getuser(), "word": "bloemen-zee", "key": (self.keys / "own").read_text(),
            "host": (self.keys / f"{host}.pub").read_text(),
        }  # fmt: skip
        request = FilesRequest(
            folder=str(self.files), files="**/*.csv", format={"type": "csv"}, **options
        )  # type: ignore[arg-type]
        transport = SftpTransport(type="sftp", base_url=self.url)
        later = datetime.now(UTC) + timedelta(hours=1)
        with transport.open(
            AUTH, {name: Secret(value) for name, value in secrets.items()},
            clock=lambda: later, sleep=lambda s: None, random=lambda: 0.5,
        ) as session:  # fmt: skip
            return [*session.pages(request, ask=Ask(position=position))]


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    keys, files = tmp_path_factory.mktemp("keys"), tmp_path_factory.mktemp("files")
    for name, kind, word in (("ed25519", "ed25519", ""), ("rsa", "rsa", ""), ("other", "ed25519", ""), ("own", "ecdsa", "bloemen-zee")):  # fmt: skip
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", word, "-f", keys / name], check=True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    (keys / "config").write_text(CONFIG.format(port=port, folder=keys))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where it locks itself in, made by its service
    command = [str(found("sshd")), "-D", "-e", "-f", str(keys / "config")]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as child:
        try:
            assert child.stderr is not None
            heard = b""
            while b"listening" not in heard:
                heard += (line := child.stderr.readline())
                assert line, heard.decode()
            yield Sshd(f"sftp://127.0.0.1:{port}", keys, files)
        finally:
            child.terminate()


def test_what_it_holds_is_read(sshd: Sshd) -> None:
    """Folders, a file of some megabytes, names of any bytes, links to files and to folders."""
    files = sshd.files
    (files / "deep" / "er").mkdir(parents=True)
    lines = b"".join(b"%d,%d\n" % (n, n * n) for n in range(200_000))
    (files / "deep" / "big.csv").write_bytes(b"a,b\n" + lines)
    for name in ("é ü.csv".encode(), b"latin\xe9.csv", b"back\\slash.csv", b"new\nline.csv"):
        (files / "deep" / "er" / os.fsdecode(name)).write_bytes(b"a,b\n1,2\n")
    (files / "link.csv").symlink_to(files / "deep" / "big.csv")
    (files / "loop").symlink_to(files)

    pages = sshd.read()

    seen = {one.path: (one.state, one.records) for page in pages for one in page.files}
    assert seen == {
        "deep/big.csv": ("loaded", 200_000), "deep/er/é ü.csv": ("loaded", 1),
        "deep/er/latin\\xe9.csv": ("loaded", 1), "deep/er/back\\x5cslash.csv": ("loaded", 1),
        "deep/er/new\nline.csv": ("loaded", 1), "link.csv": ("refused", 0),
    }  # fmt: skip
    big = [bytes(one) for page in pages for one in page.records if b"big.csv" in bytes(one)]
    assert big[-1] == b'{"_file":"deep/big.csv","_line":200000,"a":"199999","b":"39999600001"}'
    (again,) = sshd.read(position=pages[-1].position)
    assert (again.records, again.files) == ([], ())


def test_any_of_its_keys_may_be_known(sshd: Sshd) -> None:
    """The one that is known is the one that is asked for; another one stops the connection."""
    assert isinstance(sshd.read(host="rsa"), list)
    with pytest.raises(StopConnection, match="another host key"):
        sshd.read(host="other")
