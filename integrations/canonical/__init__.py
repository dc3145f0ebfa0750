"""The canonical entities: one pandera model each, shared by every connector that fills it.

Models are imported when they are first looked up: pandera takes 0.7 CPU-s to import, and a process
that only asks for help or status needs none of them.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from integrations.canonical.entity import Entity

_MODELS = {
    "customer": "Customer",
    "payment": "Payment",
    "payout": "Payout",
    "refund": "Refund",
    "settlement_line": "SettlementLine",
}


class _Entities(Mapping[str, "type[Entity]"]):
    def __getitem__(self, name: str) -> "type[Entity]":
        model = _MODELS[name]  # before the import: an unknown name is a KeyError
        found: type[Entity] = getattr(import_module(f"{__name__}.{name}"), model)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(_MODELS)

    def __len__(self) -> int:
        return len(_MODELS)


ENTITIES: Mapping[str, "type[Entity]"] = _Entities()
"""Every entity by its name, which is also its module's and its table's."""
