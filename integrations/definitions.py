"""The one module that Dagster loads."""

import gc

from integrations.connector_template.folders import folders
from integrations.orchestration.code_location import build
from integrations.orchestration.own_run import needed
from integrations.redaction import install_redactor
from integrations.settings import Settings
from integrations.storage.connections import kept

# Definitions and Dagster's snapshots of them are hundreds of thousands of objects that stay: to
# look for garbage among them after every 700 new ones, the default, takes a fifth of the loading.
gc.freeze()
gc.set_threshold(50_000, 20, 50)
install_redactor()
settings = Settings.find(create=True)
found, added = needed(settings, folders(settings.connectors_path), kept(settings))
defs = build(found, added=added)
