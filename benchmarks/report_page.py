"""The comparison page at its largest, in a real browser: 10 systems × 2,514 turns of random words.

    python benchmarks/report_page.py --out results.json

Needs Chromium on the PATH and the development packages. Writes the page, then opens it five times from its file and measures what a reader
waits for: until the list of turns is there, until a turn is open, filtered, searched. Fails when the page is larger than 15 MB, or when it
takes more than 3 seconds to load in the median.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "browser"))

from browsing import Opened, opened
from conftest import CHROMIUM, QUIET
from large import SYSTEMS, TURNS, make_large_comparison

from convbench.report.comparison.page import write_page

REPEATS = 5
MAX_BYTES, MAX_SECONDS = 15_000_000, 3.0


def seconds(action: Callable[[], object]) -> float:
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def measure(browser: Browser, page: Path) -> dict[str, float]:
    """One reader's waits, in seconds."""
    pages: list[Opened] = []
    loaded = seconds(lambda: pages.append(opened(browser, page)))
    report = pages[0]
    assert report.page.locator("#turns-count").inner_text() == f"All {TURNS:,} turns."
    turn = seconds(lambda: report.open_turn(40))
    report.page.keyboard.press("Escape")
    filtered = seconds(lambda: (report.choose("order", "Largest difference first"), report.choose("outcome", "A better")))
    report.choose("outcome", "All turns")
    searched = seconds(
        lambda: (
            report.page.get_by_label("Search in").fill("c200_1"),
            report.page.locator("#turns-count", has_not_text="All ").wait_for(),
        )
    )
    assert not report.complaints
    assert not report.outside
    report.page.context.close()
    return {"load": loaded, "open a turn": turn, "filter and sort": filtered, "search": searched}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        comparison = make_large_comparison(Path(folder))
        page = Path(folder) / "report.html"
        written = seconds(lambda: write_page(comparison, page))
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        rounds = [measure(browser, page) for _ in range(REPEATS)]
        result = {
            "benchmark": "report_page",
            "systems": SYSTEMS,
            "turns": TURNS,
            "bytes": page.stat().st_size,
            "write_seconds": round(written, 2),
            "seconds": {
                name: {
                    "min": round(min(times), 3),
                    "median": round(statistics.median(times), 3),
                    "max": round(max(times), 3),
                }
                for name in rounds[0]
                for times in [[one[name] for one in rounds]]
            },
            "browser": browser.version,
            "processor": platform.processor() or platform.machine(),
            "load": os.getloadavg()[0],
        }
        browser.close()
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))
    if result["bytes"] > MAX_BYTES or result["seconds"]["load"]["median"] > MAX_SECONDS:
        sys.exit("too large or too slow")


if __name__ == "__main__":
    main()
