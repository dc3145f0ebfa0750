"""A record's id in its source, as the one text that the table is keyed by."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from integrations.storage.partial import unmarked
from integrations.transformation.arrow import Array, array, pc, positions
from integrations.transformation.kinds import Kind
from integrations.transformation.parse import Parser
from integrations.transformation.rule import TEXT, Columns, Rule

LONGEST = 500
"""Characters. Postgres refuses an index row over 2,704 bytes, and with it the whole load."""


def source_ids(key: Sequence[Rule], columns: Columns, *, rows: int) -> tuple[Array, Array]:
    """The ids, and which of them are no ids: a part is missing, blank or null, or all too long.

    Parts are joined by `/`; one within a part is written `%2F`, so that no two keys look alike.
    """
    parts = [rule.apply(columns, wanted=TEXT, rows=rows).values for rule in key]
    if len(parts) == 1:
        return parts[0], unfit(parts[0], parts)
    parts = list(map(_escaped, parts))
    ids = joined(parts)
    return ids, unfit(ids, parts)


def beginnings(key: Sequence[Rule], of: int, columns: Columns, *, rows: int) -> Array:
    """The first `of` parts of ids, as these are written in ids of the whole key."""
    if of == len(key) == 1:
        return source_ids(key, columns, rows=rows)[0]
    parts = (rule.apply(columns, wanted=TEXT, rows=rows).values for rule in key[:of])
    return joined(list(map(_escaped, parts)))


def joined(parts: Sequence[Array]) -> Array:
    """The parts of ids in one."""
    ids: Array = pc.binary_join_element_wise(*parts, "/")
    return ids


def _escaped(part: Array) -> Array:
    for old, new in (("%", "%25"), ("/", "%2F")):
        part = pc.replace_substring(part, pattern=old, replacement=new)
    return part


def unfit(ids: Array, parts: Sequence[Array]) -> Array:
    """Which ids are none: null, holding NUL, all too long, or made of a blank part."""
    bad = pc.or_(pc.greater(pc.utf8_length(ids), LONGEST), pc.match_substring(ids, "\x00"))
    for part in parts:
        bad = pc.or_(bad, pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(part)), 0))
    found: Array = pc.fill_null(bad, True)
    return found


class KeyReader:
    """Reads the key of records that cannot be read in full, so that quarantine knows them by it."""

    def __init__(self, key: Sequence[Rule], paths: Mapping[str, Kind]) -> None:
        self._key = key
        wanted = {path for rule in key for path in rule.reads()}
        self._parser = Parser({path: paths[path] for path in wanted})

    def read(self, records: Array) -> list[str | None]:
        """The id of each record, None where it has none that can be read; where the source says
        that it is not whole, the id in what is there."""
        values: list[Any] = records.to_pylist()
        sent = array(list(map(unmarked, values)), pa.binary())
        parsed = self._parser.parse(sent)
        ids, bad = source_ids(self._key, parsed.columns, rows=len(parsed.rows))
        found: list[str | None] = [None] * len(records)
        good = pc.if_else(bad, None, ids).to_pylist()
        for row, key in zip(positions(parsed.rows), good, strict=True):
            found[row] = key
        return found
