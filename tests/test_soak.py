"""The soak runs small, and says so where memory grows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))


@pytest.mark.slow
def test_it_runs_small_and_writes_its_curves(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / "soak.py"), "--small", "--out", str(tmp_path / "soak.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout
    figures = json.loads((tmp_path / "soak.json").read_text(encoding="utf-8"))
    assert figures["turns"] == 12 * figures["conversations"]
    assert [run["system"] for run in figures["runs"]] == ["bm25-history", "unified-small"]
    for run in figures["runs"]:
        seconds, conversations, mib = zip(*run["curve"], strict=True)
        assert list(seconds) == sorted(seconds)
        assert list(conversations) == sorted(conversations)
        assert conversations[-1] == figures["conversations"]
        assert max(mib) <= run["mib_at_most_after_a_tenth"]
        assert mib[-1] == run["mib_at_the_end"]
        assert run["reached"] == (run["end_over_tenth"] <= 1.1)
        assert f"{run['system']}: " in done.stdout


@pytest.mark.parametrize(("end", "reached"), [(100.0, True), (109.0, True), (111.0, False)])
def test_what_a_curve_says(end: float, reached: bool) -> None:
    from soak import Sample, told

    samples = [Sample(number / 10, min(number, 100), 50.0 + number / 2) for number in range(130)]
    samples = [sample if sample.conversations != 10 else Sample(sample.seconds, 10, 100.0) for sample in samples]
    found = told("some", [*samples, Sample(13.0, 100, end)], 100)
    assert found["mib_after_a_tenth"] == 100.0
    assert found["mib_at_the_end"] == end
    assert found["mib_at_most_after_a_tenth"] == 114.5
    assert found["reached"] is reached
