"""Ctrl-C while a command works: it is noted at once and heeded between two steps, so that it is never lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def ctrl_c_between_steps() -> Iterator[Callable[[], None]]:
    """Note the first Ctrl-C; the function that is given raises it where it is called. A second one is raised wherever it comes.

    A KeyboardInterrupt in the middle of a step may leave a lock taken (``threading.Condition`` is Python code), on which the command
    then waits for ever on its way out, or end in a callback whose errors are dropped.
    """
    pressed = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            signal.default_int_handler(number, frame)
        pressed = True

    def heed() -> None:
        if pressed:
            raise KeyboardInterrupt

    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield heed  # the signal is ignored (a job in the background), or somebody else's
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield heed
        heed()
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
