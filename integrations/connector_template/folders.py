"""Where connectors are: the folders that are shipped, and those of the user."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from integrations import connectors
from integrations.connector_template.connector import Connector, read_connector
from integrations.connector_template.models import Defined
from integrations.errors import FixConfig
from integrations.settings import CONNECTOR_FILE

if TYPE_CHECKING:
    from integrations.canonical.entity import Entity

    Known = tuple[tuple[str, type[Entity]], ...]

SHIPPED = Path(connectors.__file__).parent


def folders(further: Iterable[Path] = ()) -> list[Path]:
    """The connector folders that are shipped, then those below each of the further paths."""
    return [folder for path in (SHIPPED, *further) for folder in folders_below(path)]


def folders_below(path: Path) -> list[Path]:
    """The connector folders in a folder, by their names."""
    return [file.parent for file in sorted(path.glob(f"*/{CONNECTOR_FILE}"))]


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
            known = tuple(entities.items())
            connector = loaded[folder.name] = _read(folder, _state(folder), known)
            entities = {**connector.entities, **entities}
        except FixConfig as error:
            broken[folder] = error
    return list(loaded.values()), broken


_READ: "dict[Path, tuple[bytes, Known, Connector]]" = {}
"""Of each folder what it was read as last, and from what: a lookup's file may be large."""


def _read(folder: Path, state: bytes, known: "Known") -> Connector:
    """A folder whose files are as they were is read once in a process: a sync asks three times."""
    kept = _READ.get(folder)
    if kept is None or kept[:2] != (state, known):
        _READ.pop(folder, None)
        kept = _READ[folder] = (state, known, read_connector(folder, known=dict(known)))
    return kept[2]


def _state(folder: Path) -> bytes:
    """A digest of the folder's files; other for other rights, which may be too wide to be read."""
    digest = hashlib.blake2b(str(folder.stat().st_mode).encode())
    for file in sorted(folder.iterdir()):
        if file.is_file():
            try:
                mode, content = file.stat().st_mode, file.read_bytes()
            except OSError as error:  # who needs the file says so; an editor's may be gone
                mode, content = 0, str(error).encode()
            digest.update(f"{file.name}\0{mode}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.digest()
