"""What a person writes of a new connection, as its connector's file would have it.

A secret that somebody writes where its name belongs must not be shown, kept or passed on: whatever
is not plainly a reference is replaced before anybody else sees it.
"""

import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from integrations.errors import Mistake
from integrations.names import is_name
from integrations.secrets import EnvSecret

HOW = "--secret NAME=env:VARIABLE, or --secret NAME=file:/PATH"

_LIKE_SECRETS = re.compile(
    r"(sk|rk|pk|whsec|ghp|gho|glpat|xox[a-z]|AKIA|eyJ)[_-]?.*[0-9].*|(?=.*[a-z])(?=.*[0-9]).{20,}"
)
"""What a variable is hardly called, and many a secret is: a vendor's prefix, or long, with small
letters and digits."""


def connection_values(
    start: str, secrets: Sequence[str], base_url: str | None
) -> tuple[dict[str, Any], list[Mistake]]:
    """A connection as the file would have it, to be checked like one, and what cannot be read.

    A secret that is given as none of the two references stands as None, which the check refuses.
    What is not even `NAME=…`, or is given twice, is a mistake that shows no part of it.
    """
    given: dict[str, Any] = {}
    wrong: list[Mistake] = []
    for text in secrets:
        secret, equals, reference = text.partition("=")
        if not equals or not is_name(secret):
            wrong.append(Mistake(f"a secret is given as {HOW}"))
        elif secret in given:
            wrong.append(Mistake(f"the secret {secret!r} is given twice"))
        else:
            given[secret] = _reference(reference)
    values: dict[str, Any] = {"start": _day(start), "secrets": given}
    return values | ({} if base_url is None else {"base_url": base_url}), wrong


def _reference(text: str) -> dict[str, str] | None:
    kind, _, place = text.partition(":")
    if kind == "env" and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", place):
        set_ = EnvSecret(env=place).available()
        return {"env": place} if set_ or not _LIKE_SECRETS.fullmatch(place) else None
    if kind == "file" and Path(place).is_absolute():  # whoever reads it works in another folder
        return {"file": place}
    return None


def _day(text: str) -> Any:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return text  # the check says what is wrong with it
