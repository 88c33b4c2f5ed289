"""The Model screen: the conformance card."""
