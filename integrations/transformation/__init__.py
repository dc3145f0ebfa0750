"""Records become canonical frames: parse, coerce, map, check; by column, never row by row."""
