"""A mapping in words: for the pages of assets, for previews, and as a code version."""

import hashlib
import inspect
import json
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from integrations.transformation.chain import Chain
from integrations.transformation.explode import ITEM, ITEM_NO, of_element
from integrations.transformation.function import PythonFunction
from integrations.transformation.lookup import Lookup, lookups
from integrations.transformation.mapping import BoundField, BoundMapping
from integrations.transformation.rule import TYPE_WORDS, Rule
from integrations.transformation.transform import MASK

if TYPE_CHECKING:
    from integrations.canonical.entity import Entity

_CELL = 40
"""Characters of a value in a preview."""


def field_table(bound: BoundMapping) -> str:
    """The mapping as a markdown table: every column of the entity, what fills it, and what becomes
    of it where that is missing.

    Few columns, because a page of the UI is not wide; required columns are in bold.
    """
    fields = {field.column.name: field for field in bound.fields}
    lines = ["| column | from | rule | missing | is |", "|---|---|---|---|---|"]
    for column in bound.entity.columns():
        field = fields.get(column.name)
        unit = f" in {column.unit}" if column.unit else ""
        personal = " *Personal.*" if column.personal else ""
        cells = (
            column.name if column.nullable else f"**{column.name}**",
            ", ".join(sources_of(field)) if field else "",
            field.rule.name if field else "*not mapped*",
            _missing(bound, field) if field and field.rule.reads() else "",
            f"{column.description} ({TYPE_WORDS[column.type]}{unit}){personal}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    if bound.deleted:
        about = "When the source said that it is deleted (a moment in UTC)"
        lines.append(f"| _deleted_at | `{bound.deleted}` | deleted |  | {about} |")
    return "\n".join([*_selection(bound), *lines])


def _selection(bound: BoundMapping) -> list[str]:
    """Which rows there are, where that is not one for each record."""
    each, where = bound.mapping.each, bound.mapping.where
    told = [f"A row for each element of `{each}`, which is `{ITEM}`."] if each else []
    if where:
        told.append(f"Only where {' and '.join(one.words() for one in where)}.")
    return [" ".join(told), ""] if told else []


def _missing(bound: BoundMapping, field: BoundField) -> str:
    """What becomes of a column that is null, and of one that is absent: `keep`, or where the two
    differ `null: clear, absent: keep`; then the default, as the file writes it."""
    own = "clear" if field.column.nullable else "reject"
    decided = bound.mapping.missing.get(field.column.name)
    if decided is None:
        return own
    null, absent = (policy or own for policy in decided.policies)
    words = null if null == absent else f"null: {null}, absent: {absent}"
    default = "" if decided.default is None else f" (default {_cell(decided.default)})"
    return words + default


def steps(rule: Rule) -> str:
    """A rule in one line, with its settings; the rules of a chain with arrows between."""
    return " → ".join(map(_step, rule.inner() if isinstance(rule, Chain) else (rule,)))


def _step(rule: Rule) -> str:
    given = rule.model_dump(
        mode="json", by_alias=True, exclude_unset=True, exclude={"type", "source"}
    )
    settings = ", ".join(f"{name} {_setting(value)}" for name, value in given.items())
    return f"{rule.name} ({settings})" if settings else rule.name


def _setting(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _CELL else f"{text[: _CELL - 1]}…"


def lineage(bound: BoundMapping) -> dict[str, list[str]]:
    """What each column of the table is made from: its name, and the source paths that it reads.

    Every column of the entity, empty for one that nothing or a constant fills, and of the columns
    around them `source_id`, `_version` and `_deleted_at`. A function's column reads all that it is
    given. The flag of a deleted record stands at `_deleted_at` alone, though it empties the rest;
    so does what a filter looks at. What is in an element of a list has the path `lines[].sku`.
    """
    fields = {field.column.name: list(field.rule.reads()) for field in bound.fields}
    key = dict.fromkeys(path for rule in bound.key for path in rule.reads())
    flags = [bound.deleted] if bound.deleted else []
    flags += [condition.source for condition in bound.mapping.where]
    read = {
        "source_id": list(key),
        **{column.name: fields.get(column.name, []) for column in bound.entity.columns()},
        "_version": [bound.version] if bound.version else [],
        "_deleted_at": list(dict.fromkeys(flags)),
    }
    return {name: [source_path(bound, path) for path in paths] for name, paths in read.items()}


def source_path(bound: BoundMapping, path: str) -> str:
    """Where what a mapping reads stands in the source's record: `lines[].sku` for `item.sku`."""
    each = bound.mapping.each
    if each is None or not of_element(path):
        return path
    return each if path == ITEM_NO else f"{each}[]{path.removeprefix(ITEM)}"


def looked_up(bound: BoundMapping) -> dict[str, list[Lookup]]:
    """The lookups by which columns are filled: each takes its `value` and depends on its `key`."""
    found = {field.column.name: list(lookups(field.rule)) for field in bound.fields}
    return {name: rules for name, rules in found.items() if rules}


def sources_of(field: BoundField) -> list[str]:
    """What a column is made from: paths of the record, and columns that are looked up."""
    return [*(f"`{path}`" for path in field.rule.reads()), *found_in(field)]


def found_in(field: BoundField) -> list[str]:
    """The columns in which a column's values are looked up, in words."""
    return [f"`{one.value}` of {one.place}" for one in lookups(field.rule)]


def mapping_hash(bound: BoundMapping) -> str:
    """A hash of all that decides what a record becomes: mapping, functions, files and entity.

    Sixteen hexadecimal digits, equal in every process; a changed description leaves it as it is.
    """
    version = bound.entity.definition().version
    columns = [[c.name, str(c.type), c.nullable, c.checks] for c in bound.entity.columns()]
    mapping = bound.mapping.model_dump(mode="json", by_alias=True)
    functions = [_source(field.rule) for field in bound.fields]
    functions += [found for rule in bound.key if (found := _source(rule))]
    parents = [[bound.version, bound.deleted]] if bound.of else []
    told = [mapping, version, columns, functions, *parents]
    text = json.dumps(told, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def masked(rows: pa.Table, entity: "type[Entity]", *, limit: int = 10) -> str:
    """The first rows as a markdown table, personal values masked, columns without values left out.

    A preview: long values are cut. Markdown in a value is shown, not rendered.
    """
    personal = {column.name for column in entity.columns() if column.personal}
    head = rows.slice(0, limit)
    names = [n for n in head.column_names if n[0] != "_" and head[n].null_count < len(head)]
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    for row in head.select(names).to_pylist():
        cells = (_cell(MASK if n in personal and v else v) for n, v in row.items())
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) if names else ""


def _cell(value: object) -> str:
    if value is None:
        return ""
    shown = f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)
    text = " ".join(shown.split())
    text = text if len(text) <= _CELL else f"{text[: _CELL - 1]}…"
    for special in "\\`*_<>[]|":
        text = text.replace(special, f"\\{special}")
    return text


def _source(of: Rule) -> list[str]:
    """The functions, each with the whole file that it stands in: it may call others there; and
    the hashes of files in which something is looked up."""
    found = []
    for rule in of.every():
        if isinstance(rule, PythonFunction) and (function := rule.function) is not None:
            file = inspect.getsourcefile(function)
            around = Path(file).read_text(encoding="utf-8") if file else ""
            found.append(f"{function.__qualname__}\n{around}")
    return found + [one.digest for one in lookups(of) if one.digest]
