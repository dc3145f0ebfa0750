"""A code location of one connector's folder, for a code server of a test's own."""

import os
from pathlib import Path

from integrations.orchestration.code_location import build

defs = build([Path(os.environ["SERVED_CONNECTOR"])])
