"""CSV in its dialects, read in blocks: columns are known by their header, never by their place.

A row becomes a JSON object with a text for each cell, null where it is empty. Names of columns are
written as a mapping can read them: `Gross Debit (GC)` is `gross_debit_gc`. Beside them stand
`_file` and `_line`, the row's place below the header, from 1 on. A row with too many cells or too
few is kept as it is, and so refused by itself; one of which all cells are empty is a blank line.
"""

import codecs
import csv
import io
import json
import re
from collections.abc import Iterator
from typing import IO, Any, Literal

import pyarrow as pa
import pyarrow.compute
from pydantic import BaseModel, ConfigDict, Field, field_validator

from integrations.transport.file_listing import Unread

pc: Any = pyarrow.compute
_BLOCK = 1 << 20
_LONGEST = 16 << 20
_ODD = r'["\\\x00-\x1f]'
"""What JSON wants to be escaped in a text (RFC 8259 section 7)."""
_ESCAPED = [("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")]
_CONTROLS = [(chr(n), f"\\u{n:04x}") for n in range(32) if chr(n) not in "\n\r\t"]


class CsvFormat(BaseModel):
    """Rows of cells below one header row; `separator`, `quote` and `encoding` are its dialect. An
    empty `quote` is for files in which the sign means nothing.

    A file whose header lacks one of the columns that it `needs` is refused as a whole.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["csv"]
    separator: str = Field(default=",", min_length=1, max_length=1)
    quote: str = Field(default='"', max_length=1)
    encoding: str = "utf-8"
    needs: tuple[str, ...] = ()

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, value: str) -> str:
        try:
            return codecs.lookup(value).name
        except LookupError:
            raise ValueError(f"Python knows no encoding {value!r}") from None

    def check(self, stream: IO[bytes]) -> None:
        """Raises `Unread` for a file that is no text of the encoding, has no usable header, or a
        quote that does not end where a cell does: the rows that follow would be in that cell."""
        decoder = codecs.getincrementaldecoder(self._signed)()
        quotes = _Quotes(self.quote, self.separator) if self.quote else None
        try:
            while chunk := stream.read(_BLOCK):
                text = decoder.decode(chunk)
                if quotes is not None:
                    quotes.add(text)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            raise Unread(f"is no {self.encoding}: {error.reason}") from None
        if quotes is not None:
            quotes.end()
        stream.seek(0)
        self.header(stream)

    def header(self, stream: IO[bytes]) -> list[str]:
        """The names of the columns."""
        text = io.TextIOWrapper(stream, self._signed, newline="")
        try:
            rows = csv.reader(
                text,
                delimiter=self.separator,
                quotechar=self.quote or None,
                quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            )
            cells = next(rows, [])
        except csv.Error as error:
            raise Unread(f"has a header that cannot be read: {error}") from None
        finally:
            text.detach()
            stream.seek(0)
        names = [plain_name(cell) for cell in cells]
        if not any(names):
            raise Unread("has no header row")
        if twice := sorted({name for name in names if name and names.count(name) > 1}):
            raise Unread(f"has two columns {twice[0]!r}")
        if missing := [name for name in self.needs if name not in names]:
            raise Unread(f"has no column {missing[0]!r}")
        return [name or f"column_{place}" for place, name in enumerate(names, start=1)]

    @property
    def _signed(self) -> str:
        """The encoding, of which a byte order mark is no text."""
        return "utf-8-sig" if self.encoding == "utf-8" else self.encoding

    def records(self, stream: IO[bytes], *, file: str, notes: list[str]) -> Iterator[list[bytes]]:
        """The rows in blocks."""
        from pyarrow import csv as arrow_csv

        rows = _Rows(self.header(stream), file)
        found = arrow_csv.open_csv(
            stream,
            read_options=arrow_csv.ReadOptions(
                use_threads=False,
                block_size=_BLOCK,
                encoding=self.encoding,
                column_names=rows.names,
                skip_rows_after_names=1,
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=self.separator,
                quote_char=self.quote or False,
                newlines_in_values=True,
                ignore_empty_lines=False,  # so that rows are counted as they stand
                invalid_row_handler=rows.odd,
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(rows.names, pa.string()), strings_can_be_null=False
            ),
        )
        for batch in found:
            yield rows.rendered(batch)
        if left := rows.left():
            yield left
        if rows.count:
            notes.append(f"{rows.count} rows have another number of cells than the header")


class _Quotes:
    """Looks whether each cell with line breaks in it ends before a separator or a line's end (RFC
    4180 section 2). Two quotes that only begin would else make one cell of all that is between
    them; one within a cell that has none at its beginning means nothing."""

    def __init__(self, quote: str, separator: str) -> None:
        self._quote, self._separator = quote, separator
        sign = re.escape(quote)
        self._closing = re.compile(f"(?:[^{sign}]++|{sign}{sign})*+{sign}")
        other = re.escape(separator)
        cell = f"(?:{sign}[^{sign}]*+{sign}|[^{sign}{other}]*+)(?:{other}|\\Z)"
        # So is nearly every line, and that is told fast.
        self._usual = re.compile(f"(?:{cell})*+")
        self._rest, self._line, self._opened = "", 0, 0

    def add(self, text: str) -> None:
        """The next piece of the file."""
        text = (self._rest + text).replace("\r\n", "\n").replace("\r", "\n")
        *lines, self._rest = text.split("\n")
        if len(self._rest) > _LONGEST:
            raise Unread(f"has a line of more than {_LONGEST >> 20} MB")
        for line in lines:
            self._line += 1
            if self._quote in line and (self._opened or not self._usual.fullmatch(line)):
                self._look(line)

    def end(self) -> None:
        """There is no more of it."""
        self.add("\n")
        if self._opened:
            raise self._unread()

    def _look(self, line: str) -> None:
        at = 0
        if self._opened:
            if (closed := self._closing.match(line)) is None:
                return
            at = closed.end()
            if line[at : at + 1] not in ("", self._separator):
                raise self._unread()
            self._opened = 0
            at = self._next(line, at)
        while at >= 0:
            if line.startswith(self._quote, at):
                if (closed := self._closing.match(line, at + 1)) is None:
                    self._opened = self._line
                    return
                at = closed.end()
            at = self._next(line, at)

    def _next(self, line: str, at: int) -> int:
        """Where the next cell begins; -1 for nowhere."""
        found = line.find(self._separator, at)
        return found if found < 0 else found + 1

    def _unread(self) -> Unread:
        return Unread(f"has a {self._quote} in line {self._opened} that ends no cell")


class _Rows:
    """Blocks of rows as JSON, each with its number; those that do not fit come between them."""

    def __init__(self, names: list[str], file: str) -> None:
        self.names, self.count = names, 0
        self._odd: dict[int, bytes] = {}
        self._next = 1
        keys = [f"{json.dumps(name)}:" for name in names]
        self._begin = f'{{"_file":{json.dumps(file, ensure_ascii=False)},"_line":'
        self._keys = [f",{key}" for key in keys]

    def odd(self, row: Any) -> Literal["skip"]:
        """Called by the reader, some rows ahead of what it has given."""
        self._odd[row.number - 1] = row.text.encode()
        self.count += 1
        return "skip"

    def rendered(self, batch: pa.RecordBatch) -> list[bytes]:
        numbers = pa.array(self._numbers(batch.num_rows))
        empty = self._empty(batch)
        if empty is not None:
            batch, numbers = batch.filter(pc.invert(empty)), numbers.filter(pc.invert(empty))
        parts: list[Any] = [self._begin, numbers.cast(pa.string())]
        for key, column in zip(self._keys, batch.columns, strict=True):
            parts += [key, token(column)]
        found: list[bytes]
        found = pc.binary_join_element_wise(*parts, "}", "").cast(pa.binary()).to_pylist()
        if ready := [at for at in self._odd if at < self._next]:
            placed: list[Any] = [*zip(numbers.to_pylist(), found, strict=True)]
            placed += [(at, self._odd.pop(at)) for at in ready]
            found = [record for _, record in sorted(placed, key=lambda one: one[0])]
        return found

    def _empty(self, batch: pa.RecordBatch) -> Any:
        """Which rows are blank; None where there are none."""
        found = None
        for column in batch.columns:
            blank = pc.equal(column, "")
            found = blank if found is None else pc.and_(found, blank)
            if not pc.any(found).as_py():
                return None
        return found

    def left(self) -> list[bytes]:
        return [record for _, record in sorted(self._odd.items())]

    def _numbers(self, count: int) -> range | list[int]:
        if not self._odd:
            first, self._next = self._next, self._next + count
            return range(first, self._next)
        numbers: list[int] = []
        while len(numbers) < count:
            if self._next not in self._odd:
                numbers.append(self._next)
            self._next += 1
        return numbers


def token(cells: Any) -> Any:
    """Cells as JSON: a text, null for none."""
    if pc.any(pc.match_substring_regex(cells, _ODD)).as_py():
        pairs = _ESCAPED
        if pc.any(pc.match_substring_regex(cells, r"[\x00-\x08\x0b\x0c\x0e-\x1f]")).as_py():
            pairs = [*_ESCAPED, *_CONTROLS]
        escaped = cells
        for found, written in pairs:
            escaped = pc.replace_substring(escaped, found, written)
    else:
        escaped = cells
    quoted = pc.binary_join_element_wise('"', escaped, '"', "")
    return pc.if_else(pc.equal(cells, ""), "null", quoted)


def plain_name(header: str) -> str:
    """A column's name as a mapping can read it: lower case, and `_` for all that is no letter or
    digit."""
    return re.sub(r"\W+", "_", header.removeprefix("\ufeff").strip().lower()).strip("_")
