"""The tables of schema `canonical`: one per entity, with a partition ("leaf") per connector.

They follow the entity's model by additions only, in a short transaction of their own and never
inside a load: an `ALTER TABLE` waits for open loads, and everybody else waits behind it.
"""

import re
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import psycopg
from psycopg import sql

from integrations.errors import FixConfig, Mistake, RetryLater
from integrations.names import is_name
from integrations.storage import locks

ColumnType = Literal[
    "text", "bigint", "numeric", "double precision", "boolean", "timestamptz", "date", "jsonb",
    "bytea",
]  # fmt: skip
KEY = ("connector", "connection", "stream", "source_id")
"""The primary key of every canonical table."""
STAMPS = ("_version", "_seen_at", "_rank")
"""What the order of statements about a row is decided by."""
KEEP = "_keep_"
"""Before a column's name, in staging: whether a statement leaves the value that is stored."""

_LONGEST = 50
"""`<column>_required` must stay under Postgres's 63 bytes."""
_REQUIRED = "_required"
_WAIT = "5s"
_HALF_FULL = "fillfactor=50"
"""How much of its pages a leaf fills whose rows take new stamps at each reading: they find room
beside the old ones, and no index is touched. Measured: 10 CPU-seconds per million instead of 13."""
_SPELLED = {"timestamptz": "timestamp with time zone"}


@dataclass(frozen=True)
class Column:
    """A column of an entity. Nullable in Postgres even where `required`: a tombstone for a key
    never seen has no values, so a CHECK asks for the value unless the row is deleted."""

    name: str
    type: ColumnType
    required: bool = False
    comment: str = ""


@dataclass(frozen=True)
class TableSpec:
    """An entity as a table. Raises ValueError for names that our own would collide with."""

    entity: str
    columns: tuple[Column, ...]
    comment: str = ""

    def __post_init__(self) -> None:
        if not is_name(self.entity) or self.entity.endswith("_live"):
            raise ValueError(f"{self.entity!r} cannot be an entity's name")
        names = [column.name for column in self.columns]
        for name in names:
            if name in KEY or not re.match(r"^[a-z][a-z0-9_]*$", name) or len(name) > _LONGEST:
                raise ValueError(f"{self.entity}: {name!r} cannot be a column's name")
        if not names:
            raise ValueError(f"{self.entity} has no columns")
        if len(set(names)) < len(names):
            raise ValueError(f"{self.entity}: a column is named twice")

    @property
    def jsonb(self) -> list[str]:
        """The names of the columns that hold JSON."""
        return [column.name for column in self.columns if column.type == "jsonb"]

    @property
    def parent(self) -> sql.Identifier:
        """`canonical.<entity>`: everything, of all connectors, deleted rows too."""
        return sql.Identifier("canonical", self.entity)

    @property
    def live(self) -> sql.Identifier:
        """`canonical.<entity>_live`: the view of what is not deleted."""
        return sql.Identifier("canonical", f"{self.entity}_live")

    def leaf(self, connector: str) -> sql.Identifier:
        """`canonical.<entity>__<connector>`: where the connector's rows are."""
        return sql.Identifier("canonical", f"{self.entity}__{connector}")


class _State(NamedTuple):
    """What the catalogue says: columns with type and comment, required columns, and so on."""

    columns: dict[str, tuple[str, str | None]]
    required: set[str]
    comment: str | None
    leaf: bool
    attached: bool
    viewed: int
    options: tuple[str, ...] = ()


def ensure_leaf(
    connection: psycopg.Connection[Any], spec: TableSpec, *, connector: str, restamped: bool = False
) -> bool:
    """Make the entity's table, its live view and the connector's leaf as `spec` has them, or
    widen them; says whether anything had to be done. `restamped`: rows of the leaf take new stamps
    without another change. The connection must be idle; what is done is committed. With nothing to
    do it is one query of the catalogue.

    Raises FixConfig when a column has another type than the model, RetryLater when a load or a
    reader holds the table.
    """
    if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
        raise ValueError("tables are made on a connection without an open transaction")
    with connection.transaction():
        state = _state(connection, spec, connector)
        if not _statements(spec, state, connector, restamped=restamped):
            return False
    try:
        with connection.transaction():
            connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(_WAIT))
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [locks.TABLES])
            # Once more: another process may have done it while we waited for the lock.
            state = _state(connection, spec, connector)
            for statement in _statements(spec, state, connector, restamped=restamped):
                connection.execute(statement)
    except psycopg.errors.LockNotAvailable as error:
        raise RetryLater(
            f"canonical.{spec.entity} has to change and is in use", todo="Try when no load runs."
        ) from error
    return True


def there(connection: psycopg.Connection[Any], spec: TableSpec, *, connector: str) -> set[str]:
    """The entity's columns that the connector's leaf has; none where there is no leaf yet.

    Raises FixConfig when one of them has another type than the model.
    """
    state = _state(connection, spec, connector)
    if state is None or not state.leaf:
        return set()
    _refuse_other_types(spec, state)
    return {column.name for column in spec.columns} & state.columns.keys()


def _state(connection: psycopg.Connection[Any], spec: TableSpec, connector: str) -> _State | None:
    found = connection.execute(
        """
        SELECT (SELECT jsonb_object_agg(attname, jsonb_build_array(
                           format_type(atttypid, atttypmod), col_description(attrelid, attnum)))
                FROM pg_attribute WHERE attrelid = parent AND attnum > 0 AND NOT attisdropped),
               (SELECT coalesce(array_agg(conname::text), '{}') FROM pg_constraint
                WHERE conrelid = parent AND contype = 'c'),
               obj_description(parent, 'pg_class'),
               leaf IS NOT NULL,
               EXISTS (SELECT FROM pg_inherits WHERE inhrelid = leaf AND inhparent = parent),
               (SELECT count(*) FROM pg_attribute WHERE attrelid = live AND attnum > 0),
               (SELECT coalesce(reloptions, '{}') FROM pg_class WHERE oid = leaf)
        FROM (SELECT to_regclass(%s) AS parent, to_regclass(%s) AS leaf,
                     to_regclass(%s) AS live) names
        """,
        [f"canonical.{spec.entity}{tail}" for tail in ("", f"__{connector}", "_live")],
    ).fetchone()
    assert found is not None, "a SELECT without a table gives one row"
    if found[0] is None and not found[3]:
        return None
    columns = {name: (kind, comment) for name, (kind, comment) in (found[0] or {}).items()}
    checks = {name.removesuffix(_REQUIRED) for name in found[1] if name.endswith(_REQUIRED)}
    comment, leaf, attached, viewed, options = found[2:]
    return _State(columns, checks, comment, leaf, attached, viewed, tuple(options or ()))


def _statements(
    spec: TableSpec, state: _State | None, connector: str, *, restamped: bool
) -> list[sql.Composed]:
    """What makes the tables as `spec` has them; nothing when they are."""
    todo: list[sql.Composed] = []
    if state is None:
        todo += [_create(spec)]
        state = _State({}, set(), None, leaf=False, attached=False, viewed=0)
        missing: list[Column] = []
    else:
        _refuse_other_types(spec, state)
        missing = [column for column in spec.columns if column.name not in state.columns]
    add = sql.SQL("ALTER TABLE {} ADD COLUMN {}")
    todo += [add.format(spec.parent, _definition(column)) for column in missing]
    todo += _requirements(spec, state)
    todo += _comments(spec, state)
    if state.leaf and not state.attached:
        raise FixConfig(
            f"canonical.{spec.entity}__{connector} exists and is no part of {spec.entity}",
            todo="Rename or drop that table.",
        )
    if not state.leaf:
        todo += _attach(spec, connector)
    if restamped and _HALF_FULL not in state.options:
        half = sql.SQL("ALTER TABLE {} SET ({})").format(spec.leaf(connector), sql.SQL(_HALF_FULL))
        todo.append(half)
    if not state.viewed or missing:
        # SELECT * puts new columns last, which is all that CREATE OR REPLACE allows.
        view = "CREATE OR REPLACE VIEW {} AS SELECT * FROM {} WHERE _deleted_at IS NULL"
        todo.append(sql.SQL(view).format(spec.live, spec.parent))
    return todo


def _refuse_other_types(spec: TableSpec, state: _State) -> None:
    mistakes = [
        Mistake(f"column {column.name} is {state.columns[column.name][0]}, not {column.type}")
        for column in spec.columns
        if column.name in state.columns
        and state.columns[column.name][0] != _SPELLED.get(column.type, column.type)
    ]
    if mistakes:
        raise FixConfig(
            f"the table canonical.{spec.entity} has other types than the model",
            todo="Give the column a new name, or change the table by hand.",
            mistakes=mistakes,
        )


def _create(spec: TableSpec) -> sql.Composed:
    return sql.SQL("CREATE TABLE {} ({}) PARTITION BY LIST (connector)").format(
        spec.parent, definitions(spec)
    )


def definitions(spec: TableSpec) -> sql.Composed:
    """What stands between the brackets of the entity's CREATE TABLE."""
    return sql.SQL(
        """
            connector text NOT NULL, connection text NOT NULL, stream text NOT NULL,
            source_id text NOT NULL, {}
            _version bigint, _seen_at timestamptz NOT NULL, _rank smallint NOT NULL,
            _synced_at timestamptz NOT NULL, _run_id text NOT NULL, _deleted_at timestamptz,
            PRIMARY KEY (connector, connection, stream, source_id)
        """
    ).format(sql.Composed([sql.SQL("{}, ").format(_definition(one)) for one in spec.columns]))


def _definition(column: Column) -> sql.Composed:
    return sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(column.type))


def _requirements(spec: TableSpec, state: _State) -> list[sql.Composed]:
    """Constraints to add and to drop. NOT VALID: rows from before a column was there keep null
    until the source says them again."""
    wanted = {column.name for column in spec.columns if column.required}
    add = sql.SQL(
        "ALTER TABLE {} ADD CONSTRAINT {} CHECK (_deleted_at IS NOT NULL OR {} IS NOT NULL)"
        " NOT VALID"
    )
    drop = sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}")
    return [
        add.format(spec.parent, sql.Identifier(name + _REQUIRED), sql.Identifier(name))
        for name in sorted(wanted - state.required)
    ] + [
        drop.format(spec.parent, sql.Identifier(name + _REQUIRED))
        for name in sorted(state.required - wanted)
    ]


def _comments(spec: TableSpec, state: _State) -> list[sql.Composed]:
    said = {name: comment for name, (_, comment) in state.columns.items()}
    on_column = sql.SQL("COMMENT ON COLUMN {} IS {}")
    todo = [
        on_column.format(sql.Identifier("canonical", spec.entity, column.name), column.comment)
        for column in spec.columns
        if column.comment != (said.get(column.name) or "")
    ]
    if spec.comment != (state.comment or ""):
        todo.append(sql.SQL("COMMENT ON TABLE {} IS {}").format(spec.parent, spec.comment))
    return todo


def _attach(spec: TableSpec, connector: str) -> list[sql.Composed]:
    """PARTITION OF would wait for open loads and stop readers. With the CHECK the table is not
    scanned when it is attached; afterwards the partition's own constraint says the same."""
    leaf, check = spec.leaf(connector), sql.Identifier("of_connector")
    return [
        sql.SQL(text).format(leaf=leaf, parent=spec.parent, check=check, connector=connector)
        for text in (
            "CREATE TABLE {leaf} (LIKE {parent} INCLUDING ALL)",
            "ALTER TABLE {leaf} ADD CONSTRAINT {check} CHECK (connector = {connector})",
            "ALTER TABLE {parent} ATTACH PARTITION {leaf} FOR VALUES IN ({connector})",
            "ALTER TABLE {leaf} DROP CONSTRAINT {check}",
        )
    ]
