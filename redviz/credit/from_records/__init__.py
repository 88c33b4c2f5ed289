"""Credits that are arithmetic on an Observation: numpy, no model, no state."""
