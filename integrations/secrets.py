"""Secrets: values that can be used but not shown.

A secret reaches this process in one way, through a reference that names it. Every value read so is
known to the redactor from then on, so that a log line, an error of a foreign library or a
traceback that holds it, in whatever spelling, shows `•••` instead.
"""

import hmac
import os
from pathlib import Path
from typing import NoReturn

from pydantic import BaseModel, ConfigDict, Field

from integrations.errors import FixConfig
from integrations.redaction import MASK, learn, utf8


class Secret:
    """A value that shows itself only to `reveal()`.

    Printing, formatting, comparing and copying are safe; pickling raises `TypeError`, since a
    pickle is a file with the value in it. Its length is not told. Making one registers the value
    (without surrounding white space) with the redactor for the life of the process.
    """

    __slots__ = ("_value",)
    _value: str

    def __init__(self, value: str) -> None:
        object.__setattr__(self, "_value", value)
        learn(value)

    def reveal(self) -> str:
        """The value itself, for the wire only."""
        return self._value

    def __repr__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(utf8(self._value), utf8(other._value))

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: object) -> "Secret":
        return self

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a secret cannot be changed")

    def __getstate__(self) -> NoReturn:  # every pickle protocol asks it
        raise TypeError("a secret cannot be pickled")


class EnvSecret(BaseModel):
    """A secret in an environment variable. An empty variable counts as missing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    env: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")

    @property
    def name(self) -> str:
        """What it is called in messages and in the UI."""
        return f"env:{self.env}"

    def available(self) -> bool:
        """Whether `resolve()` would succeed now."""
        return _resolves(self)

    def resolve(self) -> Secret:
        """The secret as it is now. Raises `FixConfig` that names what is missing, never a value."""
        value = os.environ.get(self.env, "")
        if not value:
            raise FixConfig(
                f"the environment variable {self.env} is not set or empty",
                todo=f"Set {self.env} for the process that runs this.",
            )
        return Secret(value)


class FileSecret(BaseModel):
    """A secret in a UTF-8 file, as container platforms mount them; one last newline is dropped."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: Path

    @property
    def name(self) -> str:
        """What it is called in messages and in the UI."""
        return f"file:{self.file}"

    def available(self) -> bool:
        """Whether `resolve()` would succeed now."""
        return _resolves(self)

    def resolve(self) -> Secret:
        """The secret as it is now. Raises `FixConfig` that names what is missing, never a value."""
        try:
            # newline="" because a value's own line ends belong to it.
            with self.file.open(encoding="utf-8", newline="") as stream:
                text = stream.read()
        except UnicodeDecodeError:
            raise self._missing("is not UTF-8 text") from None
        except OSError as error:
            raise self._missing(f"cannot be read ({error.strerror})") from error
        value = text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
        if not value:
            raise self._missing("is empty")
        return Secret(value)

    def _missing(self, why: str) -> FixConfig:
        return FixConfig(
            f"the secret file {self.file} {why}", todo="Write the secret into it, and nothing else."
        )


SecretRef = EnvSecret | FileSecret
"""How a file names a secret: `{env: NAME}` or `{file: PATH}`."""


def _resolves(ref: SecretRef) -> bool:
    try:
        ref.resolve()
    except FixConfig:
        return False
    return True
