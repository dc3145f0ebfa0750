"""The twin of a drop box for files: an SSH server into which a payment processor, an auction and a
bank put what they have to say.

Its files are a function of the seed and the clock alone. They are what such boxes hold: reports
whose columns move, packed ones, messages that count wrong, preliminary and then final ones, a file
that is still being written, an error page with the name of a report.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime, time, timedelta
from secrets import token_hex
from types import MappingProxyType

from integrations.sandbox import sftp_reports as reports
from integrations.sandbox.faults import Clock
from integrations.sandbox.sftp_server import Door, Item, Shelf, key_of, new_key, public, serving

EPOCH = datetime(2026, 10, 1, tzinfo=UTC)
ACCOUNTS = ("ExampleShopBE", "ExampleShopNL")
BUSY_DAYS = 54
"""So many days bring files of every kind; a file each month follows."""


class SftpFilesTwin:
    """A local drop box over SFTP; `serve` it.

    `clock` gives the time, aware UTC; a file is there once its time has come. `lines` are those of
    a report. What a test adds is in `added`; `shelf` is where it orders what goes wrong.
    """

    def __init__(
        self, seed: int, *, clock: Clock, epoch: datetime = EPOCH, lines: int = 20
    ) -> None:
        self._seed, self._clock, self._epoch, self._lines = str(seed), clock, epoch, lines
        self._host, self._own = new_key(), new_key()
        self._made: dict[str, Item] = {}
        self._day = epoch
        self.added: dict[str, Item] = {}
        self.shelf = Shelf(self.things)
        username = f"u{token_hex(8)}"
        self._door = Door(username, key=key_of(self._own))
        self.secrets: Mapping[str, str] = MappingProxyType(
            {
                "username": username,
                "private_key": self._own,
                "host_key": public(key_of(self._host)),
            }
        )

    @property
    def opened(self) -> list[str]:
        """The files that were read."""
        return self.shelf.reads

    def break_at(self, place: int) -> None:
        """Ends the connection once, so many bytes into the next file."""
        self.shelf.breaks.append(place)

    def serve(self) -> AbstractContextManager[str]:
        """Serves for as long as the block runs; gives the address."""
        return serving(self.shelf, self._door, host_key=key_of(self._host))

    def things(self) -> Mapping[str, Item]:
        """The files that are there now."""
        now = self._clock()
        while self._day <= now:
            self._made |= {path: Item(data, at) for path, data, at in self._of_day(self._day)}
            busy = self._day < self._epoch + timedelta(days=BUSY_DAYS)
            self._day += timedelta(days=1 if busy else 30)
        there = {path: item for path, item in self._made.items() if item.at <= now}
        return there | self.added

    def _of_day(self, day: datetime) -> Iterator[tuple[str, bytes, datetime]]:
        """What a day brings, and when, in the morning after it."""
        number = (day - self._epoch).days
        batch, morning = 100 + number, day + timedelta(days=1)
        name = f"settlement_detail_report_batch_{batch}.csv"
        for account in ACCOUNTS:
            data = reports.settlement(
                account, batch, day.date(), lines=self._lines, seed=self._seed
            )
            path, at = f"/settlement/{account}/{name}", _at(morning, time(3, 4))
            if number % 7 == 2:
                yield f"{path}.gz", reports.gzipped(data), at
            elif number % 7 == 5:
                yield f"{path}.zip", reports.zipped([name], [data]), at
            else:
                yield path, data, at
        for state, clock in (("323", time(7, 15)), ("493", time(17, 40))):
            data = reports.clock(day.date(), state=state, lines=self._lines, seed=self._seed)
            yield f"/auction/om{day:%y%m%d}.{clock:%H%M}", data, _at(day, clock)
        data = reports.statement(day.date(), entries=self._lines, seed=self._seed)
        yield f"/bank/camt053_{day:%Y%m%d}.xml", data, _at(morning, time(5))
        if number == 1:
            page = b"<html><body>503 Service Unavailable</body></html>\n"
            yield f"/settlement/{ACCOUNTS[0]}/settlement_detail_report_batch_0.csv", page, morning
            yield f"/bank/camt053_{day:%Y%m%d}_2.xml.part", data[:400], morning


def _at(day: datetime, clock: time) -> datetime:
    return datetime.combine(day.date(), clock, UTC)
