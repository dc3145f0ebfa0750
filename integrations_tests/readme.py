"""The generated parts of the README: `python -m integrations_tests.readme` renews them."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import click

from integrations.canonical import ENTITIES
from integrations.canonical.entity import EntityColumn
from integrations.cli import main
from integrations.transformation.rule import Rule
from integrations.transformation.rules import OneRule
from integrations.transport import paging

FILE = Path(__file__).parent.parent / "README.md"


def commands() -> str:
    """Every command with its help, as the terminal shows it."""
    return "\n\n".join(
        f"```\n$ integrations {name} --help\n{text}\n```" for name, text in _helps(main, "")
    )


def _helps(group: click.Group, prefix: str) -> Iterator[tuple[str, str]]:
    for name, command in sorted(group.commands.items()):
        path = f"{prefix}{name}"
        if isinstance(command, click.Group):
            yield from _helps(command, f"{path} ")
        else:
            settings = main.context_settings | {"terminal_width": 100}
            context = click.Context(command, info_name=f"integrations {path}", **settings)
            yield path, command.get_help(context)


def rules() -> str:
    """A row a rule: what it is called, what it takes, what it does."""
    lines = ["| type | settings | does |", "|---|---|---|"]
    for model in _rule_models():
        settings = [field.alias or name for name, field in model.model_fields.items()]
        shown = ", ".join(f"`{name}`" for name in settings if name != "type")
        lines.append(f"| `{_literal(model)}` | {shown} | {_first_sentence(model)} |")
    return "\n".join(lines)


def _rule_models() -> list[type[Rule]]:
    union = get_args(OneRule)[0]
    models = [get_args(member)[0] for member in get_args(union)]
    return [model for model in models if inspect.isclass(model) and issubclass(model, Rule)]


def pagings() -> str:
    """A row a kind of paging."""
    lines = ["| type | settings | does |", "|---|---|---|"]
    for model in get_args(get_args(paging.Paging)[0]):
        own = [name for name in model.model_fields if name not in ("type", "newest_first")]
        settings = ", ".join(f"`{name}`" for name in own)
        lines.append(f"| `{_literal(model)}` | {settings} | {_first_sentence(model)} |")
    return "\n".join(lines)


def entities() -> str:
    """A row an entity, with its columns; required ones are in bold, personal ones in italics."""
    lines = [
        "| entity | version | is | key | columns (**required**, *personal*) |",
        "|---|---|---|---|---|",
    ]
    for name, model in ENTITIES.items():
        said = model.definition()
        columns = ", ".join(map(_column, said.columns))
        lines.append(f"| `{name}` | {said.version} | {said.summary} | {said.key} | {columns} |")
    return "\n".join(lines)


def _column(column: EntityColumn) -> str:
    personal = f"*{column.name}*" if column.personal else column.name
    return personal if column.nullable else f"**{personal}**"


def _literal(model: type) -> str:
    return str(get_args(model.model_fields["type"].annotation)[0])  # type: ignore[attr-defined]


def _first_sentence(model: type) -> str:
    text = " ".join((model.__doc__ or "").split("\n\n")[0].split())
    return re.sub(r"\|", r"\\|", text)


BLOCKS = {"commands": commands, "rules": rules, "paging": pagings, "entities": entities}


def renewed(text: str) -> str:
    """The README with every generated part as the code has it now."""
    for name, make in BLOCKS.items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        head, _, rest = text.partition(begin)
        _, _, tail = rest.partition(end)
        text = f"{head}{begin}\n{make()}\n{end}{tail}"
    return text


if __name__ == "__main__":
    FILE.write_text(renewed(FILE.read_text(encoding="utf-8")), encoding="utf-8")
