"""What happens at a warehouse that packs its orders with ShipHero, night by night.

The same for the same seed and clock. An order's whole life is drawn when it is made, with what is
shipped of it and what comes back. Work is done from 02:00 to 05:00 UTC, so that two syncs by day
see the same; moments are whole seconds, as ShipHero's are.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random

import msgspec

from integrations.sandbox.chance import dice

HOUR = 3_600
DAY = 24 * HOUR
DENSE_DAYS = 54
"""Full trade from the epoch, then a trickle: a demo that is started years later stays fast."""
TRICKLE = 0.2
STOCK_DAYS = 10
OLD_RETURNS = 420
"""Returns of orders that are not listed any more: a reading of them all has several pages."""

BAD_ORDERS = ("total_words", "day_zero", "number_nul", "tax_words")
BAD_SHIPMENTS = ("cost_words", "city_nul", "created_zero")
BAD_RETURNS = ("status_null", "reason_nul", "created_zero")
SPREAD = {"orders": 90, "shipments": 90, "returns": 20}
"""Of so many one is bad, the first soon after the epoch."""

LIVES = (("fulfilled",), ("partially_fulfilled", "fulfilled"), ("canceled",), ())
LIFE_WEIGHTS = (70, 10, 6, 14)
"""What becomes of an order that is `pending`, a night apart; some wait for good."""
COUNTS = (1, 2, 3, 5, 10, 11, 27)
COUNT_WEIGHTS = (40, 25, 15, 8, 4, 4, 4)
"""Lines of an order: one in eight has as many as a query asks for, or more."""

Step = tuple[int, str]
"""From when on (epoch seconds) a status is true."""


class Fact(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a list holds: `steps` are its life, `number` feeds its looks, `order` is the id of the
    order that it is or belongs to. `bad` names how the API breaks it, '' for a good one."""

    id: int
    order: int
    steps: tuple[Step, ...]
    number: int
    bad: str = ""

    @property
    def created(self) -> int:
        return self.steps[0][0]

    @property
    def place(self) -> int:
        """Where its list has it: in no order that any of its fields has, and always there."""
        return self.id * 2_654_435_761 % 2**32

    def at(self, now: int) -> Step:
        """Since when it is what it is at a moment."""
        return [step for step in self.steps if step[0] <= now][-1]


class Order(Fact, frozen=True, kw_only=True, gc=False):
    """`lines` are the ids of its lines."""

    lines: tuple[int, ...]


class Shipment(Fact, frozen=True, kw_only=True, gc=False):
    """A box or more of an order; `labels` are the ids of those that were bought, none where it went
    without ShipHero."""

    lines: tuple[int, ...]
    labels: tuple[int, ...]


class New(msgspec.Struct):
    """What came into being, by the lists that it is in."""

    orders: list[Order] = []
    shipments: list[Shipment] = []
    returns: list[Fact] = []


class Warehouse:
    """The warehouse's life since `epoch` (midnight UTC), lived as far as it has been asked for."""

    def __init__(self, seed: int, *, epoch: datetime, per_day: int) -> None:
        if epoch.utcoffset() != UTC.utcoffset(None) or epoch.timestamp() % DAY:
            raise ValueError(f"the epoch must be midnight UTC, not {epoch!r}")
        self._seed, self._epoch, self._per_day = seed, int(epoch.timestamp()), per_day
        self._days = -STOCK_DAYS
        self._ids = 383_707
        self._made = dict.fromkeys(SPREAD, 0)

    def live_until(self, now: int) -> New:
        """Lives every day up to the one that holds `now`; gives what was new, the rest of that day
        included. Nothing is there before the epoch, and then the stock of the days before it."""
        new = New()
        while now >= self._epoch and self._epoch + self._days * DAY <= now:
            self._live_day(self._days, new)
            self._days += 1
        return new

    def _live_day(self, day: int, new: New) -> None:
        rng, start = dice(f"{self._seed}/warehouse/{day}"), self._epoch + day * DAY
        dense = 0 <= day < DENSE_DAYS
        trade = max(2, round(self._per_day * (TRICKLE if day >= DENSE_DAYS else 1)))
        for created in sorted(_night(rng, start) for _ in range(trade)):
            self._trade(rng, created, rng.choices(LIVES, LIFE_WEIGHTS)[0], new)
        # On the stroke of midnight, and shortly before the next: where connectors lose records.
        for created in (start, start + DAY - 180) if dense else ():
            self._trade(rng, created, (), new)
        if day == -STOCK_DAYS:
            for number in range(OLD_RETURNS):
                back = _night(rng, start - (number % 90) * DAY)
                new.returns.append(self._return(rng, back, order=1_000 + number))

    def _trade(self, rng: Random, created: int, life: Sequence[str], new: New) -> None:
        """An order, with what follows from it."""
        steps, night = [(created, "pending")], 0
        for status in life:
            night += rng.randint(1, 2)
            steps.append((_night(rng, created, night), status))
        number = rng.randrange(10**9)
        lines = tuple(self._id() for _ in range(rng.choices(COUNTS, COUNT_WEIGHTS)[0]))
        ident = self._id()
        new.orders.append(
            Order(
                id=ident, order=ident, steps=tuple(steps), number=number, lines=lines,
                bad=self._bad("orders", BAD_ORDERS, created),
            )
        )  # fmt: skip
        for at, status in steps:
            if status.endswith("fulfilled"):
                labels = tuple(self._id() for _ in range(rng.choices((0, 1, 2), (6, 84, 10))[0]))
                new.shipments.append(
                    Shipment(
                        id=self._id(), order=ident, steps=((at, "shipped"),), lines=lines,
                        labels=labels, number=rng.randrange(10**9),
                        bad=self._bad("shipments", BAD_SHIPMENTS, at) if labels else "",
                    )
                )  # fmt: skip
        if steps[-1][1] == "fulfilled" and rng.random() < 0.15:
            back = _night(rng, steps[-1][0], rng.randint(3, 9))
            new.returns.append(self._return(rng, back, order=ident))

    def _return(self, rng: Random, created: int, *, order: int) -> Fact:
        steps: list[Step] = [(created, "pending")]
        if rng.random() < 0.8:
            status = rng.choices(("warehouse_complete", "cancelled"), (9, 1))[0]
            steps.append((_night(rng, created, rng.randint(2, 5)), status))
        return Fact(
            id=self._id(), order=order, steps=tuple(steps), number=rng.randrange(10**9),
            bad=self._bad("returns", BAD_RETURNS, created),
        )  # fmt: skip

    def _id(self) -> int:
        self._ids += 1
        return self._ids

    def _bad(self, kind: str, ways: tuple[str, ...], created: int) -> str:
        """In turn, and never in the stock: a reading of everything stays below a hundredth."""
        if created < self._epoch:
            return ""
        self._made[kind] += 1
        turn, rest = divmod(self._made[kind], SPREAD[kind])
        return ways[turn % len(ways)] if rest == 3 else ""


def _night(rng: Random, after: int, later: int = 0) -> int:
    """A moment of the night shift of that day, or so many days later."""
    return (after // DAY + later) * DAY + 2 * HOUR + rng.randrange(3 * HOUR)
