"""Connectors on Dagster: other people's systems in, checked tables out."""
