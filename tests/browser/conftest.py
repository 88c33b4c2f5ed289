"""One served app for each file of browser tests, and how they open it: jobs that a test leaves behind end with its file."""

from pathlib import Path

import pytest
from serve import serving

ROOT = Path(__file__).parents[2]
SLOW = 180_000  # ms: the first use of the model imports torch, on a machine that may be busy


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    with serving(ROOT / "app.py", ROOT, REDVIZ_HOME=str(home)) as url:
        yield url


@pytest.fixture
def app(page, address):
    """Open the app (a path with its query) in a fresh browser context and wait for its strips."""

    def open_app(path="/", strips=True, **options):
        opened = page(**options)
        opened.errors = []
        opened.on("pageerror", lambda error: opened.errors.append(str(error)))
        opened.on("dialog", lambda dialog: (opened.errors.append("a dialog opened"), dialog.dismiss()))
        opened.set_default_timeout(SLOW)
        opened.goto(address + path)
        if strips:
            opened.wait_for_selector(".rv .text .u")
        return opened

    return open_app
