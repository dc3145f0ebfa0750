"""The fault bench: everything that can go wrong around a sync, and what becomes of the tables.

`cases` says what a fault is, `shapes` in which ways lists are cut into pages, `rig` is one stream of
each kind and of each shape with a source behind a proxy that misbehaves, `matrix` runs every fault
against those that it is for and prints what became of it.
"""
