"""Exported runs and judgements mean the same to the tools they are for: the scores are the same to the last digit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convbench.exchange import FORMATS
from convbench.exchange.base import ExportRequest
from convbench.io.runfile import write_run
from convbench.retrieval.canonical import canonical
from convbench.types import TurnRecord

PASSAGES = [f"p{number}" for number in range(12)]
rankings = st.dictionaries(st.sampled_from(PASSAGES), st.integers(0, 3).map(float) | st.floats(-9, 9), min_size=1, max_size=12)
grades = st.dictionaries(st.sampled_from(PASSAGES), st.integers(0, 3), min_size=1, max_size=4)
Drawn: TypeAlias = list[tuple[dict[str, float], dict[str, int]]]
turns = st.lists(st.tuples(rankings, grades), min_size=1, max_size=4)


def exported(folder: Path, drawn: Drawn) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, int]]]:
    """Writes a run with ties and judgements, exports both, and returns the run as convbench ranks it, and the judgements."""
    records = [TurnRecord(f"c_{number}", passages=tuple(ranking.items())) for number, (ranking, _) in enumerate(drawn, 1)]
    qrels = {f"c_{number}": judged for number, (_, judged) in enumerate(drawn, 1)}
    write_run(folder / "own.jsonl", {}, records)
    (folder / "own.json").write_text(json.dumps(qrels), encoding="utf-8")
    for name, own, out in (("trec", "own.jsonl", "run.trec"), ("ranx", "own.jsonl", "run.json")):
        FORMATS.get(name).export(ExportRequest(folder / own, None, folder / out))
    for out in ("qrels.txt", "qrels.json"):
        FORMATS.get("qrels").export(ExportRequest(folder / "own.json", None, folder / out))
    return {record.turn_id: dict(canonical(record.turn_id, record.passages).passages) for record in records}, qrels


@settings(max_examples=30)
@given(drawn=turns)
def test_pytrec_eval_and_ir_measures(tmp_path_factory, drawn):
    import ir_measures
    import pytrec_eval

    folder = tmp_path_factory.mktemp("tools")
    run, qrels = exported(folder, drawn)
    with (folder / "run.trec").open(encoding="utf-8") as handle:
        theirs = pytrec_eval.parse_run(handle)
    with (folder / "qrels.txt").open(encoding="utf-8") as handle:
        judged = pytrec_eval.parse_qrel(handle)
    assert judged == qrels
    measures = {"ndcg_cut_3", "recip_rank", "recall_5", "map"}
    ours = pytrec_eval.RelevanceEvaluator(qrels, measures).evaluate(run)
    assert pytrec_eval.RelevanceEvaluator(judged, measures).evaluate(theirs) == ours
    lines = list(ir_measures.read_trec_run(str(folder / "run.trec")))
    judgements = list(ir_measures.read_trec_qrels(str(folder / "qrels.txt")))
    assert by_measure(judgements, lines) == by_measure(qrels, run)


def by_measure(qrels: Any, run: Any) -> dict[tuple[str, str], float]:
    """Scores of ir_measures, by turn and measure; RR@10 breaks ties the other way than RR does."""
    import ir_measures
    from ir_measures import AP, RR, R, nDCG

    scores = ir_measures.iter_calc([nDCG @ 3, RR, RR @ 10, R @ 5, AP], qrels, run)
    return {(score.query_id, str(score.measure)): score.value for score in scores}


@settings(max_examples=10)
@given(drawn=turns)
def test_ranx(tmp_path_factory, drawn):
    ranx = pytest.importorskip("ranx", reason="ranx is not installed")
    folder = tmp_path_factory.mktemp("tools")
    run, qrels = exported(folder, drawn)
    theirs = ranx.Run.from_file(str(folder / "run.json"))
    judged = ranx.Qrels.from_file(str(folder / "qrels.json"))
    for measure in ("ndcg@3", "mrr", "recall@5"):
        assert ranx.evaluate(judged, theirs, measure) == ranx.evaluate(ranx.Qrels(qrels), ranx.Run(run), measure)
