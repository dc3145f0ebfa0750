"""The untruths of a list, and what becomes of each, by the kind of stream and the shape of paging.

What a page leaves out without a sign cannot be seen by anybody who reads it; who brings it right, or
that nobody does, is said beside each of these.
"""

from collections.abc import Iterable, Mapping

from integrations_tests.faults.bench import pages
from integrations_tests.faults.bench.cases import EVERY, KINDS, Case, Fate, Kind
from integrations_tests.faults.bench.often import for_good, once
from integrations_tests.faults.bench.shapes import SHAPES, Word

_IN_FULL = ("full", *(name for name, shape in SHAPES.items() if shape.sync == "full"))
_TOTALS = ("pages_total", "offset_total")
"""The shapes that say how many records there are: each page must then have its share."""
_COUNTED = ("page_number", "pages", "offset", "offset_variables", *_TOTALS)
"""Those that ask for pages by their place in the list, whatever came before."""
_RANGES = ("range", "range_total")
"""Those that say of each page which records it holds: then it must hold them, and be the one that
was asked for."""
_NAMED = tuple(name for name, shape in SHAPES.items() if shape.names)
_PAGED = tuple(kind for kind in EVERY if kind != "single")
_TOLD = (*KINDS, *(name for name, shape in SHAPES.items() if shape.garbled != Word()))
"""The kinds of which an answer says what it holds, or whether it is the last."""


def _all(fate: Fate, full: Fate | None = None, **others: Fate) -> Mapping[Kind, Fate]:
    """That fate for every kind, another one for those that are read in full, and for some by name."""
    return dict.fromkeys(EVERY, fate) | dict.fromkeys(_IN_FULL, full or fate) | others


def _of(kinds: Iterable[Kind], fate: Fate) -> Mapping[str, Fate]:
    return dict.fromkeys(kinds, fate)


def _said(words: str) -> Mapping[Kind, str]:
    """What is said of a lie that is seen, and in its place what is of a range that is another one."""
    return dict.fromkeys(EVERY, words) | dict.fromkeys(_RANGES, UNFIT)


CIRCLE = "goes in a circle"
ASCENDING = "not in ascending order"
SHORT = "where there should be"
NO_ANSWER_TO = "are no answer to what comes after"
UNFIT = "do not fit together"
UNSEEN = _all("unpromised", full="healed", window="healed") | _of(_RANGES, "red")
NOBODY = (
    "Nobody can see it: the page is whole and in order. A window's is brought by the feed, a full"
    " list's by the next reading; of a cursor or a feed it is lost until `sync --full`. Where the"
    " source says how many records there are, a page that is short is seen; where pages are asked"
    " for by their place, one that comes twice is. Where it says which records a page holds, all of"
    " this is seen."
)
CUT_OFF = (
    "The list says that it has ended. A cursor and a feed go on from where it did; a window's rest"
    " is brought by the feed, another list's by the next reading, and a full list that misses a"
    " tenth trips the brake."
)
EMPTY = (
    "A filtered list may have empty pages, so where the next address does not depend on records"
    " nobody can see it; and where nothing else tells of the end, it is one."
)
COUNTS = "Who asks for what follows as many records as came has then passed over as many."

PAGES = (
    Case(name="page 1 for ever", group="pages", kinds=_PAGED, plant=for_good(pages.repeat(1)), expect="red", quoted=CIRCLE),
    Case(name="page 1 once again", group="pages", kinds=_PAGED, plant=for_good(pages.repeat(1, 1, 2, 3, 4)), expect="red", quoted=CIRCLE),
    Case(name="a page that names itself as the next", group="pages", kinds=_NAMED, plant=once(pages.page(pages.itself), times=1), expect="red", quoted=CIRCLE),
    Case(name="pages 2 and 3 swapped", group="pages", kinds=_PAGED, plant=for_good(pages.repeat(1, 3, 2, 3)), expect="red", quoted=_said("")),
    Case(
        name="pages 2 and 3 in each other's place", group="pages", kinds=tuple(name for name in SHAPES if name != "single"), plant=for_good(pages.swapped), why=NOBODY,
        expect=UNSEEN | _of(_COUNTED, "recovered") | {"pages": "red", "offset": "red"}, quoted=_said(ASCENDING),
    ),
    Case(name="a page skipped", group="pages", kinds=_PAGED, plant=once(pages.skip, times=1), expect=UNSEEN | _of(_COUNTED, "red"), quoted=_said(CIRCLE), why=NOBODY),
    Case(name="a record swallowed", group="pages", kinds=EVERY, plant=once(pages.page(pages.swallow_inside), times=1), expect=UNSEEN | _of(_TOTALS, "red"), quoted=_said(SHORT), why=NOBODY),
    Case(name="the edges of a page swallowed", group="pages", kinds=EVERY, plant=once(pages.page(pages.swallow_edges), times=1), expect=UNSEEN | _of(_TOTALS, "red"), quoted=_said(SHORT), why=NOBODY),
    Case(
        name="an empty page with more behind it", group="pages", kinds=_PAGED, plant=once(pages.page(pages.empty), times=1), why=EMPTY,
        expect=UNSEEN | _of(("window", "full", "feed", "pages", *_TOTALS), "red") | {"offset": "healed"},
        quoted=_said(SHORT) | _of(KINDS, "the page is empty, yet"),
    ),
    Case(name="an end before the end", group="pages", kinds=_PAGED, plant=once(pages.page(pages.end_here), times=1), expect=_of(EVERY, "healed") | {"full": "red"}, why=CUT_OFF),
    Case(name="nothing at all", group="pages", kinds=EVERY, plant=for_good(pages.page(pages.nothing)), expect=_of(EVERY, "healed") | {"full": "red"}, why=CUT_OFF),
    *(
        Case(
            name=name, group="pages", kinds=EVERY, plant=plant,
            expect=_all("red", full="recovered", window="recovered", feed="recovered", sequence="red"),
            quoted=_of(EVERY, ASCENDING) | {"sequence": NO_ANSWER_TO},
        )
        for name, plant in (
            ("records backwards", for_good(pages.page(pages.backwards))),
            ("one page backwards", once(pages.page(pages.backwards), times=1)),
        )
    ),
    Case(name="records twice", group="pages", kinds=EVERY, plant=for_good(pages.page(pages.twice)), expect=_of(EVERY, "recovered") | {"offset": "unpromised", "offset_variables": "healed"} | _of(_RANGES, "red"), quoted=UNFIT, why=COUNTS),
    Case(name="no word of the end", group="pages", kinds=_TOLD, plant=for_good(pages.page(pages.without_end)), expect="red", quoted=_of(_RANGES, "cannot be read")),
)  # fmt: skip
