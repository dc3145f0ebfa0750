"""What commands share: their options, and how their errors are told."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import Any, TypeVar

import click

from integrations.commands import FAILED, WRONG
from integrations.errors import FixConfig, IntegrationError
from integrations.redaction import install_redactor, redact, redacted

SELECT = click.argument("select", nargs=-1, metavar="[SELECT]...")
NAMED = click.argument("select", nargs=-1, required=True, metavar="SELECT...")
YES = click.option("--yes", is_flag=True, help="Do not ask.")
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object per line on stdout.")
F = TypeVar("F", bound=Callable[..., Any])


class Moment(click.ParamType[datetime]):
    """A day or a moment, ISO 8601; without an offset it is UTC."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        try:
            moment = datetime.fromisoformat(value)
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):  # the year 0 or 10000 somewhere
            self.fail(f"{value!r} is no time; write 2026-01-31 or 2026-01-31T08:00Z", param, ctx)


def explained(command: F) -> F:
    """Turns our errors into a line that says what to do, and the exit status of the contract."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        install_redactor()
        try:
            return command(*args, **kwargs)
        except FixConfig as error:
            click.echo(f"error: {redact(str(error))}", err=True)
            sys.exit(WRONG)
        except IntegrationError as error:
            click.echo(f"error: {redact(str(error))}", err=True)
            sys.exit(FAILED)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:  # noqa: BLE001  # a bug: shown whole, without its secrets
            click.echo(redacted(error), err=True)
            sys.exit(FAILED)

    return run  # type: ignore[return-value]  # the same call, wrapped
