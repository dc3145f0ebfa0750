"""Where a reader stands after each page of a pull: what is committed, and asked from next time.

A position that is too far loses records for good, so none is given that the pages do not prove.
"""

import itertools
from typing import Any, Protocol, TypeVar

import msgspec

from integrations.errors import FixConfig, StopStream
from integrations.transport import Ask
from integrations.transport.answer import Answer, plain, shown
from integrations.transport.body import text_of, value_at
from integrations.transport.paging import IdCursor, Paging, id_of

Order = TypeVar("Order", int, str)
_MOST_DIGITS = 4_000  # Python reads no longer numbers
_NUL = "\0"  # which no database keeps in a text


class Positions(Protocol):
    """The positions of one pull, page by page."""

    def after(self, answer: Answer, *, last: bool) -> str | None:
        """The position after this page; `last` says whether it ends the pull.

        Raises `StopStream` when the page's order does not let one be known.
        """


def positions(paging: Paging, *, ask: Ask, place: str | None) -> Positions:
    """What keeps a pull's positions: its paging, or the place in a record where they stand.

    Raises `FixConfig` for both.
    """
    if paging.newest_first and place is not None:
        raise FixConfig(
            f"the records' {place!r} cannot be the position of a list with the newest first",
            todo="Leave the position out, or choose another paging.",
        )
    if isinstance(paging, IdCursor):
        return _Edge(paging, asked=ask.position)
    return _Nowhere() if place is None else _Ascending(place, asked=ask.position)


class _Nowhere:
    """Pages by window, or in full: nobody stands anywhere."""

    def after(self, answer: Answer, *, last: bool) -> str | None:
        return None


class _Edge:
    """The id of the newest record up to which nothing is missing.

    Going up that is each page's first; going down the first page's, and only when the pull is at
    its end: whoever stopped in the middle has a gap below.
    """

    def __init__(self, paging: IdCursor, *, asked: str | None) -> None:
        self._paging, self._newest, self._first = paging, asked, True

    def after(self, answer: Answer, *, last: bool) -> str | None:
        upwards = self._paging.upwards(answer)
        if answer.records and (upwards or self._first):
            self._newest = _kept(id_of(answer.records[0], self._paging.id))
        self._first = False
        return self._newest if upwards or last else None


class _Ascending:
    """The value at a place of the last record, in records whose values never go down.

    Each record is looked at: the position of a page in another order would leave behind those that
    come later. Equal values are no fault; a source that has them must be asked for what is equal to
    the position too.
    """

    def __init__(self, place: str, *, asked: str | None) -> None:
        self._place, self._last = place, asked
        fields = [("at", msgspec.Raw | msgspec.UnsetType, msgspec.UNSET)]
        # One key of each record, without the others: a sixth of a whole decode.
        self._fast: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
            msgspec.defstruct("At", fields, rename={"at": place})
        )

    def after(self, answer: Answer, *, last: bool) -> str | None:
        values = [self._value(record) for record in answer.records]
        if self._last is not None:
            values.insert(0, self._last)
        if (fault := _descent(values)) is not None:
            raise StopStream(
                f"the stream is not in ascending order of {self._place!r}: "
                f"{shown(values[fault])} comes after {shown(values[fault - 1])}",
                todo="Ask the source for that order, and for no less than the position.",
            )
        self._last = values[-1] if values else None
        return self._last

    def _value(self, record: msgspec.Raw) -> str:
        try:
            raw = self._fast.decode(record).at
        except msgspec.ValidationError:
            raw = msgspec.UNSET
        found = value_at(record, self._place) if raw is msgspec.UNSET else raw
        text = text_of(found)
        if text is None:
            raise StopStream(
                f"a record's {self._place!r} should be a text or a whole number to be its "
                f"position, it is {shown(plain(found))}"
            )
        return _kept(text)


def _descent(values: list[str]) -> int | None:
    """Where the first value stands that is less than the one before it, if there is one.

    Whole numbers are compared as such when all are, or else all as texts.
    """
    if all(map(_is_whole, values)):
        return _first_less([int(value) for value in values])
    return _first_less(values)


def _first_less(values: list[Order]) -> int | None:
    pairs = enumerate(itertools.pairwise(values), start=1)
    return next((n for n, (one, other) in pairs if other < one), None)


def _is_whole(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS


def _kept(position: str) -> str:
    if _NUL in position:
        raise StopStream(f"{shown(position)} cannot be kept as a position")
    return position
