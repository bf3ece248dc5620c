"""What flipped between two runs, against a plain reading of their files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import succeed

from convbench.analysis.resampling import Resampling
from convbench.comparison.flips import flips
from convbench.comparison.measure_choice import named_measures, usual_measures
from convbench.comparison.side_by_side import side_by_side
from convbench.datasets.loading import DatasetRequest, open_dataset
from convbench.errors import UsageError
from convbench.harness.finished import FinishedRun, load_run

QUICK = Resampling(resamples=200)
METRICS = ("--metrics", "retrieval,token-f1,abstention", "--offline")


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("flips")
    for system in ("bm25-query", "bm25-rewrite"):
        succeed("run", system, "-d", "topiocqa", "--out", out / system, *METRICS)
    return out


@pytest.fixture(scope="module")
def pair(runs) -> tuple[FinishedRun, FinishedRun]:
    return load_run(runs / "bm25-query"), load_run(runs / "bm25-rewrite")


def ids_of(run: FinishedRun) -> list[str]:
    return [turn.id for turn in run.dataset.turns]


def compared(first: FinishedRun, second: FinishedRun):
    return side_by_side(first, second, ids_of(first), QUICK)


def values_in(folder: Path, protocol: str, measure: str) -> dict[str, float | None]:
    """Read without any of convbench."""
    lines = [json.loads(line) for line in (folder / "scores.jsonl").read_text(encoding="utf-8").splitlines()]
    return {line["turn_id"]: line["value"] for line in lines if (line["protocol"], line["measure"]) == (protocol, measure)}


def by_hand(first: Path, second: Path, protocol: str, measure: str) -> dict[str, float]:
    ours, theirs = (values_in(folder, protocol, measure) for folder in (first, second))
    return {id_: theirs[id_] - ours[id_] for id_ in ours if ours[id_] is not None and theirs.get(id_) is not None}


@pytest.mark.parametrize(
    "key", ["convgqr-line/nDCG@3", "convgqr-line/RR@100", "convgqr-line/R@5", "response-overlap/F1-max", "response-overlap/EM-max"]
)
def test_counts_and_turns_are_those_in_the_score_files(runs, pair, key):
    first, second = pair
    found = flips(first, second, named_measures(compared(*pair), [key]), ids_of(first), first.dataset)
    differences = by_hand(runs / "bm25-query", runs / "bm25-rewrite", *key.split("/"))
    assert found.counts.first_better == sum(difference < 0 for difference in differences.values())
    assert found.counts.second_better == sum(difference > 0 for difference in differences.values())
    assert found.counts.equal == sum(difference == 0 for difference in differences.values())
    assert (found.counts.turns, found.counts.one_sided) == (56, 0)
    assert {flip.turn_id: flip.difference for flip in found.turns} == {id_: value for id_, value in differences.items() if value}


def test_the_greatest_differences_come_first_and_equal_ones_in_the_order_of_turns(pair):
    first, second = pair
    ids = ids_of(first)
    measures = named_measures(compared(*pair), ["nDCG@3"])
    signs = {"size": lambda difference: -abs(difference), "worse": lambda difference: difference, "better": lambda difference: -difference}
    for order, key in signs.items():
        turns = flips(first, second, measures, ids, first.dataset, order).turns
        expected = sorted(turns, key=lambda flip: (key(flip.difference), ids.index(flip.turn_id)))
        assert [flip.turn_id for flip in turns] == [flip.turn_id for flip in expected]
    assert turns[0].difference > 0 > turns[-1].difference


def test_a_measure_that_should_be_low_turns_counts_and_order_round(pair):
    first, second = pair
    (measure,) = named_measures(compared(*pair), ["nDCG@3"])
    plain = flips(first, second, [measure], ids_of(first), None, "worse")
    errors = flips(first, second, [replace(measure, higher_is_better=False)], ids_of(first), None, "worse")
    assert (errors.counts.first_better, errors.counts.second_better) == (plain.counts.second_better, plain.counts.first_better)
    assert errors.turns[0].difference == max(flip.difference for flip in plain.turns)
    assert plain.turns[0].difference == min(flip.difference for flip in plain.turns)


def test_everything_of_a_turn_is_its_own(runs, pair):
    first, second = pair
    found = flips(first, second, named_measures(compared(*pair), ["RR@100", "F1-max"]), ids_of(first), first.dataset)
    turns = {turn.id: turn for turn in first.dataset.turns}
    beside = values_in(runs / "bm25-rewrite", "response-overlap", "F1-max")
    assert len(found.turns) > 10
    for flip in found.turns:
        assert (flip.query, flip.gold) == (turns[flip.turn_id].query, turns[flip.turn_id].gold)
        assert flip.references[0] == turns[flip.turn_id].references[0].text
        assert flip.conversation == flip.turn_id.rsplit("_", 1)[0]
        assert flip.first.sent == flip.query
        assert flip.second.beside == {"response-overlap/F1-max": beside[flip.turn_id]}
        for run, outcome in ((first, flip.first), (second, flip.second)):
            assert outcome.passages == run.records[flip.turn_id].passages
            assert outcome.response == run.records[flip.turn_id].response
            # One gold passage a turn, rankings of at most 100: the reciprocal rank says where it is.
            assert outcome.value == (pytest.approx(1 / outcome.gold_rank) if outcome.gold_rank else 0.0)


def test_without_the_dataset_only_what_it_knows_is_missing(pair):
    first, second = pair
    measures = named_measures(compared(*pair), ["nDCG@3"])
    known, unknown = (flips(first, second, measures, ids_of(first), dataset) for dataset in (first.dataset, None))
    assert unknown.counts == known.counts
    for with_it, without in zip(known.turns, unknown.turns, strict=True):
        assert (without.query, without.gold, without.references, without.first.gold_rank) == (None, None, None, None)
        assert without.first.response == with_it.first.response
        assert without.second.passages == with_it.second.passages


def test_turns_with_a_value_in_one_run_only_are_counted_apart(tmp_path):
    folder = tmp_path / "runs"
    all_ids = [turn.id for turn in open_dataset(DatasetRequest("topiocqa")).turns]
    for name, ids in (("all", all_ids), ("some", all_ids[:-6])):
        run = tmp_path / f"{name}.jsonl"
        answer = "It was." if name == "all" else "Golden Gate Bridge."
        run.write_text("".join(json.dumps({"turn_id": id_, "response": answer}) + "\n" for id_ in ids), encoding="utf-8")
        protocol = tmp_path / "lenient.yaml"
        part = {"metric": "token-f1", "turns": "has a reference"}
        values = {"name": "lenient", "title": "t", "description": "d", "sources": ["s"], "missing": "skip", "ties": "id-desc"}
        protocol.write_text(json.dumps(values | {"parts": [part]}), encoding="utf-8")
        succeed("run", run, "-d", "topiocqa", "--out", folder / name, "--protocol", protocol, "--offline")
    first, second = (load_run(folder / name) for name in ("all", "some"))
    (measure,) = named_measures(compared(first, second), ["F1-max"])
    found = flips(first, second, [measure], ids_of(first), first.dataset)
    assert (found.counts.turns, found.counts.one_sided) == (50, 6)
    assert measure.paired.n_turns == 50
    assert measure.paired.mean != pytest.approx(measure.difference)  # the aggregates are over other turns than the paired test


def test_grades_below_the_relevant_one_are_no_gold_rank(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    turns = [
        {"conversation_id": name, "turn": 1, "query": query, "response": "In 1887.", "gold": {"p1": 1, "p2": 2}}
        for name, query in (("a", "mill opened"), ("b", "mill opened"))
    ]
    passages = [
        {"id": "p1", "text": "The mill opened."},
        {"id": "p2", "text": "The mill closed."},
        {"id": "p3", "text": "A cat opened it."},
    ]
    for name, rows in (("conversations", turns), ("collection", passages)):
        (data / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (data / "dataset.yaml").write_text(json.dumps({"name": "mills", "relevant_from": 2}), encoding="utf-8")
    for name, order in (("one", ["p1", "p2", "p3"]), ("two", ["p2", "p1", "p3"])):
        run = tmp_path / f"{name}.jsonl"
        scored = [[id_, float(-rank)] for rank, id_ in enumerate(order)]
        run.write_text("".join(json.dumps({"turn_id": f"{turn}_1", "passages": scored}) + "\n" for turn in "ab"), encoding="utf-8")
        succeed("run", run, "-d", "generic", "--data", data, "--out", tmp_path / name, "--metrics", "retrieval")
    first, second = (load_run(tmp_path / name) for name in ("one", "two"))
    found = flips(first, second, named_measures(compared(first, second), ["RR@100"]), ids_of(first), first.dataset)
    assert [(flip.first.gold_rank, flip.second.gold_rank) for flip in found.turns] == [(2, 1), (2, 1)]
    assert [(flip.first.value, flip.second.value) for flip in found.turns] == [(0.5, 1.0), (0.5, 1.0)]


# ---- measures


def test_pairs_hold_both_values_and_the_paired_difference(runs, pair):
    pairs = compared(*pair)
    assert {found.key for found in pairs} > {"convgqr-line/nDCG@3", "response-overlap/F1-max"}
    for found in pairs:
        if found.has_turns and found.name != "abstention-precision":
            differences = by_hand(runs / "bm25-query", runs / "bm25-rewrite", found.protocol, found.name)
            assert found.paired.n_turns == len(differences)
            assert found.difference == pytest.approx(sum(differences.values()) / len(differences))
            assert found.paired.mean == pytest.approx(found.difference)
            assert found.paired.interval[0] <= found.difference <= found.paired.interval[1]
            assert 0 < found.paired.p <= 1


def test_the_usual_measures_are_a_ranking_and_a_response_measure(pair):
    pairs = compared(*pair)
    assert [found.side for found in usual_measures(pairs)] == ["ranking", "response"]
    assert [found.side for found in usual_measures([found for found in pairs if found.side != "ranking"])] == ["response"]
    assert usual_measures([replace(found, ranks=False) for found in pairs]) == []


def test_measures_that_cannot_be_chosen_say_why(pair):
    pairs = compared(*pair)
    with pytest.raises(UsageError, match=r"no measure 'nDCG@4' in common\. Did you mean 'nDCG@3'\? They share: nDCG@3, "):
        named_measures(pairs, ["nDCG@4"])
    twice = [*pairs, replace(pairs[0], protocol="other")]
    with pytest.raises(UsageError, match="say which, convgqr-line/nDCG@3 or other/nDCG@3"):
        named_measures(twice, ["nDCG@3"])
    assert [found.key for found in named_measures(twice, ["other/nDCG@3", "convgqr-line/nDCG@3"])] == [
        "other/nDCG@3",
        "convgqr-line/nDCG@3",
    ]
    with pytest.raises(UsageError, match="computed over all turns at once"):
        named_measures([replace(pairs[0], aggregate="corpus", paired=None)], ["nDCG@3"])
    with pytest.raises(UsageError, match="no turn has a value in both runs"):
        named_measures(pairs, ["abstention-precision"])


def test_other_datasets_are_refused(runs, pair, tmp_path):
    succeed("run", "bm25-query", "-d", "orquac", "--out", tmp_path / "orquac", "--metrics", "retrieval")
    with pytest.raises(UsageError, match=r"is on topiocqa, split mini, .* on orquac, split mini; give two runs on one dataset"):
        compared(pair[0], load_run(tmp_path / "orquac"))
