"""A connector's folder, read and checked: from `defs.yaml` to streams that can be synced.

Whatever is wrong with a file is found at load, all of it at once, each mistake with its line; what
loads, works.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from integrations.connector_template import transformer
from integrations.connector_template.config_schema import Connection, ConnectorConfig
from integrations.connector_template.mistakes import mistakes
from integrations.connector_template.source_file import read_yaml
from integrations.connector_template.sync_handler import Stream
from integrations.connector_template.transformer import Functions
from integrations.errors import FixConfig, Mistake
from integrations.names import NAME_RULE, StreamId, is_name
from integrations.settings import CONNECTOR_FILE
from integrations.transformation.mapping import BoundMapping


@dataclass(frozen=True)
class BoundStream:
    """A stream of one connection, with all that its sync needs to know."""

    id: StreamId
    config: ConnectorConfig
    connection: Connection
    stream: Stream
    mapping: BoundMapping


@dataclass(frozen=True)
class Connector:
    """A connector that loads: its name (the folder's), its file and its mappings, bound."""

    name: str
    folder: Path
    config: ConnectorConfig
    mappings: Mapping[str, BoundMapping]

    def streams(self) -> Iterator[BoundStream]:
        """Every stream of every connection."""
        for connection, account in self.config.connections.items():
            for name, stream in self.config.sync_handler.streams.items():
                id_ = StreamId(self.name, connection, name)
                yield BoundStream(id_, self.config, account, stream, self.mappings[name])


def read_connector(folder: Path) -> Connector:
    """Reads a connector's folder; raises `FixConfig` with every mistake, in the file's order."""
    source = read_yaml(folder / CONNECTOR_FILE)
    functions, found = _functions(folder)
    found += [source.mistake(at, message) for at, message in mistakes(source.values, functions)]
    if not is_name(folder.name):
        said = f"the folder's name {folder.name!r} is no name: {NAME_RULE}"
        found.append(source.mistake((), said))
    if found:
        found.sort(key=lambda mistake: (mistake.file, mistake.line, mistake.column, str(mistake)))
        count = "1 mistake" if len(found) == 1 else f"{len(found)} mistakes"
        raise FixConfig(f"connector {folder.name!r} has {count} in its file", mistakes=found)
    return connector(folder, ConnectorConfig.model_validate(source.values["attributes"]))


def _functions(folder: Path) -> tuple[Functions, list[Mistake]]:
    """The folder's functions; where they cannot be had, any name passes for one."""
    try:
        return transformer.functions(folder), []
    except FixConfig as error:
        return transformer.Unknown(), list(error.mistakes)


def connector(folder: Path, config: ConnectorConfig) -> Connector:
    """A config that has no mistakes, as a connector."""
    own = transformer.functions(folder)
    bound = {name: transformer.bind(given, own) for name, given in config.transformer.items()}
    return Connector(folder.name, folder, config, bound)
