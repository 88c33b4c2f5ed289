"""What the tests of whole pages share."""

import pytest
from screens import opened


@pytest.fixture(scope="session")
def warm():
    """The app was opened once: torch is imported, the engine has its model and has checked it. No test is charged for that."""
    opened()
