"""Whether credits follow what the model does."""
