from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ("sign_flip", "percentile", "bca", "turn_sign_flip", "turn_t")


def test_the_page_shows_what_the_simulation_found() -> None:
    report = json.loads((ROOT / "benchmarks/results/false_positives.json").read_text(encoding="utf-8"))
    expected = [
        [
            result["shape"],
            str(result["conversations"]),
            f"{result['correlation']:.2f}",
            *(f"{100 * result['false_positives'][name]['rate']:.1f}" for name in TESTS),
            f"{100 * result['power_at_detectable']['rate']:.1f}",
        ]
        for result in report["results"]
    ]
    page = (ROOT / "docs/statistics.md").read_text(encoding="utf-8")
    rows = [re.split(r"\s*\|\s*", line.strip("| ")) for line in page.splitlines() if re.match(r"\| (normal|zeros|skewed) \|", line)]
    assert rows == expected
    assert all(0.03 <= result["false_positives"]["sign_flip"]["rate"] <= 0.07 for result in report["results"][:12])
