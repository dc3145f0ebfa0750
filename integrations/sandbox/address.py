"""Where the twins of a home serve, for whoever connects to them."""

import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from integrations.errors import FixConfig
from integrations.processes import living
from integrations.secrets import Secret

FILE = "sandbox.json"
"""Written into the home by the twins' process while they serve."""
USERS = "sandbox.users"
"""Whoever uses the twins holds a shared flock on this file of the home, and so the last one to go
can be told, however it goes."""
ANSWER_S = 2.0


@dataclass(frozen=True)
class Address:
    """A twin's base URL, and the secrets that let one in."""

    url: str
    secrets: dict[str, Secret]


def said(home: Path) -> dict[str, Any]:
    """What the file of a home says, true or not any more; empty where there is none."""
    try:
        known = json.loads((home / FILE).read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def serving(home: Path) -> bool:
    """Whether twins of this home serve: the very process that wrote the file, and it answers."""
    known = said(home)
    return living(known) is not None and all(_answers(one["url"]) for one in _twins(known).values())


def urls(home: Path) -> list[str]:
    """The base URLs of the twins that serve."""
    return [found["url"] for found in _twins(said(home)).values()] if serving(home) else []


def _twins(known: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The twins in a file, without what it says of their process."""
    return {name: one for name, one in known.items() if isinstance(one, dict)}


def _answers(url: str) -> bool:
    address = urlsplit(url)
    with socket.socket() as probe:
        probe.settimeout(ANSWER_S)
        return probe.connect_ex((address.hostname or "", address.port or 80)) == 0


def twin(home: Path, connector: str) -> Address:
    """The twin of a connector; raises `FixConfig` when it does not serve."""
    known = _twins(said(home)) if serving(home) else {}
    if connector not in known:
        raise FixConfig(
            f"no twin of {connector} is serving",
            todo="Start the twins with `integrations up --sandbox`.",
        )
    found = known[connector]
    return Address(found["url"], {name: Secret(v) for name, v in found["secrets"].items()})
