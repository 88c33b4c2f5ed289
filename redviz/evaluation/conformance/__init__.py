"""The conformance card: is the score read where the model reads it, and what follows for prefixes."""
