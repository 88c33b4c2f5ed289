"""Forward passes: observation, attention rows, reused keys and values, prefixes of every kind."""
