"""A test that takes more than ten seconds of a processor, and is not marked slow, fails and is named."""

import os
import time
from collections.abc import Iterator

import pytest

LIMIT = 10.0


def processor_seconds() -> float:
    """Of all threads of this process; what a process that it started costs depends on what of torch lies in memory already.

    The clock on the wall would say how busy the machine is; this says what the test costs.
    """
    return sum(os.times()[:2])


def slowdown() -> float:
    """How many times its least a small piece of work takes on average just now: others share the processor's time and caches."""
    tries = []
    for _ in range(300):
        begun = time.process_time()
        sum(range(20_000))
        tries.append(time.process_time() - begun)
    return sum(tries) / len(tries) / min(tries)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Fail the test itself, so that the sentence reaches the summary from whichever worker ran it."""
    if item.get_closest_marker("slow"):
        return (yield)
    before = processor_seconds()
    result = yield
    took = processor_seconds() - before
    if took > LIMIT and (took := took / slowdown()) > LIMIT:
        pytest.fail(
            f"{item.nodeid} took {took:.1f} seconds of a processor, more than the {LIMIT:g} a test may take; "
            "let it do the same with less, or mark it slow.",
            pytrace=False,
        )
    return result
