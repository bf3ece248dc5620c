"""The page over four systems on the five bundled sets, as it comes out of real runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsing import Opened, sort, values
from command_line import succeed

if TYPE_CHECKING:
    from conftest import Open

DATASETS = ("topiocqa", "qrecc", "orquac", "inscit", "faithdial")
SYSTEMS = ("bm25-query", "bm25-history", "bm25-rewrite", "oracle")


@pytest.fixture(scope="module")
def bundled_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """By the commands that a user gives."""
    folder = tmp_path_factory.mktemp("bundled")
    chosen = [part for dataset in DATASETS for part in ("-d", dataset)]
    succeed("run", *SYSTEMS, *chosen, "--metrics", "retrieval,token-f1,rouge", "--out", folder / "runs")
    succeed("compare", folder / "runs", "-o", folder / "comparison", "--resamples", "200", "--no-figures")
    return folder / "comparison" / "report.html"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), pytest.param("dark", 390, marks=pytest.mark.slow)])
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


def test_every_results_table_sorts_and_filters(open_page: Open, bundled_page):
    report = open_page(bundled_page)
    for dataset in DATASETS:
        table = report.table(f"{dataset}-mini-results")
        names = table.locator("tbody th[scope=row]")
        assert names.count() == len(SYSTEMS)
        for _ in range(2):
            direction = sort(table, "nDCG@3")
            assert values(table, 1) == sorted(values(table, 1), reverse=direction == "descending")
        table.get_by_label("Filter rows").fill("history")
        assert names.count() == 1


def serious(report: Opened) -> list[str]:
    """Axe without the drawings, of which there are too many to be quick; the other test page has them checked."""
    found = report.page.evaluate("axe.run({exclude: ['.drawing']})")["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found if one["impact"] in ("serious", "critical")]
