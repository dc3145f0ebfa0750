"""What Dagster keeps of a connection: the history of its assets."""

import dagster as dg


def forget(instance: dg.DagsterInstance, connector: str, name: str) -> None:
    """Wipes the history of a connection's assets: a window that was green then would stay so, and
    a connection that is added again under the name starts from nothing."""
    found = [key for key in instance.all_asset_keys() if list(key.path[:2]) == [connector, name]]
    if found:
        instance.wipe_assets(found)
