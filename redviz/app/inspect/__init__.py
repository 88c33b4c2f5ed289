"""The Inspect screen: one response, its strips, its curves, and whether to believe them."""
