"""What happens at a depot that sends its parcels with Sendcloud, night by night.

The same for the same seed and clock. Every parcel's whole life is drawn when it is made, so what it
looks like at a moment is a matter of reading, not of state. Work is done from 02:00 to 05:00 UTC:
two syncs by day see the same, and what is deliberately near midnight or in the hour that the clocks
go back is little enough to be known.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from uuid import UUID

import msgspec

from integrations.sandbox.chance import dice
from integrations.sandbox.sendcloud_dialects import DAY, SECOND, micros
from integrations.sandbox.sendcloud_names import (
    CARRIERS,
    LIFE_WEIGHTS,
    LIVES,
    PLACE_WEIGHTS,
    PLACES,
)

HOUR = 3_600 * SECOND
DENSE_DAYS = 54
"""Full trade from the epoch, then a trickle: a demo that is started years later stays fast."""
TRICKLE = 0.1
STOCK_DAYS = 20
"""Of trade before the epoch: a reading of everything has several pages from the first day."""
RETURN_SHARE = 0.16

BAD_SHIPMENTS = ("weight_words", "unit_unknown", "created_naive", "price_infinite", "city_nul")
BAD_PARCELS = ("created_31_february", "updated_iso", "weight_comma", "status_null", "city_nul")
BAD_RETURNS = ("created_naive", "reason_nul", "status_object")
SPREAD = {"shipments": 250, "parcels": 300, "returns": 90}
"""Of so many one is bad, the first soon after the epoch."""

Step = tuple[int, str]
"""From when on a status is true."""


class Fact(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a list holds: `place` orders it, `steps` are its life, `number` feeds its looks.

    `bad` names how the API breaks it, '' for a good one.
    """

    place: int
    steps: tuple[Step, ...]
    order_number: str
    number: int
    bad: str = ""

    @property
    def created(self) -> int:
        return self.steps[0][0]

    def past(self, now: int) -> tuple[Step, ...]:
        """The steps taken by `now`."""
        return tuple(step for step in self.steps if step[0] <= now)

    def at(self, status: str, *, now: int) -> int | None:
        """When it came to a status, if it has by `now`."""
        return next((at for at, known in self.past(now) if known == status), None)


class Parcel(Fact, frozen=True, kw_only=True, gc=False):
    """One box of a shipment: the `collo`-th of `count`."""

    shipment: str
    collo: int
    count: int
    grams: int

    @property
    def carrier_number(self) -> int:
        return self.number % len(CARRIERS)


class Shipment(Fact, frozen=True, kw_only=True, gc=False):
    """Boxes that travel together: they share their steps."""

    id: str
    parcels: tuple[Parcel, ...]


class Return(Fact, frozen=True, kw_only=True, gc=False):
    """A parcel on its way back, which has a place of its own among the parcels."""

    grams: int


class New(msgspec.Struct):
    """What came into being, by the lists that it is in."""

    shipments: list[Shipment] = []
    parcels: list[Parcel] = []
    returns: list[Return] = []


class Depot:
    """The depot's life since `epoch` (midnight UTC), lived as far as it has been asked for."""

    def __init__(self, seed: int, *, epoch: datetime, per_day: int) -> None:
        if epoch.utcoffset() != UTC.utcoffset(None) or micros(epoch) % DAY:
            raise ValueError(f"the epoch must be midnight UTC, not {epoch!r}")
        self._seed, self._epoch, self._per_day = seed, micros(epoch), per_day
        self._days = -STOCK_DAYS
        self._places = 383_707_000
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
        rng, start = dice(f"{self._seed}/depot/{day}"), self._epoch + day * DAY
        trade = max(2, round(self._per_day * (1.0 if day < DENSE_DAYS else TRICKLE)))
        dense = 0 <= day < DENSE_DAYS
        odd = _odd(start) if dense else set()
        for created in sorted({*(_night(rng, start) for _ in range(trade)), *odd}):
            shipment = self._shipment(rng, created, waits=created in odd)
            new.shipments.append(shipment)
            new.parcels.extend(shipment.parcels)
        backs = max(1, round(trade * RETURN_SHARE))
        moments = [start + 5 * HOUR - 1, *(_night(rng, start) for _ in range(backs - 1))]
        if dense:
            moments.append(start + DAY - 2 * 60 * SECOND + 7)
        new.returns.extend(self._return(rng, created) for created in sorted(moments))

    def _shipment(self, rng: Random, created: int, *, waits: bool) -> Shipment:
        announced = created + rng.randint(200_000, 90 * SECOND)
        steps: list[Step] = [(created, "READY_TO_SEND")]
        if not waits and rng.random() < 0.02:
            steps.append((announced, "ANNOUNCEMENT_FAILED"))
        elif not waits:
            steps.append((announced, "ANNOUNCED"))
            life = rng.choices(LIVES, LIFE_WEIGHTS)[0]
            steps.extend((_night(rng, created, night), code) for night, code in _nights(rng, life))
        ident = str(UUID(int=rng.getrandbits(128), version=4))
        count = rng.choices((1, 2, 3), (90, 8, 2))[0]
        order, number = f"SO-{rng.randrange(10**6):06d}", rng.randrange(10**9)
        parcels = tuple(
            Parcel(
                place=self._place(), steps=tuple(steps), order_number=order, number=number,
                bad=self._bad("parcels", BAD_PARCELS, created), shipment=ident, collo=collo,
                count=count, grams=rng.randint(20, 12_000),
            )
            for collo in range(count)
        )  # fmt: skip
        return Shipment(
            place=parcels[-1].place, steps=tuple(steps), order_number=order, number=number,
            bad=self._bad("shipments", BAD_SHIPMENTS, created), id=ident, parcels=parcels,
        )  # fmt: skip

    def _return(self, rng: Random, created: int) -> Return:
        steps: list[Step] = [(created, "READY_TO_SEND"), (created + 41 * SECOND, "ANNOUNCED")]
        life = rng.choices(LIVES[:2], (1, 1))[0]
        steps.extend((_night(rng, created, night), code) for night, code in _nights(rng, life))
        order = f"SO-{rng.randrange(10**6):06d}" if rng.random() < 0.9 else ""
        return Return(
            place=self._place(), steps=tuple(steps), order_number=order,
            number=rng.randrange(10**9), bad=self._bad("returns", BAD_RETURNS, created),
            grams=rng.randint(20, 4_000),
        )  # fmt: skip

    def _place(self) -> int:
        self._places += 1
        return self._places

    def _bad(self, kind: str, ways: tuple[str, ...], created: int) -> str:
        """In turn, and never in the stock: a reading of everything stays well below a hundredth."""
        if created < self._epoch:
            return ""
        self._made[kind] += 1
        turn, rest = divmod(self._made[kind], SPREAD[kind])
        return ways[turn % len(ways)] if rest == 8 else ""


def place_of(fact: Fact) -> int:
    """Which of the places it goes to, or comes from."""
    return dice(f"{fact.number}").choices(range(len(PLACES)), PLACE_WEIGHTS)[0]


def _odd(start: int) -> set[int]:
    """When a day's shipments are made that wait for their label for good: on the stroke of midnight
    and shortly before the next, because a window's edge is where connectors lose records; and in
    the hour that the clock of Amsterdam has twice when it goes back."""
    return {start, start + HOUR + HOUR // 2, start + DAY - 3 * 60 * SECOND}


def _nights(rng: Random, life: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    night = 0
    for code in life:
        night += rng.randint(1, 2)
        yield night, code


def _night(rng: Random, after: int, later: int = 0) -> int:
    """A moment of the night shift of that day, or so many days later."""
    return (after // DAY + later) * DAY + 2 * HOUR + rng.randrange(3 * HOUR)
