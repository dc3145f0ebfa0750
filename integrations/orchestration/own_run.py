"""What the run of this process needs of the definitions.

Dagster starts a process for each run that the UI or a schedule launches, and has it load all
definitions again. With fifty connectors that costs more than a small run does, so such a process
builds only the connectors of which its run has assets. Wherever that is not known for certain, it
builds all of them, which is never wrong.
"""

import multiprocessing
from collections.abc import Container, Iterable, Sequence
from pathlib import Path

import dagster as dg
import psycopg
from dagster._grpc.types import ExecuteExternalJobArgs
from dagster._serdes import deserialize_value
from dagster_shared.serdes.errors import DeserializationError

from integrations.errors import IntegrationError
from integrations.settings import Settings
from integrations.storage.connections import Added
from integrations.storage.database import connect
from integrations.storage.postgres import database_url


def needed(
    settings: Settings, found: Sequence[Path], added: Iterable[Added]
) -> tuple[Sequence[Path], list[Added]]:
    """The connectors' folders, and the connections added to connectors, that this process needs:
    all of them unless it executes a run."""
    names = _connectors(settings)
    if names is None or not names <= {folder.name for folder in found}:
        return found, list(added)
    return only(names, found, added)


def only(
    names: Container[str], found: Iterable[Path], added: Iterable[Added]
) -> tuple[list[Path], list[Added]]:
    """The folders of the connectors that are named, and what was added to these."""
    return (
        [folder for folder in found if folder.name in names],
        [one for one in added if one.connector in names],
    )


def _connectors(settings: Settings) -> set[str] | None:
    """The connectors of which the run of this process has assets; None where it has no run, or one
    that does not say which assets it is for."""
    run_id = _run_id()
    run = _run(settings, run_id) if run_id else None
    if run is None or not run.asset_selection:
        return None
    checked = {key.asset_key for key in run.asset_check_selection or ()}
    return {key.path[0] for key in run.asset_selection | checked}


def _run_id() -> str | None:
    """The run for which a code server started this process, as it tells `start_run_in_subprocess`.

    Dagster keeps that to itself: nothing else in a process says so before its definitions load.
    """
    first = next(iter(getattr(multiprocessing.current_process(), "_args", ())), None)
    if not isinstance(first, str):
        return None
    try:
        return deserialize_value(first, ExecuteExternalJobArgs).run_id
    except (DeserializationError, ValueError, TypeError):
        return None  # another process's, with arguments of its own


def _run(settings: Settings, run_id: str) -> dg.DagsterRun | None:
    """The run as Dagster's table has it, without an instance, which takes long to load."""
    try:
        with connect(database_url(settings)) as connection:
            row = connection.execute(
                "SELECT run_body FROM dagster.runs WHERE run_id = %s", [run_id]
            ).fetchone()
    except (IntegrationError, psycopg.Error):
        return None
    return deserialize_value(row[0], dg.DagsterRun) if row else None
