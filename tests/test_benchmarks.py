"""Every benchmark runs small and writes figures of the agreed form; the page is what the figures say."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import page  # noqa: E402
from side_by_side import Grown, Pairs, Result, Spread, exponent, growth, side_by_side, write_results  # noqa: E402

QUICK = {"comparison_statistics", "start_up", "end_to_end"}
"""Those that take a few seconds small; the others, which load torch or compile a lot, are marked slow."""
OF_OTHER_FORM = {"scale", "soak"}
"""Those with tests of their own (tests/test_scale.py, tests/test_soak.py)."""
SCRIPTS = sorted(
    path.stem
    for path in BENCHMARKS.glob("*.py")
    if path.stem not in OF_OTHER_FORM and "--small" in (text := path.read_text(encoding="utf-8")) and '__name__ == "__main__"' in text
)


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / f"{script}.py"), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)


@pytest.mark.parametrize("script", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in SCRIPTS])
def test_it_runs_small_and_writes_figures(script: str, tmp_path: Path) -> None:
    device = ["--device", "cpu"] if script.startswith("gpu_") else []
    done = run(script, "--small", *device, "--out", str(tmp_path / "figures.json"))
    if "No module named 'sentence_transformers'" in done.stderr:
        pytest.skip("the peer sentence-transformers is not installed: make .venv/.bench")
    assert done.returncode == 0, done.stderr[-2000:]
    figures = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    check_environment(figures["environment"])
    if "shares" in figures:
        assert figures["shares"]
        for share in figures["shares"]:
            check_share(share)
            assert share["path"] in done.stdout
    else:
        assert figures["results"]
        for result in figures["results"]:
            check_result(result)
            assert result["path"] in done.stdout
    (tmp_path / f"{script}.json").write_text(json.dumps(figures), encoding="utf-8")
    (tmp_path / "figures.json").unlink()
    assert f"`{script}.json`" in page.page(tmp_path)


def check_environment(where: Mapping[str, Any]) -> None:
    assert where["processor"]
    assert where["cores"] >= 1
    assert where["threads"] == 1
    assert where["load_before"] >= 0
    assert {"python"} < set(where["versions"])


def check_spread(spread: Mapping[str, float]) -> None:
    assert 0 < spread["min"] <= spread["median"] <= spread["max"]


def check_result(result: Mapping[str, Any]) -> None:
    assert result["path"]
    assert result["peer"]
    assert result["equality"]
    assert set(result["pairs"]["seconds"]) == {"ours", "peer"}
    for spread in (*result["pairs"]["seconds"].values(), result["pairs"]["ratio"]):
        check_spread(spread)
    assert result["pairs"]["pairs"] >= 1
    least = 1 / result["at_most"] if result["at_most"] is not None else result["target"]
    assert result["reached"] == (None if least is None else result["pairs"]["ratio"]["median"] >= least)
    assert all(grown["times"] > 0 and grown["seconds"] > 0 for grown in result["growth"])
    assert (result["exponent"] is None) == (len(result["growth"]) < 2)
    assert isinstance(result["memory"], dict)
    assert isinstance(result["notes"], str)


def check_share(share: Mapping[str, Any]) -> None:
    assert share["bound"] in ("arithmetic", "bytes")
    assert min(share["flop"], share["bytes"], share["allowed_seconds"], share["seconds"]) > 0
    assert share["share"] == pytest.approx(share["allowed_seconds"] / share["seconds"], rel=1e-2)


def test_there_are_scripts_for_every_part() -> None:
    assert {"comparison_statistics", "end_to_end", "start_up", "gpu_encoding", "gpu_responding", "gpu_search", "gpu_training"} <= set(
        SCRIPTS
    )
    assert set(SCRIPTS) >= QUICK


def test_the_page_is_what_the_figures_say() -> None:
    done = run("page", "--check")
    assert done.returncode == 0, done.stderr


RESULT = Result(
    path="joining words, 1,000 times",
    peer="a loop",
    pairs=Pairs({"ours": Spread(0.5, 1.0, 1.5), "peer": Spread(2.0, 2.5, 4.0)}, Spread(2.0, 2.5, 4.0), 5),
    equality="the same text",
    target=3.0,
    growth=(Grown(1, 0.1), Grown(2, 0.2), Grown(4, 0.4), Grown(8, 0.8)),
    memory={"extra megabytes": 12.0},
    notes="Held up by | the reading.",
)
WHERE = {"processor": "abacus", "cores": 2, "threads": 1, "load_before": 0.5, "versions": {"python": "3.11.7", "numpy": "2.0.0"}}


@pytest.fixture
def figures(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    write_results(folder / "joining.json", [RESULT], WHERE)
    (folder / "passage_store.json").write_text('{"benchmark": "passage_store"}', encoding="utf-8")
    return folder


def test_a_missed_aim_stays_on_the_page(figures: Path) -> None:
    text = page.page(figures)
    assert "| joining words, 1,000 times | a loop | 1 | 2.5 | 2.5 (2 to 4) | 3 | **no** |" in text
    assert "exponent 1.00" in text
    assert "extra megabytes 12" in text
    assert "Held up by | the reading." in text
    assert "| `joining.json` | abacus | 2 | 1 | 0.5 | python 3.11.7, numpy 2.0.0 |" in text
    assert "| `benchmarks/results/passage_store.json` | Building a passage store from a million" in text


def test_a_stale_page_is_refused(figures: Path, tmp_path: Path) -> None:
    place = ["--results", str(figures), "--out", str(tmp_path / "page.md")]
    assert run("page", "--check", *place).returncode != 0
    assert run("page", *place).returncode == 0
    assert run("page", "--check", *place).returncode == 0
    shutil.copy(figures / "joining.json", figures / "another.json")
    stale = run("page", "--check", *place)
    assert stale.returncode != 0
    assert "run `python benchmarks/page.py`" in stale.stderr


def test_nothing_is_timed_before_both_give_the_same() -> None:
    calls: list[str] = []

    def way(name: str) -> str:
        calls.append(name)
        return name

    def same(ours: str, peer: str) -> None:
        assert ours == peer, "they differ"

    with pytest.raises(AssertionError, match="they differ"):
        side_by_side(lambda: way("ours"), lambda: way("peer"), same)
    assert calls == ["ours", "peer"]
    pairs = side_by_side(lambda: way("both"), lambda: way("both"), same, pairs=2)
    assert pairs.pairs == 2
    assert calls[2:] == ["both"] * 6


def test_growth_is_the_slope() -> None:
    assert exponent([Grown(1, 3.0), Grown(2, 12.0), Grown(4, 48.0)]) == 2.0
    assert exponent([Grown(1, 3.0)]) is None
    grown = growth(lambda times: lambda: sum(range(20_000 * times)), (1, 8))
    assert grown[1].seconds > grown[0].seconds
    assert 0.5 < (exponent(grown) or 0) < 1.5


def test_the_arithmetic_is_what_torch_counts() -> None:
    torch = pytest.importorskip("torch")
    from gpu_figures import decoder, forward_flop
    from torch.utils.flop_counter import FlopCounterMode

    with decoder("cpu", small=True) as loaded:
        loaded.model.set_attn_implementation("eager")  # torch counts plain matrix products only
        ids = torch.randint(3, 100, (2, 33))
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            loaded.body(input_ids=ids, use_cache=False)
        config = loaded.model.config
        unseen = 4 * config.num_hidden_layers * config.hidden_size * 2 * (33 * 33 - 33 * 34 / 2)  # torch counts what the mask hides
        assert forward_flop(loaded, [33, 33]) == pytest.approx(counter.get_total_flops() - unseen)
        assert forward_flop(loaded, [20, 13], [0, 20]) == pytest.approx(forward_flop(loaded, [33]))


def test_search_by_groups_finds_the_best_with_ties() -> None:
    torch = pytest.importorskip("torch")
    from gpu_search import best_of, search

    scores = torch.randint(0, 50, (3, 64 * 40)).float()
    found, places = best_of(scores, 100)
    assert torch.equal(found, scores.sort(dim=1, descending=True).values[:, :100])
    assert torch.equal(scores.gather(1, places), found)
    assert all(len(set(row)) == 100 for row in places.tolist())
    matrix, queries = torch.randn(64 * 50, 1024).half(), torch.randn(2, 1024).half()
    best, rows = search(matrix, queries, 64 * 8)
    whole = queries.float() @ matrix.float().T
    torch.testing.assert_close(best, whole.topk(100, dim=1).values)
    torch.testing.assert_close(whole.gather(1, rows), best)
