"""How often a fault is met: once, or for good."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from integrations_tests.faults.bench import pages
from integrations_tests.faults.bench.cases import NotMet, Plant
from integrations_tests.faults.bench.proxy import Fault
from integrations_tests.faults.bench.rig import LISTS, Rig
from integrations_tests.faults.bench.shapes import SHAPES


def once(fault: Fault, *, times: int = 2) -> Plant:
    """The fault for so many requests: from the second page on, or for the second page where several
    are asked for at a time; a list of one page has that."""
    later: Mapping[str, Any] = {"after": 1}
    where: Mapping[str, Any] = {
        name: {"only": pages.second} for name in SHAPES if name != "single"
    } | {"single": {}}
    return lambda rig: _met(rig, fault, times=times, **where.get(rig.kind, later))


def for_good(fault: Fault) -> Plant:
    """The fault for every page, until it is lifted."""
    return lambda rig: _met(rig, fault)


@contextmanager
def _met(rig: Rig, fault: Fault, **where: Any) -> Iterator[None]:
    """A cell whose fault nobody met would show nothing."""
    with rig.proxy.planted(fault, path=LISTS[rig.kind], **where) as planted:
        yield
    if not planted.met:
        raise NotMet("nobody asked for the page that the fault was planted for")
