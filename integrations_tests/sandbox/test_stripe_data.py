"""The twin's history hangs together, repeats for its seed, and moves with its clock."""

import json
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import pytest

from integrations.sandbox.stripe import EPOCH, StripeTwin
from integrations.sandbox.stripe_contract import violation
from integrations.sandbox.stripe_objects import body, encode
from integrations.sandbox.stripe_shop import Shop
from integrations.sandbox.stripe_till import BAD_CHARGES, BAD_REFUNDS
from integrations_tests.sandbox.conftest import NOON, SEED, epoch_s, kinds

LATE = EPOCH + timedelta(days=53, hours=12)
WAYS = (*BAD_CHARGES, "description_surrogate")


@cache
def look(now: datetime, *, seed: int = SEED, per_day: int = 60) -> dict[str, list[dict[str, Any]]]:
    """Every object that exists at `now`, in the API's words, bad ones left out."""
    facts = Shop(seed, epoch=EPOCH, per_day=per_day, bad_charges=()).live_until(epoch_s(now))
    return {
        kind: [
            body(fact, now=epoch_s(now))
            for fact in getattr(facts, kind)
            if fact.created <= epoch_s(now) and not fact.bad
        ]
        for kind in kinds()
    }


def test_same_seed_and_clock_give_the_same_objects() -> None:
    """What a second process generates equals the first one's; another seed's does not."""
    first = look(NOON)
    look.cache_clear()
    assert look(NOON) == first
    assert look(NOON, seed=SEED + 1) != first


def test_history_does_not_depend_on_when_it_was_asked_for() -> None:
    """A twin that was asked every day equals one that was asked at the end only."""
    often = Shop(SEED, epoch=EPOCH, per_day=60, bad_charges=BAD_CHARGES)
    once = Shop(SEED, epoch=EPOCH, per_day=60, bad_charges=BAD_CHARGES)
    days = [often.live_until(epoch_s(EPOCH + timedelta(days=day))) for day in range(21)]
    whole = once.live_until(epoch_s(EPOCH + timedelta(days=20)))
    for kind in kinds():
        assert [fact for day in days for fact in getattr(day, kind)] == getattr(whole, kind)


def test_money_that_moves_has_its_line_on_the_balance() -> None:
    """Captured charges, refunds and payouts each name a balance transaction that names them."""
    seen = look(LATE)
    lines = {line["id"]: line for line in seen["balance_transactions"]}
    captured = [charge for charge in seen["charges"] if charge["captured"]]
    assert len(captured) > 2_000
    for thing in (*captured, *seen["refunds"], *seen["payouts"]):
        line = lines[thing["balance_transaction"]]
        assert line["source"] == thing["id"]
        sign = 1 if thing["object"] == "charge" else -1
        if line["exchange_rate"] is None:
            assert (line["currency"], line["amount"]) == (
                thing["currency"],
                sign * thing["amount"],
            )
    assert all(line["net"] == line["amount"] - line["fee"] for line in lines.values())


def test_refunds_add_up_to_what_their_charge_says() -> None:
    """`amount_refunded` is the sum of the refunds that have not failed."""
    seen = look(LATE)
    back: dict[str, int] = defaultdict(int)
    for refund in seen["refunds"]:
        back[refund["charge"]] += refund["amount"] * (refund["status"] != "failed")
    wrong = [
        charge["id"]
        for charge in seen["charges"]
        if abs(back.pop(charge["id"], 0) - charge["amount_refunded"]) > 0
        or charge["refunded"] != (charge["amount_refunded"] == charge["amount"])
    ]
    # a bad refund is left out above, and its charge counts it
    assert len(wrong) <= 2
    assert not back


def test_payouts_pay_out_what_became_available() -> None:
    """Per currency, what was paid out and what waits is the sum of the available nets."""
    seen = look(LATE)
    today = epoch_s(LATE) // 86_400 * 86_400
    for currency in ("eur", "usd", "gbp", "jpy"):
        lines = [line for line in seen["balance_transactions"] if line["currency"] == currency]
        sales = sum(
            line["net"]
            for line in lines
            if line["available_on"] <= today and not line["type"].startswith("payout")
        )
        paid = sum(line["amount"] for line in lines if line["type"].startswith("payout"))
        # a failed payout waits for the day after; nothing else is left on the balance
        assert 0 <= sales + paid <= sum(p["amount"] for p in seen["payouts"]) / 10


def test_a_day_is_dense_until_the_trickle() -> None:
    """About 500 charges a day for 54 days, then about 20, so that years later it is still fast."""
    shop = Shop(SEED, epoch=EPOCH, per_day=500, bad_charges=BAD_CHARGES)
    charges = shop.live_until(epoch_s(EPOCH + timedelta(days=69))).charges
    days = Counter((charge.created - epoch_s(EPOCH)) // 86_400 for charge in charges)
    assert all(470 <= days[day] <= 530 for day in range(54))
    assert all(15 <= days[day] <= 25 for day in range(54, 70))


def test_bad_ones_are_few_and_of_every_kind() -> None:
    """Three in a thousand, never one per cent of a dense day, each kind met."""
    shop = Shop(SEED, epoch=EPOCH, per_day=500, bad_charges=BAD_CHARGES)
    facts = shop.live_until(epoch_s(EPOCH + timedelta(days=39)))
    for made, ways in ((facts.charges, BAD_CHARGES), (facts.refunds, BAD_REFUNDS)):
        bad = Counter(fact.bad for fact in made if fact.bad)
        assert bad.keys() == set(ways)
        assert bad.total() == pytest.approx(len(made) * 0.003, abs=1)
    per_day = Counter(charge.created // 86_400 for charge in facts.charges if charge.bad)
    assert max(per_day.values()) <= 4


@pytest.mark.parametrize("way", WAYS)
def test_a_bad_charge_is_bad_and_stays_findable(way: str) -> None:
    """Each way to be bad breaks the contract, or holds a character that a table cannot."""
    shop = Shop(SEED, epoch=EPOCH, per_day=100, bad_charges=(way,))
    bad = next(charge for charge in shop.live_until(epoch_s(NOON)).charges if charge.bad)
    raw = encode(body(bad, now=epoch_s(NOON)))
    assert violation("charges", body=raw) or rb"\u0000" in raw
    assert json.loads(raw)["id"] == bad.id


@pytest.mark.parametrize("kind", kinds())
def test_good_ones_keep_the_contract(kind: str) -> None:
    """Everything that is not bad on purpose passes our description of Stripe's objects."""
    wrong = {thing["id"]: violation(kind, body=encode(thing)) for thing in look(LATE)[kind]}
    assert len(wrong) > 100
    assert {ident: what for ident, what in wrong.items() if what} == {}


def test_currencies_have_none_two_and_three_decimals() -> None:
    """Yen, euros and Kuwaiti dinars, whose last digit Stripe wants to be 0."""
    charges = look(NOON)["charges"]
    assert {"jpy", "eur", "kwd"} <= {charge["currency"] for charge in charges}
    assert all(c["amount"] % 10 == 0 for c in charges if c["currency"] == "kwd")


@pytest.mark.parametrize(
    ("kind", "field", "lives"),
    [
        ("payouts", "status", {("pending", "in_transit", "paid")}),
        ("balance_transactions", "status", {("pending", "available")}),
        ("charges", "captured", {(False, True)}),
        ("charges", "refunded", {(False, True)}),
        ("charges", "disputed", {(False, True)}),
        ("charges", "status", {("pending", "succeeded"), ("pending", "failed")}),
        ("refunds", "status", {("pending", "succeeded"), ("succeeded", "failed")}),
    ],
)
def test_objects_change_as_time_passes(kind: str, field: str, lives: set[tuple[Any, ...]]) -> None:
    """Watched day by day, an object goes through Stripe's states in Stripe's order."""
    shop = Shop(SEED, epoch=EPOCH, per_day=150, bad_charges=())
    facts = getattr(shop.live_until(epoch_s(NOON)), kind)
    seen = set()
    for fact in facts:
        moments = [fact.created, *fact.moments]
        values = [body(fact, now=moment)[field] for moment in moments]
        seen.add(tuple(v for i, v in enumerate(values) if not i or v != values[i - 1]))
    assert lives <= seen


def test_nothing_that_exists_changes_by_day() -> None:
    """Two syncs between 03:00 and midnight UTC see the same; only new charges come in."""
    early, late = NOON.replace(hour=3), NOON.replace(hour=23, minute=59)
    before, after = look(early), look(late)
    for kind in kinds():
        known = {thing["id"] for thing in before[kind]}
        assert [thing for thing in after[kind] if thing["id"] in known] == before[kind]
        assert kind == "charges" or len(after[kind]) - len(known) == sum(
            thing["created"] > epoch_s(early) for thing in after[kind]
        )


def test_an_epoch_inside_a_day_is_refused() -> None:
    """Days are lived whole, so the first one must begin at midnight."""
    with pytest.raises(ValueError, match="midnight UTC"):
        StripeTwin(SEED, clock=lambda: NOON, epoch=EPOCH + timedelta(hours=1))


def test_a_clock_before_the_epoch_finds_an_empty_account() -> None:
    """Before the shop opened there is nothing, and that is no error."""
    twin = StripeTwin(SEED, clock=lambda: EPOCH - timedelta(seconds=1))
    assert [twin.shown(kind) for kind in kinds()] == [{}] * 5


def test_a_twin_that_breaks_its_contract_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A good object that is not as Stripe's would be stops the twin at once."""
    monkeypatch.setattr("integrations.sandbox.stripe_charge.CHARGE_NULLS", {"outcome": 1})
    monkeypatch.setattr("integrations.sandbox.stripe_charge._order", lambda charge: {"a": 1})
    with pytest.raises(RuntimeError, match=r"breaks its contract.*metadata"):
        StripeTwin(SEED, clock=lambda: NOON, per_day=20)
