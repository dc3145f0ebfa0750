"""What happens at an auction: lots come in for a day, are sold at the clock, and go.

The same for the same seed and clock. A day is one of Amsterdam. Its lots are there from midnight,
and most are sold from 06:00 to 10:00, some in parts; what is left can be ordered until midnight.
Each sale is a transaction, preliminary at first and final two hours later.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from random import Random
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from integrations.sandbox.chance import dice

LOCAL = ZoneInfo("Europe/Amsterdam")
FINAL_AFTER = timedelta(hours=2)
KEPT = timedelta(days=14)
"""For how long transactions are told: a demo that is started years later stays fast."""
SOLD, PARTS = 0.6, 0.2
"""How many lots are sold whole, and how many in parts."""
SPREAD = {"lots": 180, "transactions": 260}
"""Of so many one is bad."""
BAD_LOTS = ("quantity_words", "time_naive", "no_product", "status_empty")
BAD_TRANSACTIONS = ("pieces_words", "state_unknown", "price_comma")


class Product(NamedTuple):
    """A product: its VBN code, its name and the group that it is in."""

    code: str
    name: str
    group: str


PRODUCTS = (
    Product("6325", "Achillea F Park Variety", "10103901"),
    Product("1", "Rosa Gr Red Naomi!", "10100101"),
    Product("3403", "Tulipa En Strong Gold", "10100301"),
    Product("15892", "Chrysanthemum S Baltica", "10100201"),
    Product("104", 'Gerbera Gr & Mini "Kimsey"', "10100401"),
    Product("011", "Lilium Or <Siberia>", "10100501"),
)
GROWERS = (
    ("8710000000009", "Voorbeeld Kwekerij"),
    ("8710000000108", "Gebr. Éénjarig & Zn."),
    ("", "Kwekerij zonder nummer"),
    ("8710000000207", None),
)
COUNTRIES = ("NL", "NL", "NL", "KE", "ET", "IT")
QUALITIES = ("A1", "A1", "A2", "B1", None)
PLACES = ("8710000000306", "8710000000405", "")
"""The auction's places by their numbers; of some the source does not say it."""


class Lot(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A lot: `steps` are when how many of its packages are left, the first at the day's begin."""

    id: str
    day: date
    number: int
    steps: tuple[tuple[datetime, int], ...]
    per_package: int
    bad: str = ""

    def at(self, now: datetime) -> tuple[datetime, int] | None:
        """Its last step by `now`; None before the first, and when nothing is left."""
        past = [step for step in self.steps if step[0] <= now]
        return past[-1] if past and past[-1][1] else None

    def dice(self) -> Random:
        """What it looks like is drawn from this."""
        return dice(f"lot/{self.id}/{self.day}")


class Sale(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What was sold of a lot, and when."""

    id: str
    lot: Lot
    at: datetime
    packages: int
    direct: bool = False
    bad: str = ""

    def state(self, now: datetime) -> tuple[datetime, str]:
        """When it last changed, and its code: 323 preliminary, 493 final, 231 direct."""
        if self.direct:
            return self.at, "231"
        final = self.at + FINAL_AFTER
        return (final, "493") if final <= now else (self.at, "323")


class Market:
    """The auction since `epoch` (a date), with `per_day` lots each day."""

    def __init__(self, seed: int, *, epoch: date, per_day: int) -> None:
        self._seed, self._epoch, self._per_day = seed, epoch, per_day
        self._days: dict[date, tuple[list[Lot], list[Sale]]] = {}

    def lots(self, now: datetime) -> list[Lot]:
        """The lots of the day that holds `now`, the sold ones too."""
        return self._day(now.astimezone(LOCAL).date())[0]

    def sales(self, now: datetime) -> Iterator[Sale]:
        """What was sold by `now`, as far back as it is told."""
        last = now.astimezone(LOCAL).date()
        day = max(self._epoch, (now - KEPT).astimezone(LOCAL).date())
        while day <= last:
            yield from (sale for sale in self._day(day)[1] if sale.at <= now)
            day += timedelta(days=1)

    def _day(self, day: date) -> tuple[list[Lot], list[Sale]]:
        if day < self._epoch:
            return [], []
        if day not in self._days:
            self._days[day] = self._made(day)
        return self._days[day]

    def _made(self, day: date) -> tuple[list[Lot], list[Sale]]:
        rng = dice(f"{self._seed}/market/{day}")
        nth = (day - self._epoch).days * self._per_day
        start = datetime(day.year, day.month, day.day, tzinfo=LOCAL).astimezone(UTC)
        lots: list[Lot] = []
        sales: list[Sale] = []
        for number in range(nth, nth + self._per_day):
            lot, sold = self._lot(rng, number, day, start)
            lots.append(lot)
            sales.extend(sold)
        sales = [
            msgspec.structs.replace(
                sale,
                id=f"{sale.lot.number % 1000:03}{day:%j}{place:05}",
                bad=_bad(BAD_TRANSACTIONS, "transactions", nth + place),
            )
            for place, sale in enumerate(sales)
        ]
        return lots, sales

    def _lot(self, rng: Random, number: int, day: date, start: datetime) -> tuple[Lot, list[Sale]]:
        packages, left = rng.randint(2, 30), 1.0
        steps = [(start, packages)]
        bad = _bad(BAD_LOTS, "lots", number)
        fate = rng.random() if not bad else 1.0  # it is there all day, to be met
        if fate < SOLD:
            left = 0
        elif fate < SOLD + PARTS:
            left = rng.choice((0.0, 0.5))
        moments = sorted(
            start + timedelta(hours=6, milliseconds=rng.randrange(4 * 3_600_000))
            for _ in range(0 if left == 1 else 1 if fate < SOLD else 2)
        )
        there = packages
        for nth, moment in enumerate(moments):
            last = nth == len(moments) - 1
            there = int(packages * left) if last else max(int(packages * left), there // 2 + 1)
            if there < steps[-1][1]:
                steps.append((moment, there))
        lot = Lot(
            id=str(164_000_000 + number), day=day, number=number, steps=tuple(steps),
            per_package=rng.choice((10, 20, 50, 80)), bad=bad,
        )  # fmt: skip
        sold = [
            Sale(id="", lot=lot, at=after[0], packages=before[1] - after[1], direct=number % 9 == 0)
            for before, after in pairwise(steps)
        ]
        return lot, sold


def _bad(ways: tuple[str, ...], kind: str, number: int) -> str:
    turn, rest = divmod(number, SPREAD[kind])
    return ways[turn % len(ways)] if rest == 8 else ""
