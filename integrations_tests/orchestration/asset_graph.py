"""The asset graph as text, for people to read in a review and for a test to compare.

After a change that is meant, write the committed text anew, and look at its diff:

    python -m integrations_tests.orchestration.asset_graph
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import dagster as dg

from integrations.connector_template.folders import folders
from integrations.orchestration.code_location import build

SNAPSHOT = Path(__file__).with_name("asset_graph.txt")


def text(definitions: dg.Definitions) -> str:
    """Assets, then jobs, then schedules and resources: a block each, in the order of their names."""
    return "\n".join([*_assets(definitions), *_others(definitions), ""])


def _assets(definitions: dg.Definitions) -> Iterator[str]:
    graph = definitions.resolve_asset_graph()
    for spec in sorted(definitions.resolve_all_asset_specs(), key=lambda spec: spec.key):
        key, node = spec.key, graph.get(spec.key)
        yield f"asset {key.to_user_string()}"
        yield from _line("depends on", (parent.to_user_string() for parent in node.parent_keys))
        yield from _line("group", [node.group_name])
        yield from _line("kinds", spec.kinds)
        yield from _line("owners", node.owners)
        tags = (f"{name}={value}" for name, value in node.tags.items())
        yield from _line("tags", (tag for tag in tags if not tag.startswith("dagster/kind/")))
        yield from _line("partitions", [_partitions(node.partitions_def)])
        checks = {key.name: graph.get(key).blocking for key in node.check_keys}
        yield from _line("checks", (f"{n} (blocking)" if checks[n] else n for n in checks))
        yield from _line("pool", () if node.is_external else node.pools or ())


def _others(definitions: dg.Definitions) -> Iterator[str]:
    repository = definitions.get_repository_def()
    for job in sorted(repository.get_all_jobs(), key=lambda job: job.name):
        if not job.name.startswith("__"):
            keys = {key.to_user_string() for key in job.asset_layer.selected_asset_keys}
            yield f"job {job.name}: {len(keys)} assets of {', '.join(sorted(_streams(keys)))}"
    for schedule in sorted(repository.schedule_defs, key=lambda one: one.name):
        when = f"{schedule.cron_schedule} {schedule.execution_timezone}"
        yield f"schedule {schedule.name}: {when}, {schedule.job_name}"
    for name in sorted(repository.get_top_level_resources()):
        yield f"resource {name}"


def _line(name: str, values: Iterable[str | None]) -> Iterator[str]:
    said = ", ".join(sorted(value for value in values if value))
    if said:
        yield f"  {name}: {said}"


def _partitions(definition: dg.PartitionsDefinition | None) -> str:
    if definition is None:
        return ""
    assert isinstance(definition, dg.TimeWindowPartitionsDefinition)
    start = f"{definition.start:%Y-%m-%d %H:%M}"
    return f"{definition.cron_schedule} from {start} {definition.timezone}"


def _streams(keys: Iterable[str]) -> set[str]:
    return {key.removesuffix("_raw").removesuffix("_canonical").rpartition("/")[2] for key in keys}


if __name__ == "__main__":
    SNAPSHOT.write_text(text(build(folders())))
