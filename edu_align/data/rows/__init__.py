"""Other people's rows: the names, cells, turns and shapes that are known, and what becomes of a row."""
