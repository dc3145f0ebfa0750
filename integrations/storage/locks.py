"""The keys of our advisory locks, in one place so that no two are the same.

They are shared by everybody in a database; the upper half of each says `intg`. A load locks a hash
of its stream beside them.
"""

MIGRATIONS = 0x696E7467_0001
"""Under which the steps of the schema are applied."""
TABLES = 0x696E7467_0002
"""Under which canonical tables are made and widened."""
STACK = 0x696E7467_0003
"""Held for as long as a stack of Dagster's processes runs on the database."""
DAGSTER = 0x696E7467_0004
"""Under which Dagster's tables are made: `dagster dev` loads its instance in four processes."""
