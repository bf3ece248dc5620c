"""Chromium, and pages opened in it the way a reader opens them: as files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from browsing import Opened, opened
from hostile import make_comparison

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    Open = Callable[..., Opened]

_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, _NAMES)), None)
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def absent(what: str) -> NoReturn:
    """Where somebody works without a browser these tests are skipped; where everything is checked they must run."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"browser tests need {what}")
    pytest.skip(f"browser tests need {what}")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        absent("the package playwright")
    if CHROMIUM is None:
        absent(f"one of {', '.join(_NAMES)} on the PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core."""
    try:
        import axe_playwright_python
    except ModuleNotFoundError:
        absent("the package axe-playwright-python")
    return next(Path(axe_playwright_python.__file__).parent.rglob("axe.min.js")).read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from convbench.report.comparison.page import write_page

    folder = tmp_path_factory.mktemp("hostile")
    write_page(make_comparison(folder), folder / "report.html")
    return folder / "report.html"


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Open]:
    """Opens a file; at the end of the test the page must have said nothing on the console and asked nothing of a network."""
    pages: list[Opened] = []

    def open_(path: Path, *, fragment: str = "", **settings: Any) -> Opened:
        pages.append(opened(chromium, path, fragment, settings))
        return pages[-1]

    yield open_
    for page in pages:
        complaints, requests = page.complaints, page.outside
        page.page.context.close()
        assert complaints == []
        assert requests == []
