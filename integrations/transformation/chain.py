"""Rules in a row: each takes what the one before it gives.

Which type a value has between two rules is settled when the file is read, so that a rule which
cannot take what comes is a mistake with its line, and never one of the data.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import pyarrow as pa
from pydantic import PrivateAttr

from integrations.transformation.kinds import Kind
from integrations.transformation.rule import Coerced, Columns, FromOne, Rule, in_words


@dataclass(frozen=True)
class Link:
    """A rule of a chain with the type of what it gives there."""

    rule: Rule
    gives: pa.DataType


class Misfit(ValueError):
    """A rule that cannot stand where it stands: the place below the field, and why."""

    def __init__(self, message: str, *at: str | int) -> None:
        self.at = at
        super().__init__(message)

    def below(self, *at: str | int) -> "Misfit":
        """The same, of a rule that stands within another."""
        return Misfit(str(self), *at, *self.at)


def linked(
    first: Iterable[Link], rest: Sequence[Rule], *, wanted: pa.DataType, told: str
) -> list[Link]:
    """The chain with its types. `first` are the ways in which the first value can be read, the
    likeliest first; `told` says who wants what. Raises `Misfit` for the first rule that cannot take
    what comes, and where the chain does not end in the type that is wanted."""
    ways: dict[pa.DataType, list[Link]] = {}
    for link in first:
        ways.setdefault(link.gives, [link])
    for number, rule in enumerate(rest, start=1):
        if not isinstance(rule, FromOne):
            raise Misfit(f"the rule {rule.name} reads for itself: it can only stand first", number)
        if rule.source is not None:
            raise Misfit(f"only the first rule of a chain reads: no `from` for {rule.name}", number)
        onward: dict[pa.DataType, list[Link]] = {}
        for type_ in (taken for taken in rule.takes if taken in ways):
            for given in rule.gives_of(type_):
                if given not in onward or given == type_:  # a value stays what it is where it can
                    onward[given] = [*ways[type_], Link(rule, given)]
        if not onward:
            comes = f"what comes is {in_words(ways)}"
            raise Misfit(f"the rule {rule.name} takes {in_words(rule.takes)}; {comes}", number)
        ways = onward
    if wanted not in ways:
        raise Misfit(f"{told}; the chain ends in {in_words(ways)}")
    return ways[wanted]


class Chain(Rule):
    """Several rules in a row, written as a list; each takes what the one before it gives."""

    type: Literal["chain"] = "chain"
    gives: ClassVar = ()
    _links: tuple[Link, ...] = PrivateAttr(default=())

    @classmethod
    def of(cls, links: Iterable[Link]) -> Self:
        """A chain whose types are settled."""
        chain = cls()
        chain._links = tuple(links)
        return chain

    @property
    def name(self) -> str:
        return self._links[-1].rule.name

    def inner(self) -> tuple[Rule, ...]:
        return tuple(link.rule for link in self._links)

    def changed(self, change: Callable[[Rule], Rule]) -> "Chain":
        return Chain.of(Link(change(link.rule), link.gives) for link in self._links)

    def in_unit(self) -> str | None:
        return next((unit for rule in reversed(self.inner()) if (unit := rule.in_unit())), None)

    def reads(self) -> dict[str, Kind]:
        return {path: kind for rule in self.inner() for path, kind in rule.reads().items()}

    def words(self) -> tuple[str, ...]:
        found: tuple[str, ...] = ()
        for rule in reversed(self.inner()):
            found += rule.words()
            if not (isinstance(rule, FromOne) and rule.passes):
                break
        return found

    def apply(self, columns: Columns, *, wanted: pa.DataType, rows: int) -> Coerced:
        first, *rest = self._links
        done = first.rule.apply(columns, wanted=first.gives, rows=rows)
        told, strange = done.told(first.rule.name), done.strange
        for link in rest:
            assert isinstance(link.rule, FromOne), "settled when it was linked"
            done = link.rule.step(done.values, columns, wanted=link.gives)
            told += done.told(link.rule.name)
            strange = done.strange if strange is None else strange
        return Coerced(done.values, before=told, strange=strange)
