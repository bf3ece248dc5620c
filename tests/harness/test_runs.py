"""What a run folder holds: results by their schema, counts, and files that agree with each other; replays, limits, refusals."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import re
import shutil
from collections import defaultdict
from pathlib import Path

import jsonschema
import pytest
from command_line import MINI, convbench, succeed, without_digests

from convbench.datasets.loading import DatasetRequest, open_dataset
from convbench.harness.folder import RunFolder
from convbench.harness.results import Results, read_results, results_schema
from convbench.io.runfile import read_run
from convbench.systems.oracle import GoldSearchStage

SCHEMA = Path(__file__).parents[2] / "docs" / "schemas" / "results.schema.json"
FAST = ("--metrics", "retrieval,rouge,token-f1")
RETRIEVAL = ("--metrics", "retrieval")
INFERENCE = ("turns.jsonl", "retrieval.trec", *(f"stages/{stage}.jsonl" for stage in ("view", "rewrite", "search", "generate")))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run folder; tests only read it, or copy it."""
    folder = tmp_path_factory.mktemp("runs") / "bm25-rewrite"
    succeed("run", "bm25-rewrite", "-d", "topiocqa", "--out", folder, *FAST)
    return folder


def run(system, folder, *more) -> Results:
    """Runs a system on the mini set of TopiOCQA (or another) and returns its results."""
    dataset = () if "-d" in more else ("-d", "topiocqa")
    succeed("run", system, *dataset, "--out", folder, *(more if "--metrics" in more else (*more, *RETRIEVAL)))
    return read_results(folder / "results.json")


def values(results: Results) -> dict[str, float | None]:
    return {metric.name: metric.value for metric in results.metrics}


def numbers(results: Results) -> list[tuple[object, ...]]:
    """Everything that is measured, by name."""
    return [(m.name, m.value, m.ci, m.n_turns, m.n_conversations, m.n_missing) for m in results.metrics]


def score_lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "scores.jsonl").read_text(encoding="utf-8").splitlines()]


def states(folder: Path, names=INFERENCE) -> dict[str, tuple[int, int, bytes]]:
    return {name: ((folder / name).stat().st_ino, (folder / name).stat().st_mtime_ns, (folder / name).read_bytes()) for name in names}


def records_of(folder: Path):
    return read_run(folder / "turns.jsonl").records


def without_corpus(folder: Path) -> Path:
    """The mini set as somebody's dev split whose corpus is not at hand."""
    folder.mkdir()
    shutil.copy(MINI / "topiocqa" / "topiocqa_mini.jsonl", folder / "topiocqa_dev.jsonl")
    return folder


# ---- results.json


def check_schema(folder: Path) -> None:
    schema = results_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads((folder / "results.json").read_text(encoding="utf-8")), schema)


def test_results_follow_their_schema(finished):
    check_schema(finished)


def test_results_with_a_metric_that_cannot_be_computed_follow_their_schema(tmp_path):
    more = ("--metrics", "token-f1,bertscore", "--bertscore-model", "nobody/nothing", "--offline")
    results = run("oracle", tmp_path, *more)
    check_schema(tmp_path)
    left_out = results.metrics[-1]
    assert (left_out.name, left_out.value, left_out.ci, left_out.n_turns) == ("bertscore", None, None, 0)
    assert "nobody/nothing: not on this machine" in left_out.reason
    assert values(results)["F1-max"] == 1


def test_the_schema_refuses_what_is_not_in_it(finished):
    document = json.loads((finished / "results.json").read_text(encoding="utf-8"))
    with pytest.raises(jsonschema.ValidationError, match="Additional properties"):
        jsonschema.validate({**document, "winner": "us"}, results_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**document, "schema_version": 2}, results_schema())


def test_the_published_schema_is_current():
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == results_schema(), "refresh it: make schema"


def test_results_name_what_was_run(finished):
    results = read_results(finished / "results.json")
    assert results.system["name"] == "bm25-rewrite"
    assert results.conditions["rewriter"] == "human"
    assert (results.dataset.name, results.dataset.split, results.dataset.tier) == ("topiocqa", "mini", "mini")
    assert (results.dataset.n_conversations, results.dataset.n_turns, results.dataset.n_judged) == (9, 56, 56)
    assert results.dataset.passages == len((MINI / "topiocqa" / "full_wiki_segments.tsv").read_text(encoding="utf-8").splitlines()) - 1
    assert results.warnings == []


@pytest.mark.parametrize("dataset", ["qrecc", "orquac", "inscit", "faithdial"])
def test_every_measure_averages_over_the_turns_of_its_side(dataset, tmp_path):
    opened = open_dataset(DatasetRequest(dataset))
    turn_sets = {"ranking": opened.retrieval_turns(), "response": opened.response_turns()}
    results = run("random", tmp_path, "-d", dataset, *FAST)
    assert {metric.side for metric in results.metrics} == {"ranking", "response"}
    for metric in results.metrics:
        turns = turn_sets[metric.side]
        assert (metric.n_turns, metric.turn_set, metric.n_missing) == (len(turns.ids), turns.rule, 0)
        assert metric.n_conversations == len({turn_id.rpartition("_")[0] for turn_id in turns.ids})
        assert f"|turns:{turns.sha256[:12]}" in metric.signature
    assert results.dataset.n_judged == len(turn_sets["ranking"].ids)


def test_aggregates_are_the_means_of_the_lines(finished):
    lines = defaultdict(list)
    for line in score_lines(finished):
        lines[line["measure"]].append(line["value"])
    metrics = read_results(finished / "results.json").metrics
    assert set(lines) == {metric.name for metric in metrics}
    for metric in metrics:
        assert metric.value == pytest.approx(sum(lines[metric.name]) / len(lines[metric.name]), abs=1e-12)
        assert metric.n_turns == len(lines[metric.name]) == 56
        assert metric.ci is not None
        assert metric.ci[0] <= metric.value <= metric.ci[1]


def test_deeper_recall_is_never_less(finished):
    by_turn = defaultdict(dict)
    for line in score_lines(finished):
        by_turn[line["turn_id"]][line["measure"]] = line["value"]
    for scores in [values(read_results(finished / "results.json")), *by_turn.values()]:
        assert scores["R@5"] <= scores["R@10"] <= scores["R@20"] <= scores["R@100"]
    assert values(read_results(finished / "results.json"))["R@5"] < 1


def test_the_oracle_is_perfect(tmp_path):
    measured = values(run("oracle", tmp_path, *FAST))
    # One reference need not equal the others, which leave-one-out compares it with; a response of one word has no bigram.
    imperfect = {"F1-loo", "EM-loo", "rouge2"}
    assert {name for name, value in measured.items() if value < 1} == imperfect
    assert {name for name, value in measured.items() if value == 1} == set(measured) - imperfect


# ---- turns.jsonl and retrieval.trec


def test_the_trec_run_agrees_with_the_joint_run(finished):
    lines = [line.split(" ") for line in (finished / "retrieval.trec").read_text(encoding="utf-8").splitlines()]
    expected = [
        [record.turn_id, "Q0", passage_id.replace(" ", "␣"), str(rank), repr(score), "bm25-rewrite"]
        for record in records_of(finished).values()
        for rank, (passage_id, score) in enumerate(record.passages, 1)
    ]
    assert lines == expected
    assert len(lines) > 56


def test_records_come_in_the_order_of_the_dataset(finished):
    assert list(records_of(finished)) == [turn.id for turn in open_dataset(DatasetRequest("topiocqa")).turns]


def test_the_history_view_rewrite_is_the_rewrite_baseline(finished, tmp_path):
    other = tmp_path / "run"
    run("bm25-history", other, "--history", "rewrite")
    assert {id_: record.query for id_, record in records_of(other).items()} == {
        id_: record.query for id_, record in records_of(finished).items()
    }
    assert {id_: record.passages for id_, record in records_of(other).items()} == {
        id_: record.passages for id_, record in records_of(finished).items()
    }


def test_a_history_view_changes_the_queries(tmp_path):
    run("bm25-query", tmp_path, "--history", "last-1")
    turn = open_dataset(DatasetRequest("topiocqa")).turns[2]
    record = records_of(tmp_path)[turn.id]
    assert record.query.splitlines() == [turn.query, turn.history[-1].response, turn.history[-1].query]
    assert record.ledger == {
        "history_kept": [turn.history[-1].turn_id],
        "history_dropped": [turn.history[0].turn_id],
        "truncated": {},
    }


def test_evidence_views(tmp_path):
    gold = {turn.id: tuple(turn.gold) for turn in open_dataset(DatasetRequest("topiocqa")).turns}
    results = run("bm25-query", tmp_path / "gold", "--evidence", "gold")
    assert results.conditions["evidence"] == "gold"
    assert {turn_id: record.evidence for turn_id, record in records_of(tmp_path / "gold").items()} == gold
    run("bm25-query", tmp_path / "none", "--evidence", "none")
    assert {(record.evidence, record.response, record.abstained) for record in records_of(tmp_path / "none").values()} == {((), "", True)}
    run("bm25-query", tmp_path / "retrieved")
    for record in records_of(tmp_path / "retrieved").values():
        assert record.evidence == tuple(passage_id for passage_id, _ in record.passages[:3])


def test_the_seed_decides_what_is_random(tmp_path):
    for name, seed in (("one", 1), ("again", 1), ("two", 2)):
        run("random", tmp_path / name, "--seed", seed)
    one, again, two = ((tmp_path / name / "retrieval.trec").read_bytes() for name in ("one", "again", "two"))
    assert one == again != two


# ---- replays


@pytest.mark.parametrize("form", ["folder", "joint", "gzip"])
def test_a_replay_scores_exactly_as_the_run_itself(finished, tmp_path, form):
    source = finished
    if form != "folder":
        source = tmp_path / "other.jsonl"
        shutil.copy(finished / "turns.jsonl", source)
    if form == "gzip":
        source = tmp_path / "packed.jsonl.gz"
        source.write_bytes(gzip.compress((finished / "turns.jsonl").read_bytes()))
    results = run(source, tmp_path / "replay", *FAST)
    assert numbers(results) == numbers(read_results(finished / "results.json"))
    assert score_lines(tmp_path / "replay") == score_lines(finished)
    assert results.conditions["history"] == "unknown"
    expected = {"folder": "bm25-rewrite", "joint": "other", "gzip": "packed"}
    assert results.system["name"] == expected[form]


def test_a_trec_replay_scores_the_rankings_exactly_as_the_run_itself(finished, tmp_path):
    results = run(finished / "retrieval.trec", tmp_path / "replay", *FAST)
    assert numbers(results)[:7] == numbers(read_results(finished / "results.json"))[:7]
    assert [(metric.name, metric.value, metric.reason) for metric in results.metrics[7:]] == [
        ("rouge", None, "the run holds no responses"),
        ("token-f1", None, "the run holds no responses"),
    ]


def test_a_turn_that_the_run_lacks_scores_zero_and_is_counted(finished, tmp_path):
    lines = (finished / "turns.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    gone = {json.loads(line)["turn_id"] for line in lines[1:6]}
    (tmp_path / "part.jsonl").write_text("".join([lines[0], *lines[6:]]), encoding="utf-8")
    results = run(tmp_path / "part.jsonl", tmp_path / "replay", *FAST)
    whole = [line for line in score_lines(finished) if line["turn_id"] not in gone]
    for metric in results.metrics:
        kept = [line["value"] for line in whole if line["measure"] == metric.name]
        assert metric.value == pytest.approx(sum(kept) / 56, abs=1e-12)
        assert (metric.n_turns, metric.n_missing) == (56, 5)
    for line in score_lines(tmp_path / "replay"):
        if line["turn_id"] in gone:
            assert (line["value"], line["reason"]) == (0, "missing from the run")
    assert results.warnings == [f"5 turns are missing from the run and score 0 (first: {', '.join(sorted(gone))})"]
    assert gone.isdisjoint(records_of(tmp_path / "replay"))


def test_ties_of_a_trec_run_are_broken_by_id_descending(tmp_path):
    """Whatever the order of lines and the ranks they state: trec_eval sorts by score, then by id, largest first."""
    turns = open_dataset(DatasetRequest("topiocqa")).turns
    fillers = sorted({passage_id for turn in turns for passage_id in turn.gold})
    above = {}
    with (tmp_path / "tied.trec").open("w", encoding="utf-8") as handle:
        for turn in turns:
            (gold,) = turn.gold
            ids = [gold, *[passage_id for passage_id in fillers if passage_id != gold][:9]]
            above[turn.id] = sum(passage_id > gold for passage_id in ids)
            for rank, passage_id in enumerate(ids, 1):
                handle.write(f"{turn.id} Q0 {passage_id} {rank} 1.5 tied\n")
    results = run(tmp_path / "tied.trec", tmp_path / "replay")
    assert len(set(above.values())) > 3
    assert values(results)["RR@100"] == pytest.approx(sum(1 / (1 + count) for count in above.values()) / 56)
    assert values(results)["R@5"] == sum(count < 5 for count in above.values()) / 56
    for record in records_of(tmp_path / "replay").values():
        scores = [score for _, score in record.passages]
        ids = [passage_id for passage_id, _ in record.passages]
        assert ids == sorted(ids, reverse=True)
        assert all(later < earlier for earlier, later in itertools.pairwise(scores))


def test_a_run_file_may_have_any_name(finished, tmp_path):
    """A blank in the name would make seven columns of the TREC run's six."""
    source = tmp_path / "my run, v1.2.trec"
    shutil.copy(finished / "retrieval.trec", source)
    assert run(source, tmp_path / "replay").system["name"] == "my-run-v1.2"
    again = run(tmp_path / "replay" / "retrieval.trec", tmp_path / "twice")
    assert numbers(again) == numbers(read_results(tmp_path / "replay" / "results.json"))


def test_a_run_folder_that_is_named_like_a_baseline_is_not_taken_for_the_system(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        succeed("run", "bm25-query", "-d", "topiocqa", "--out", "bm25-query", *RETRIEVAL)
    assert read_results(tmp_path / "bm25-query" / "results.json").system["kind"] == "two-stage"


# ---- score


def test_other_metrics_do_not_touch_what_was_inferred(finished, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    before = states(folder, (*INFERENCE, "stages/score-response-overlap.1-rouge.jsonl"))
    executions = json.loads((folder / "run.json").read_text(encoding="utf-8"))["executions"]
    succeed("score", folder, "--metrics", "rouge,token-f1")
    assert states(folder, (*INFERENCE, "stages/score-response-overlap.1-rouge.jsonl")) == before
    assert numbers(read_results(folder / "results.json")) == numbers(read_results(finished / "results.json"))
    assert score_lines(folder) == score_lines(finished)
    assert json.loads((folder / "run.json").read_text(encoding="utf-8"))["executions"] == executions


def test_scoring_later_gives_what_scoring_at_once_gives_but_for_cost(finished, tmp_path):
    run("bm25-rewrite", tmp_path)
    for name in ("rouge", "token-f1"):
        succeed("score", tmp_path, "--metrics", name)
    later, at_once = (read_results(folder / "results.json").model_dump(exclude={"cost"}) for folder in (tmp_path, finished))
    assert later == at_once
    assert score_lines(tmp_path) == score_lines(finished)


def test_scoring_works_from_another_folder(tmp_path, monkeypatch):
    """``--data`` may be relative to where the run was started."""
    without_corpus(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    run("bm25-query", Path("run"), "--data", "data")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    succeed("score", tmp_path / "run", *RETRIEVAL)


def test_a_run_that_is_not_finished_is_not_scored(finished, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    (folder / "turns.jsonl").unlink()
    refused = convbench("score", folder, *RETRIEVAL)
    assert refused.error == f"{folder}: inference is not finished; run the same `convbench run` command again first"
    assert refused.code == 2


# ---- folders


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (("bm25-query",), "system.name is 'bm25-rewrite', asked for 'bm25-query'"),
        (("bm25-rewrite", "--seed", "3"), "seed is 0, asked for 3"),
        (("bm25-rewrite", "--limit", "2"), "dataset.limit is None, asked for 2"),
        (("bm25-rewrite", "--evidence", "gold"), "system.evidence is 'retrieved', asked for 'gold'"),
        (("bm25-rewrite", "-d", "faithdial"), "dataset.name is 'topiocqa', asked for 'faithdial'"),
    ],
)
def test_a_folder_with_another_run_is_refused(finished, changed, named):
    before = states(finished, (*INFERENCE, "run.json", "results.json"))
    dataset = () if "-d" in changed else ("-d", "topiocqa")
    refused = convbench("run", *changed, *dataset, "--out", finished, *RETRIEVAL)
    assert refused.code == 2
    assert refused.error.startswith(f"{finished}: holds another run (")
    assert named in refused.error
    assert states(finished, (*INFERENCE, "run.json", "results.json")) == before


def test_a_folder_with_a_run_on_other_files_is_refused(tmp_path):
    data = without_corpus(tmp_path / "data")
    run("bm25-query", tmp_path / "run", "--data", data)
    with (data / "topiocqa_dev.jsonl").open("a", encoding="utf-8") as handle:
        handle.write("\n")
    refused = convbench("run", "bm25-query", "-d", "topiocqa", "--data", data, "--out", tmp_path / "run", *RETRIEVAL)
    assert refused.code == 2
    assert "holds another run (dataset.files is [['topiocqa_dev.jsonl', " in refused.error
    assert convbench("score", tmp_path / "run", *RETRIEVAL).code == 2


def test_the_bundled_set_and_official_files_do_not_share_a_folder(finished, tmp_path):
    data = without_corpus(tmp_path / "data")
    rewrites = MINI / "topiocqa" / "rewrites.jsonl"
    refused = convbench("run", "bm25-rewrite", "-d", "topiocqa", "--data", data, "--rewrites", rewrites, "--out", finished, *RETRIEVAL)
    assert "holds another run (" in refused.error


def test_files_may_move(tmp_path):
    """Not where files lie makes a run, but what is in them."""
    run("bm25-query", tmp_path / "run", "--data", without_corpus(tmp_path / "here"))
    before = states(tmp_path / "run")
    (tmp_path / "here").rename(tmp_path / "there")
    run("bm25-query", tmp_path / "run", "--data", tmp_path / "there")
    names = [name for name in INFERENCE if name.startswith("stages/")]
    assert {name: before[name] for name in names} == states(tmp_path / "run", names)


def test_a_second_process_is_kept_out(finished):
    with RunFolder(finished).locked():
        for command in (("run", "bm25-rewrite", "-d", "topiocqa", "--out", finished), ("score", finished)):
            refused = convbench(*command, *RETRIEVAL)
            who = f"another process (pid {os.getpid()})"
            assert refused.error == f"{finished}: {who} is running in this folder; wait for it or choose another --out"
            assert refused.code == 2


# ---- limit and tier


def test_a_limit_takes_the_first_conversations_and_says_so(tmp_path):
    results = run("bm25-query", tmp_path, "--limit", 3)
    first = open_dataset(DatasetRequest("topiocqa")).conversations[:3]
    assert list(records_of(tmp_path)) == [turn.id for conversation in first for turn in conversation.turns]
    assert results.dataset.n_conversations == 3
    assert results.dataset.n_turns == results.metrics[0].n_turns == sum(len(conversation.turns) for conversation in first)
    assert results.warnings == ["limited to the first 3 of 9 conversations: not a result on topiocqa"]


def test_a_limit_beyond_the_end_is_no_limit(tmp_path):
    assert run("random", tmp_path, "--limit", 9).warnings == []


def test_without_a_corpus_the_gold_passages_stand_in_and_the_result_says_so(tmp_path):
    results = run("bm25-query", tmp_path / "run", "--data", without_corpus(tmp_path / "data"))
    gold = {passage_id for turn in open_dataset(DatasetRequest("topiocqa")).turns for passage_id in turn.gold}
    assert (results.dataset.split, results.dataset.tier, results.dataset.passages) == ("dev", "gold-union", len(gold))
    assert results.warnings == ["no corpus file: the collection is the union of the gold passages, an easier task than the real one"]
    assert "union of the gold passages" in (tmp_path / "run" / "report.md").read_text(encoding="utf-8")
    retrieved = {passage_id for record in records_of(tmp_path / "run").values() for passage_id, _ in record.passages}
    assert retrieved <= gold


# ---- what a result warns of


def official(folder: Path) -> Path:
    """The mini set as somebody's dev split, with its corpus."""
    without_corpus(folder)
    shutil.copy(MINI / "topiocqa" / "full_wiki_segments.tsv", folder)
    return folder


def test_a_collection_that_lacks_gold_passages_is_warned_of(tmp_path):
    data = official(tmp_path / "data")
    corpus = data / "full_wiki_segments.tsv"
    corpus.write_text("".join(corpus.read_text(encoding="utf-8").splitlines(keepends=True)[:30]), encoding="utf-8")
    (warning,) = run("bm25-query", tmp_path / "run", "--data", data).warnings
    assert re.fullmatch(r"[1-9][0-9]* of 56 judged turns have no gold passage in the collection \(first: .*\)", warning)


def test_a_replayed_run_with_unknown_passages_is_warned_of(finished, tmp_path):
    lines = (finished / "retrieval.trec").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "other.trec").write_text(lines[0].replace(" Q0 ", " Q0 x") + "".join(lines[1:]), encoding="utf-8")
    results = run(tmp_path / "other.trec", tmp_path / "run")
    assert any(warning.startswith("1 retrieved passages are not in the collection (first: x") for warning in results.warnings)


def test_somebody_elses_files_named_mini_are_not_the_bundled_set(tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("topiocqa_mini.jsonl", "full_wiki_segments.tsv"):
        shutil.copy(MINI / "topiocqa" / name, tmp_path / "data")
    dataset = run("bm25-query", tmp_path / "run", "--data", tmp_path / "data", "--split", "mini").dataset
    assert (dataset.tier, dataset.licence) == ("corpus", "CC BY-NC-SA 4.0")


def test_a_file_that_is_another_splits_by_its_name_is_refused(tmp_path):
    shutil.copy(MINI / "topiocqa" / "topiocqa_mini.jsonl", tmp_path / "topiocqa_train.jsonl")
    refused = convbench("run", "bm25-query", "-d", "topiocqa", "--data", tmp_path / "topiocqa_train.jsonl", "--out", tmp_path / "run")
    assert refused.code == 2
    assert "by its name this is the split 'train', and 'dev' is asked for; add --split train" in refused.error


# ---- sides that a run does not have


def test_a_run_without_responses_has_no_response_measures(finished, tmp_path):
    shutil.copy(finished / "retrieval.trec", tmp_path / "other.trec")
    results = run(tmp_path / "other.trec", tmp_path / "run", "--metrics", "retrieval,rouge")
    rouge = next(metric for metric in results.metrics if metric.name == "rouge")
    assert (rouge.value, rouge.reason) == (None, "the run holds no responses")


def test_a_retriever_that_finds_nothing_scores_zero(tmp_path):
    data = official(tmp_path / "data")
    turns = data / "topiocqa_dev.jsonl"
    first = json.loads(turns.read_text(encoding="utf-8").splitlines()[0])
    turns.write_text(json.dumps({**first, "Question": "what is the of"}) + "\n", encoding="utf-8")
    assert values(run("bm25-query", tmp_path / "run", "--data", data))["nDCG@3"] == 0.0


# ---- scores of several commands


def test_measures_that_were_not_asked_for_stay(tmp_path):
    folder = tmp_path / "run"
    run("bm25-query", folder, "--metrics", "retrieval")
    succeed("score", folder, "--metrics", "token-f1")
    both = values(read_results(folder / "results.json"))
    assert {"nDCG@3", "F1-max"} <= set(both)
    assert values(run("bm25-query", folder, "--metrics", "retrieval")) == both
    assert {line["measure"] for line in score_lines(folder)} == set(both)


def test_scores_of_another_inference_do_not_stay(tmp_path):
    folder = tmp_path / "run"
    run("bm25-query", folder, "--metrics", "retrieval,token-f1")
    results = folder / "results.json"
    results.write_text(json.dumps(without_digests(folder) | {"run_sha256": "0" * 64}), encoding="utf-8")
    info = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    (folder / "run.json").write_text(json.dumps(info | {"status": "failed"}), encoding="utf-8")  # while it was scored
    succeed("score", folder, "--metrics", "retrieval")
    assert "F1-max" not in values(read_results(results))


def test_history_of_a_rewrite_baseline_means_what_it_says(tmp_path):
    results = run("bm25-rewrite", tmp_path / "run", "--history", "query")
    assert results.conditions["rewriter"] == "none"
    assert values(results) == values(run("bm25-query", tmp_path / "other"))


@pytest.mark.parametrize(("spoilt", "found"), [(lambda rows: rows[::-1], "row 1 .* is of turn"), (lambda rows: rows[:-1], "of turn None")])
def test_a_stage_of_a_plug_in_that_does_not_keep_the_order(spoilt, found, monkeypatch, tmp_path):
    original = GoldSearchStage.run
    monkeypatch.setattr(GoldSearchStage, "run", lambda self, turns, upstream: spoilt(original(self, turns, upstream)))
    refused = convbench("run", "oracle", "-d", "topiocqa", "--out", tmp_path, *RETRIEVAL)
    assert refused.code == 2
    assert re.search(f"search: .*{found}.*a stage gives one row a turn, in order", refused.error)
