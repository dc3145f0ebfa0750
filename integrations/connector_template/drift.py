"""Drift: what a landing shows of its source that was not known, and whether it may be loaded.

A field that is new is no harm, and is told once. One that a column is made from and that nearly
every record had must not vanish unnoticed: loaded, its absence would empty the column row by row.
Nor must one that is asked which rows there are: without it a filter takes all of them away.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from integrations.connector_template.connector import BoundStream
from integrations.connector_template.source_file import read_yaml
from integrations.errors import FixConfig
from integrations.names import Window
from integrations.settings import CONNECTOR_FILE
from integrations.storage import fields, positions
from integrations.transformation.describe import source_path
from integrations.transformation.mapping import BoundField
from integrations.transformation.shape import Change, Shape

_TOLD = 20
"""Changes that are told one by one."""
_WORDS = {
    "new": "new: {path} ({types}), in {share:.0%} of records",
    "changed": "changed: {path} is {types} now, in {share:.0%} of records",
    "gone": "gone: {path} ({types}), which {share:.0%} of records had",
    "back": "back: {path} ({types}), in {share:.0%} of records",
}


@dataclass(frozen=True)
class Drift:
    """What was not known: `lines` for people, with the place of the mapping that is concerned.
    `broken` says why it must not be loaded, "" where it may."""

    lines: tuple[str, ...] = ()
    broken: str = ""


def shape_of(stream: BoundStream) -> Shape:
    """An empty shape for records of a stream; what is read as a whole is not looked into."""
    return Shape(
        source_path(one.mapping, path)
        for one in stream.family
        for path, kind in one.mapping.paths.items()
        if kind.render is not None
    )


def judged(
    stream: BoundStream,
    shape: Shape,
    strange: Mapping[str, Mapping[str, int]],
    window: Window | None,
    *,
    connection: psycopg.Connection[Any],
) -> Drift:
    """What of the shape is news, within the transaction of its load. `strange` are the words that
    the mapping of a column does not know."""
    changes = shape.changes(fields.known(connection, stream.id))
    gone = [one.path for one in changes if one.what == "gone"]
    if gone and not _newest(stream, window, connection=connection):
        changes, gone = [one for one in changes if one.what != "gone"], []
    lost = [path for path in gone if any(_empties(one) for _, one in _fields(stream, path))]
    blind = [path for path in gone if path not in lost and any(_deciding(stream, path))]
    told = [
        f"{', '.join(f'`{path}`' for path in paths)} vanished from all records, and {why}"
        for paths, why in (
            (lost, "columns are made from it"),
            (blind, "which rows there are is decided by it"),
        )
        if paths
    ]
    return Drift(tuple(_lines(stream, changes, strange)), "; ".join(told))


def of_words(stream: BoundStream, strange: Mapping[str, Mapping[str, int]]) -> Drift:
    """What is news of a child stream: its fields are told with its parent's."""
    return Drift(tuple(_lines(stream, [], strange)))


def note(
    stream: BoundStream,
    shape: Shape,
    window: Window | None,
    *,
    connection: psycopg.Connection[Any],
    run_id: str,
) -> None:
    """Remembers the shape, within the transaction of its load. What an older landing lacks is not
    missed: else the newest could lack it too, and nobody would be told."""
    after = shape.known(fields.known(connection, stream.id))
    missed = [path for path, one in after.items() if one.unseen]
    if missed and not _newest(stream, window, connection=connection):
        after = {path: one for path, one in after.items() if not one.unseen}
    fields.write(connection, stream.id, after, run_id=run_id)


def _newest(
    stream: BoundStream, window: Window | None, *, connection: psycopg.Connection[Any]
) -> bool:
    """Whether the landing is of the latest time that was loaded: an older one may lack what its
    records did not have yet."""
    if window is None:
        return True
    loaded = positions.ever_committed(connection, stream.id)  # those of before a reset too
    return all(one.window is None or one.window.start <= window.start for one in loaded)


def _fields(stream: BoundStream, path: str) -> Iterator[tuple[BoundStream, BoundField]]:
    """The columns that are made from a field of the source, or from one within it: the stream's
    own, and those of its children."""
    for one in stream.family:
        for field in one.mapping.fields:
            if _reads(one, field.rule.reads(), path):
                yield one, field


def _deciding(stream: BoundStream, path: str) -> Iterator[tuple[BoundStream, str]]:
    """The settings that ask it which records there are, and which of them are there."""
    for one in stream.family:
        bound = one.mapping
        asked = {
            "where": [condition.source for condition in bound.mapping.where],
            "deleted": [bound.deleted] if bound.deleted else [],
            "version": [bound.version] if bound.version else [],
        }
        yield from ((one, name) for name, paths in asked.items() if _reads(one, paths, path))


def _reads(stream: BoundStream, paths: Iterable[str], path: str) -> bool:
    """Whether one of a mapping's paths is a field of the source, or lies within it."""
    read = (source_path(stream.mapping, one) for one in paths)
    return any(f"{found}.".startswith((f"{path}.", f"{path}[]")) for found in read)


def _empties(field: BoundField) -> bool:
    """Whether the column loses its values where the source does not give them any more."""
    return field.missing is None or field.missing.absent in (None, "clear")


def _lines(
    stream: BoundStream, changes: list[Change], strange: Mapping[str, Mapping[str, int]]
) -> Iterator[str]:
    for change in changes[:_TOLD]:
        said = _WORDS[change.what].format(
            path=f"`{change.path}`", types=" or ".join(change.types), share=change.share
        )
        names = [(one, field.column.name) for one, field in _fields(stream, change.path)]
        places = [f"{name} is made from it{_place(one, 'fields', name)}" for one, name in names] + [
            f"`{name}` reads it{_place(one, name)}" for one, name in _deciding(stream, change.path)
        ]
        yield f"{said}; {'; '.join(places) or 'nothing reads it'}"
    if len(changes) > _TOLD:
        yield f"and {len(changes) - _TOLD} more: `SELECT * FROM integrations.fields` has all"
    for column, words in strange.items():
        most = sorted(words.items(), key=lambda word: -word[1])[:_TOLD]
        told = ", ".join(f"{word!r} ({count}×)" for word, count in most)
        yield f"{column} does not know the words {told}{_place(stream, 'fields', column)}"


def _place(stream: BoundStream, *below: str) -> str:
    """Where a part of the stream's mapping stands, for the end of a sentence."""
    if stream.folder is None:
        return ""
    try:
        source = read_yaml(stream.folder / CONNECTOR_FILE)
    except FixConfig:  # the file may be in somebody's editor
        return ""
    at = ("attributes", "transformer", stream.id.stream, *below)
    mistake = source.mistake(at, "")
    return f" ({CONNECTOR_FILE}:{mistake.line})"
