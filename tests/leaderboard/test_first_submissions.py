"""The script that packs the baselines: which it takes, and that what it makes is verified as reproduced."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

from convbench.leaderboard.track_data import Files
from convbench.leaderboard.verify import verify
from convbench.systems.catalog import shipped

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "first_submissions.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("first_submissions", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def root(tmp_path):
    for name in ("inscit", "inscit-mini", "inscit-sample"):
        (tmp_path / "boards" / name).mkdir(parents=True)
        shutil.copy(shipped("leaderboards") / name / "track.yaml", tmp_path / "boards" / name)
    return tmp_path / "boards"


def test_it_takes_what_needs_no_hub(script):
    found = list(script.free_baselines())
    assert {"bm25-query", "minilm-history", "oracle", "random", "unified-minilm"} <= set(found)
    assert not {"ance-history", "unified-paper", "bm25-server", "minilm-qwen3"} & set(found)


def test_what_it_makes_is_reproduced_and_is_made_once(script, root, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["first_submissions.py", "--root", str(root), "--submitted", "2026-01-31", "oracle"])
    script.main()
    made, left_out = capsys.readouterr().out.splitlines()
    assert made == f"oracle on inscit-mini: {root / 'inscit-mini' / 'submissions' / 'oracle'}"
    assert left_out.startswith("oracle on inscit-sample: left out: a sample of real data")
    script.main()
    assert capsys.readouterr().out.startswith("oracle on inscit-mini: exists\n")
    (outcome,) = verify(root, files=Files())
    assert outcome.verified.level == "reproduced"
    assert outcome.verified.contaminated == "no"
