"""The Agreement screen: do people agree, and does a method find what they marked."""
