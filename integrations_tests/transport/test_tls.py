"""Whom the door over HTTP trusts: a certificate that is refused is no fault that passes."""

import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from integrations.auth.static import NoAuth
from integrations.errors import FixConfig
from integrations.transport import Ask
from integrations.transport.rest import RestTransport
from integrations.transport.rest_request import RestRequest
from integrations_tests.transport.conftest import Say, Time, Web

SignedBy = Callable[[Path], Web]
DAY = timedelta(days=1)
HERE = x509.IPAddress(ip_address("127.0.0.1"))
THERE = x509.DNSName("api.example.com")


def certificate(path: Path, host: x509.GeneralName, *, ends: datetime) -> None:
    """Writes a key and a certificate that it has signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a twin")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ends - 9 * DAY)
        .not_valid_after(ends)
        .add_extension(x509.SubjectAlternativeName([host]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + made.public_bytes(Encoding.PEM))


@pytest.fixture
def signed_by() -> Iterator[SignedBy]:
    """Starts a server over TLS that has one record, with a certificate."""
    servers: list[Web] = []

    def start(path: Path) -> Web:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        servers.append(Web(context))
        servers[-1].answers = [Say([{"id": 1}])]
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def read(web: Web, time: Time) -> list[bytes]:
    """The records, read as a run does."""
    request = RestRequest.model_validate(
        {"path": "/things", "records": "", "paging": {"type": "single"}}
    )
    session = RestTransport(type="rest", base_url=web.url).open(
        NoAuth(type="none"), {}, clock=time.clock, sleep=time.sleep, random=time.random
    )
    with session:
        return [bytes(r) for page in session.pages(request, ask=Ask()) for r in page.records]


@pytest.mark.parametrize(
    ("trusted", "host", "ends", "said", "todo"),
    [
        (False, HERE, 1, "self-signed certificate", "SSL_CERT_FILE"),
        (True, HERE, -1, "certificate has expired", "Have the source renew its certificate"),
        (True, HERE, 99, "certificate is not yet valid", "Set this machine's clock"),
        (True, THERE, 1, "IP address mismatch", "Correct the connection's base_url"),
        (True, HERE, 1, None, None),
    ],
    ids=["self-signed", "expired", "not yet valid", "of another host", "trusted"],
)
def test_a_certificate_that_is_refused_is_for_a_person(
    signed_by: SignedBy,
    time_: Time,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    trusted: bool,
    host: x509.GeneralName,
    ends: int,
    said: str | None,
    todo: str | None,
) -> None:
    """It says what to do and is not tried again; one that SSL_CERT_FILE names is trusted."""
    file = tmp_path / "certificate.pem"
    certificate(file, host, ends=datetime.now(UTC) + ends * DAY)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
    web = signed_by(file)
    if said is None:
        assert read(web, time_) == [b'{"id": 1}']
        return
    with pytest.raises(FixConfig) as caught:
        read(web, time_)
    assert said in caught.value.what
    assert todo in caught.value.todo
    assert (time_.waits, web.calls) == ([], [])


def test_certificates_that_cannot_be_read_are_named(
    time_: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is sent."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere.pem")
    transport = RestTransport(type="rest", base_url="https://127.0.0.1")
    with pytest.raises(FixConfig, match="SSL_CERT_FILE"):
        transport.open(
            NoAuth(type="none"), {}, clock=time_.clock, sleep=time_.sleep, random=time_.random
        )
