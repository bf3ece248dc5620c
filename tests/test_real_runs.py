"""Whole runs on real files that have no collection here, and on the first public release of TopiOCQA."""

from __future__ import annotations

import random

import pytest
import pytrec_eval

from convbench.datasets.loading import DatasetRequest, open_dataset
from convbench.errors import UsageError
from convbench.harness.run import run
from convbench.harness.spec import DatasetSpec, RunSpec
from convbench.io.trec_run import read_trec_run
from convbench.metrics.selection import Selection


def replay(path) -> dict[str, object]:
    return {"kind": "replay", "name": "other-tool", "run": str(path)}


@pytest.mark.parametrize(("split", "folder", "judged", "relevant_from"), [("2019", "2019", 173, 1), ("2020", "2020", 208, 2)])
def test_cast_judgements_score_a_run(real_data, tmp_path, split, folder, judged, relevant_from):
    root = real_data / "trec_cast" / folder
    qrels = open_dataset(DatasetRequest("cast", data=root, split=split)).adapter.qrels()
    chance = random.Random(7)
    with (tmp_path / "other.trec").open("w") as handle:
        for turn_id, grades in qrels.items():
            drawn = chance.sample(sorted(grades), min(60, len(grades)))
            handle.writelines(f"{turn_id} Q0 {id_} 0 {grades[id_] / 2 + chance.random()} other\n" for id_ in drawn)
    spec = RunSpec(system=replay(tmp_path / "other.trec"), dataset=DatasetSpec(name="cast", split=split, data=str(root)))
    results = run(spec, tmp_path / "run", Selection(families=["retrieval"]), cache=tmp_path / "cache", offline=True)
    ours = {metric.name: metric for metric in results.metrics}
    run_dict = {turn_id: dict(pairs) for turn_id, pairs in read_trec_run(tmp_path / "other.trec").items()}
    direct = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.3"}).evaluate(run_dict)
    binary = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank"}, relevance_level=relevant_from).evaluate(run_dict)
    assert ours["nDCG@3"].n_turns == judged == len(direct)
    assert ours["nDCG@3"].value == pytest.approx(sum(turn["ndcg_cut_3"] for turn in direct.values()) / judged, abs=1e-9)
    assert ours["RR@100"].value == pytest.approx(sum(turn["recip_rank"] for turn in binary.values()) / judged, abs=1e-9)
    assert f"|rel:{relevant_from}|" in ours["RR@100"].signature
    assert results.dataset.tier == "unchecked"
    assert any("not checked" in warning for warning in results.warnings)


def test_a_system_that_needs_rewrites_says_so_before_it_does_anything(real_data, tmp_path):
    system = {"kind": "two-stage", "name": "r", "rewriter": "human", "retriever": {"type": "bm25"}}
    spec = RunSpec(system=system, dataset=DatasetSpec(name="inscit", split="dev", data=str(real_data / "inscit")))
    with pytest.raises(UsageError, match=r"211 of 211 turns have no human rewrite .*--rewrites FILE"):
        run(spec, tmp_path / "run", Selection(families=["retrieval"]), cache=tmp_path / "cache", offline=True)
    assert not (tmp_path / "run").exists()


def test_rewrites_that_come_apart_reach_query_and_history(real_data):
    root = real_data / "topiocqa"
    request = DatasetRequest("topiocqa", data=root / "hub", rewrites=root / "hub" / "rewrites.jsonl")
    turns = {turn.id: turn for turn in open_dataset(request).turns}
    assert len(turns) == 1466
    assert all(turn.rewrite for turn in turns.values())
    assert turns["1_3"].history[1].rewrite == turns["1_2"].rewrite == "what is the new dunkirk film about"
