"""A page at rest, and the files that it offers, taken as a person would."""

from pathlib import Path

from playwright.sync_api import Locator, Page, TimeoutError

QUIET = "() => document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'"
PATIENCE = 60_000  # ms


def taken(opened: Page, button: Locator) -> Path:
    """Press a download button of a page that has come to rest; once more where the press met a redraw and nothing came."""
    for last in (False, True):
        opened.wait_for_function(QUIET)
        try:
            with opened.expect_download(timeout=PATIENCE) as waited:
                button.click()
            return Path(waited.value.path())
        except TimeoutError:
            if last:
                raise
    raise AssertionError("not reached")
