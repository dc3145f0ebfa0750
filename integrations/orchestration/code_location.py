"""The code location: every connector that loads, and an honest stand-in for each that does not.

One broken file must not take the others down, so each folder is built by itself.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from zlib import crc32

import dagster as dg

from integrations.connector_template.folders import read
from integrations.errors import FixConfig
from integrations.orchestration import keys
from integrations.orchestration.component import Connector as Component
from integrations.orchestration.entities import entity_specs
from integrations.orchestration.resources import StoreResource


def build(found: Iterable[Path]) -> dg.Definitions:
    """The definitions of all folders, merged."""
    loaded, broken = read(found)
    streams = [stream for one in loaded for stream in one.streams()]
    return dg.Definitions.merge(
        *(Component(one).own_defs() for one in loaded),
        dg.Definitions(
            assets=[*entity_specs(streams), *(_broken(p, error) for p, error in broken.items())],
            resources={keys.STORE: StoreResource()},
            # Imports dominate a small run: a process for each step would triple its CPU time.
            executor=dg.in_process_executor,
        ),
    )


def _broken(folder: Path, error: FixConfig) -> dg.AssetsDefinition:
    """An asset whose description and failure say what is wrong with a folder's file."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", folder.name)  # what Dagster takes in a key
    message = str(error)

    @dg.asset(
        key=[name, f"broken_{crc32(bytes(folder)):08x}"],
        group_name="broken_connectors",
        kinds={"yaml"},
        description=f"This connector does not load:\n```\n{message}\n```",
    )
    def broken() -> None:
        raise dg.Failure(message, allow_retries=False)

    return broken
