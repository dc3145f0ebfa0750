"""The canonical entities: one pandera model each, shared by every connector that fills it.

Models are imported when they are first looked up: pandera takes 0.7 CPU-s to import, and a process
that only asks for help or status needs none of them.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from keyword import iskeyword
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from integrations.canonical.entity import Entity

_MODELS = {
    "auction_supply_line": "AuctionSupplyLine",
    "auction_transaction": "AuctionTransaction",
    "bank_transaction": "BankTransaction",
    "code": "Code",
    "customer": "Customer",
    "order": "Order",
    "order_line": "OrderLine",
    "payment": "Payment",
    "payout": "Payout",
    "product": "Product",
    "refund": "Refund",
    "return": "Return",
    "sensor_device": "SensorDevice",
    "sensor_reading": "SensorReading",
    "settlement_line": "SettlementLine",
    "shipment": "Shipment",
    "shipment_event": "ShipmentEvent",
}


class _Entities(Mapping[str, "type[Entity]"]):
    def __getitem__(self, name: str) -> "type[Entity]":
        model = _MODELS[name]  # before the import: an unknown name is a KeyError
        module = f"{name}_" if iskeyword(name) else name
        found: type[Entity] = getattr(import_module(f"{__name__}.{module}"), model)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(_MODELS)

    def __len__(self) -> int:
        return len(_MODELS)


ENTITIES: Mapping[str, "type[Entity]"] = _Entities()
"""Every entity that is shipped by its name, which is also its module's and its table's."""
