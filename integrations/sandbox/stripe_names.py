"""The words and numbers that the twin of Stripe draws from: people, currencies, fees, ids."""

from random import Random
from typing import NamedTuple

DAY = 86_400
API_VERSION = "2026-10-28.endive"
"""Of the shop's account: what a request without a version gets, and what its events are in."""
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

CURRENCIES = (("eur", "usd", "gbp", "jpy", "kwd", "sek"), (56, 19, 12, 7, 3, 3))
"""Two decimals, none (jpy) and three (kwd, whose last digit Stripe wants to be 0)."""
AMOUNTS = {
    "eur": (300, 45_000),
    "usd": (300, 52_000),
    "gbp": (250, 38_000),
    "jpy": (400, 65_000),
    "kwd": (1_000, 140_000),
    "sek": (3_000, 480_000),
}
SETTLES_AS: dict[str, tuple[str, float | None]] = {
    "eur": ("eur", None),
    "usd": ("usd", None),
    "gbp": ("gbp", None),
    "jpy": ("jpy", None),
    "kwd": ("eur", 0.30214),
    "sek": ("eur", 0.08735),
}
"""The balance a charge lands on and the rate on the way, from minor units to minor units."""
EVIDENCE = (
    "access_activity_log billing_address cancellation_policy cancellation_policy_disclosure"
    " cancellation_rebuttal customer_communication customer_email_address customer_name"
    " customer_purchase_ip customer_signature duplicate_charge_documentation"
    " duplicate_charge_explanation duplicate_charge_id product_description receipt refund_policy"
    " refund_policy_disclosure refund_refusal_explanation service_date service_documentation"
    " shipping_address shipping_carrier shipping_date shipping_documentation"
    " shipping_tracking_number uncategorized_file uncategorized_text"
).split()
"""What a shop may bring up against a dispute; this one never does."""
METHODS = (("card", "ideal", "sepa_debit"), (62, 32, 6))
REASONS = ("requested_by_customer", "requested_by_customer", "duplicate", "fraudulent", None)
DECLINES = (
    ("card_declined", "Your card was declined."),
    ("expired_card", "Your card has expired."),
    ("incorrect_cvc", "Your card's security code is incorrect."),
    ("processing_error", "An error occurred while processing your card. Try again in a bit."),
)
CARDS = (("visa", "US"), ("mastercard", "NL"), ("amex", "GB"), ("visa", "DE"), ("jcb", "JP"))
BANKS = (("ing", "INGBNL2A"), ("rabobank", "RABONL2U"), ("abn_amro", "ABNANL2A"))
GOODS = (
    "Tulpen 40 stuks",
    "Rosa 'Red Naomi' 60 cm ×20",
    "Chrysant Baltica – wit",
    'Boeket "Zoë" 🌷',
    "花束(大)",
    "Gerbera mini, mix",
    "Abonnement: wekelijks boeket",
)
PEOPLE = (
    ("Jenny Rosen", "US"),
    ("Zoë de Vries", "NL"),
    ("Øyvind Ærø", "NO"),
    ("Łukasz Żółw", "PL"),
    ("佐藤 美咲", "JP"),
    ("Ümit Çelik", "TR"),
    ("Siobhán O'Brien", "IE"),
    ("محمد العنزي", "KW"),
    ("Bloemenhal 't Hoekje B.V.", "NL"),
    ("Anne-Marie van den Berg", "NL"),
    ("Smith & Sons <Florists>", "GB"),
    ("Élodie Lefèvre", "FR"),
)


class Fee(NamedTuple):
    """Stripe's price: a share in thousandths, a fixed part, and what a dispute costs."""

    thousandths: int
    fixed: int
    dispute: int

    def of(self, gross: int, *, category: str) -> int:
        """The fee on `gross`, in the same minor units; refunds are free, but give none back."""
        if category == "charge":
            return gross * self.thousandths // 1_000 + self.fixed
        return self.dispute if category == "dispute" else 0


FEES = {
    "eur": Fee(15, 25, 2_000),
    "usd": Fee(29, 30, 1_500),
    "gbp": Fee(15, 20, 2_000),
    "jpy": Fee(36, 0, 1_500),
}


def base62(number: int) -> str:
    """`number` in Stripe's alphabet, as in the first characters of its ids."""
    digits = ""
    while number:
        number, rest = divmod(number, 62)
        digits = ALPHABET[rest] + digits
    return digits


def tail(rng: Random, *, size: int = 8) -> str:
    """The random end of an id."""
    return "".join(rng.choices(ALPHABET, k=size))


def person(rng: Random) -> tuple[str, str]:
    """A name as people write it, and an ISO country."""
    return rng.choice(PEOPLE)
