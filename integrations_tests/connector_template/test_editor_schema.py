"""The JSON schema for editors agrees with what loads."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from integrations.connector_template import editor_schema
from integrations.connector_template.folders import folders
from integrations.settings import CONNECTOR_FILE


def _problems(document: Any) -> list[str]:
    plain = json.loads(json.dumps(document, default=str))  # editors know no dates
    validator = jsonschema.Draft202012Validator(editor_schema.editor_schema())
    return [error.json_path for error in validator.iter_errors(plain)]


def test_the_committed_schema_is_the_one_that_the_code_makes() -> None:
    """`python -m integrations.connector_template.editor_schema` renews it."""
    assert editor_schema.FILE.read_text(encoding="utf-8") == editor_schema.text()


@pytest.mark.parametrize("folder", folders(), ids=lambda folder: folder.name)
def test_a_shipped_file_names_the_schema_and_keeps_to_it(folder: Path) -> None:
    """An editor opens it without a red line."""
    text = (folder / CONNECTOR_FILE).read_text(encoding="utf-8")
    schema = text.splitlines()[0].removeprefix("# yaml-language-server: $schema=")
    assert (folder / schema).resolve() == editor_schema.FILE
    assert _problems(yaml.safe_load(text)) == []


def test_an_editor_sees_a_misspelt_setting() -> None:
    """The schema is strict, as the loader is."""
    document = yaml.safe_load((folders()[0] / CONNECTOR_FILE).read_text(encoding="utf-8"))
    document["attributes"]["tittle"] = document["attributes"].pop("title")
    assert _problems(document) == ["$.attributes", "$.attributes"]
