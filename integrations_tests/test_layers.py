"""Imports point down: what each part of the package may import, and that it imports nothing else."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import integrations

PACKAGE = Path(integrations.__file__).parent

ROWS = [
    {"errors", "names", "redaction", "unanswered", "console", "processes"},
    {"secrets"},
    {"settings"},
    {"storage"},
    {"auth", "canonical"},
    {"error_handling"},
    {"sync_state", "transport", "transformation"},
    {"connectors"},
    {"connector_template", "monitoring"},
    {"sandbox"},
    {"orchestration"},
    {"commands"},
    {"cli", "definitions"},
    {"__main__"},
]
"""The parts of the package, the lowest first: a part imports parts of lower rows only."""

ONLY = {
    "connectors": {"canonical", "transformation"},
    # A twin that shared code with the pipeline would share its mistakes.
    "sandbox": {"errors", "names", "processes", "secrets", "settings"},
}
"""Parts that may import less than their row would let them."""

FOREIGN = {
    "httpx": {"transport"},
    "zeep": {"transport"},
    "paramiko": {"transport", "sandbox"},  # an SSH server is made of it too
    "boto3": {"transport"},
    "botocore": {"transport"},
    "dagster": {"orchestration", "definitions"},
}
"""Who may import a library; `dagster` stands for dagster_postgres and its like too."""


def wrong_imports(package: Path) -> list[str]:
    """Every import that goes up, aside or around, as `file:line: what`."""
    return [
        f"{file.relative_to(package)}:{line}: {part} imports {module}"
        for file in sorted(package.rglob("*.py"))
        for part in [file.relative_to(package).with_suffix("").parts[0]]
        for line, module in _imports(file)
        if not _allowed(part, module)
    ]


def _imports(file: Path) -> Iterator[tuple[int, str]]:
    """What a file imports, anywhere in it, for types or for real: (line, full name)."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # A relative import would go unseen here, so there are none.
            module = f"{'.' * node.level}{node.module or ''}"
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def _allowed(part: str, module: str) -> bool:
    top, _, rest = module.partition(".")
    if top == PACKAGE.name:
        wanted = rest.partition(".")[0]
        lower = {name for row in ROWS[: _row(part)] for name in row}
        return wanted in ("", part) or wanted in ONLY.get(part, lower)
    library = "dagster" if top.startswith("dagster") else top
    return top != "" and part in FOREIGN.get(library, {part})


def _row(part: str) -> int:
    return next((n for n, row in enumerate(ROWS) if part in row), 0)


def test_imports_point_down() -> None:
    """A layer that may call up is no layer."""
    assert wrong_imports(PACKAGE) == []


def test_every_part_has_its_row() -> None:
    """A part that no row names would be held by no rule."""
    parts = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert parts - {"__init__", "__pycache__"} <= set().union(*ROWS)


@pytest.mark.parametrize(
    ("file", "statement", "wrong"),
    [
        ("storage/x.py", "from integrations.transport import http", True),
        ("storage/x.py", "from integrations import errors", False),
        ("transport/x.py", "import integrations.transformation.rules", True),
        ("transport/x.py", "def f():\n    from integrations.orchestration import keys", True),
        ("sandbox/x.py", "from integrations.storage.landing import LandingZone", True),
        ("connectors/x/transformer.py", "from integrations.storage import loader", True),
        ("connectors/x/transformer.py", "from integrations.canonical import ENTITIES", False),
        ("auth/x.py", "import httpx", True),
        ("transport/x.py", "import httpx", False),
        ("cli.py", "import dagster as dg", True),
        ("commands/x.py", "from dagster_postgres import DagsterPostgresStorage", True),
        ("orchestration/x.py", "import dagster_shared", False),
        ("orchestration/x.py", "from integrations.commands import sync", True),
        ("storage/x.py", "from ..orchestration import keys", True),
    ],
)
def test_an_import_that_goes_up_is_found(
    tmp_path: Path, file: str, statement: str, wrong: bool
) -> None:
    """The rule tells a wrong import from a right one, also inside a function."""
    path = tmp_path / PACKAGE.name / file
    path.parent.mkdir(parents=True)
    path.write_text(statement)
    assert len(wrong_imports(tmp_path / PACKAGE.name)) == int(wrong)
