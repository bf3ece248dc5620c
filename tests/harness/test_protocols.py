"""Protocols through the harness: defaults, policies, re-scoring, comparing, and results that cannot be right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import convbench, succeed

from convbench.datasets.loading import DatasetRequest, open_dataset
from convbench.harness.folder import RunFolder
from convbench.harness.score_file import read_scores
from convbench.metrics import METRICS
from convbench.metrics.base import Measure
from convbench.types import Score


def results(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """(protocol, measure) -> its entry in results.json."""
    metrics = json.loads((folder / "results.json").read_text(encoding="utf-8"))["metrics"]
    found = {(metric["protocol"], metric["name"]): metric for metric in metrics}
    assert len(found) == len(metrics), "a measure stands twice"
    return found


def replayed(tmp_path: Path, dataset: str, left_out: int, response: str | None = "It is so.") -> Path:
    """A run that finds the gold passage of every turn but lacks the last few."""
    turns = open_dataset(DatasetRequest(dataset)).turns
    file = tmp_path / f"{dataset}-{left_out}.jsonl"
    lines = [{"turn_id": turn.id, "passages": [[p, 1.0] for p in list(turn.gold)[:1]], "response": response} for turn in turns]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines[: len(lines) - left_out]), encoding="utf-8")
    return file


def test_a_dataset_is_scored_under_its_own_protocols(tmp_path: Path) -> None:
    succeed("run", "bm25-history", "-d", "topiocqa", "-d", "orquac", "--out", tmp_path, "--metrics", "retrieval,token-f1,text-hits,heq")
    general = results(tmp_path / "topiocqa" / "bm25-history")
    assert {protocol for protocol, _ in general} == {"convgqr-line", "response-overlap", "topiocqa-official", ""}
    succeed("run", "bm25-history", "-d", "topiocqa", "-d", "orquac", "--out", tmp_path / "own", "--bertscore-layer", 1)
    topiocqa, orquac = (results(tmp_path / "own" / name / "bm25-history") for name in ("topiocqa", "orquac"))
    assert {p for p, _ in topiocqa} == {"convgqr-line", "response-overlap", "topiocqa-official", "response-diagnostics"}
    assert {p for p, _ in orquac} == {"convgqr-line", "response-overlap", "orquac-top5", "response-diagnostics"}
    # One gold passage a turn, each text under one id: a hit by text is a hit by id.
    for cutoff in (5, 10, 20, 100):
        assert topiocqa["topiocqa-official", f"Hits@{cutoff}"]["value"] == topiocqa["convgqr-line", f"R@{cutoff}"]["value"]
    assert topiocqa["topiocqa-official", "F1-loo"]["value"] == topiocqa["response-overlap", "F1-loo"]["value"]
    assert orquac["orquac-top5", "RR@5"]["value"] < orquac["convgqr-line", "RR@100"]["value"]
    assert "depth:5|" in orquac["orquac-top5", "RR@5"]["signature"]


def test_leaving_out_turns_helps_under_the_lenient_name_only(tmp_path: Path) -> None:
    run = replayed(tmp_path, "topiocqa", left_out=10)
    succeed("run", run, "-d", "topiocqa", "--out", tmp_path / "r", "--protocol", "convgqr-line", "--protocol", "convgqr-lenient")
    found = results(tmp_path / "r")
    strict, lenient = found["convgqr-line", "RR@100"], found["convgqr-lenient", "RR@100"]
    assert (lenient["value"], lenient["n_turns"], lenient["n_missing"]) == (1.0, 46, 10)
    assert (strict["value"], strict["n_turns"], strict["n_missing"]) == (pytest.approx(46 / 56), 56, 10)
    assert "|missing:zero|" in strict["signature"]
    assert "|missing:skip|" in lenient["signature"]
    assert "10 turns without a value: missing from the run and left out" in lenient["reason"]


def test_another_protocol_joins_a_finished_run(tmp_path: Path) -> None:
    succeed("run", "bm25-query", "-d", "topiocqa", "--out", tmp_path / "r", "--metrics", "retrieval")
    before = results(tmp_path / "r")
    succeed("score", tmp_path / "r", "--protocol", "llm-verbose")
    after = results(tmp_path / "r")
    assert {key: after[key] for key in before} == before
    assert 0 < after["llm-verbose", "K-precision(given)"]["value"] <= 1
    assert {score.protocol for score in read_scores(tmp_path / "r" / "scores.jsonl")} == {"convgqr-line", "llm-verbose"}


def test_a_protocol_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "shallow.yaml"
    path.write_text(
        "name: shallow\ntitle: t\ndescription: d\nsources: [s]\nmissing: zero\nties: id-desc\n"
        "parts: [{metric: retrieval, turns: has a gold passage, settings: {depth: 1, measures: [P@1, Success@1]}}]\n",
        encoding="utf-8",
    )
    succeed("run", "bm25-query", "-d", "topiocqa", "--out", tmp_path / "r", "--protocol", path)
    assert list(results(tmp_path / "r")) == [("shallow", "P@1"), ("shallow", "Success@1")]


def test_what_needs_passages_is_not_computed_without_them(tmp_path: Path, real_data: Path) -> None:
    run = tmp_path / "own.jsonl"
    run.write_text(json.dumps({"turn_id": "31_1", "passages": [["MARCO_1", 1.0]], "response": "x", "evidence": ["MARCO_1"]}) + "\n")
    succeed("run", run, "-d", "cast", "--data", real_data / "trec_cast", "--out", tmp_path / "r", "--metrics", "text-hits,retrieval")
    hits = results(tmp_path / "r")["", "text-hits"]
    assert hits["value"] is None
    assert "the collection is not at hand: give it with --corpus" in hits["reason"]


def test_runs_without_responses_or_evidence_say_so(tmp_path: Path) -> None:
    run = replayed(tmp_path, "inscit", left_out=0, response=None)
    succeed("run", run, "-d", "inscit", "--out", tmp_path / "r", "--protocol", "inscit-official")
    found = results(tmp_path / "r")
    assert found["inscit-official", "evidence"]["reason"] == "the run names no passages as evidence"
    assert found["inscit-official", "token-f1"]["reason"] == "the run holds no responses"


def test_numbers_whose_signatures_differ_are_not_compared(tmp_path: Path) -> None:
    for name in ("bm25-query", "bm25-history"):
        succeed("run", name, "-d", "orquac", "--out", tmp_path / name, "--metrics", "retrieval")
    same = succeed("diff", tmp_path / "bm25-query", tmp_path / "bm25-history", "--json")
    (rr,) = (row for row in same.json["measures"] if row["name"] == "RR@100")
    assert rr["difference"] == pytest.approx(rr["second"] - rr["first"])
    assert rr["differing"] == {}
    succeed("run", "bm25-query", "-d", "orquac", "--limit", 3, "--out", tmp_path / "limited", "--metrics", "retrieval")
    refused = convbench("diff", tmp_path / "bm25-query", tmp_path / "limited")
    assert refused.code == 2
    assert "7 of 7 measures do not compare: turns is " in refused.err
    assert "not compared" in refused.out
    (row, *_) = convbench("diff", tmp_path / "bm25-query", tmp_path / "limited", "--json").json["measures"]
    assert (row["difference"], list(row["differing"])) == (None, ["turns", "truth"])
    succeed("run", "bm25-query", "-d", "orquac", "--out", tmp_path / "responses", "--metrics", "token-f1")
    assert "have no measure in common" in convbench("diff", tmp_path / "bm25-query", tmp_path / "responses").error
    assert "no finished run here" in convbench("diff", tmp_path, tmp_path / "limited").error


class Broken:
    """A plug-in whose values are off the scale that it states."""

    name = "broken"
    version = 1
    needs = "response"
    batch_size = 8

    def measures(self) -> list[Measure]:
        return [Measure("broken", "broken")]

    def check_resources(self) -> None:
        pass

    def score(self, turns: Any, records: Any) -> list[Score]:
        return [Score(turn.id, "broken", 1.5) for turn in turns]


def test_a_result_that_cannot_be_right_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METRICS._table(), "broken", f"{__name__}:Broken")
    finished = convbench("run", "bm25-query", "-d", "topiocqa", "--out", tmp_path / "r", "--metrics", "retrieval,broken")
    assert finished.code == 7
    assert "error: turn 1_1: broken is 1.5; expected a value from 0 to 1; these numbers cannot be right" in finished.err
    assert not (tmp_path / "r" / "results.json").exists()
    succeed("run", "bm25-query", "-d", "topiocqa", "--out", tmp_path / "r", "--metrics", "retrieval")


def test_protocols_are_listed_and_shown() -> None:
    assert "qrecc-8209 " in succeed("protocols", "list").out
    assert {protocol["name"] for protocol in succeed("protocols", "list", "--json").json} >= {"cast", "llm-verbose"}
    shown = succeed("protocols", "show", "orquac-top5").out
    for text in ("missing  a turn that the run lacks scores 0", "depth         5", "over the turns: judged", "scorer.py"):
        assert text in shown
    assert succeed("protocols", "show", "cast", "--json").json["parts"][0]["settings"]["relevant_from"] == "dataset"
    assert "unknown protocol 'casst'. Did you mean 'cast'?" in convbench("protocols", "show", "casst").error


def test_settings_of_families_from_the_command_line(tmp_path: Path) -> None:
    succeed("run", "oracle", "-d", "topiocqa", "--out", tmp_path / "r", "--metrics", "rouge", "--metric-set", "rouge.stemmer=false")
    assert "|stem:no|" in results(tmp_path / "r")["response-overlap", "rouge1"]["signature"]
    wrong = ("run", "oracle", "-d", "topiocqa", "--out", tmp_path / "x", "--metric-set")
    assert "expected FAMILY.KEY=VALUE" in convbench(*wrong, "stemmer=false").error
    assert "unknown metric 'roug'. Did you mean 'rouge'?" in convbench(*wrong, "roug.stemmer=false").error
    assert "the metric 'rouge' cannot be built with" in convbench(*wrong, "rouge.stems=false").error


def test_by_the_reference_everything_is_computed_again_and_the_same(tmp_path: Path) -> None:
    run = tmp_path / "r"
    computed = ("run", "bm25-query", "-d", "topiocqa", "--out", run, "--metrics", "retrieval")
    succeed(*computed)
    folder = RunFolder(run)
    before, scores = results(run), folder.scores.read_bytes()
    manifests = {path: path.read_bytes() for path in folder.stages.glob("score-*.manifest.json")}
    succeed("score", run, "--metrics", "retrieval", "--reference")
    assert {path for path, text in manifests.items() if path.read_bytes() != text} == set(manifests) != set()
    assert folder.scores.read_bytes() == scores
    assert results(run) == before
    succeed("score", run, "--metrics", "retrieval")
    assert {path: path.read_bytes() for path in manifests} == manifests


def own_dataset(folder: Path, response: str = "It opened in 1887.", gold: str = "p1", **declared: object) -> Path:
    """Two conversations of one turn each, with two passages."""
    folder.mkdir()
    turns = [
        {"conversation_id": name, "turn": 1, "query": "When did it open?", "response": response, "gold": [gold]} for name in ("a", "b")
    ]
    passages = [{"id": "p1", "text": "The mill opened in 1887."}, {"id": "p2", "text": "The mill closed in 1912."}]
    for name, rows in (("conversations", turns), ("collection", passages)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "dataset.yaml").write_text(json.dumps({"name": "mills", **declared}), encoding="utf-8")
    return folder


def test_another_truth_is_another_signature(tmp_path: Path) -> None:
    """Other references change response scores only, other judgements both; the ids of the turns are the same throughout."""
    arguments = ("--metrics", "retrieval,token-f1")
    for name, changed in (("one", {}), ("response", {"response": "In 1912."}), ("gold", {"gold": "p2"})):
        data = own_dataset(tmp_path / f"data-{name}", **changed)
        succeed("run", "bm25-query", "-d", "generic", "--data", data, "--out", tmp_path / name, *arguments)
    found = {name: results(tmp_path / name) for name in ("one", "response", "gold")}

    def same(first: str, second: str, protocol: str, measure: str) -> bool:
        return bool(found[first][protocol, measure]["signature"] == found[second][protocol, measure]["signature"])

    assert same("one", "response", "convgqr-line", "RR@100")
    assert not same("one", "response", "response-overlap", "F1-max")
    assert not same("one", "gold", "convgqr-line", "RR@100")
    assert "truth is " in convbench("diff", tmp_path / "one", tmp_path / "gold").err


def test_reading_options_are_part_of_a_signature(tmp_path: Path) -> None:
    for value in ("asked", "rewrite"):
        arguments = ("-d", "qrecc", "--option", f"first-question={value}", "--protocol", "qrecc-8209", "--out", tmp_path / value)
        succeed("run", "bm25-query", *arguments)
    refused = convbench("diff", tmp_path / "asked", tmp_path / "rewrite")
    assert "data is qrecc/mini,first-question=asked against qrecc/mini,first-question=rewrite" in refused.err


def test_a_measure_stands_once_in_a_protocol(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    parts = [{"metric": "retrieval", "turns": "judged", "settings": {"depth": depth, "measures": ["RR"]}} for depth in (10, 100)]
    values = {"name": "twice", "title": "t", "description": "d", "sources": ["s"], "missing": "zero", "ties": "id-desc", "parts": parts}
    path.write_text(json.dumps(values), encoding="utf-8")
    refused = convbench("run", "bm25-query", "-d", "topiocqa", "--protocol", path, "--out", tmp_path / "r")
    assert refused.error == "twice: the measure 'RR' stands there 2 times; name it once"
    assert not (tmp_path / "r").exists()


def test_corpus_measures_leave_out_what_their_protocol_leaves_out(tmp_path: Path) -> None:
    path = tmp_path / "lenient.yaml"
    parts = [{"metric": "bleu", "turns": "has a reference"}, {"metric": "form", "turns": "has a reference"}]
    values = {"name": "lenient", "title": "t", "description": "d", "sources": ["s"], "missing": "skip", "ties": "id-desc", "parts": parts}
    path.write_text(json.dumps(values), encoding="utf-8")
    turns = open_dataset(DatasetRequest("topiocqa")).turns
    lines = [{"turn_id": turn.id, "response": turn.references[0].text} for turn in turns[:40]]
    (tmp_path / "some.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    succeed("run", tmp_path / "some.jsonl", "-d", "topiocqa", "--protocol", path, "--out", tmp_path / "r")
    bleu = results(tmp_path / "r")["lenient", "BLEU"]
    assert (bleu["value"], bleu["n_turns"], bleu["n_missing"], bleu["aggregate"]) == (1.0, 40, 16, "corpus")


def test_every_missing_turn_is_counted(tmp_path: Path) -> None:
    """Also those that score the same with a record as without: QReCC's turns without an answer."""
    turns = open_dataset(DatasetRequest("qrecc")).turns
    kept = [turn for turn in turns if turn.gold]
    lines = [{"turn_id": turn.id, "passages": [[next(iter(turn.gold)), 1.0]]} for turn in kept]
    (tmp_path / "some.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    succeed("run", tmp_path / "some.jsonl", "-d", "qrecc", "--protocol", "qrecc-original", "--out", tmp_path / "r")
    span = results(tmp_path / "r")["qrecc-original", "RR@100"]
    assert (span["n_turns"], span["n_missing"]) == (len(turns), len(turns) - len(kept))
    warnings = json.loads((tmp_path / "r" / "results.json").read_text(encoding="utf-8"))["warnings"]
    assert any(warning.startswith(f"{len(turns) - len(kept)} turns are missing") for warning in warnings)
