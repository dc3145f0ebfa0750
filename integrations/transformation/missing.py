"""What becomes of a value that the source does not give, decided column by column.

A column is *absent* in a record when every path that its rule reads is absent; below an object that
is absent everything is, below one that is null everything is null. Otherwise it is *null* when its
rule gives null and could take every value. A blank string is a value: where a rule makes null of
it, it is null. What the file does not decide stays as it was: what the rule gives stands, and a
required column refuses null.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import reduce
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from integrations.transformation.arrow import Array, pc
from integrations.transformation.json_text import as_json
from integrations.transformation.presence import Absences
from integrations.transformation.rule import JSON, TEXT, Bad, Rule
from integrations.transformation.typed_value import NotOfType, typed

if TYPE_CHECKING:
    from integrations.canonical.entity import Entity, EntityColumn

Policy = Literal["keep", "clear", "default", "reject"]
WHEN_NULL, WHEN_ABSENT = "when_null", "when_absent"


class Missing(BaseModel):
    """What becomes of a column that is null in a record, and of one that is absent.

    `keep` leaves what is stored (a key never seen takes the `default`, or null), `clear` stores
    null, `default` stores the `default`, `reject` refuses the record. Without a policy a nullable
    column is cleared and a required one refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    when_null: Policy | None = None
    when_absent: Policy | None = None
    default: bool | int | float | str | datetime | date | list[Any] | dict[str, Any] | None = Field(
        default=None, description="A value of the column's type; an exact decimal is in quotes."
    )

    @property
    def policies(self) -> tuple[Policy | None, Policy | None]:
        return self.when_null, self.when_absent

    def mistakes(
        self, column: "EntityColumn", rule: Rule, entity: "type[Entity]"
    ) -> Iterator[tuple[tuple[str, ...], str]]:
        """What of it the column cannot have, as (path below the column, message)."""
        if self.when_null is None and self.when_absent is None:
            yield (), f"`{column.name}` has neither `{WHEN_NULL}` nor `{WHEN_ABSENT}`"
        if not rule.reads():
            yield (), f"`{column.name}` is made of nothing in a record: it is never missing"
        yield from self._unfit(column)
        if self.default is not None:
            for message in self._bad_default(column, entity):
                yield ("default",), message

    def _unfit(self, column: "EntityColumn") -> Iterator[tuple[tuple[str, ...], str]]:
        """The policies that the column cannot have."""
        required = f"`{column.name}` is required"
        for when, policy in zip((WHEN_NULL, WHEN_ABSENT), self.policies, strict=True):
            if policy == "default" and self.default is None:
                yield (when,), f"`{column.name}` has no `default` to take"
            if policy == "clear" and not column.nullable:
                yield (when,), f"{required}: it cannot be cleared"
            if policy == "keep" and not column.nullable and self.default is None:
                yield (when,), f"{required}: to keep it, it needs a `default` for a key never seen"

    def _bad_default(self, column: "EntityColumn", entity: "type[Entity]") -> Iterator[str]:
        if {"default", "keep"}.isdisjoint(self.policies):
            yield f"no policy of `{column.name}` takes a `default`"
        try:
            value = typed(self.default, column.type)
        except NotOfType as error:
            yield f"the `default` of `{column.name}` {error}"
            return
        for reason in entity.refuses(column.name, value):
            yield f"the `default` of `{column.name}` {reason}"

    def decided(self, column: "EntityColumn") -> "Decided":
        """The same for the values of a column that it has no mistakes for."""
        given = None if self.default is None else typed(self.default, column.type)
        return Decided(self.when_null, self.when_absent, column.type, given)


@dataclass(frozen=True)
class Settled:
    """A column of a batch. `kept` is true where what is stored stands (None: nowhere), and
    `refused` says where a record cannot pass, by which policy. The rest is as in `Coerced`."""

    values: Array
    bad: tuple[Bad, ...]
    kept: Array | None = None
    refused: tuple[tuple[str, Array], ...] = ()
    strange: Array | None = None


@dataclass(frozen=True)
class Decided:
    """The policies of a column, ready to run. `default` is text where the column is JSON."""

    null: Policy | None
    absent: Policy | None
    type: pa.DataType
    default: "pa.Scalar[Any] | None"

    @property
    def keeps(self) -> bool:
        """Whether what is stored may have to stand."""
        return "keep" in (self.null, self.absent)

    def settled(self, given: Settled, rule: Rule, absences: Absences) -> Settled:
        """What stands in the column, of what its rule gives. Where it is decided what becomes of
        an absent column, the rule's own words about it are not heard."""
        values, bad = given.values, given.bad
        absent = self._absent(values, rule, absences)
        if self.absent is not None and absent is not None:
            bad = tuple(replace(one, where=pc.and_not(one.where, absent)) for one in bad)
        null = pc.is_null(values)
        for where in [one.where for one in bad] + ([] if absent is None else [absent]):
            null = pc.and_not(null, pc.fill_null(where, False))
        found = [(WHEN_NULL, self.null, null)]
        if absent is not None:
            found.append((WHEN_ABSENT, self.absent, absent))
        for _, policy, where in found:
            values = self._filled(values, policy, where)
        kept = [where for _, policy, where in found if policy == "keep"]
        refused = tuple((when, where) for when, policy, where in found if policy == "reject")
        return Settled(values, bad, reduce(pc.or_, kept) if kept else None, refused, given.strange)

    def _absent(self, values: Array, rule: Rule, absences: Absences) -> Array | None:
        """Where the column is absent; None where it is so nowhere, or nothing hangs on it: the
        policies are the same, nobody has to be told which it is, and the rule, which may make
        something of nothing, has not."""
        may = absences.may_be(rule.reads())
        if not pc.any(may).as_py():
            return None
        filled = pc.any(pc.and_(may, pc.is_valid(values))).as_py()
        if self.null == self.absent != "reject" and not filled:
            return None
        return absences.of(rule.reads())

    def _filled(self, values: Array, policy: Policy | None, where: Array) -> Array:
        if policy is None or policy == "reject" or not pc.any(where).as_py():
            return values
        plain = values.cast(TEXT) if self.type == JSON else values
        nothing = policy == "clear" or self.default is None
        stands = pa.scalar(None, plain.type) if nothing else self.default
        filled: Array = pc.if_else(where, stands, plain)
        return as_json(filled) if self.type == JSON else filled
