"""The one root of every error that redviz raises on purpose."""


class RedvizError(Exception):
    """A problem a person can mend: its message says what was found, what was expected and what to do."""


class Cancelled(RedvizError):
    """A job was cancelled between two micro-batches."""


class OnlyPairs(RedvizError):
    """A checkpoint scores pairs of responses, where the score of one was asked for: Compare can go on with it."""
