"""Against a SOAP server that is not ours: PHP's extension, which refers to objects that it has said
before, and checks a WS-Security token by its own means."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integrations.auth.soap import SoapLogin
from integrations.errors import IntegrationError, RetryLater, StopConnection
from integrations.secrets import Secret
from integrations.transport import Ask
from integrations.transport.soap import SoapTransport
from integrations.transport.soap_request import SoapRequest
from integrations_tests.needs import needs
from integrations_tests.transport.conftest import Time

pytestmark = needs("php")

FOLDER = Path(__file__).with_name("php")
SECRETS = {"user": "zoë", "word": "geheim & veilig"}
MAKERS = ("Kwekerij Één", "Tuin <2>")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of PHP's own web server."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = ["php", "-n", "-d", "extension=soap", "-S", f"127.0.0.1:{port}", "-t", str(FOLDER)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        try:
            deadline = time.monotonic() + 10
            while not _answers(port):
                assert server.poll() is None, "PHP's server did not start"
                assert time.monotonic() < deadline
                time.sleep(0.01)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def pulled(
    url: str, time_: Time, *, count: int = 5, digest: bool = True, word: str = SECRETS["word"]
) -> list[Any]:
    transport = SoapTransport.model_validate(
        {"type": "soap", "base_url": url, "path": "/shop.php", "wsdl": "/shop.php?wsdl"}
    )
    token = {"username": "user", "password": "word", "digest": digest}
    session = transport.open(
        SoapLogin.model_validate({"type": "soap", "token": token}),
        {"user": Secret(SECRETS["user"]), "word": Secret(word)},
        clock=time_.clock, sleep=time_.sleep, random=time_.random,
    )  # fmt: skip
    request = SoapRequest.model_validate(
        {
            "operation": "getItems",
            "params": {"count": count},
            "records": "return.item",
            "paging": {"type": "single"},
        }
    )
    with session:
        pages = session.pages(request, ask=Ask())
        return [json.loads(record) for page in pages for record in page.records]


@pytest.mark.parametrize("digest", [True, False])
def test_what_is_referred_to_is_there(url: str, time_: Time, *, digest: bool) -> None:
    """Every item has its maker, said once or referred to, with a list that was said once too."""
    records = pulled(url, time_, digest=digest)

    assert records == [
        {
            "sku": f"s{n}",
            "price": "1.10" if n % 3 else None,
            "maker": {"name": MAKERS[n % 2], "places": {"item": ["Naaldwijk", "Aalsmeer"]}},
        }
        for n in range(5)
    ]


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({"word": "something else"}, StopConnection, "The token was not believed.*user, word"),
        ({"count": -1}, RetryLater, "Server: Busy.*7"),
    ],
)
def test_its_faults_are_understood(
    url: str, time_: Time, asked: dict[str, Any], error: type[IntegrationError], words: str
) -> None:
    with pytest.raises(error, match=words):
        pulled(url, time_, **asked)
