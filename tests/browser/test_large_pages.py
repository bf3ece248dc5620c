"""Pages as they come out of real work: several systems on all bundled sets, and ten systems on thousands of turns."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsing import Opened
from command_line import succeed
from large import SYSTEMS, TURNS, make_large_comparison

from convbench.analysis.resampling import Resampling
from convbench.comparison.build import compare
from convbench.comparison.model import Settings
from convbench.report.comparison.page import write_page

if TYPE_CHECKING:
    from conftest import Open

pytestmark = pytest.mark.slow

DATASETS = ("topiocqa", "qrecc", "orquac", "inscit", "faithdial")
RUN = ("bm25-query", "bm25-history", "bm25-rewrite", "oracle")


@pytest.fixture(scope="module")
def bundled_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four systems on the five bundled sets."""
    folder = tmp_path_factory.mktemp("bundled")
    chosen = [part for dataset in DATASETS for part in ("-d", dataset)]
    succeed("run", *RUN, *chosen, "--metrics", "retrieval,token-f1,rouge", "--out", folder / "runs")
    paths = [folder / "runs" / dataset / system for dataset in DATASETS for system in RUN]
    write_page(compare(paths, settings=Settings(resampling=Resampling(resamples=200))), folder / "report.html")
    return folder / "report.html"


@pytest.fixture(scope="module")
def large_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten systems on 2,514 turns."""
    folder = tmp_path_factory.mktemp("large")
    write_page(make_large_comparison(folder), folder / "report.html")
    if kept := os.environ.get("CONVBENCH_KEEP_LARGE_PAGE"):
        Path(kept).write_bytes((folder / "report.html").read_bytes())
    return folder / "report.html"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_all_bundled_sets_fit_and_are_accessible(open_page: Open, bundled_page, axe, scheme, width):
    report = open_page(bundled_page, color_scheme=scheme, viewport={"width": width, "height": 900})
    report.page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert report.page.evaluate("document.documentElement.scrollWidth") <= width
    report.page.evaluate(axe)
    assert serious(report) == []


def test_every_bundled_set_has_its_turns(open_page: Open, bundled_page):
    report = open_page(bundled_page)
    tasks = report.page.locator("[name=task] option").all_inner_texts()
    assert len(tasks) == len(DATASETS)
    report.choose("first", "bm25-rewrite")
    for task in tasks:
        report.choose("task", task)
        report.page.locator("#turns-list tbody tr").first.wait_for()
        assert report.page.locator("[name=first] option:checked").inner_text() == "bm25-rewrite", "the systems stay chosen"
        dialog = report.open_turn(0)
        assert dialog.locator("h3", has_text="Top passages").count() == 1
        report.page.keyboard.press("Escape")


def test_every_table_of_the_bundled_sets_becomes_sortable(open_page: Open, bundled_page):
    report = open_page(bundled_page)
    report.page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    for name in report.page.locator("[data-table]").evaluate_all("tables => tables.map(table => table.dataset.table)"):
        assert report.table(name).locator("thead [role=button]").count() >= 2, name


def test_a_large_page_is_small_and_quick(open_page: Open, large_page, capsys):
    assert large_page.stat().st_size <= 15_000_000
    begin = time.perf_counter()
    report = open_page(large_page)
    loaded = time.perf_counter() - begin
    assert report.page.locator("#turns-count").inner_text() == f"All {TURNS:,} turns."
    assert report.page.locator("[name=first] option").count() == SYSTEMS
    begin = time.perf_counter()
    report.open_turn(40)
    opened = time.perf_counter() - begin
    report.page.keyboard.press("Escape")
    begin = time.perf_counter()
    report.choose("order", "Largest difference first")
    report.choose("outcome", "A better")
    assert report.page.locator("#turns-count", has_text="of 2,514").count() == 1
    filtered = time.perf_counter() - begin
    begin = time.perf_counter()
    report.choose("outcome", "All turns")
    report.page.get_by_label("Search in").fill("c200_1")
    report.page.locator("#turns-count", has_not_text="All ").wait_for()
    searched = time.perf_counter() - begin
    size = large_page.stat().st_size / 1e6
    with capsys.disabled():
        sys.stdout.write(f"\n{size:.1f} MB; loaded {loaded:.2f}, turn {opened:.2f}, filter {filtered:.2f}, search {searched:.2f}\n")
    assert loaded < 3
    assert max(opened, filtered, searched) < 2


def serious(report: Opened) -> list[str]:
    """Axe without the drawings, of which there are too many to be quick; the other test page has them checked."""
    found = report.page.evaluate("axe.run({exclude: ['.drawing']})")["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found if one["impact"] in ("serious", "critical")]
