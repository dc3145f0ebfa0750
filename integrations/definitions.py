"""The one module that Dagster loads."""

from integrations.connector_template.folders import folders
from integrations.orchestration.code_location import build
from integrations.redaction import install_redactor
from integrations.settings import Settings

install_redactor()
defs = build(folders(Settings.find(create=True).connectors_path))
