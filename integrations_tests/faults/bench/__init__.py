"""The fault bench: everything that can go wrong around a sync, and what becomes of the tables.

`cases` says what a fault is, `rig` is one stream of each kind with a source behind a proxy that
misbehaves, `matrix` runs every fault against every kind and prints what became of it.
"""
