"""A connector that is not ours: a folder elsewhere, for another paged API, synced by the command
line as if it were shipped."""

import base64
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from click.testing import CliRunner, Result

from integrations.cli import main
from integrations.storage.database import connect
from integrations_tests.conftest import make_settings
from integrations_tests.connector_template.florist import changed, write

pytestmark = pytest.mark.filterwarnings(
    # Dagster asks pydantic for its fields by their old name.
    "ignore::pydantic.warnings.PydanticDeprecatedSince20:dagster"
)

USER, WORD = "bloem", "geheim-woord-9931"
PAGE = 3
START = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=2)
HOLLAND = timezone(timedelta(hours=2))
AMOUNTS = ("12.10", "0.000000001", "99999999999999999999.99", "-3.50", "7")


def order(number: int) -> dict[str, Any]:
    """Ten orders, five hours apart, with amounts that no binary float could hold."""
    return {
        "number": f"F-{number:03}",
        "total": AMOUNTS[number % len(AMOUNTS)],
        "currency": ("EUR", "JPY")[number % 2],
        "state": ("open", "done")[number % 2],
        "ordered_at": (START + timedelta(hours=5 * number)).astimezone(HOLLAND).isoformat(),
    }


ORDERS = [order(number) for number in range(9)]
BUYERS = [{"number": 100 + n, "name": f"Zoë {n}", "email": None} for n in range(7)]


class Florist(BaseHTTPRequestHandler):
    """Lists of three a page, with the next page's whole address in the body."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        asked = dict(parse_qsl(url.query))
        pair = base64.b64encode(f"{USER}:{WORD}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {pair}":
            self._answer(401, {"detail": "who are you?"})
            return
        found = BUYERS
        if url.path == "/orders":
            begin, end = (datetime.fromisoformat(asked[name]) for name in ("from", "to"))
            found = [o for o in ORDERS if begin <= datetime.fromisoformat(o["ordered_at"]) < end]
        at = int(asked.get("offset", 0))
        more = urlencode(asked | {"offset": at + PAGE})
        onward = f"http://{self.headers['Host']}{url.path}?{more}" if found[at + PAGE :] else None
        self._answer(200, {"items": found[at : at + PAGE], "next": onward})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base's own name
        """Nothing on the terminal."""


@pytest.fixture
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Florist)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def installed(address: str, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The folder, and the variables that a person would set; gives the database's URL."""
    word = tmp_path / "word.txt"
    word.write_text(f"{WORD}\n")
    text = changed(
        ("2026-01-01", f"{START:%Y-%m-%d}"),
        ("https://florist.example", address),
        ("{env: FLORIST_WORD}", f"{{file: {word}}}"),
        ("key: number\n      fields: {", "key: {type: integer, from: number}\n      fields: {"),
    )
    write(tmp_path / "own" / "florist", text)
    home = make_settings(tmp_path / "home").home
    monkeypatch.setenv("INTEGRATIONS_HOME", str(home))
    monkeypatch.setenv("INTEGRATIONS_DATABASE_URL", database)
    monkeypatch.setenv("INTEGRATIONS_CONNECTORS_PATH", str(tmp_path / "own"))
    monkeypatch.setenv("FLORIST_USER", USER)
    return database


SCHEMA = """
from integrations.canonical.entity import Entity, Integer, Text, column


class Regular(Entity):
    \"\"\"Who buys often.\"\"\"

    called: Text = column("What they are called.", personal=True)
    since: Integer = column("The year in which they came.", nullable=True)
"""


def sync(*arguments: str) -> tuple[dict[str, dict[str, Any]], Result]:
    """`integrations sync … --json`: its lines by stream."""
    result = CliRunner().invoke(main, ["sync", *arguments, "--json"])
    assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    return {line["stream"]: line for line in lines}, result


def test_a_folder_of_ones_own_loads_rows(installed: str) -> None:
    """Windows, pages by address, Basic login, ISO times with an offset and decimal strings: the
    rows are what the API said, exactly. A second sync has nothing to do, a third nothing new."""
    lines, result = sync("florist")

    days = (datetime.now(UTC) - START).days  # a third one when midnight has come since
    assert [(lines[s]["windows"], lines[s]["inserted"], lines[s]["quarantined"]) for s in lines] == [
        (days, 9, 0), (1, 7, 0),
    ]  # fmt: skip
    assert lines["buyers"]["api_calls"] == 3
    assert {line["status"] for line in lines.values()} == {"ok"}
    with connect(installed) as connection:
        orders = connection.execute(
            "SELECT source_id, amount, currency, status, created_at FROM canonical.payment"
            " ORDER BY source_id"
        ).fetchall()
        buyers = connection.execute(
            "SELECT source_id, name, email FROM canonical.customer_live ORDER BY 1"
        ).fetchall()
    assert orders == [
        (
            made["number"],
            Decimal(made["total"]),
            made["currency"],
            {"open": "pending", "done": "paid"}[made["state"]],
            datetime.fromisoformat(made["ordered_at"]),
        )
        for made in ORDERS
    ]
    assert buyers == [(str(made["number"]), made["name"], None) for made in BUYERS]

    lines, result = sync("florist")
    assert {line["status"] for line in lines.values()} == {"up_to_date"}

    lines, result = sync("florist/main/orders", "--from", f"{START:%Y-%m-%d}")
    assert (lines["orders"]["windows"], lines["orders"]["inserted"]) == (days, 0)
    assert lines["orders"]["unchanged"] == lines["orders"]["received"] >= 9
    assert WORD not in result.output


def test_an_entity_of_ones_own_is_like_any_other(
    installed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model beside the file becomes a table with a live view, is counted, traced and masked."""
    folder = tmp_path / "own" / "florist"
    file = folder / "defs.yaml"
    text = changed(
        ("entity: customer", "entity: schema:Regular"),
        ("{name: name, email: email}", "{called: name}"),
        text=file.read_text(),
    )
    file.write_text(text)
    (folder / "schema.py").write_text(SCHEMA)
    stream = "florist/main/buyers"

    lines, _ = sync(stream)

    assert (lines["buyers"]["inserted"], lines["buyers"]["status"]) == (7, "ok")
    with connect(installed) as connection:
        found = connection.execute(
            "SELECT source_id, called, since FROM canonical.regular_live ORDER BY 1"
        ).fetchall()
    assert found == [(str(made["number"]), made["name"], None) for made in BUYERS]
    asked = {
        command: CliRunner().invoke(main, [*command.split(), stream, *more]).output
        for command, more in {"status --json": [], "trace": ["101"]}.items()
    }
    assert json.loads(asked["status --json"])["rows"] == 7
    assert ("inserted" in asked["trace"], "Zoë" in asked["trace"]) == (True, False)
    assert [str(path.name) for path in sorted(folder.iterdir())] == ["defs.yaml", "schema.py"]
