"""Credits that call the model again."""
