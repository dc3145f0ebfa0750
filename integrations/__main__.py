"""`python -m integrations` is the command line."""

from integrations.cli import main

main(prog_name="integrations")
