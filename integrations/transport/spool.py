"""Answers that are kept in a file while they are read, because they may be larger than memory."""

import tempfile
from collections.abc import Iterable
from typing import IO

from integrations.errors import RetryLater

MOST_IN_MEMORY = 1_048_576
"""Bytes for which no file is made on disk."""


def spooled(pieces: Iterable[bytes], *, call: str) -> IO[bytes]:
    """The pieces in a file, at its start; whoever asks closes it. Raises `RetryLater` where the
    disk has no room, and what the pieces raise."""
    file: IO[bytes] = tempfile.SpooledTemporaryFile(MOST_IN_MEMORY)  # noqa: SIM115  # the caller's
    try:
        for piece in pieces:
            file.write(piece)
        file.seek(0)
    except BaseException as error:
        file.close()
        if isinstance(error, OSError):
            raise RetryLater(
                f"the answer to {call} cannot be kept in a file: {error.strerror}",
                todo=f"Make room in {tempfile.gettempdir()}.",
            ) from error
        raise
    return file
