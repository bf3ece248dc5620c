"""The shipped baselines still get the scores that their ``expected.json`` promises: on the mini sets, and on the real samples."""

from __future__ import annotations

import json

import pytest
import yaml

from convbench.harness.plan import system_config
from convbench.harness.run import run
from convbench.harness.spec import DatasetSpec, RunSpec
from convbench.metrics.selection import Selection
from convbench.systems.catalog import baseline_names, shipped, system_values

SETS = yaml.safe_load((shipped("baselines") / "sets.yaml").read_text(encoding="utf-8"))
WITHOUT_WEIGHTS = {"unified-paper"}
EXPECTED = {
    name: json.loads((shipped("baselines") / name / "expected.json").read_text(encoding="utf-8"))
    for name in baseline_names()
    if name not in WITHOUT_WEIGHTS
}
CASES = [(name, set_name) for set_name in SETS for name, expected in EXPECTED.items() if set_name in expected["scores"]]
MINUTES = {("unified-minilm", name) for name, entry in SETS.items() if "data" in entry}
"""What writes a thousand responses."""


def spec_of(set_name: str, request: pytest.FixtureRequest) -> DatasetSpec:
    entry = SETS[set_name]
    if "data" not in entry:
        return DatasetSpec(name=entry["name"])
    root = request.getfixturevalue("real_data")
    paths = {key: str(root / entry[key]) for key in ("data", "corpus", "rewrites") if key in entry}
    return DatasetSpec(name=entry["name"], split=entry["split"], **paths)


def test_every_baseline_has_scores_on_every_set_it_can_run_on():
    lacking = {(name, set_name) for name in EXPECTED for set_name in SETS} - set(CASES)
    assert lacking == {("bm25-rewrite", "inscit-sample"), ("minilm-rewrite", "inscit-sample")}  # INSCIT has no rewrites


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize(
    ("baseline", "set_name"), [pytest.param(*case, marks=[pytest.mark.slow] if case in MINUTES else []) for case in CASES]
)
def test_scores(baseline, set_name, request, tmp_path, shared_cache):
    expected = EXPECTED[baseline]["scores"][set_name]
    system = system_config(system_values(baseline), baseline).model_dump(mode="json")
    spec = RunSpec(system=system, dataset=spec_of(set_name, request))
    results = run(spec, tmp_path / "run", Selection(families=["retrieval", "token-f1"]), cache=shared_cache, offline=True)
    assert results.dataset.turnset_sha256 == expected["turnset_sha256"]
    assert results.dataset.collection_sha256 == expected["collection_sha256"]
    assert (results.dataset.n_turns, results.dataset.passages) == (expected["turns"], expected["passages"])
    measured = {metric.name: metric.value for metric in results.metrics}
    assert measured == pytest.approx({name: expected["metrics"][name] for name in measured}, abs=expected["tolerance"])


def value(baseline: str, set_name: str, metric: str) -> float:
    return EXPECTED[baseline]["scores"][set_name]["metrics"][metric]


@pytest.mark.parametrize("set_name", [name for name in SETS if name != "inscit-sample"])
@pytest.mark.parametrize("retriever", ["bm25", "minilm"])
def test_rewrites_beat_the_bare_query(retriever, set_name):
    for metric in ("nDCG@3", "RR@100", "R@10"):
        assert value(f"{retriever}-rewrite", set_name, metric) > value(f"{retriever}-query", set_name, metric)


@pytest.mark.parametrize("set_name", list(SETS))
def test_every_system_lies_between_chance_and_the_oracle(set_name):
    for name, expected in EXPECTED.items():
        if set_name in expected["scores"] and name not in ("oracle", "random"):
            responds = name != "unified-minilm"  # it writes, but was never trained to
            for metric in ("nDCG@3", "RR@100", *(["F1-max"] if responds else [])):
                assert value("random", set_name, metric) < value(name, set_name, metric) < value("oracle", set_name, metric)


def test_history_finds_more_of_the_gold_passages_than_the_bare_query_on_real_topiocqa():
    for retriever in ("bm25", "minilm"):
        assert value(f"{retriever}-history", "topiocqa-sample", "R@10") > value(f"{retriever}-query", "topiocqa-sample", "R@10") + 0.2
