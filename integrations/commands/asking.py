"""A person is asked before something is changed that cannot simply be done again."""

import sys

import click

from integrations.errors import FixConfig


def agreed(question: str, *, yes: bool) -> bool:
    """Whether a person wants it (`yes`: has said so already); raises FixConfig where nobody can be
    asked."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise FixConfig(f'nobody can be asked "{question}"', todo="Nothing was changed. Say --yes.")
    return click.confirm(question, err=True)
