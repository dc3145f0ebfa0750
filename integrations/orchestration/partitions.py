"""A stream's windows as Dagster's partitions, and back."""

import dagster as dg

from integrations.connector_template.config_schema import Connection
from integrations.connector_template.connector import BoundStream
from integrations.names import Window
from integrations.sync_state.windows import Cadence, WindowSync

CRON: dict[Cadence, str] = {"hourly": "0 * * * *", "daily": "0 0 * * *"}
FORMAT: dict[Cadence, str] = {"hourly": "%Y-%m-%d-%H:%M", "daily": "%Y-%m-%d"}


RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


def partitions(stream: BoundStream) -> dg.TimeWindowPartitionsDefinition | None:
    """The partitions of a windowed stream, None for one that is read in full."""
    if not isinstance(stream.stream.sync, WindowSync):
        return None
    return time_windows(stream.stream.sync.cadence, stream.connection)


def time_windows(cadence: Cadence, connection: Connection) -> dg.TimeWindowPartitionsDefinition:
    """One partition a window that has passed, in UTC, since the connection's start."""
    return dg.TimeWindowPartitionsDefinition(
        cron_schedule=CRON[cadence],
        fmt=FORMAT[cadence],
        start=connection.begins_at,
        timezone="UTC",
    )


def window(definition: dg.TimeWindowPartitionsDefinition, key: str) -> Window:
    """The window that a partition key stands for."""
    found = definition.time_window_for_partition_key(key)
    return Window(found.start, found.end)


def key(definition: dg.TimeWindowPartitionsDefinition, window: Window) -> str:
    """The partition key of a window."""
    return window.start.strftime(definition.fmt)


def range_tags(
    definition: dg.TimeWindowPartitionsDefinition | None, stretch: list[Window]
) -> dict[str, str]:
    """The run tags that make one run of an unbroken stretch of windows; none for a full stream."""
    if definition is None or not stretch:
        return {}
    return {RANGE_START: key(definition, stretch[0]), RANGE_END: key(definition, stretch[-1])}
