"""Runs on two collections of one dataset: never in one table, and whether they order systems alike."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import convbench, succeed
from scipy.stats import kendalltau

from convbench.analysis.resampling import Resampling
from convbench.comparison import tiers
from convbench.comparison.build import compare
from convbench.comparison.model import Comparison, Settings
from convbench.errors import UsageError
from convbench.harness.finished import load_run, run_folders
from convbench.report.comparison.sections import sections_of, tables_of

METRICS = ("--metrics", "retrieval", "--offline")
SYSTEMS = ("bm25-query", "bm25-queries", "bm25-history", "bm25-rewrite", "first-sentence", "random")
QUICK = Settings(resampling=Resampling(resamples=500))
TITLE = "Do the tiers agree?"


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """The same systems on a bundled set and on a pool of it; one ran on the pool alone."""
    root = tmp_path_factory.mktemp("tiers")
    succeed("run", *SYSTEMS, "-d", "topiocqa", "--out", root / "full", *METRICS)
    full = root / "full" / "topiocqa"
    made_by = ("--run", full / "bm25-query", "--run", full / "bm25-history", "--depth", 1)
    succeed("data", "pool", "topiocqa", *made_by, "--out", root / "pool")
    succeed("run", *SYSTEMS, "-d", "topiocqa", "--corpus", root / "pool", "--out", root / "pooled", *METRICS)
    alone = ("--set", "name=shallow", "--set", "k=5", "--out", root / "pooled" / "topiocqa" / "shallow")
    succeed("run", "bm25-query", "-d", "topiocqa", "--corpus", root / "pool", *alone, *METRICS)
    return root


@pytest.fixture(scope="module")
def compared(runs) -> Comparison:
    return compare([runs / "pooled", runs / "full"], allow_different_collections=True, settings=QUICK)


def test_refused_unless_tables_apart_are_asked_for(runs):
    with pytest.raises(UsageError, match=r"collections differ: .*pooled from 0bb7ba025159.*--allow-different-collections"):
        compare([runs / "full", runs / "pooled"], settings=QUICK)


def test_refused_even_where_the_pool_holds_every_passage(runs, tmp_path):
    full = runs / "full" / "topiocqa" / "bm25-query"
    succeed("data", "pool", "topiocqa", "--run", full, "--depth", 60, "--out", tmp_path / "pool")
    succeed("run", "bm25-query", "-d", "topiocqa", "--corpus", tmp_path / "pool", "--out", tmp_path / "run", *METRICS)
    whole, pooled = (load_run(path).results.dataset for path in (full, tmp_path / "run"))
    assert whole.collection_sha256 == pooled.collection_sha256
    with pytest.raises(UsageError, match="collections differ"):
        compare([full, tmp_path / "run"], settings=QUICK)
    apart = compare([tmp_path / "run", full], allow_different_collections=True, settings=QUICK)
    assert len({each.task.id for each in apart.tasks}) == 2
    assert [len(each.tiers) for each in apart.tasks] == [1, 0]
    first = apart.tasks[0].tiers[0]
    assert (first.systems, first.orders) == (("bm25-query",), ())
    (statement,) = next(section for section in sections_of(apart.tasks[0], QUICK) if section.title == TITLE).statements
    assert "1 system with the same settings ran on both; an order needs two or more" in statement


def test_the_smaller_one_is_held_against_the_larger(compared):
    pooled, full = compared.tasks
    assert full.tiers == ()
    (agreement,) = pooled.tiers
    assert (agreement.task, agreement.title) == (full.task.id, full.task.title)
    assert (agreement.smaller, agreement.larger) == (pooled.task.entrants[0].run.results.dataset.passages, 68)
    assert set(agreement.systems) == set(SYSTEMS) - {"random"}  # the floor does not compete
    assert agreement.unmatched == ("shallow",)
    assert set(agreement.makers) == {"bm25-query", "bm25-history"}
    measures = [order.measure for order in agreement.orders]
    assert measures[0] == "convgqr-line/nDCG@3"
    assert set(measures) == {one.key for one in pooled.task.measures if one.side == "ranking" and one.tested}


def test_tau_is_scipys_of_the_results(runs, compared):
    (agreement,) = compared.tasks[0].tiers
    for order in agreement.orders:
        sides = []
        for tier in ("full", "pooled"):
            loaded = [load_run(runs / tier / "topiocqa" / label) for label in agreement.systems]
            sides.append([next(one.value for one in run.results.metrics if one.key == order.measure) for run in loaded])
        rounded = [np.round(side, 12) for side in sides]
        expected = float(kendalltau(*rounded).statistic)
        if np.isnan(expected):
            assert order.agreement.tau is None
        else:
            assert order.agreement.tau == pytest.approx(expected, abs=1e-12)
            assert order.agreement.interval is not None
            assert -1 <= order.agreement.interval[0] <= order.agreement.interval[1] <= 1
        assert order.agreement.systems == 5


def test_pairs_that_are_told_apart_and_swapped(compared):
    """With the orders of the pool turned round, every pair that the whole collection tells apart is swapped, and no other."""
    pooled, full = compared.tasks[0].task, compared.tasks[1].task
    generous = replace(QUICK, alpha=0.5)
    turned = replace(pooled, values={key: -values for key, values in pooled.values.items()})
    order = tiers.tier_agreements(turned, [turned, full], generous)[0].orders[0]
    assert order.agreement.tau is not None
    assert order.agreement.tau < 0
    values = {entrant.label: full.values[order.measure][:, place] for place, entrant in enumerate(full.entrants)}
    assert order.swaps
    for swap in order.swaps:
        assert swap.larger.value == pytest.approx(values[swap.better].mean() - values[swap.worse].mean())
        assert swap.larger.value > 0 > swap.smaller.value
        assert 0 < swap.p <= 0.5
        assert swap.larger.interval is not None
        assert swap.larger.interval[0] <= swap.larger.value <= swap.larger.interval[1]
    strict = tiers.tier_agreements(turned, [turned, full], replace(QUICK, alpha=1e-9))[0].orders[0]
    assert strict.swaps == ()


def test_the_report_says_it_in_every_form(runs, tmp_path):
    refused = convbench("compare", runs / "full", runs / "pooled", "-o", tmp_path)
    assert "their collections differ" in refused.error
    apart = ("--allow-different-collections", "--no-figures", "--resamples", 200, "--measure", "nDCG@3")
    out = succeed("compare", runs / "pooled", runs / "full", "-o", tmp_path, *apart).out
    (said,) = [line for line in out.splitlines() if "Kendall's tau of nDCG@3 is" in line]
    assert "5 systems" in said
    markdown, page = ((tmp_path / name).read_text(encoding="utf-8") for name in ("report.md", "report.html"))
    for text in (markdown, page):
        assert TITLE in text
        assert "made this pool" in text
        assert "too high against the systems that made the pool" in text
    assert "bm25-history and bm25-query made this pool" in markdown
    assert "Not run with the same settings on the larger collection, so not in tau: shallow" in markdown
    assert markdown.count(f"### {TITLE}") == 1
    tasks = json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))["tasks"]
    assert [len(task["tiers"]) for task in tasks] == [1, 0]
    assert [task["dataset"]["tier"] for task in tasks] == ["pooled", "mini"]
    assert tasks[0]["dataset"]["pool"]["depth"] == 1
    assert tasks[1]["dataset"]["pool"] is None
    (order,) = tasks[0]["tiers"][0]["orders"]
    assert f"Kendall's tau of nDCG@3 is {order['agreement']['tau']:.2f}" in said
    written = {path.name for path in (tmp_path / "tables").iterdir()}
    assert {f"{tasks[0]['id']}-tiers.csv", f"{tasks[0]['id']}-tiers.tex"} <= written
    assert f"{tasks[1]['id']}-tiers.csv" not in written


def test_few_systems_are_warned_of(runs):
    folders = [runs / tier / "topiocqa" / name for tier in ("full", "pooled") for name in ("bm25-query", "bm25-rewrite")]
    compared = compare(folders, allow_different_collections=True, settings=QUICK)
    (section,) = (section for section in sections_of(compared.tasks[1], QUICK) if section.title == TITLE)
    assert any("With 2 systems tau can take so few values that it says little: run 5 or more" in line for line in section.statements)


def test_swapped_pairs_have_a_table(compared):
    pooled, full = compared.tasks
    turned = replace(pooled.task, values={key: -values for key, values in pooled.task.values.items()})
    generous = replace(QUICK, alpha=0.5)
    swapped = replace(pooled, tiers=tiers.tier_agreements(turned, [turned, full.task], generous))
    ids = [table.id for table in tables_of(Comparison((swapped,), generous, "0"))]
    assert f"{pooled.task.id}-swaps" in ids
    (section,) = (section for section in sections_of(swapped, generous) if section.title == TITLE)
    assert any("stand in the opposite order here" in line for line in section.statements)


def test_one_collection_has_no_such_section(runs):
    compared = compare([runs / "full"], settings=QUICK)
    assert compared.tasks[0].tiers == ()
    assert TITLE not in [section.title for section in sections_of(compared.tasks[0], QUICK)]
    alone = compare([runs / "pooled"], settings=QUICK)
    assert alone.tasks[0].task.title == "topiocqa, split mini, a pool"
    assert any(note.startswith("This is a pool: ") for note in alone.tasks[0].notes)


def test_other_seeds_and_settings_are_other_systems(runs, tmp_path):
    succeed("run", "bm25-query", "-d", "topiocqa", "--set", "retriever.b=0.1", "--out", tmp_path / "other", *METRICS)
    folders = [tmp_path / "other", runs / "full" / "topiocqa" / "bm25-rewrite", *run_folders(runs / "pooled")]
    compared = compare(folders, allow_different_collections=True, settings=QUICK)
    (agreement,) = compared.tasks[1].tiers
    assert agreement.systems == ("bm25-rewrite",)
