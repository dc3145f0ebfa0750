"""The fixed slots of a request: what a connector's file leaves open and a pull fills in.

There is nothing else of a template language, so that a request can be read without being run.
"""

import re
from collections.abc import Callable, Iterable, Mapping

WINDOW = ("{window.start}", "{window.end}")
POSITION = "{position}"
SINCE = "{since}"
KEY = "{key}"
NOW = "{now}"
SLOTS = (*WINDOW, POSITION, SINCE, KEY, NOW)

_BRACED = re.compile(r"\{[^{}]*\}|[{}]")
_PARENT = re.compile(r"\{parent\.([^{}.]+(?:\.[^{}.]+)*)\}")


def slots_in(values: Iterable[object]) -> frozenset[str]:
    """The slots in the texts among `values`, with their braces."""
    texts = (value for value in values if isinstance(value, str))
    return frozenset(slot for text in texts for slot in _BRACED.findall(text) if slot in SLOTS)


def parent_slots(values: Iterable[object]) -> Mapping[str, str]:
    """The slots `{parent.…}` in the texts among `values`, with their braces, and the place in the
    parent's record that each takes its value from."""
    texts = (value for value in values if isinstance(value, str))
    return {found[0]: found[1] for text in texts for found in _PARENT.finditer(text)}


def takes(*slots: str, parent: bool = False) -> Callable[[str], str]:
    """A validator of text that may hold these slots, with `parent` also those of a parent's record,
    and no other braces."""
    named = [*slots, *(["{parent.<place>}"] if parent else [])]

    def check(text: str) -> str:
        for slot in _BRACED.findall(text):
            if slot not in slots and not (parent and _PARENT.fullmatch(slot)):
                raise ValueError(f"{slot!r} is no slot here; there are {' and '.join(named)}")
        return text

    return check


def filled(text: str, values: Mapping[str, str]) -> str | None:
    """The text with its slots filled; None when one of them has no value.

    What is filled in is not looked at again: a position may look like a slot.
    """
    if not {*_BRACED.findall(text)} <= values.keys():
        return None
    return _BRACED.sub(lambda slot: values[slot[0]], text)
