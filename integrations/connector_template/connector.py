"""A connector's folder, read and checked: from `defs.yaml` to streams that can be synced.

Whatever is wrong with a file is found at load, all of it at once, each mistake with its line; what
loads, works.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from integrations.connector_template import transformer
from integrations.connector_template.config_schema import Connection, ConnectorConfig
from integrations.connector_template.event_handler import ChangeFeed, Feeds
from integrations.connector_template.mistakes import mistakes
from integrations.connector_template.models import Defined, Models
from integrations.connector_template.rule_secrets import rule_secrets
from integrations.connector_template.source_file import read_yaml
from integrations.connector_template.sync_handler import ChildStream, Stream
from integrations.connector_template.transformer import Functions
from integrations.error_handling.alert import Alert
from integrations.errors import FixConfig, Mistake
from integrations.names import NAME_RULE, StreamId, is_name
from integrations.secrets import Secret
from integrations.settings import CONNECTOR_FILE
from integrations.storage.merge import Order
from integrations.sync_state.windows import FullSync
from integrations.transformation.events import Router
from integrations.transformation.mapping import BoundMapping
from integrations.transport.file_request import FilesRequest


@dataclass(frozen=True)
class BoundStream:
    """A stream of one connection, with all that its sync needs to know; `folder` is where its file
    is, None where it has none.

    A child stream is read as its parent is, and `stream` is the parent's; that one knows its
    `children`, who know it without them.
    """

    id: StreamId
    config: ConnectorConfig
    connection: Connection
    stream: Stream
    mapping: BoundMapping
    folder: Path | None = None
    parent: "BoundStream | None" = None
    children: tuple["BoundStream", ...] = ()

    @property
    def source(self) -> StreamId:
        """The stream whose landings hold its records."""
        return self.parent.id if self.parent else self.id

    @property
    def family(self) -> "tuple[BoundStream, ...]":
        """The stream and its children, which are loaded together."""
        return (self, *self.children)

    @property
    def alert(self) -> Alert:
        """How much of it a run may refuse untold."""
        return self.config.sync_handler.streams[self.id.stream].alert

    def secrets(self) -> Mapping[str, Secret]:
        """Those that its rules need, as they are now; raises `FixConfig` where one is not there."""
        names = self.mapping.secrets()
        return rule_secrets(self.id, self.connection.secrets, names=names) if names else {}

    @property
    def feeds(self) -> tuple[str, ...]:
        """The names of the feeds that route to it."""
        found = _feeds(self.config).items()
        return tuple(name for name, feed in found if self.id.stream in feed.routes.values())

    @property
    def of_files(self) -> bool:
        """Whether its source keeps its records in files."""
        return isinstance(self.stream.request, FilesRequest)

    @property
    def looks_up(self) -> tuple[StreamId, ...]:
        """The streams in which it looks values up."""
        found = dict.fromkeys(one.stream for one in self.mapping.needs if one.stream)
        return tuple(replace(self.id, stream=name) for name in found)

    @property
    def reread(self) -> bool:
        """Whether a pull puts right, sooner or later, what a feed may have said in a wrong order:
        a full reading does, and windows that are pulled again."""
        return self.stream.sync.rereads

    @property
    def order(self) -> Order:
        """How two statements about one of its records are put in order.

        A stream that is only pulled is said by one clock, and needs no slack; one that has neither
        a feed nor deletes need not keep when its unchanged rows were last said.
        """
        sync, fed = self.stream.sync, bool(self.feeds)
        absence = isinstance(sync, FullSync) and sync.deletes == "absence"
        related = self.parent is not None or bool(self.children)
        deletes = self.mapping.deleted is not None or bool(self.mapping.mapping.where)
        return Order(
            slack_s=self.connection.slack_s if fed else 0.0,
            restamp=fed or absence or deletes or related or self.of_files,
        )


@dataclass(frozen=True)
class BoundFeed:
    """A feed of one connection, with the streams that its events speak of, by kind of event."""

    id: StreamId
    config: ConnectorConfig
    connection: Connection
    feed: ChangeFeed
    routes: Mapping[str, BoundStream]
    router: Router


@dataclass(frozen=True)
class Connector:
    """A connector that loads: its name (the folder's), its file and its mappings, bound."""

    name: str
    folder: Path
    config: ConnectorConfig
    mappings: Mapping[str, BoundMapping]

    @property
    def entities(self) -> Defined:
        """What its streams fill."""
        return {one.entity.entity_name(): one.entity for one in self.mappings.values()}

    def streams(self) -> Iterator[BoundStream]:
        """Every stream of every connection, each followed by its children."""
        for connection, account in self.config.connections.items():
            for name, stream in self.config.sync_handler.streams.items():
                if isinstance(stream, Stream):
                    id_, mapping = StreamId(self.name, connection, name), self.mappings[name]
                    whole = self.config.sync_handler.bound(stream)
                    alone = BoundStream(id_, self.config, account, whole, mapping, self.folder)
                    yield from replace(alone, children=tuple(self._children(alone))).family

    def _children(self, parent: BoundStream) -> Iterator[BoundStream]:
        for name, stream in self.config.sync_handler.streams.items():
            if isinstance(stream, ChildStream) and stream.of == parent.id.stream:
                id_ = replace(parent.id, stream=name)
                yield replace(parent, id=id_, mapping=self.mappings[name], parent=parent)

    def feeds(self) -> Iterator[BoundFeed]:
        """Every feed of every connection."""
        streams = {(bound.id.connection, bound.id.stream): bound for bound in self.streams()}
        for connection, account in self.config.connections.items():
            for name, feed in _feeds(self.config).items():
                id_ = StreamId(self.name, connection, name)
                routes = {kind: streams[connection, to] for kind, to in feed.routes.items()}
                yield BoundFeed(id_, self.config, account, feed, routes, _router(feed, routes))


def _router(feed: ChangeFeed, routes: Mapping[str, BoundStream]) -> Router:
    hints = {to.id.stream for to in routes.values() if feed.event.is_hint(reread=to.reread)}
    return Router(feed.event, feed.routes, hints=hints)


def _feeds(config: ConnectorConfig) -> Mapping[str, ChangeFeed]:
    handler = config.event_handler
    return handler.feeds if isinstance(handler, Feeds) else {}


def read_connector(folder: Path, *, known: Defined | None = None) -> Connector:
    """Reads a connector's folder; raises `FixConfig` with every mistake, in the file's order.

    `known` are entities of other connectors, which this one cannot define otherwise.
    """
    return read_as(folder, folder / CONNECTOR_FILE, known=known)


def read_as(folder: Path, file: Path, *, known: Defined | None = None) -> Connector:
    """Reads a connector's folder as if `file` were its file; as `read_connector`."""
    source = read_yaml(file)
    functions, found = _functions(folder)
    wrong = mistakes(source.values, functions, models=Models(folder, known=known))
    found += [source.mistake(at, message) for at, message in wrong]
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
    streams = config.sync_handler.streams.items()
    parents = {name: one.of for name, one in streams if isinstance(one, ChildStream)}
    own, models = transformer.functions(folder), Models(folder)
    bound = transformer.bound(config.transformer, own, models=models, parents=parents)
    return Connector(folder.name, folder, config, bound)
