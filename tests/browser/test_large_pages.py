"""The page at its largest: ten systems on thousands of turns. How quick it is: ``benchmarks/report_page.py``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from large import SYSTEMS, TURNS, make_large_comparison

from convbench.report.comparison.page import write_page

if TYPE_CHECKING:
    from conftest import Open

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def large_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten systems on 2,514 turns."""
    folder = tmp_path_factory.mktemp("large")
    write_page(make_large_comparison(folder), folder / "report.html")
    return folder / "report.html"


def test_a_large_page_fits_and_works(open_page: Open, large_page):
    assert large_page.stat().st_size <= 15_000_000
    report = open_page(large_page)
    assert report.page.locator("#turns-count").inner_text() == f"All {TURNS:,} turns."
    assert report.page.locator("[name=first] option").count() == SYSTEMS
    assert report.open_turn(40).locator("h3", has_text="Top passages").count() == 1
    report.page.keyboard.press("Escape")
    report.choose("order", "Largest difference first")
    report.choose("outcome", "A better")
    assert report.page.locator("#turns-count", has_text="of 2,514").count() == 1
    report.choose("outcome", "All turns")
    report.page.get_by_label("Search in").fill("c200_1")
    report.page.locator("#turns-count", has_not_text="All ").wait_for()
