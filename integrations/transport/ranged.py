"""Pages that are ranges of a list: asked for by the `Range` header, told by `Content-Range`, with a
unit of the source's own (RFC 9110 section 14). PostgREST writes both without the unit.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from integrations.errors import StopStream
from integrations.transport.answer import Answer, Next, Paged, shown

_SAID = re.compile(r"(?:([^\s/]+) +)?(?:([0-9]{1,18})-([0-9]{1,18})|\*)/([0-9]{1,18}|\*)")
UNSATISFIABLE = 416


class Range(Paged):
    """Ask for a range of the list by the `Range` header: `items=0-99`; where the answer tells a
    total, several can be asked for at a time.

    A range that holds less than was asked for is followed from where it ended. A total that is
    unknown (`*`) ends with the first empty range, or with status 416. With an empty `unit` the
    header holds just the numbers.
    """

    type: Literal["range"]
    size: int = Field(ge=1)
    unit: Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]*$")] = "items"

    def first(self) -> str:
        """The range that a pull begins with."""
        return self._asked(0)

    def follow(self, answer: Answer) -> Next | None:
        """None at the end. Raises as `rest` does."""
        return next(self.rest(answer), None)

    def rest(self, answer: Answer) -> Iterator[Next]:
        """The requests of the ranges that follow: all of them where the total is known and this one
        is full, else the next. Raises `StopStream` for an answer that is not the range that was
        asked for."""
        before, said = self._before(answer), answer.headers.get("content-range", "").strip()
        if not said:
            self._without(answer, before)
            return iter(())
        last, total = self._read(said, answer, before)
        if last is None or (total is not None and last + 1 >= total):
            return iter(())
        if total is None or len(answer.records) < self.size:
            return iter([Next(range=self._asked(last + 1))])
        later = range(last + 1, total, self.size)
        return (Next(range=self._asked(first)) for first in later)

    def _asked(self, first: int) -> str:
        numbers = f"{first}-{first + self.size - 1}"
        return f"{self.unit}={numbers}" if self.unit else numbers

    def _before(self, answer: Answer) -> int:
        numbers = (answer.range or self.first()).rpartition("=")[2]
        return int(numbers.partition("-")[0])

    def _without(self, answer: Answer, before: int) -> None:
        """An answer without Content-Range is all of the list: whoever does not know ranges, or the
        unit, sends that."""
        if answer.status == UNSATISFIABLE and before:
            return
        if answer.status != 200 or before:
            raise StopStream(
                f"the answer to the range {answer.range} has status {answer.status} and no "
                "Content-Range: it does not say which records it holds",
                todo="Does the source know ranges of this unit?",
            )

    def _read(self, said: str, answer: Answer, before: int) -> tuple[int | None, int | None]:
        """The last record of the range, None for no record, and the total, None where unknown."""
        found = _SAID.fullmatch(said)
        if found is None or (found[1] or "") != self.unit:
            raise StopStream(f"the answer's Content-Range cannot be read: {shown(said)}")
        total = None if found[4] == "*" else int(found[4])
        came = len(answer.records)
        if found[2] is None or answer.status == UNSATISFIABLE:
            fits = found[2] is None and not came and (total or 0) <= before
            fits = fits and (total is not None or before > 0 or answer.status == 200)
            last = None
        else:
            first, last = int(found[2]), int(found[3])
            fits = first == before and last - first + 1 == came <= self.size
            fits = fits and came > 0 and (total is None or last < total)
        if not fits:
            raise StopStream(
                f"the answer to the range {answer.range or self.first()} has status "
                f"{answer.status}, {came} records and the Content-Range {shown(said)}: these do "
                "not fit together"
            )
        return last, total
