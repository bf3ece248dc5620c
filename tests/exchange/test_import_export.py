"""``convbench import`` and ``convbench export``."""

from __future__ import annotations

import json

import pytest

from convbench.io.runfile import read_run, write_run
from convbench.types import TurnRecord
from tests.command_line import convbench, succeed

RECORDS = [
    TurnRecord("1_1", "who", (("a b", 2.5), ("c", 1.0)), "Me.", ("a b",)),
    TurnRecord("1_2", "why", (("c", 0.1),), None),
]


@pytest.fixture
def run(tmp_path):
    """A joint run."""
    write_run(tmp_path / "own.jsonl", {"run_name": "mine"}, RECORDS)
    return tmp_path / "own.jsonl"


def test_what_is_left_behind_is_named_on_stderr(run, tmp_path):
    done = succeed("export", "trec", run, "--out", tmp_path / "run.trec", "--turn-ids", "<conversation>-<turn>")
    assert done.out == f"{tmp_path / 'run.trec'}: turns 2, passages 3\n"
    assert done.err.splitlines() == [
        "left behind: queries as sent to the retriever: 2 (first: 1_1); trec has no place for them",
        "left behind: responses: 1 (first: 1_1); trec has no place for them",
        "left behind: evidence: 1 (first: 1_1); trec has no place for them",
    ]
    assert (tmp_path / "run.trec").read_text(encoding="utf-8") == ("1-1 Q0 a␣b 1 2.5 mine\n1-1 Q0 c 2 1.0 mine\n1-2 Q0 c 1 0.1 mine\n")


def test_the_summary_as_json(run, tmp_path):
    summary = succeed("export", "responses", run, "--out", tmp_path / "r.jsonl", "--json").json
    assert summary["format"] == "responses"
    assert summary["out"] == str(tmp_path / "r.jsonl")
    assert summary["counts"] == {"turns": 2, "responses": 1}
    assert [lost["what"] for lost in summary["lost"]] == [
        "queries as sent to the retriever",
        "rankings",
        "evidence",
        "header fields of the run",
    ]
    assert summary["lost"][1] == {"what": "rankings", "count": 2, "first": "1_1", "why": "responses has no place for them"}


def test_a_run_folder_is_exported_and_comes_back(tmp_path):
    succeed("run", "bm25-query", "-d", "topiocqa", "--limit", "2", "--out", tmp_path / "run", "--metrics", "retrieval")
    succeed("export", "scai-qrecc", tmp_path / "run", "--out", tmp_path / "run.json")
    succeed("import", "scai-qrecc", tmp_path / "run.json", "--out", tmp_path / "back.jsonl")
    ours, back = read_run(tmp_path / "run" / "turns.jsonl").records, read_run(tmp_path / "back.jsonl").records
    assert [(r.turn_id, r.query, r.passages, r.response) for r in back.values()] == [
        (r.turn_id, r.query, r.passages, r.response) for r in ours.values()
    ]
    again = succeed("run", tmp_path / "back.jsonl", "-d", "topiocqa", "--limit", "2", "--out", tmp_path / "again", "--json").json
    first = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))
    values = {metric["name"]: metric["value"] for metric in first["metrics"]}
    assert {metric["name"]: metric["value"] for metric in again[0]["metrics"] if metric["name"] in values} == values


def test_a_dataset_goes_out_comes_back_and_is_run_on(tmp_path):
    succeed("export", "beir", "-d", "inscit", "--out", tmp_path / "beir")
    summary = succeed("import", "beir", tmp_path / "beir", "--out", tmp_path / "own", "--json").json
    assert summary["counts"] == {"conversations": 9, "turns": 56, "judged_turns": 53, "passages": 68}
    results = succeed(
        *("run", "bm25-query", "-d", "generic", "--data", tmp_path / "own", "--out", tmp_path / "run", "--metrics", "retrieval", "--json")
    ).json
    assert (results[0]["dataset"]["n_turns"], results[0]["dataset"]["n_judged"]) == (56, 53)


def test_judgements_of_a_dataset(tmp_path):
    done = succeed("export", "qrels", "-d", "topiocqa", "--limit", "1", "--turn-ids", "<conversation>-<turn>", "--out", tmp_path / "q.txt")
    lines = (tmp_path / "q.txt").read_text(encoding="utf-8").splitlines()
    assert lines[0].split()[:2] == ["1-1", "0"]
    assert done.out == f"{tmp_path / 'q.txt'}: turns {len(lines)}, judgements {len(lines)}\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("export", "trek", "own.jsonl", "--out", "x"), 2, "unknown format 'trek'. Did you mean 'trec'?"),
        (("import", "rank", "own.jsonl", "--out", "x"), 2, "unknown format 'rank'. Did you mean 'ranx'?"),
        (("export", "trec", "own.jsonl", "--out", "own.jsonl"), 2, "own.jsonl: exists already; choose another --out"),
        (("export", "trec", "own.jsonl", "--out", "x.trec.gz"), 2, "x.trec.gz: files are written uncompressed"),
        (("export", "trec", "own.jsonl", "-d", "topiocqa", "--out", "x"), 2, "trec holds a run: name the run folder"),
        (("export", "trec", "--out", "x"), 2, "trec holds a run: name the run folder"),
        (("export", "trec", "own.jsonl", "--limit", "3", "--out", "x"), 2, "say how a dataset is read: name it with -d"),
        (("export", "trec", "own.jsonl", "--turn-ids", "<turn>", "--out", "x"), 2, "--turn-ids '<turn>': expected <conversation> once"),
        (("export", "ranx", "own.jsonl", "--out", "x.txt"), 2, "x.txt: ranx knows files by their names"),
        (("export", "trec", "nowhere.jsonl", "--out", "x"), 3, "nowhere.jsonl: no such file"),
        (("export", "beir", "--out", "x"), 2, "beir holds a dataset: name one with -d"),
        (("import", "trec", "own.jsonl", "--out", "x.txt"), 2, "x.txt: a joint run is written; give it a name that ends in .jsonl"),
        (("import", "trec", "nowhere.trec", "--out", "x.jsonl"), 3, "nowhere.trec: no such file"),
        (("import", "trec", "own.jsonl", "--split", "dev", "--out", "x.jsonl"), 2, "trec has no splits: leave --split dev out"),
        (("import", "beir", "nowhere", "--out", "x"), 3, "nowhere: no such folder"),
        (("import", "scai-qrecc", "own.jsonl", "--turn-ids", "<conversation>-<turn>", "--out", "x.jsonl"), 2, "leave --turn-ids out"),
    ],
)
def test_errors_are_one_line_and_leave_nothing(run, tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    failed = convbench(*arguments)
    assert failed.code == code
    assert message in failed.error
    assert [path.name for path in tmp_path.iterdir()] == ["own.jsonl"]


def test_a_run_with_other_ids_is_sent_back_to_import(tmp_path):
    (tmp_path / "run.trec").write_text("1-1 Q0 a 1 1.0 t\n", encoding="utf-8")
    failed = convbench("export", "ranx", tmp_path / "run.trec", "--out", tmp_path / "x.json")
    assert "turn '1-1' is not named '<conversation>_<turn>'; bring the file in with `convbench import` and --turn-ids" in failed.error
