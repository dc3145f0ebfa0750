"""What a fault of the bench is, and what may become of a sync that meets it."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from integrations_tests.faults.bench.shapes import SHAPES

if TYPE_CHECKING:  # the rig needs what is here
    from integrations_tests.faults.bench.rig import Ran, Rig

Kind = str
KINDS: tuple[Kind, ...] = ("window", "full", "cursor", "feed")
"""The ways in which a stream is read; what is around a sync is planted for each of them."""
EVERY: tuple[Kind, ...] = (*KINDS, *SHAPES)
"""And the ways in which a list is cut into pages, for what a network and a source do to pages."""

Fate = Literal["recovered", "red", "healed", "unpromised"]
"""What became of a fault.

*recovered*: the sync itself got over it, and the tables are as the source has them. *red*: the
sync failed and said what and where, nothing wrong was loaded, and the next sync after the fault
was whole. *healed*: the source told an untruth that nobody can see, the sync was green, and what
the stream has besides (the next reading, its feed, its siblings) brought it right without anybody
doing anything. *unpromised*: as healed, but only `sync --full` of the stream brings it right; we
do not promise more, and the table says so.
"""


class CannotRun(Exception):  # no error: it says what this machine does not allow
    """A case that cannot be planted here, and why."""


class NotMet(Exception):  # no error of ours either: the cell says it, and the others go on
    """A sync that ended before it came to where its fault was to happen."""


Plant = Callable[["Rig"], AbstractContextManager[object]]
"""The fault holds while the block runs."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A fault: `plant` holds it while `act`, a plain sync by default, runs.

    `expect` is the fate, or the fates that are right where chance decides, for all kinds or by
    kind. `why` is for those that are not simply recovered or red: who heals it, or why nobody can.
    `quoted` must stand in the message of a sync that is red (of all kinds, or by kind), and `where`, by default the stream.
    `own_server`: it hurts PostgreSQL itself, so nobody else may use that.
    """

    name: str
    group: str
    plant: Plant
    expect: Fate | tuple[Fate, ...] | Mapping[Kind, Fate]
    kinds: tuple[Kind, ...] = KINDS
    why: str = ""
    quoted: str | Mapping[Kind, str] = ""
    act: Callable[["Rig"], "Ran"] | None = None
    where: str = ""
    own_server: bool = False

    def quotes(self, kind: Kind) -> str:
        """What a sync of this kind that is red must say."""
        return self.quoted if isinstance(self.quoted, str) else self.quoted.get(kind, "")

    def expected(self, kind: Kind) -> tuple[Fate, ...]:
        """The fates that are right for this kind."""
        if isinstance(self.expect, tuple):
            return self.expect
        if isinstance(self.expect, str):
            return (self.expect,)
        return (self.expect[kind],)
