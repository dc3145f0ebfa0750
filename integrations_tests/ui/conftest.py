"""One Dagster for all tests of the UI, and one browser page that they share."""

import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from integrations.processes import named
from integrations.sandbox.address import FILE
from integrations.sandbox.server import running
from integrations.sandbox.stripe import EPOCH, StripeTwin
from integrations.storage.database import connect
from integrations_tests.conftest import make_settings, url_of
from integrations_tests.needs import found
from integrations_tests.ui.stack import Services, refusing, services

FLAGS = """--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync""".split()
FAILING = datetime(2026, 10, 17, tzinfo=UTC)
WINDOWS = ("2026-10-01", "2026-10-30")
ONE = "2026-11-05"


@dataclass
class Ui:
    """A page on the UI: `open` goes somewhere, `shoot` keeps a picture of what is there."""

    page: Page
    services: Services
    pictures: Path
    secret: str

    def open(self, path: str, *, until: str) -> str:
        """Goes to a path and gives the page's words once it shows `until`."""
        self.page.goto(f"http://127.0.0.1:{self.services.port}{path}")
        return self.shows(until)

    def shows(self, text: str) -> str:
        """Waits until the page shows a text; gives all its words, and keeps a picture."""
        self.page.get_by_text(text, exact=False).first.wait_for()
        self.shoot(re.sub(r"\W+", "-", text))
        return self.words()

    def words(self) -> str:
        """All words of the page, once two looks see the same: its parts come one by one."""
        seen = ""
        for _ in range(25):
            words = self.page.locator("body").inner_text()
            if words == seen:
                break
            seen = words
            self.page.wait_for_timeout(200)
        return seen

    def shoot(self, name: str) -> None:
        number = len(list(self.pictures.iterdir()))
        self.page.screenshot(path=str(self.pictures / f"{number:02}-{name}.png"))

    def materialize(self, partitions: str) -> None:
        """As a person does: the stream's lineage upstream, Materialize all, partitions, Launch."""
        self.open(
            "/assets/stripe/sandbox/charges?view=lineage&lineageScope=upstream&lineageDepth=5",
            until="charges_canonical",
        )
        self.page.get_by_role("button", name="Materialize all").click()
        dialog = self.page.get_by_role("dialog")
        dialog.get_by_text("Showing").wait_for()
        box = dialog.get_by_role("textbox").first
        box.fill(partitions)
        box.press("Enter")
        dialog.get_by_role("button", name="Launch").click()
        dialog.wait_for(state="detached")


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found("chromium"), args=FLAGS)
        opened = browser.new_page(viewport={"width": 1500, "height": 1000})
        opened.set_default_timeout(20_000)
        yield opened
        browser.close()


@pytest.fixture(scope="module")
def ui(
    page: Page, server: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ui]:
    """The UI over a database and a home of its own, and a twin that refuses one window."""
    folder = tmp_path_factory.mktemp("ui")
    pictures = tmp_path_factory.mktemp("pictures")
    home = make_settings(folder / "home").home
    name = f"ui_{secrets.token_hex(4)}"
    twin = StripeTwin(7, clock=lambda: EPOCH + timedelta(days=50), per_day=5)
    begins = int((FAILING - timedelta(minutes=5)).timestamp())
    with (
        connect(server, autocommit=True) as admin,
        running(refusing(twin, created_from=begins)) as url,
    ):
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        served = {"stripe": {"url": url, "secrets": dict(twin.secrets)}, **named()}
        (home / FILE).write_text(json.dumps(served))
        try:
            with services(folder, home=home, database=url_of(server, name)) as started:
                yield Ui(page, started, pictures, twin.secrets["api_key"])
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


SCHEDULES = """{ schedulesOrError(repositorySelector: {repositoryName: "__repository__",
  repositoryLocationName: "integrations"}) { ... on Schedules { results {
  name scheduleState { id status } } } } }"""
STOP = "mutation($id: String!) { stopRunningSchedule(id: $id) { __typename } }"


@pytest.fixture(scope="module")
def launched(ui: Ui) -> Ui:
    """One partition and then a backfill asked for in the UI; the daemon works on them."""
    for schedule in ui.services.ask(SCHEDULES)["schedulesOrError"]["results"]:
        # A tick would sync what the tests are about to.
        if schedule["scheduleState"]["status"] == "RUNNING":
            ui.services.ask(STOP, id=schedule["scheduleState"]["id"])
    ui.materialize(ONE)
    ui.materialize(f"[{WINDOWS[0]}...{WINDOWS[1]}]")
    ui.services.start_daemon()
    return ui


RUNS = "{ runsOrError { ... on Runs { results { runId status tags { key value } } } } }"


@pytest.fixture(scope="module")
def runs(launched: Ui) -> dict[str, str]:
    """Both runs, when they have ended: the run id of the one that loaded, of the one that failed."""
    found = launched.services.until(
        RUNS,
        lambda answer: (
            sorted(run["status"] for run in answer["runsOrError"]["results"])
            == ["FAILURE", "SUCCESS"]
        ),
    )
    return {run["status"]: run["runId"] for run in found["runsOrError"]["results"]}
