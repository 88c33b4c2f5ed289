"""Credits that are arithmetic on an Observation: no model, no state."""
