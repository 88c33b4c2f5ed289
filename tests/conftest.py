"""What every test shares: no network, no home folder, a browser, and which tests can run here."""

import importlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from playwright.sync_api import Browser, Page, sync_playwright
from seconds import pytest_runtest_call  # noqa: F401 (a hook)

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny models on two workers: more threads only get in each other's way
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when huggingface_hub is imported, so before any test module

# A shared machine may pause anywhere; under CI the same examples are tried every time.
settings.register_profile("redviz", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("redviz")

if TYPE_CHECKING:
    from redviz.models.kinds.reward_model import RewardModel

REMEDY = "install the package chromium (or Google Chrome), or set CHROMIUM=/path/to/chromium"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() in ("true", "1")


def pytest_configure(config: pytest.Config) -> None:
    """Keep redviz's state out of the home folder of whoever runs the tests."""
    if "REDVIZ_HOME" not in os.environ:
        folder = tempfile.mkdtemp(prefix="redviz-tests-")
        os.environ["REDVIZ_HOME"] = folder
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are named by their length: a gzip header holds the time, and two workers must collect the same names."""
    return f"{argname}-{len(val)}-bytes" if isinstance(val, bytes) else None


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs CUDA, and torch finds none here")


@pytest.fixture(scope="session")
def sentiment() -> "RewardModel":
    """``embedded:sentiment``, loaded once for all tests of a worker: none may change it."""
    from redviz.models.loading.load import load_reward_model

    return load_reward_model("embedded:sentiment", device="cpu")


@pytest.fixture(scope="session")
def needed() -> Callable[..., ModuleType]:
    """Import a module that a test compares with; in CI a missing one (or name in it) is a failure, elsewhere a skip."""

    def found(module: str, name: str = "") -> ModuleType:
        try:
            there = importlib.import_module(module)
        except ImportError:
            there = None
        if there is None or (name and not hasattr(there, name)):
            missing = pytest.fail if in_ci() else pytest.skip
            missing(f"no {module}{name and '.' + name} here: install requirements-dev.txt and requirements-ray.txt")
        return there

    return found


def find_chromium() -> str | None:
    named = os.environ.get("CHROMIUM")
    return next((path for name in (named, *BROWSERS) if name and (path := shutil.which(name))), None)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A running Chromium; in CI a missing one is a failure, elsewhere a skip that says how to get it."""
    path = find_chromium()
    if path is None:
        missing = pytest.fail if in_ci() else pytest.skip
        missing(f"no Chromium for the browser tests: {REMEDY}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--no-first-run",
            ],
        )
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Open a page in a fresh context of 1280 x 900, as often as needed: ``page()``, ``page(color_scheme="dark")``."""
    contexts = []

    def open_page(**options) -> Page:
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        return context.new_page()

    yield open_page
    for context in contexts:
        context.close()
