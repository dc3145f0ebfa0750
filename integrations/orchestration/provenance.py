"""By which mapping and from which landing something was made: what Dagster finds the stale ones by.

Dagster puts these tags on what a step returns. Ours is logged window by window and would carry
none, and what has none never becomes stale. Each tag is a row of its own in Dagster's database, so
only those are written that something compares:

- raw: the landing, which canonical compares. A landing that was never loaded shows canonical stale.
- canonical: the mapping, which Dagster compares with the file's, the landing that was read, and
  what values were looked up in: when a table without windows is loaded after that, canonical shows
  stale, for its rows keep what they were given.
- table: what its rows were made of, for assets of the user's that read it. Whether canonical is
  newer than the table, Dagster sees by their times.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import dagster as dg
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_TAG,
    DEFAULT_DATA_VERSION,
    NULL_EVENT_POINTER,
    extract_data_version_from_entry,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)
from dagster._core.storage.tags import HIDDEN_TAG_PREFIX

from integrations.names import StreamId
from integrations.orchestration import keys

Tags = dict[str, str]

MAPPING = f"{HIDDEN_TAG_PREFIX}mapping"
"""The run tag with the stream and the mapping that its step works with, for who reports for it."""
UNKNOWN = "unknown"
"""Equal to no mapping's hash: better shown stale than green by mistake."""


@dataclass(frozen=True)
class Origin:
    """What something was made of: the mapping's hash, as it was when the process loaded it, the id
    of the landing, and what values were looked up in."""

    mapping: str
    landing: str
    looked_up: tuple[dg.AssetKey, ...] = ()


def run_tags(stream: StreamId, mapping: str) -> Tags:
    """The tag of a run whose step works on the stream. Steps of a run go one after the other."""
    return {MAPPING: f"{mapping} {stream}"}


def mapping_of(tags: Mapping[str, str], stream: StreamId) -> str:
    """The mapping that a run used for a stream, by the run's tags."""
    mapping, _, named = tags.get(MAPPING, "").partition(" ")
    return mapping if named == str(stream) else UNKNOWN


def stream_of(tags: Mapping[str, str]) -> StreamId | None:
    """The stream that a run's step works on."""
    _, _, named = tags.get(MAPPING, "").partition(" ")
    return StreamId(*named.split("/")) if named else None


def of_raw(landing: str) -> Tags:
    """What a landing is known by."""
    return {DATA_VERSION_TAG: landing}


def of_canonical(
    stream: StreamId, origin: Origin, *, partition: str | None, instance: dg.DagsterInstance
) -> Tags:
    """The mapping, the landing, and the event that told of it: so that one is logged before; and of
    what values were looked up in, the newest version. `stream` is the one whose landing it is."""
    raw = keys.raw(stream)
    tags: Tags = {}
    for key in origin.looked_up:
        tags |= _as_it_is(key, instance)
    return tags | {
        CODE_VERSION_TAG: origin.mapping,
        get_input_data_version_tag(raw): origin.landing,
        get_input_event_pointer_tag(raw): _pointer(raw, origin.landing, partition, instance),
    }


def of_table(origin: Origin) -> Tags:
    """The same landing through the same mapping is the same version."""
    return {DATA_VERSION_TAG: f"{origin.landing} {origin.mapping}"}


def _as_it_is(key: dg.AssetKey, instance: dg.DagsterInstance) -> Tags:
    """The version of an asset now; one of which nothing is known has Dagster's first."""
    newest = instance.get_latest_data_version_record(key)
    version = extract_data_version_from_entry(newest.event_log_entry) if newest else None
    return {
        get_input_data_version_tag(key): (version or DEFAULT_DATA_VERSION).value,
        get_input_event_pointer_tag(key): str(newest.storage_id) if newest else NULL_EVENT_POINTER,
    }


def _pointer(
    raw: dg.AssetKey, landing: str, partition: str | None, instance: dg.DagsterInstance
) -> str:
    """The id of the event that told of the landing: of a partition, Dagster asks what came after.

    Where the newest event tells of another landing, the place before it: then canonical is stale.
    """
    asked = dg.AssetRecordsFilter(raw, asset_partitions=[partition] if partition else None)
    newest = instance.fetch_materializations(asked, limit=1).records
    if not newest:
        return NULL_EVENT_POINTER
    version = extract_data_version_from_entry(newest[0].event_log_entry)
    same = version is not None and version.value == landing
    return str(newest[0].storage_id if same else newest[0].storage_id - 1)
