"""From a name to a module: files, weights, adapters, precision."""
