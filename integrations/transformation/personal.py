"""The rule for personal data that is to be told apart and not to be known."""

import hmac
from collections.abc import Mapping
from itertools import repeat
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, PrivateAttr

from integrations.errors import StopStream
from integrations.names import LONGEST_NAME, NAME
from integrations.secrets import Secret
from integrations.transformation.arrow import Array
from integrations.transformation.kinds import STRING
from integrations.transformation.rule import INT, TEXT, Coerced, FromOne, Rule

_DIGITS = 64
"""Hexadecimal digits of SHA-256."""


class Hash(FromOne):
    """HMAC-SHA256 (RFC 2104) of the text in UTF-8 by a `secret` of the connection, as 64
    hexadecimal digits: equal where the text is, and of no use without the key.

    Spellings differ: `trim` and `lower` before it make one of them. Another key makes other
    hashes, so after a rotation the stream is replayed. Each different value costs a call of
    Python's, since Arrow has no such function; equal ones in a batch cost one.
    """

    type: Literal["hash"]
    secret: str = Field(
        pattern=NAME, max_length=LONGEST_NAME, description="The secret's name, never the key."
    )
    kind: ClassVar = STRING
    takes: ClassVar = (TEXT, INT)
    gives: ClassVar = (TEXT,)
    _key: Secret | None = PrivateAttr(default=None)

    def secrets(self) -> tuple[str, ...]:
        return (self.secret,)

    def keyed(self, secrets: Mapping[str, Secret]) -> Rule:
        rule = self.model_copy()
        rule._key = secrets[self.secret]
        return rule

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        if self._key is None:
            raise StopStream(f"the secret {self.secret!r} was never given")
        found = values.cast(TEXT).dictionary_encode()
        different = found.dictionary.cast(pa.binary()).to_pylist()
        key = self._key.reveal().encode()
        digest: Any = hmac.digest  # the stubs give it more shapes than map takes
        digests = map(digest, repeat(key), different, repeat("sha256"))
        return Coerced(_in_hexadecimal(b"".join(digests), len(different)).take(found.indices))


def _in_hexadecimal(digests: bytes, rows: int) -> Array:
    """Digests one behind another as texts."""
    offsets = np.arange(0, (rows + 1) * _DIGITS, _DIGITS, dtype=np.int32).tobytes()
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(digests.hex().encode())]
    made: Array = pa.Array.from_buffers(TEXT, rows, buffers)
    return made
