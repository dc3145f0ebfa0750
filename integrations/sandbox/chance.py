"""Random numbers for the twins: the same for the same name, on every machine."""

from random import Random


def dice(name: str) -> Random:
    """A sequence that `name` alone decides."""
    return Random(name)  # noqa: S311  # data that must repeat, no secrets
