"""One server for each configuration and worker, a browser context for each test.

The tests of the app share a server, its home folder and its database: a test makes what it looks at, and finds it by its name.
"""

from pathlib import Path

import pytest
from at_rest import at_rest_first
from playwright.sync_api import Locator, expect
from serve import serving

from redviz.annotation.store import open_store

ROOT = Path(__file__).parents[2]
SLOW = 180_000  # ms: the first use of the model imports torch, on a machine that may be busy
SECOND = {  # these files go to one worker, all others to another: each about half of the seconds
    "test_annotate_screen.py",
    "test_compare_screen.py",
    "test_demo.py",
    "test_lab_screen.py",
    "test_learn_screen.py",
    "test_slow_server.py",
}

expect.set_options(timeout=SLOW)


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups in the same hook
def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.xdist_group(f"browser-{2 if item.path.name in SECOND else 1}"))


@pytest.fixture(autouse=True)
def moves_at_rest(monkeypatch):
    """Presses and texts go to a page that is not being drawn, in every test here."""
    for move in ("click", "fill"):
        monkeypatch.setattr(Locator, move, at_rest_first(getattr(Locator, move)))


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """The folder in which the shared server keeps what it keeps."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def store(home):
    """The shared server's database."""
    opened = open_store(f"sqlite:///{home}/redviz.db")
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def address(home, store):
    """The app as it is without any setting."""
    with serving(ROOT / "app.py", ROOT, REDVIZ_HOME=str(home)) as url:
        yield url


@pytest.fixture(scope="session")
def demo_home(tmp_path_factory):
    return tmp_path_factory.mktemp("demonstration")


@pytest.fixture(scope="session")
def demo_address(demo_home):
    """The app as a demonstration, which keeps nothing."""
    with serving(ROOT / "app.py", ROOT, REDVIZ_HOME=str(demo_home), REDVIZ_DEMO="1", REDVIZ_IDLE_MINUTES="3") as url:
        yield url
    assert list(demo_home.iterdir()) == []  # after everything that the tests did


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
