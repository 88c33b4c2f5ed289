"""The scenes of the Learn screen: each a few sentences, a formula, one figure that moves, a question."""
