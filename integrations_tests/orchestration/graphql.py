"""What Dagster's GraphQL says of assets, executed in this process over the test's own instance."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.remote_representation.grpc_server_registry import GrpcServerRegistry
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster._grpc.constants import GrpcServerCommand
from dagster_graphql.schema import create_schema

SERVED = Path(__file__).with_name("served.py")
SCHEMA = create_schema()


class Catalogue:
    """The assets of one connector's folder, as the UI and other catalogues read them."""

    def __init__(self, process: WorkspaceProcessContext) -> None:
        self._process = process

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data of an answer, asked anew: nothing that an earlier question loaded is kept."""
        context = self._process.create_request_context()
        answer = SCHEMA.execute(query, context_value=context, variable_values=variables)
        assert answer.errors is None, answer.errors
        found: dict[str, Any] = answer.data
        return found


@contextmanager
def catalogue(folder: Path, instance: dg.DagsterInstance) -> Iterator[Catalogue]:
    """A code location of the folder as it is now."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SERVED_CONNECTOR", str(folder))
        patch.delitem(sys.modules, SERVED.stem, raising=False)  # loaded of another folder before
        origin = LoadableTargetOrigin(python_file=str(SERVED), attribute="defs")
        target = InProcessWorkspaceLoadTarget(InProcessCodeLocationOrigin(origin))
        # No server is started: but an instance in memory could not be handed to one.
        servers = GrpcServerRegistry(
            None,
            GrpcServerCommand.API_GRPC,
            heartbeat_ttl=45,
            startup_timeout=60,
            wait_for_processes_on_shutdown=False,
        )
        with servers, warnings.catch_warnings():
            # Dagster's own snapshot of a schedule reads a property that Dagster deprecated.
            warnings.filterwarnings("ignore", "Property `ScheduleDefinition.environment_vars`")
            process = WorkspaceProcessContext(instance, target, grpc_server_registry=servers)
        with process:
            yield Catalogue(process)
