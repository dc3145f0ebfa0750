"""The JSON schema of a connector's file, for editors: completion and red lines while one writes.

Generated from the config schema. `python -m integrations.connector_template.editor_schema` renews
the committed copy; a test holds it equal.
"""

import json
from pathlib import Path
from typing import Any

from integrations import connectors
from integrations.connector_template.config_schema import ConnectorConfig
from integrations.connector_template.mistakes import COMPONENT

FILE = Path(connectors.__file__).parent / "connector.schema.json"


def editor_schema() -> dict[str, Any]:
    """The schema of the whole document: type and attributes."""
    attributes = ConnectorConfig.model_json_schema(by_alias=True)
    definitions = attributes.pop("$defs")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A connector's file",
        "type": "object",
        "properties": {"type": {"const": COMPONENT}, "attributes": attributes},
        "required": ["type", "attributes"],
        "additionalProperties": False,
        "$defs": definitions,
    }


def text() -> str:
    """The schema as the file has it."""
    return json.dumps(editor_schema(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
