"""The Learn screen: the scenes and how they are walked through."""
