"""The command line: `integrations demo`, `up`, `sync`, `status` and their siblings.

Help texts are part of the product. Exit status: 0 all well; 1 a stream failed; 2 usage or
configuration; 3 done, but a check says ERROR. What is heavy to import is imported by the command
that needs it.
"""

import click

from integrations.cli import asking, connections, positions, quarantine, serving, syncing


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="integrations")
def main() -> None:
    """Keep your own tables in step with systems that belong to others.

    SELECT names what a command works on: `stripe`, `stripe/main` or `stripe/main/charges`. Without
    it, a command works on everything. The settings are environment variables: INTEGRATIONS_HOME,
    INTEGRATIONS_DATABASE_URL, INTEGRATIONS_LANDING_URL, INTEGRATIONS_CONNECTORS_PATH.

    Exit status: 0 all well; 1 a stream failed; 2 usage or configuration; 3 done, but a check says
    ERROR.
    """


for command in (
    syncing.demo,
    syncing.sync,
    syncing.replay,
    syncing.drain,
    serving.up,
    serving.down,
    asking.status,
    asking.check,
    asking.trace,
    asking.preview,
    asking.diff,
    quarantine.quarantine,
    positions.positions,
    positions.repartition,
    positions.undelete,
    connections.connections,
):
    main.add_command(command)
