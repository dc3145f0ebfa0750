"""Connections that were added by command, merged into the connectors that files describe.

What is added is held to the rules of a file. A file may change afterwards, so the rules are applied
again whenever it is read: what does not fit any more costs that one connection and no other.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from integrations.connector_template.config_schema import SANDBOX, Connection
from integrations.connector_template.connector import Connector
from integrations.connector_template.mistakes import attribute_mistakes
from integrations.connector_template.models import Models
from integrations.errors import FixConfig, Mistake
from integrations.settings import CONNECTOR_FILE
from integrations.storage.connections import Added

Account = tuple[str, str]
"""A connection: (connector, connection)."""

AGAIN = "Remove it and add it again: `integrations connections remove {name}`."


def merged(
    files: Iterable[Connector], added: Iterable[Added]
) -> tuple[list[Connector], dict[Account, FixConfig]]:
    """The connectors with what was added to each of them, and why each other one cannot be used.

    A connection in a file goes before one of the same name that was added.
    """
    connectors = {connector.name: connector for connector in files}
    waiting: dict[str, dict[str, Mapping[str, Any]]] = {}
    unusable: dict[Account, FixConfig] = {}
    for one in added:
        if one.connector in connectors:
            waiting.setdefault(one.connector, {})[one.connection] = one.config
        else:
            unusable[one.connector, one.connection] = FixConfig(
                f"no connector {one.connector!r} loads, to which {one} was added",
                todo=f"Put its folder right, or `integrations connections remove {one}`.",
            )
    for name, given in waiting.items():
        connectors[name], wrong = _with(connectors[name], given)
        unusable |= {(name, connection): error for connection, error in wrong.items()}
    return list(connectors.values()), unusable


def checked(
    connector: Connector, name: str, values: Mapping[str, Any], *, unread: Iterable[Mistake] = ()
) -> Added:
    """What would be added, for the table; `values` as a file would have them.

    Raises `FixConfig` with every mistake, those in `unread` first; none of them shows what may be
    a secret.
    """
    found = [*unread, *mistakes(connector, {name: values})[name]]
    if found:
        count = "1 mistake" if len(found) == 1 else f"{len(found)} mistakes"
        raise FixConfig(f"the connection cannot be added: {count}", mistakes=found)
    config = Connection.model_validate(values).model_dump(mode="json", exclude_unset=True)
    return Added(connector.name, name, config)


def mistakes(connector: Connector, given: Mapping[str, Any]) -> dict[str, list[Mistake]]:
    """By connection what is wrong with each, were it added to the connector: all of it."""
    auth = connector.config.auth_handler.model_dump(mode="json", exclude_none=True)
    found: dict[str, list[Mistake]] = {name: _taken(connector, name) for name in given}
    # The other parts of the file are right, or it would not have loaded: they are left out here.
    values, models = {"connections": dict(given), "auth_handler": auth}, Models(connector.folder)
    for at, message in attribute_mistakes(values, {}, models=models):
        if at[:1] == ("connections",) and len(at) > 1:
            found[str(at[1])].append(Mistake(message))
    for name, values in given.items():
        found[name] += _unreachable(connector, name, values)
    return found


def _with(
    connector: Connector, given: Mapping[str, Mapping[str, Any]]
) -> tuple[Connector, dict[str, FixConfig]]:
    """The connector with those of the given that are right, and what is wrong with the others."""
    found = mistakes(connector, given)
    right = {
        name: Connection.model_validate(values) for name, values in given.items() if not found[name]
    }
    wrong = {
        name: FixConfig(
            f"the connection {connector.name}/{name}, which was added by command, cannot be used",
            todo=AGAIN.format(name=f"{connector.name}/{name}"),
            mistakes=found[name],
        )
        for name in given
        if found[name]
    }
    connections = {**connector.config.connections, **right}
    config = connector.config.model_copy(update={"connections": connections})
    return replace(connector, config=config), wrong


def _taken(connector: Connector, name: str) -> list[Mistake]:
    if name == SANDBOX:
        return [Mistake(f"{SANDBOX!r} is the name of the local twin's connection")]
    if name in connector.config.connections:
        file = connector.folder / CONNECTOR_FILE
        return [Mistake(f"there is a connection {name!r} in {file}, and it is the one that counts")]
    return []


def _unreachable(connector: Connector, name: str, values: Any) -> list[Mistake]:
    """An address that the transport would refuse when it is opened, which is too late. It is not
    shown: somebody may have written a password into it."""
    address = values.get("base_url") if isinstance(values, Mapping) else None
    transport = connector.config.sync_handler.transport
    if not isinstance(address, str):
        return []
    try:
        type(transport).model_validate(transport.model_dump() | {"base_url": address})
    except ValidationError:
        said = "begins with https:// (or http://), names a host and holds no user, password or `?`"
        return [Mistake(f"`connections.{name}.base_url`: an address {said}")]
    return []
