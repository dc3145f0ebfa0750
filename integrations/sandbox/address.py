"""Where the twins of a home serve, for whoever connects to them."""

import json
from dataclasses import dataclass
from pathlib import Path

import psutil

from integrations.errors import FixConfig
from integrations.secrets import Secret

FILE = "sandbox.json"
"""Written into the home by the twins' process while they serve."""


@dataclass(frozen=True)
class Address:
    """A twin's base URL, and the secrets that let one in."""

    url: str
    secrets: dict[str, Secret]


def serving(home: Path) -> bool:
    """Whether twins of this home serve."""
    try:
        return psutil.pid_exists(json.loads((home / FILE).read_text())["pid"])
    except (OSError, ValueError, KeyError):
        return False


def urls(home: Path) -> list[str]:
    """The base URLs of the twins that serve."""
    known = json.loads((home / FILE).read_text()) if serving(home) else {}
    return [found["url"] for name, found in known.items() if name != "pid"]


def twin(home: Path, connector: str) -> Address:
    """The twin of a connector; raises `FixConfig` when it does not serve."""
    known = json.loads((home / FILE).read_text()) if serving(home) else {}
    if connector not in known:
        raise FixConfig(
            f"no twin of {connector} is serving",
            todo="Start the twins with `integrations up --sandbox`.",
        )
    found = known[connector]
    return Address(found["url"], {name: Secret(v) for name, v in found["secrets"].items()})
