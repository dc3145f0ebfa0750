"""The official SDK, which knows nothing of us, is content with the twin."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import stripe

from integrations.sandbox.faults import Fault
from integrations.sandbox.stripe import EPOCH, StripeTwin
from integrations.sandbox.stripe_names import API_VERSION
from integrations_tests.sandbox.conftest import epoch_s


@contextmanager
def sdk(url: str, key: str) -> Iterator[stripe.StripeClient]:
    client = stripe.HTTPXClient(timeout=5, allow_sync_methods=True)
    try:
        yield stripe.StripeClient(
            key, base_addresses={"api": url}, max_network_retries=0, http_client=client
        )
    finally:
        client.close()


@pytest.fixture
def official(twin: StripeTwin, url: str) -> Iterator[stripe.StripeClient]:
    with sdk(url, twin.secrets["api_key"]) as client:
        yield client


def test_it_pages_through_a_window(twin: StripeTwin, official: stripe.StripeClient) -> None:
    """Auto-paging over four days of charges meets each of them once."""
    before, start = twin.requests, epoch_s(EPOCH) + 86_400
    window = {"gte": start, "lt": start + 4 * 86_400}
    pages = official.v1.charges.list({"limit": 50, "created": window})
    found = [charge.id for charge in pages.auto_paging_iter()]
    assert found == list(twin.shown("charges", first=start, last=start + 4 * 86_400 - 1))
    assert twin.requests - before == -(-len(found) // 50)


def test_it_expands_and_retrieves(official: stripe.StripeClient) -> None:
    """Objects come as the SDK's own classes, expanded ones too."""
    listed = official.v1.charges.list({"limit": 100, "expand": ["data.balance_transaction"]})
    charge = next(c for c in listed.data if c.balance_transaction)
    assert isinstance(charge.balance_transaction, stripe.BalanceTransaction)
    line = official.v1.balance_transactions.retrieve(charge.balance_transaction.id)
    assert (line.source, line.net) == (charge.id, line.amount - line.fee)


@pytest.mark.parametrize("kind", ["refunds", "balance_transactions", "customers", "payouts"])
def test_it_lists_every_resource(
    twin: StripeTwin, official: stripe.StripeClient, kind: str
) -> None:
    """Each list auto-pages to its end."""
    found = getattr(official.v1, kind).list({"limit": 100}).auto_paging_iter()
    assert [thing.id for thing in found] == list(twin.shown(kind))


def test_it_follows_the_feed(twin: StripeTwin, official: stripe.StripeClient) -> None:
    """Events auto-page from their newest to their oldest and, asked for what came before a cursor,
    the other way; their objects are the SDK's own classes."""
    newest_first = list(twin.shown("events"))[:120]
    pages = official.v1.events.list({"limit": 100, "types": ["charge.pending", "payout.paid"]})
    objects = [event.data.object for event in pages.auto_paging_iter()]
    assert {type(thing) for thing in objects} == {stripe.Charge, stripe.Payout}
    after = official.v1.events.list({"limit": 100, "ending_before": newest_first[-1]})
    assert [event.id for event in after.auto_paging_iter()] == newest_first[-2::-1]
    event = official.v1.events.retrieve(newest_first[0])
    assert (event.id, event.api_version) == (newest_first[0], API_VERSION)


def test_errors_become_its_exceptions(
    twin: StripeTwin, url: str, official: stripe.StripeClient
) -> None:
    """The shape of errors is right where the SDK finds its class, code, parameter and request."""
    refused = pytest.raises(stripe.AuthenticationError, match="Invalid API Key")
    with sdk(url, "sk_test_wrong") as stranger, refused:
        stranger.v1.charges.list()
    with pytest.raises(stripe.InvalidRequestError) as wrong:
        official.v1.charges.list({"starting_after": "ch_1"})
    assert (wrong.value.code, wrong.value.param) == ("resource_missing", "starting_after")
    assert str(wrong.value.request_id).startswith("req_")
    limited = b'{"error":{"message":"slow down","type":"invalid_request_error"}}'
    twin.faults.append(Fault(status=429, body=limited, headers={"retry-after": "1"}))
    with pytest.raises(stripe.RateLimitError, match="slow down"):
        official.v1.charges.list()
