"""The rule for bytes that a source writes as text."""

from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa

from integrations.transformation.arrow import Array, array, pc
from integrations.transformation.kinds import STRING
from integrations.transformation.rule import Coerced, FromOne

BYTES = pa.binary()

_SHAPES = {
    "hex": r"^(?:[0-9a-fA-F]{2})*$",
    # The bits that an ending leaves over must be zero: else two texts would be the same bytes.
    "base64": (
        r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$"
    ),
    "base64url": (
        r"^(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-][AQgw](?:==)?|[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048]=?)?$"
    ),
}
_DIGITS = {
    "hex": "0123456789abcdef",
    "base64": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    "base64url": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
}


class EncodedBytes(FromOne):
    """Bytes that the source writes as text: `encoding` is `base64`, `base64url` or `hex`.

    Nothing is skipped: blanks, missing padding (but for `base64url`, where it is optional) and
    bits that are left over are refused.
    """

    type: Literal["bytes"]
    encoding: Literal["base64", "base64url", "hex"]
    kind: ClassVar = STRING
    gives: ClassVar = (BYTES,)

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        bad = pc.invert(pc.match_substring_regex(values, _SHAPES[self.encoding]))
        good = pc.if_else(pc.fill_null(bad, False), None, values)
        return Coerced(self._decoded(good), bad, f"is no {self.encoding}")

    def _decoded(self, values: Array) -> Array:
        digits = pc.fill_null(pc.utf8_rtrim(values, characters="="), "")
        if self.encoding == "hex":
            digits, bits = pc.ascii_lower(digits), 4
        else:
            bits = 6
        lengths = np.asarray(pc.binary_length(digits).to_numpy(zero_copy_only=False), np.int64)
        ends: Any = np.concatenate(([0], np.cumsum(lengths * bits // 8)))
        decoded = _packed(digits, lengths, alphabet=_DIGITS[self.encoding], bits=bits)
        buffers: Any = [None, pa.py_buffer(ends), pa.py_buffer(decoded)]
        whole: Any = pa.Array.from_buffers(pa.large_binary(), len(values), buffers)
        given: Array = pc.if_else(pc.is_valid(values), whole, None).cast(BYTES)
        return given


def _packed(digits: Array, lengths: "np.ndarray[Any, Any]", *, alphabet: str, bits: int) -> bytes:
    """The bytes of all texts in a row; what an ending leaves over of its last digit is dropped."""
    table = np.zeros(256, np.uint8)
    table[np.frombuffer(alphabet.encode(), np.uint8)] = np.arange(len(alphabet), dtype=np.uint8)
    lists: Any = pa.ListArray
    joined = pc.binary_join(lists.from_arrays(array([0, len(digits)], pa.int32()), digits), "")
    text = np.frombuffer(joined[0].as_buffer() or b"", np.uint8)
    spread = np.unpackbits(table[text].reshape(-1, 1), axis=1)[:, 8 - bits :].reshape(-1)
    over = lengths * bits % 8
    if over.any():
        ends: Any = np.cumsum(lengths * bits)
        kept = np.ones(len(spread), bool)
        for count in (2, 4):  # two digits leave four bits, three leave two
            for end in range(1, count + 1):
                kept[ends[over == count] - end] = False
        spread = spread[kept]
    return np.packbits(spread).tobytes()
