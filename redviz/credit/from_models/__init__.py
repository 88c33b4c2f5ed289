"""Credits that call a model again."""
