"""The one module that Dagster loads."""

from integrations.connector_template.folders import folders
from integrations.orchestration.code_location import build
from integrations.orchestration.own_run import needed
from integrations.redaction import install_redactor
from integrations.settings import Settings
from integrations.storage.connections import kept

install_redactor()
settings = Settings.find(create=True)
found, added = needed(settings, folders(settings.connectors_path), kept(settings))
defs = build(found, added=added)
