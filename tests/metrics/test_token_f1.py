from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from convbench.metrics import METRICS
from convbench.metrics.base import MISSING, Metric
from convbench.metrics.overlap import Overlap, overlap
from convbench.metrics.responses import NO_REFERENCE
from convbench.metrics.squad import leave_one_out, normalize, tokens
from convbench.metrics.token_f1 import TokenF1Metric
from convbench.types import Reference, Turn, TurnRecord

GOLDEN = Path(__file__).parents[1] / "golden" / "token_f1.jsonl"


def golden() -> list[dict[str, Any]]:
    return [json.loads(line) for line in GOLDEN.read_text(encoding="utf-8").splitlines()]


def compared(reference: str, prediction: str) -> Overlap:
    return overlap(tokens(reference), tokens(prediction))


def scored(prediction: str, references: list[str]) -> dict[str, float | None]:
    turn = Turn("c_1", "who?", references=tuple(map(Reference, references)))
    return {score.measure: score.value for score in TokenF1Metric().score([turn], {"c_1": TurnRecord("c_1", response=prediction)})}


def test_equals_the_official_scripts_bit_for_bit() -> None:
    cases = golden()
    assert len(cases) > 150
    for case in cases:
        assert scored(case["prediction"], case["references"]) == {
            "F1-loo": case["topiocqa_f1"],
            "EM-loo": case["topiocqa_em"],
            "F1-max": max(case["qrecc_f1"]),
            "EM-max": max(case["qrecc_em"]),
        }, case
        found = [compared(reference, case["prediction"]) for reference in case["references"]]
        assert [each.f1 for each in found] == case["qrecc_f1"]
        assert [each.exact for each in found] == case["qrecc_em"]
        assert scored(case["prediction"], case["references"])["F1-max"] == pytest.approx(case["inscit_f1"] / 100, abs=1e-12)


def test_quac_differs_only_where_both_texts_are_empty() -> None:
    """QuAC's scorer gives 0 there, TopiOCQA's, CoQA's and QReCC's give 1."""
    differing = 0
    for case in golden():
        ours = leave_one_out([compared(reference, case["prediction"]).f1 for reference in case["references"]])
        if not normalize(case["prediction"]) and not all(map(normalize, case["references"])):
            differing += ours != case["quac_f1"]
        else:
            assert ours == pytest.approx(case["quac_f1"], abs=1e-12), case
    assert differing > 5


def test_the_two_ways_of_combining_references_are_kept_apart() -> None:
    assert scored("1887", ["1887", "around 1890"]) == {"F1-loo": 0.5, "EM-loo": 0.5, "F1-max": 1.0, "EM-max": 1.0}
    assert scored("1887", ["1887"]) == {"F1-loo": 1.0, "EM-loo": 1.0, "F1-max": 1.0, "EM-max": 1.0}


def test_knowledge_is_no_reference_and_additional_answers_are() -> None:
    references = (Reference("the keeper"), Reference("a lighthouse", "knowledge"), Reference("Ana, the keeper", "additional"))
    turn = Turn("c_1", "who?", references=references)
    scores = {score.measure: score.value for score in TokenF1Metric().score([turn], {"c_1": TurnRecord("c_1", response="lighthouse")})}
    assert scores["F1-max"] == 0.0
    scores = {score.measure: score.value for score in TokenF1Metric().score([turn], {"c_1": TurnRecord("c_1", response="Ana the keeper")})}
    assert scores["EM-max"] == 1.0
    assert scores["EM-loo"] == 0.5


def test_missing_responses_and_missing_references() -> None:
    turns = [
        Turn("c_1", "no record?", references=(Reference("yes"),)),
        Turn("c_2", "no response?", references=(Reference("yes"),)),
        Turn("c_3", "no reference?"),
        Turn("c_4", "only knowledge?", references=(Reference("a fact", "knowledge"),)),
    ]
    records = {id_: TurnRecord(id_, response=text) for id_, text in (("c_2", None), ("c_3", "yes"), ("c_4", "yes"))}
    scores = TokenF1Metric().score(turns, records)
    assert [(score.turn_id, score.value, score.reason) for score in scores if score.measure == "F1-loo"] == [
        ("c_1", 0.0, MISSING),
        ("c_2", 0.0, MISSING),
        ("c_3", None, NO_REFERENCE),
        ("c_4", None, NO_REFERENCE),
    ]


def test_names_and_signatures() -> None:
    metric = METRICS.get("token-f1")()
    assert isinstance(metric, Metric)
    assert [measure.signature for measure in metric.measures()] == [
        "F1-loo|norm:squad|tok:whitespace|refs:leave-one-out|against:response",
        "EM-loo|norm:squad|tok:whitespace|refs:leave-one-out|against:response",
        "F1-max|norm:squad|tok:whitespace|refs:max|against:response",
        "EM-max|norm:squad|tok:whitespace|refs:max|against:response",
    ]
