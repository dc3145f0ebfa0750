"""Records' bytes to columns: whole blocks through pyarrow, the bad ones one by one.

pyarrow reads a block of newline-joined records ten times as fast as anything that makes Python
objects, but refuses all of it for one value of the wrong type. Then msgspec looks at each record
and says exactly which are wrong and where; the others go back to pyarrow. What only pyarrow refuses
(a tenth decimal, a key written twice) is found by halving. A source that is wrong once is wrong
again in the same places: of later blocks msgspec reads just these beforehand.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.json

from integrations.transformation.arrow import Array, array, binary, nulls, pc
from integrations.transformation.kinds import DECIMAL, INTEGER, Kind
from integrations.transformation.structs import (
    DECODING,
    HALF_PAIR,
    SLICE,
    getter,
    places,
    struct,
    tree,
)
from integrations.unanswered import MARK


class _Refused(Exception):
    """A block that cannot be read as a whole."""


@dataclass(frozen=True)
class Unread:
    """A record that cannot be read: its position in the batch, the path if known, and why."""

    row: int
    path: str
    reason: str


@dataclass(frozen=True)
class Parsed:
    """What a batch held. `rows` are the positions in the batch of the records in `columns`."""

    columns: dict[str, Array]
    rows: Array
    unread: list[Unread]

    def without(self, rows: Array) -> "Parsed":
        """The same less the records at these positions of the batch."""
        gone = set(rows.to_pylist())
        return replace(
            self.only(pc.invert(pc.is_in(self.rows, value_set=rows))),
            unread=[one for one in self.unread if one.row not in gone],
        )

    def only(self, kept: Array) -> "Parsed":
        """The same less those of the records that were read for which `kept` is false."""
        columns = {path: values.filter(kept) for path, values in self.columns.items()}
        return Parsed(columns, self.rows.filter(kept), self.unread)


def unanswered(records: Array) -> Array:
    """The positions of the records (an Array of binary) that are marked as not told whole."""
    found: Array = pc.indices_nonzero(pc.starts_with(records, pattern=MARK)).cast(pa.int64())
    return found


INT64 = 2**63
"""The first whole number that an integer column cannot hold."""


class Parser:
    """Reads the values at `paths` from records; everything else in a record is ignored.

    Null and absent are both null, and so is all that lies inside a null. What it learns of a source
    makes it faster, and changes no answer.
    """

    def __init__(self, paths: Mapping[str, Kind]) -> None:
        self._paths = dict(paths)
        plain = {path: kind for path, kind in paths.items() if not kind.mixed}
        self._plain = tree(plain)
        self._schema = pa.schema(_arrow_fields(self._plain))
        mixed = tree({path: kind for path, kind in paths.items() if kind.mixed})
        self._mixed = [(path, kind, getter(at)) for path, kind, at in places(mixed)]
        self._mixed_lines = msgspec.json.Decoder(struct(mixed))
        everything = tree(self._paths)
        self._strict = msgspec.json.Decoder(struct(everything))
        self._integers = [
            (path, getter(at)) for path, kind, at in places(everything) if kind is INTEGER
        ]
        self._apart: dict[str, Parser] = {}
        self._suspects: dict[str, Kind] = {}
        self._suspicious: msgspec.json.Decoder[Any] | None = None

    def parse(self, records: Array) -> Parsed:
        """Every record of a batch (an Array of binary), read or said why not."""
        # pyarrow.json 26 dies of a segmentation fault where the first record is `null`.
        objects = pc.starts_with(records, pattern=b"{")
        strays = pc.indices_nonzero(pc.invert(objects)).to_pylist()
        unread = [Unread(row, "", "the record is no JSON object") for row in strays]
        rows = pc.indices_nonzero(objects).cast(pa.int64())
        whole = records.filter(objects) if strays else records
        wrong = list(self._suspected(whole, rows))
        left, of_left = _less(whole, rows, wrong)
        try:
            columns = self._block(left)
        except _Refused:
            wrong = list(self._wrong(whole, rows))
        else:
            if not wrong:
                self._suspects, self._suspicious = {}, None
            return Parsed(columns, of_left, _ordered(unread + wrong))
        self._suspect(wrong)
        left, of_left = _less(whole, rows, wrong)
        halves = list(self._halved(left, of_left, wrong))
        return Parsed(
            {p: _glued([half[0][p] for half in halves], k.arrow) for p, k in self._paths.items()},
            _glued([half[1] for half in halves], pa.int64()),
            _ordered(unread + wrong),
        )

    def _suspect(self, wrong: list[Unread]) -> None:
        """Remembers where records were wrong."""
        places_ = {one.path.partition("[")[0] for one in wrong} - {""}
        found = {
            path: kind
            for path, kind in self._paths.items()
            if any(path == place or path.startswith(f"{place}.") for place in places_)
        }
        if found.keys() - self._suspects.keys():
            self._suspects |= found
            self._suspicious = msgspec.json.Decoder(struct(tree(self._suspects)))

    def _suspected(self, records: Array, rows: Array) -> Iterator[Unread]:
        """The records that are wrong where others were wrong before; what is wrong with them is
        what a reading of the whole record would say."""
        if self._suspicious is None:
            return
        for start in range(0, len(records), SLICE):
            values: list[Any] = records.slice(start, SLICE).to_pylist()
            for at, _ in failing(self._suspicious, values):
                try:
                    self._strict.decode(values[at])
                except DECODING as error:
                    yield why_unread(rows[start + at].as_py(), error, of=values[at])

    def _wrong(self, records: Array, rows: Array) -> Iterator[Unread]:
        for start in range(0, len(records), SLICE):
            values: list[Any] = records.slice(start, SLICE).to_pylist()
            found = list[Any]()
            for at, error in failing(self._strict, values, into=found):
                yield why_unread(rows[start + at].as_py(), error, of=values[at])
            if not all(_fit(list(map(value, found))) for _, value in self._integers):
                yield from self._too_long(found, rows.slice(start, SLICE))

    def _too_long(self, found: list[Any], rows: Array) -> Iterator[Unread]:
        for at, record in enumerate(found):
            for path, value in self._integers:
                if not -INT64 <= (value(record) or 0) < INT64:
                    yield Unread(rows[at].as_py(), path, "expected `int` of at most 64 bits")
                    break

    def _halved(
        self, records: Array, rows: Array, wrong: list[Unread]
    ) -> Iterator[tuple[dict[str, Array], Array]]:
        """The rows in blocks that can be read; what cannot be read alone goes to `wrong`."""
        try:
            yield self._block(records), rows
            return
        except _Refused as error:
            if len(rows) == 1:
                wrong.append(self._placed(records, rows[0].as_py(), str(error)))
                return
        middle = len(rows) // 2
        yield from self._halved(records[:middle], rows[:middle], wrong)
        yield from self._halved(records[middle:], rows[middle:], wrong)

    def _placed(self, record: Array, row: int, message: str) -> Unread:
        """What is wrong with a record that only pyarrow refuses, and where: each place at which
        that happens is read apart."""
        if not self._apart:
            doubtful = {p: k for p, k in self._paths.items() if k is DECIMAL or k.as_sent}
            self._apart = {"": Parser({})} | {p: Parser({p: k}) for p, k in doubtful.items()}
        for path, parser in self._apart.items():
            try:
                parser._block(record)
            except _Refused as error:
                if path:
                    return Unread(row, path, _arrow_words(str(error)))
                break
        return Unread(row, "", f"the record cannot be read: {_arrow_words(message)}")

    def _block(self, records: Array) -> dict[str, Array]:
        if len(records) == 0:
            return {path: nulls(0, kind.arrow) for path, kind in self._paths.items()}
        block = _joined(records)
        columns = self._plain_columns(block, len(records))
        if self._mixed:
            columns |= self._mixed_columns(block)
        return columns

    def _plain_columns(self, block: pa.Buffer, count: int) -> dict[str, Array]:
        read_json: Any = pyarrow.json.read_json  # the stubs know no BufferReader
        try:
            table: pa.Table = read_json(
                pa.BufferReader(block),
                read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=len(block) + 1),
                parse_options=pyarrow.json.ParseOptions(
                    explicit_schema=self._schema, unexpected_field_behavior="ignore"
                ),
            )
            table.validate(full=True)  # or bytes that are no UTF-8 pass as strings
        except pa.ArrowInvalid as error:
            raise _Refused(str(error)) from error
        if table.num_rows != count:  # `{…}{…}` in one record would shift all that follow
            raise _Refused("the record holds more than one JSON value")
        return dict(_flat(table.combine_chunks(), self._plain))

    def _mixed_columns(self, block: pa.Buffer) -> dict[str, Array]:
        try:
            found = self._mixed_lines.decode_lines(block)
        except DECODING as error:
            raise _Refused(str(error)) from error
        return {
            path: _as_sent(list(map(value, found)), kind)
            if kind.as_sent
            else array(list(map(_rendering(value, kind), found)), kind.arrow)
            for path, kind, value in self._mixed
        }


def failing(
    decoder: "msgspec.json.Decoder[Any]", values: list[bytes], *, into: list[Any] | None = None
) -> Iterator[tuple[int, Exception]]:
    """The positions of the values that cannot be decoded, and why. What was decoded goes `into` a
    list, an empty record in the place of one that failed."""
    found = [] if into is None else into
    empty, left = decoder.decode(b"{}"), iter(values)
    while len(found) < len(values):
        try:
            found.extend(map(decoder.decode, left))
        except DECODING as error:  # the iterator stands behind the value that is wrong
            yield len(found), error
            found.append(empty)


def _less(records: Array, rows: Array, wrong: list[Unread]) -> tuple[Array, Array]:
    """Records and their rows, without those that are wrong."""
    if not wrong:
        return records, rows
    good = pc.invert(pc.is_in(rows, value_set=array([one.row for one in wrong], pa.int64())))
    return records.filter(good), rows.filter(good)


def _ordered(unread: list[Unread]) -> list[Unread]:
    return sorted(unread, key=lambda one: one.row)


def _fit(numbers: list[int | None]) -> bool:
    """Whether an integer column can hold all of them."""
    try:
        array(numbers, pa.int64())
    except OverflowError:
        return False
    return True


def _joined(records: Array) -> pa.Buffer:
    """The records, a newline between them; a JSON value cannot hold a bare one in a string."""
    if records.type != pa.binary():
        records = records.cast(pa.binary())
    lists: Any = pa.ListArray
    whole = lists.from_arrays(array([0, len(records)], pa.int32()), records)
    block: pa.Buffer = pc.binary_join(whole, b"\n")[0].as_buffer()
    return block


def _arrow_fields(of: Mapping[str, Any]) -> "list[pa.Field[Any]]":
    return [
        pa.field(name, node.arrow if isinstance(node, Kind) else pa.struct(_arrow_fields(node)))
        for name, node in of.items()
    ]


def _as_sent(values: list[Any], kind: Kind) -> Array:
    """What msgspec left as it was, null where nothing or `null` stands."""
    texts = binary([value or b"" for value in values] if None in values else values)
    try:
        text = texts.cast(kind.arrow)  # looks whether it is UTF-8
    except pa.ArrowInvalid as error:
        raise _Refused(str(error)) from error
    found: Array = pc.if_else(pc.equal(texts, b"null"), None, text)
    return found


def _rendering(value: Callable[[Any], Any], kind: Kind) -> Callable[[Any], Any]:
    render = kind.render

    def rendered(record: Any) -> Any:
        found = value(record)
        return None if found is None or render is None else render(found)

    return rendered


def _flat(table: pa.Table, of: Mapping[str, Any]) -> Iterator[tuple[str, Array]]:
    for name, node in of.items():
        yield from _leaves(name, _only(table.column(name)), node)


def _leaves(path: str, values: Array, node: Any) -> Iterator[tuple[str, Array]]:
    if isinstance(node, Kind):
        yield path, values
        return
    for name, inner in node.items():
        yield from _leaves(f"{path}.{name}", pc.struct_field(values, [name]), inner)


def _only(column: "pa.ChunkedArray[Any]") -> Array:
    chunks = column.combine_chunks()
    return chunks.chunk(0) if isinstance(chunks, pa.ChunkedArray) else chunks


def _glued(parts: list[Array], type_: pa.DataType) -> Array:
    return pa.concat_arrays(parts) if parts else nulls(0, type_)


def why_unread(row: int, error: Exception, *, of: bytes = b"", what: str = "record") -> Unread:
    """What msgspec says of a record; it names the place as "… - at `$.card.brand`"."""
    if isinstance(error, msgspec.ValidationError):
        reason, _, at = str(error).partition(" - at `$.")
        return Unread(row, at.rstrip("`"), reason[:1].lower() + reason[1:])
    if any(found[1] is None for found in HALF_PAIR.finditer(of)):
        return Unread(row, "", f"the {what} holds half of a surrogate pair, which is no text")
    return Unread(row, "", f"the {what} is no JSON: {error}")


def _arrow_words(message: str) -> str:
    """pyarrow's message without where in the block it happened."""
    short = re.sub(r" in row \d+\.?$|\.$", "", message.removeprefix("JSON parse error: "))
    return short[:200]
