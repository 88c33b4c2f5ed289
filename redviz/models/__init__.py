"""Which model, how it is loaded, and how it is read."""
