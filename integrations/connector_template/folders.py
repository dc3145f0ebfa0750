"""Where connectors are: the folders that are shipped, and those of the user."""

from collections.abc import Iterable
from pathlib import Path

from integrations import connectors
from integrations.connector_template.connector import Connector, read_connector
from integrations.connector_template.models import Defined
from integrations.errors import FixConfig
from integrations.settings import CONNECTOR_FILE

SHIPPED = Path(connectors.__file__).parent


def folders(further: Iterable[Path] = ()) -> list[Path]:
    """The connector folders that are shipped, then those below each of the further paths."""
    return [
        file.parent
        for path in (SHIPPED, *further)
        for file in sorted(path.glob(f"*/{CONNECTOR_FILE}"))
    ]


def read(found: Iterable[Path]) -> tuple[list[Connector], dict[Path, FixConfig]]:
    """The connectors that load, and what is wrong with each of the others.

    Of two folders with one name the first loads; the error of the second names both. So it is with
    two models of one entity.
    """
    loaded: dict[str, Connector] = {}
    entities: Defined = {}
    broken: dict[Path, FixConfig] = {}
    for folder in found:
        try:
            if folder.name in loaded:
                raise FixConfig(
                    f"two connectors are called {folder.name!r}: {loaded[folder.name].folder} "
                    f"and {folder}",
                    todo="Rename one of the folders.",
                )
            connector = loaded[folder.name] = read_connector(folder, known=entities)
            entities = {**connector.entities, **entities}
        except FixConfig as error:
            broken[folder] = error
    return list(loaded.values()), broken
