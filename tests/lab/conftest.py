"""Lab runs in this process are judged by fewer responses."""

import pytest

from redviz.lab import training


@pytest.fixture(autouse=True)
def two_held_out_requests(monkeypatch):
    monkeypatch.setattr(training, "HELD_OUT", training.HELD_OUT[:2])
