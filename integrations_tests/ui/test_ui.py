"""What a person sees in the Dagster UI, in a browser: schedules, the graph, assets, runs, checks."""

import re

import pytest
from playwright.sync_api import expect

from integrations_tests.needs import needs
from integrations_tests.ui.conftest import FAILING, ONE, Ui

pytestmark = needs("chromium")
CANONICAL = "/assets/stripe/sandbox/charges_canonical"
TABLE = "/assets/stripe/sandbox/charges"
SWITCHES = """() => Object.fromEntries([...document.querySelectorAll('[class*=formatSwitch] input')]
  .map(input => {
    let row = input;
    while (!row.innerText?.includes('__schedule')) row = row.parentElement;
    return [row.innerText.match(/\\w+__schedule/)[0], input.checked];
  }))"""


def test_schedules_run_where_secrets_resolve(ui: Ui) -> None:
    """The sandboxes' are on, since their twins serve; those of accounts without a key are off."""
    # The page makes only the rows that can be seen.
    ui.page.set_viewport_size({"width": 1500, "height": 4000})
    ui.open("/automation", until="stripe__sandbox__refunds__schedule")
    expect(ui.page.locator("[class*=formatSwitch]")).to_have_count(42, timeout=20_000)
    on = ui.page.evaluate(SWITCHES)
    ui.page.set_viewport_size({"width": 1500, "height": 1000})
    assert len(on) == 42
    assert on == {name: "__sandbox__" in name for name in on}


@pytest.mark.usefixtures("launched")
def test_the_graph_shows_the_way_of_the_data(ui: Ui) -> None:
    """A connection is a group; each stream is three assets, which lead to the entity's own node."""
    ui.open("/locations/integrations/asset-groups/stripe__sandbox", until="charges_canonical")
    words = ui.words().split("\n")
    for stream in ("charges", "refunds", "balance_transactions", "customers", "payouts"):
        assert {f"{stream}_raw", f"{stream}_canonical", stream} <= set(words)
    assert {"payment", "refund", "settlement_line", "customer", "payout"} <= set(words)
    assert {"rest", "Parquet", "Pandera", "Arrow", "Postgres", "Table"} <= set(words)


@pytest.mark.usefixtures("launched")
def test_an_assets_page_explains_it(ui: Ui) -> None:
    """Canonical shows the mapping field by field, the table its columns; both their owner."""
    words = ui.open(f"{CANONICAL}?view=overview", until="Records mapped to payment")
    assert re.search(r"payment_method_details\.type\s+text", words)
    assert {"finance", "integrations/entity: payment", "Pandera"} <= set(words.split("\n"))
    words = ui.open(f"{TABLE}?view=overview", until="Column name")
    assert "What the customer was asked for." in words
    assert {"canonical.payment", "stripe__sandbox", "personal"} <= set(words.split("\n"))


@pytest.mark.usefixtures("launched")
def test_a_resource_names_its_secrets(ui: Ui) -> None:
    """How a source is reached is shown, and where its secrets are found; never a secret."""
    words = ui.open("/locations/integrations/resources/stripe__main", until="STRIPE_API_KEY")
    assert '"https://api.stripe.com"' in words
    words = ui.open("/locations/integrations/resources/stripe__sandbox", until="the local twin")
    assert ui.secret not in words


def test_one_partition_is_materialized(ui: Ui, runs: dict[str, str]) -> None:
    """Its counts stand on the table's page, and masked rows on canonical's."""
    words = ui.open(f"{TABLE}?view=partitions&partition={ONE}", until="partition_row_count")
    assert runs["SUCCESS"][:8] in words
    assert re.search(r"inserted\s+5\s", words)
    words = ui.open(f"{CANONICAL}?view=partitions&partition={ONE}", until="preview")
    assert re.search(r"\nch_\w+\t[\d.]+\t[A-Z]{3}\t.*•••", words)


def test_a_backfill_loads_all_windows_but_the_one_that_fails(ui: Ui, runs: dict[str, str]) -> None:
    """Of thirty, twenty-nine are green and one is red; the run says which, and why."""
    words = ui.open(f"/runs/{runs['FAILURE']}", until="1 of 30 windows failed, 29 are done")
    day = f"[{FAILING:%Y-%m-%d} 00:00, {FAILING:%Y-%m}-{FAILING.day + 1} 00:00) UTC"
    assert f"- {day}: GET /v1/charges answered 404: The wires are down." in words
    words = ui.open(f"{TABLE}?view=partitions", until="Failed (1)")
    assert "Materialized (30)" in words  # with the one of the other test


@pytest.mark.usefixtures("runs")
def test_checks_are_said_window_by_window(ui: Ui) -> None:
    """Each window that loaded has its passed checks, and their numbers are plotted."""
    words = ui.open(f"{CANONICAL}?view=checks&checkDetail=error_share", until="Plots")
    assert "This is a blocking asset check." in words
    expect(ui.page.locator("canvas")).to_have_count(2)
    words = ui.words()  # the plots come after their heading
    assert words.split("Plots")[1].split() == ["error_rate", "refused"]
    ui.page.get_by_role("tab", name="Partitions").last.click()
    assert "Execution Failed (1)" in ui.shows("Passed (30)")
