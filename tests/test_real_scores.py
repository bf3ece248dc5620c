"""Scores on real files against trec_eval, run directly on the judgements: graded and binary, with ties, missing turns and deep rankings."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import pytrec_eval
from command_line import succeed

from convbench.datasets.loading import DatasetRequest, open_dataset
from convbench.io.jsonl import read_json
from convbench.io.trec import read_qrels

TREC = {
    "nDCG@3": "ndcg_cut_3", "nDCG@5": "ndcg_cut_5", "nDCG@500": "ndcg_cut_500", "MAP": "map", "AP@500": "map_cut_500", "RR": "recip_rank",
    "RR@100": "recip_rank", "P@1": "P_1", "P@3": "P_3", "R@5": "recall_5", "R@10": "recall_10", "R@20": "recall_20", "R@100": "recall_100",
    "R@1000": "recall_1000",
}  # fmt: skip
BINARY = set(TREC) - {"nDCG@3", "nDCG@5", "nDCG@500"}


def a_run(qrels: Mapping[str, Mapping[str, int]], seed: int, depth: int) -> dict[str, dict[str, float]]:
    """Judged passages among strangers, in scores so coarse that many tie; a tenth of the turns is missing."""
    chance = random.Random(seed)
    run = {}
    for turn_id, grades in qrels.items():
        if chance.random() < 0.1:
            continue
        found = chance.sample(sorted(grades), chance.randint(0, min(len(grades), depth // 2)))
        strangers = [f"stranger{n}" for n in range(chance.randint(1, depth - len(found)))]
        run[turn_id] = {
            id_: round(chance.random() + 0.2 * grades.get(id_, 0), 1)
            for id_ in chance.sample(found + strangers, len(found) + len(strangers))
        }
    return run


def trec_eval(qrels: Mapping[str, Mapping[str, int]], run: Mapping[str, Mapping[str, float]], relevant_from: int) -> dict[str, float]:
    """Means over all judged turns, a missing one counting 0 (trec_eval -c)."""
    names = ["ndcg_cut.3,5,500", "map", "map_cut.500", "recip_rank", "P.1,3", "recall.5,10,20,100,1000"]
    graded = pytrec_eval.RelevanceEvaluator(qrels, names).evaluate(run)
    binary = pytrec_eval.RelevanceEvaluator(qrels, names, relevance_level=relevant_from).evaluate(run)
    return {
        ours: sum((binary if ours in BINARY else graded).get(id_, {}).get(theirs, 0.0) for id_ in qrels) / len(qrels)
        for ours, theirs in TREC.items()
    }


def scored(run: Mapping[str, Mapping[str, float]], tmp_path: Path, *arguments: object) -> dict[tuple[str, str], Any]:
    file = tmp_path / "other.trec"
    lines = [f"{turn} Q0 {id_} 0 {score} other\n" for turn, passages in run.items() for id_, score in passages.items()]
    file.write_text("".join(lines), encoding="utf-8")
    succeed("run", file, *arguments, "--out", tmp_path / "run")
    metrics = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))["metrics"]
    return {(metric["protocol"], metric["name"]): metric for metric in metrics}


@pytest.mark.parametrize(("year", "judged", "relevant_from"), [("2019", 173, 1), ("2020", 208, 2)])
def test_cast_under_its_own_protocol(real_data: Path, tmp_path: Path, year: str, judged: int, relevant_from: int) -> None:
    (file,) = (real_data / "trec_cast" / year).rglob(f"{year}qrels.txt*")
    qrels = read_qrels(file)
    run = a_run(qrels, seed=int(year), depth=1000)
    found = scored(run, tmp_path, "-d", "cast", "--data", real_data / "trec_cast" / year, "--split", year, "--protocol", "cast")
    assert {(metric["n_turns"], metric["n_missing"]) for metric in found.values()} == {(judged, len(qrels.keys() - run.keys()))}
    expected = trec_eval(qrels, run, relevant_from)
    for (_, name), metric in found.items():
        assert metric["value"] == pytest.approx(expected[name], abs=1e-9), name


def binary_qrels(real_data: Path, name: str) -> dict[str, dict[str, int]]:
    """The judgements as they stand in the official files, read without the adapters."""
    if name == "topiocqa":
        rows = (json.loads(line) for line in (real_data / "topiocqa" / "hub" / "topiocqa_valid.jsonl").read_text("utf-8").splitlines())
        return {f"{row['Conversation_no']}_{row['Turn_no']}": {row["Gold_passage"]["id"]: 1} for row in rows}
    if name == "inscit":
        qrels = {}
        for conversation, value in read_json(real_data / "inscit" / "dev.json").items():
            for number, turn in enumerate(value["turns"], 1):
                gold = {passage["passage_id"]: 1 for label in turn["labels"] for passage in label["evidence"]}
                qrels |= {f"{conversation}_{number}": gold} if gold else {}
        return qrels
    judged = read_json(real_data / "qrecc" / "qrels" / "qrels_test.txt.gz")
    asked = {f"{row['Conversation_no']}_{row['Turn_no']}" for row in read_json(real_data / "qrecc" / "official" / "qrecc_test.json")}
    return {turn: gold for turn, gold in judged.items() if turn in asked and "" not in gold}


@pytest.mark.parametrize(
    ("name", "folder", "protocol", "turns"),
    [("topiocqa", "topiocqa/hub", "convgqr-line", 1466), ("inscit", "inscit", "convgqr-line", 203), ("qrecc", "qrecc", "qrecc-8209", None)],
)
def test_binary_judgements(real_data: Path, tmp_path: Path, name: str, folder: str, protocol: str, turns: int | None) -> None:
    qrels = binary_qrels(real_data, name)
    run = a_run(qrels, seed=5, depth=100)
    escaped = {turn: {id_.replace(" ", "\N{OPEN BOX}"): score for id_, score in passages.items()} for turn, passages in run.items()}
    found = scored(escaped, tmp_path, "-d", name, "--data", real_data / folder, "--protocol", protocol, "--metrics", "retrieval")
    expected = trec_eval(qrels, run, 1)
    assert found
    for (_, measure), metric in found.items():
        assert metric["value"] == pytest.approx(expected[measure], abs=1e-9), measure
        assert metric["n_turns"] == len(qrels) == (turns or len(qrels))


def test_the_turns_of_qrecc_that_have_gold_are_those_of_the_judgements(real_data: Path) -> None:
    """The whole file has 8,209 of them; the sample's judgements 8,144, of which the conversations at hand hold a few."""
    dataset = open_dataset(DatasetRequest("qrecc", real_data / "qrecc"))
    qrels = read_json(real_data / "qrecc" / "qrels" / "qrels_test.txt.gz")
    assert sum("" not in gold for gold in qrels.values()) == 8144
    assert {turn.id for turn in dataset.turns if turn.gold} == {turn.id for turn in dataset.turns if "" not in qrels[turn.id]}
