"""What the cases of `world` are made of: a fault at a barrier, and a person's own connection."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import psycopg

from integrations.storage.database import connect
from integrations_tests.faults.bench.cases import NotMet
from integrations_tests.faults.bench.rig import Ran, Rig

Deed = Callable[[Rig], object]
"""What happens to the world of a rig."""
Act = Callable[[Rig], Ran]


def nothing(rig: Rig) -> AbstractContextManager[None]:
    """For a case in which all happens in the middle of the sync."""
    return nullcontext()


def at(barrier: str, deed: Deed, *, nth: int = 1) -> Act:
    """A sync in which this happens while it stands at the nth audit event of the name."""

    def act(rig: Rig) -> Ran:
        met: list[object] = []
        ran = rig.sync(at=(barrier, nth), then=lambda pid: met.append(deed(rig)))
        if not met:
            raise NotMet(f"the sync never came to {barrier}: {ran}")
        return ran

    return act


@contextmanager
def beside(rig: Rig, *, autocommit: bool = True) -> Iterator[psycopg.Connection[Any]]:
    """A connection of somebody else's to the rig's database."""
    connection = connect(rig.database, autocommit=autocommit)
    try:
        yield connection
    finally:
        connection.close()


def said(rig: Rig, statement: str) -> None:
    """Has somebody else say this to the rig's database."""
    with beside(rig) as other:
        other.execute(statement)


def tables(rig: Rig) -> list[str]:
    """The canonical tables that the rig's streams are loaded into."""
    names = (rig.streams[name].mapping.entity.table().entity for name in rig.source.truth())
    return sorted(f"canonical.{name}" for name in names)


def worst(ran: Sequence[Ran]) -> Ran:
    """Several syncs as one, which is as red as the reddest; what all of them said."""
    one = max(ran, key=lambda each: 99 if each.status is None else abs(each.status))
    return replace(one, stderr="".join(each.stderr for each in ran))
