"""The twin of a Dutch flower auction that speaks Florecom's VMP over SOAP.

Its data is a function of the seed and the clock alone. A day's supply is one answer, however long;
what is sold is simply not in the next one. Names are those that public clients of the real service
use; the WSDL is ours.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from secrets import token_hex
from types import MappingProxyType

from lxml import etree
from starlette.types import Receive, Scope, Send

from integrations.sandbox.faults import Clock, Faults, Gate
from integrations.sandbox.florecom_api import florecom_app
from integrations.sandbox.florecom_market import Market
from integrations.sandbox.florecom_schema import ASM, CLOCK, FERAM, RAM, checker
from integrations.sandbox.florecom_xml import line, mutated, transaction

EPOCH = date(2026, 10, 1)
SAMPLE = 50
"""Lines of each kind that the twin holds against its schema when it starts."""


class FlorecomTwin:
    """A stateful local auction; give it to `server.running` or any ASGI server.

    `clock` gives the time, aware UTC; it may jump either way. `per_day` is how many lots come in
    for a day. Raises RuntimeError when the twin's own good lines break its schema.
    """

    def __init__(self, seed: int, *, clock: Clock, epoch: date = EPOCH, per_day: int = 240) -> None:
        self.secrets: Mapping[str, str] = MappingProxyType(
            {"username": token_hex(12), "password": token_hex(16)}
        )
        self._clock = clock
        self._market = Market(seed, epoch=epoch, per_day=per_day)
        self._gate = Gate(florecom_app(self, secrets=self.secrets), clock=clock)
        self._check_contract()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._gate(scope, receive, send)

    @property
    def faults(self) -> Faults:
        return self._gate.faults

    @property
    def requests(self) -> int:
        return self._gate.requests

    @property
    def log(self) -> Sequence[str]:
        """The last requests, as `POST /Webservice/CCVMP/v0p7/Customer.asmx`."""
        return tuple(self._gate.log)

    def shown(self) -> dict[str, str]:
        """The lots that are on offer now: from the id to how the lot is bad, or ''."""
        now = self._clock()
        return {lot.id: lot.bad for lot in self._market.lots(now) if lot.at(now)}

    def supply(self, since: datetime | None) -> Iterator[str]:
        """The lots on offer, of those that have changed since then."""
        now = self._clock()
        for lot in self._market.lots(now):
            step = lot.at(now)
            if step is not None and (since is None or step[0] >= since):
                yield line(lot, now)

    def transactions(self, since: datetime | None, after: str) -> Iterator[tuple[str, str]]:
        """The transactions by their last change: each with the cursor that stands behind it."""
        now = self._clock()
        told = sorted((f"{mutated(sale, now)} {sale.id}", sale) for sale in self._market.sales(now))
        for place, sale in told:
            if place > after and (since is None or sale.state(now)[0] >= _cut(since)):
                yield place, transaction(sale, now)

    def _check_contract(self) -> None:
        now = self._clock().astimezone(UTC)
        lots = [lot for lot in self._market.lots(now) if lot.at(now) and not lot.bad][:SAMPLE]
        sales = [sale for sale in self._market.sales(now) if not sale.bad][:SAMPLE]
        supply = "".join(line(lot, now) for lot in lots)
        sold = "".join(transaction(sale, now) for sale in sales)
        names = f'xmlns:s="{ASM}" xmlns:f="{FERAM}" xmlns:r="{RAM}" xmlns:c="{CLOCK}"'
        for name, text in (
            (
                "supply",
                f"<s:SupplyResponse {names}><s:Body><s:SupplyResponseDetails>{supply}"
                "</s:SupplyResponseDetails></s:Body></s:SupplyResponse>",
            ),
            (
                "clock",
                f"<c:ClockTransactionsResponse {names}>{sold}<c:MoreIndicator>false"
                "</c:MoreIndicator></c:ClockTransactionsResponse>",
            ),
        ):
            schema = checker(name)
            if not schema.validate(etree.fromstring(text)):
                said = schema.error_log.last_error.message
                raise RuntimeError(f"the twin of the auction breaks its schema: {said}")


def _cut(moment: datetime) -> datetime:
    """As it is told, to the millisecond."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
