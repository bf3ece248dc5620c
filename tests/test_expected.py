"""The shipped baselines still get the scores that their ``expected.json`` promises: on the mini sets, and on the real samples."""

from __future__ import annotations

from dataclasses import replace

import pytest

from convbench.harness.expected import named_sets, read_expected
from convbench.harness.reproduce import Bench, Verdict, reproduce
from convbench.systems.catalog import baseline_names, system_values
from convbench.systems.needs import needs_of

SETS = named_sets()
EXPECTED = {name: expected for name in baseline_names() if (expected := read_expected(name)) is not None}
CASES = [(name, set_name) for set_name in SETS for name, expected in EXPECTED.items() if set_name in expected.scores]
_LONG = ("unified-minilm", "hybrid-minilm", "hybrid-rewrite")
MINUTES = {(baseline, name) for baseline in _LONG for name, entry in SETS.items() if not entry.bundled}
MINUTES |= {(baseline, name) for baseline in _LONG for name, entry in SETS.items() if entry.bundled and name != "inscit-mini"}
MINUTES |= {(f"minilm-{what}", name) for what in ("history", "queries") for name in ("topiocqa-sample", "inscit-sample")}
"""What writes many responses, searches twice with retrievers that are measured by themselves, or encodes a thousand long sessions; of
these the first kinds run on one set always."""


def test_every_baseline_has_scores_on_every_set_it_can_run_on():
    lacking = {(name, set_name) for name in EXPECTED for set_name in SETS} - set(CASES)
    assert lacking == {(name, "inscit-sample") for name in ("bm25-rewrite", "minilm-rewrite", "hybrid-rewrite")}  # INSCIT has no rewrites
    free = {name for name in baseline_names() if set(needs_of(system_values(name))) <= {"nothing", "packaged weights"}}
    assert set(EXPECTED) == free


@pytest.fixture(scope="session")
def bench(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reproduced")
    return Bench(folder / "runs", folder / "cache", offline=True)


@pytest.mark.parametrize(
    ("baseline", "set_name"), [pytest.param(*case, marks=[pytest.mark.slow] if case in MINUTES else []) for case in CASES]
)
def test_scores(baseline, set_name, request, bench):
    real_data = None if SETS[set_name].bundled else request.getfixturevalue("real_data")
    (verdict,) = reproduce(baseline, replace(bench, real_data=real_data), (set_name,))
    assert verdict.verdict is Verdict.OK, verdict.as_json()


def value(baseline: str, set_name: str, metric: str) -> float:
    found = EXPECTED[baseline].scores[set_name].metrics[metric]
    assert found is not None
    return found


@pytest.mark.parametrize("set_name", [name for name in SETS if name != "inscit-sample"])
@pytest.mark.parametrize("retriever", ["bm25", "minilm"])
def test_rewrites_beat_the_bare_query(retriever, set_name):
    for metric in ("nDCG@3", "RR@100", "R@10"):
        assert value(f"{retriever}-rewrite", set_name, metric) > value(f"{retriever}-query", set_name, metric)


@pytest.mark.parametrize("set_name", list(SETS))
def test_every_system_lies_between_chance_and_the_oracle(set_name):
    for name, expected in EXPECTED.items():
        if set_name in expected.scores and name not in ("oracle", "random", "previous-gold"):  # which has nothing for first turns
            responds = name != "unified-minilm"  # it writes, but was never trained to
            for metric in ("nDCG@3", "RR@100", *(["F1-max"] if responds else [])):
                assert value("random", set_name, metric) < value(name, set_name, metric) < value("oracle", set_name, metric)


def test_history_finds_more_of_the_gold_passages_than_the_bare_query_on_real_topiocqa():
    for retriever in ("bm25", "minilm"):
        assert value(f"{retriever}-history", "topiocqa-sample", "R@10") > value(f"{retriever}-query", "topiocqa-sample", "R@10") + 0.2
