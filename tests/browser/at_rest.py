"""A page at rest: as a person waits before the next move, and how a file that it offers is taken."""

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, TimeoutError

QUIET = "() => document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'"
NOT_BUSY = (
    f"() => !document.querySelector('[data-testid=stApp]') || ({QUIET})()"  # a page that is no app is at rest too
)
PATIENCE = 60_000  # ms; a page whose server is gone never comes to rest


def at_rest_first(move: Callable[..., Any]) -> Callable[..., Any]:
    """A move of a locator that waits until the page is not being drawn: a press that meets a redraw is lost."""

    @wraps(move)
    def moved(locator: Locator, *args: Any, **options: Any) -> Any:
        with suppress(TimeoutError):
            locator.page.wait_for_function(NOT_BUSY, timeout=PATIENCE)
        return move(locator, *args, **options)

    return moved


def taken(opened: Page, button: Locator) -> Path:
    """The file that a download button gives."""
    with opened.expect_download() as waited:
        button.click()
    return Path(waited.value.path())
