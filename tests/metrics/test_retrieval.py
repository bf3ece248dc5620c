from __future__ import annotations

import math
import random
from importlib import metadata

import ir_measures
import pytest
import pytrec_eval

from convbench.errors import RunFileError, UsageError
from convbench.metrics import METRICS
from convbench.metrics.base import MISSING, Metric
from convbench.metrics.retrieval import EMPTY, NAMES, NO_GOLD, RetrievalMetric
from convbench.retrieval.canonical import canonical
from convbench.types import Score, Turn, TurnRecord

Records = dict[str, TurnRecord]

TREC = {
    "nDCG@3": "ndcg_cut_3",
    "RR@100": "recip_rank",
    "R@5": "recall_5",
    "R@10": "recall_10",
    "R@20": "recall_20",
    "R@100": "recall_100",
    "MAP": "map",
}


def random_case(seed: int) -> tuple[list[Turn], Records]:
    """Eight turns over 150 passages: graded gold, coarse scores (so ties), some turns missing, empty or without gold."""
    choose = random.Random(seed)
    passages = [f"p{number}" for number in range(150)]
    turns, records = [], {}
    for number in range(1, 9):
        gold = {} if choose.random() < 0.1 else {id_: choose.randint(1, 3) for id_ in choose.sample(passages, choose.choice([1, 1, 2, 7]))}
        turn = Turn(f"c{seed}_{number}", "where?", gold=gold)
        turns.append(turn)
        if choose.random() < 0.15:
            continue
        found = choose.sample(passages, choose.choice([0, 1, 3, 40, 120]))
        records[turn.id] = TurnRecord(turn.id, passages=tuple((id_, choose.choice([0.0, 0.5, 1.0, choose.random()])) for id_ in found))
    return turns, records


def by_measure(scores: list[Score]) -> dict[tuple[str, str], Score]:
    return {(score.turn_id, score.measure): score for score in scores}


@pytest.mark.parametrize("depth", [100, 5])
def test_two_hundred_random_runs_agree_with_pytrec_eval(depth: int) -> None:
    metric = RetrievalMetric(depth, measures=[name for name in TREC if depth == 100 or name in ("nDCG@3", "R@5", "MAP")])
    compared = 0
    for seed in range(200):
        turns, records = random_case(seed)
        qrels = {turn.id: dict(turn.gold) for turn in turns if turn.gold}
        run = {id_: dict(canonical(id_, record.passages, depth).passages) for id_, record in records.items() if record.passages}
        expected = pytrec_eval.RelevanceEvaluator(qrels, set(TREC.values())).evaluate(run)
        for score in metric.score(turns, records):
            if score.turn_id in expected:
                assert score.value == pytest.approx(expected[score.turn_id][TREC[score.measure]], abs=1e-9)
                assert score.reason is None
                compared += 1
            else:
                assert score.value == (0.0 if score.turn_id in qrels else None)
                assert score.reason
    assert compared > 2500


def test_random_runs_agree_with_the_definitions() -> None:
    for seed in range(200):
        turns, records = random_case(seed)
        scores = by_measure(RetrievalMetric().score(turns, records))
        for turn in turns:
            if not turn.gold:
                continue
            passages = records[turn.id].passages if turn.id in records else ()
            order = [id_ for id_, _ in sorted(passages, key=lambda pair: (pair[1], pair[0]), reverse=True)][:100]
            ranks = [rank for rank, id_ in enumerate(order, 1) if id_ in turn.gold]
            gain = sum(turn.gold.get(id_, 0) / math.log2(rank + 1) for rank, id_ in enumerate(order[:3], 1))
            ideal = sum(grade / math.log2(rank + 1) for rank, grade in enumerate(sorted(turn.gold.values(), reverse=True)[:3], 1))
            average = sum(hits / rank for hits, rank in enumerate(ranks, 1)) / len(turn.gold)
            expected = {
                "RR@100": 1 / ranks[0] if ranks else 0.0,
                "nDCG@3": gain / ideal,
                "R@20": sum(rank <= 20 for rank in ranks) / len(turn.gold),
                "MAP": average,
            }
            for name, value in expected.items():
                assert scores[turn.id, name].value == pytest.approx(value, abs=1e-9), (turn.id, name)


def test_canonical_rankings_end_the_disagreement_of_ir_measures_with_itself() -> None:
    raw = [("a", 1.0), ("b", 1.0), ("c", 1.0)]
    turn = Turn("c_1", "who?", gold={"a": 1})
    qrels = {"c_1": {"a": 1}}
    rr, rr_at_10 = ir_measures.RR(rel=1), ir_measures.RR(rel=1) @ 10

    torn = ir_measures.calc_aggregate([rr, rr_at_10], qrels, {"c_1": dict(raw)})
    assert torn[rr] == pytest.approx(1 / 3)
    assert torn[rr_at_10] == pytest.approx(1.0)

    settled = ir_measures.calc_aggregate([rr, rr_at_10], qrels, {"c_1": dict(canonical("c_1", raw).passages)})
    assert settled[rr] == settled[rr_at_10] == pytest.approx(1 / 3)
    for order in (raw, raw[::-1]):
        scores = by_measure(RetrievalMetric().score([turn], {"c_1": TurnRecord("c_1", passages=tuple(order))}))
        assert scores["c_1", "RR@100"].value == pytest.approx(1 / 3)


def test_recall_ignores_grades_and_ndcg_uses_them() -> None:
    turn = Turn("c_1", "what?", gold={"low": 1, "high": 3})
    scores = by_measure(RetrievalMetric().score([turn], {"c_1": TurnRecord("c_1", passages=(("low", 2.0), ("high", 1.0)))}))
    assert scores["c_1", "R@5"].value == 1.0
    assert scores["c_1", "RR@100"].value == 1.0
    assert scores["c_1", "nDCG@3"].value == pytest.approx((1 + 3 / math.log2(3)) / (3 + 1 / math.log2(3)))


def test_only_the_first_hundred_passages_count() -> None:
    passages = tuple((f"p{number:03}", 200.0 - number) for number in range(150))
    at = {rank: Turn(f"c_{rank}", "what?", gold={f"p{rank - 1:03}": 1}) for rank in (100, 101)}
    records = {turn.id: TurnRecord(turn.id, passages=passages) for turn in at.values()}
    scores = by_measure(RetrievalMetric().score(list(at.values()), records))
    assert scores["c_100", "RR@100"].value == pytest.approx(0.01)
    assert scores["c_101", "RR@100"].value == 0.0
    assert scores["c_101", "MAP"].value == 0.0


def test_the_turns_given_are_scored_whatever_the_run_holds() -> None:
    turns = [
        Turn("c_1", "missing?", gold={"a": 1}),
        Turn("c_2", "empty?", gold={"a": 1}),
        Turn("c_3", "unjudged?"),
        Turn("c_4", "unjudged and missing?"),
        Turn("c_5", "found?", gold={"a": 1}),
    ]
    records = {id_: TurnRecord(id_, passages=(("a", 1.0),)) for id_ in ("c_5", "c_3", "other_1")}
    records["c_2"] = TurnRecord("c_2")
    scores = RetrievalMetric().score(turns, records)
    assert [(score.turn_id, score.measure) for score in scores] == [(turn.id, name) for turn in turns for name in NAMES]
    assert {(score.turn_id, score.value, score.reason) for score in scores} == {
        ("c_1", 0.0, MISSING),
        ("c_2", 0.0, EMPTY),
        ("c_3", None, NO_GOLD),
        ("c_4", None, NO_GOLD),
        ("c_5", 1.0, None),
    }


def test_no_turns_and_no_records_are_no_trouble() -> None:
    metric = RetrievalMetric()
    assert metric.score([], {}) == []
    assert {score.value for score in metric.score([Turn("c_1", "who?", gold={"a": 1})], {})} == {0.0}


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_a_score_that_is_no_number_is_refused(score: float) -> None:
    with pytest.raises(RunFileError, match="turn c_1: passage 'a'"):
        RetrievalMetric().score([Turn("c_1", "who?", gold={"a": 1})], {"c_1": TurnRecord("c_1", passages=(("a", score), ("b", 1.0)))})


def test_a_duplicate_passage_is_refused() -> None:
    with pytest.raises(RunFileError, match="turn c_1: a passage appears twice"):
        RetrievalMetric().score([Turn("c_1", "who?", gold={"a": 1})], {"c_1": TurnRecord("c_1", passages=(("a", 2.0), ("a", 1.0)))})


@pytest.mark.parametrize(("depth", "message"), [(0, "depth 0; expected 1 or more"), (50, "RR@100 looks deeper than the depth of 50")])
def test_a_depth_that_the_names_would_belie_is_refused(depth: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        RetrievalMetric(depth)


@pytest.mark.parametrize("name", ["MRR", "R", "P", "nDCG@0", "RR@", "recall@5", "F1", ""])
def test_a_measure_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="no measure"):
        RetrievalMetric(measures=[name])


def test_names_and_signatures() -> None:
    metric = METRICS.get("retrieval")(depth=200)
    assert isinstance(metric, Metric)
    version = metadata.version("ir-measures")
    assert [measure.name for measure in metric.measures()] == ["nDCG@3", "RR@100", "R@5", "R@10", "R@20", "R@100", "MAP"]
    assert metric.measures()[0].signature == f"nDCG@3|rel:1|depth:200|ties:id-desc|unjudged:left-out|ir-measures:{version}"
