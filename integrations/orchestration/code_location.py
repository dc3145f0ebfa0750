"""The code location: every connector that loads, and an honest stand-in for what does not.

One broken file must not take the others down, so each folder is built by itself; nor may one
connection that was added by command, and that its connector's file no longer fits.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from zlib import crc32

import dagster as dg

from integrations.connector_template.connections import merged
from integrations.connector_template.folders import read
from integrations.errors import FixConfig
from integrations.orchestration import keys
from integrations.orchestration.component import Connector as Component
from integrations.orchestration.component import shared_nodes
from integrations.orchestration.resources import STORE
from integrations.storage.connections import Added


def build(found: Iterable[Path], *, added: Iterable[Added] = ()) -> dg.Definitions:
    """The definitions of all folders with the connections that were added, merged."""
    files, broken = read(found)
    loaded, unusable = merged(files, added)
    stand_ins = [_stand_in(path.name, bytes(path), error) for path, error in broken.items()]
    stand_ins += [
        _stand_in(connector, f"{connector}/{name}".encode(), error)
        for (connector, name), error in unusable.items()
    ]
    return dg.Definitions.merge(
        *(Component(one).own_defs() for one in loaded),
        dg.Definitions(
            assets=[*shared_nodes(loaded), *stand_ins],
            resources={keys.STORE: STORE},
            # Imports dominate a small run: a process for each step would triple its CPU time.
            executor=dg.in_process_executor,
        ),
    )


def _stand_in(called: str, mark: bytes, error: FixConfig) -> dg.AssetsDefinition:
    """An asset whose description and failure say why a connector, or one of its connections, is
    not there; `mark` tells it from others that are called so."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", called)  # what Dagster takes in a key
    message = str(error)

    @dg.asset(
        key=[name, f"broken_{crc32(mark):08x}"],
        group_name="broken_connectors",
        kinds={"yaml"},
        description=f"This does not load:\n```\n{message}\n```",
    )
    def broken() -> None:
        raise dg.Failure(message, allow_retries=False)

    return broken
