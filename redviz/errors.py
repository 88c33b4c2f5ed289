"""The one root of every error that redviz raises on purpose."""


class RedvizError(Exception):
    """A problem a person can mend: its message says what was found, what was expected and what to do."""


class Cancelled(RedvizError):
    """A job was cancelled between two micro-batches."""


def of_one_row(error: Exception) -> RedvizError:
    """What went wrong in one of many rows, as that row's own error.

    Raises
    ------
    Exception
        The same again, where it is not the row's: it was cancelled, or the device takes no more work.
    """
    if isinstance(error, Cancelled) or type(error).__name__ == "AcceleratorError":  # torch's, without importing torch
        raise error
    if isinstance(error, RedvizError):
        return error
    said = " ".join(str(error).split())[:200] or "nothing more is said"
    made = RedvizError(f"It failed while running ({type(error).__name__}: {said}).")
    made.__cause__ = error
    return made


class OnlyPairs(RedvizError):
    """A checkpoint scores pairs of responses, where the score of one was asked for: Compare can go on with it."""
