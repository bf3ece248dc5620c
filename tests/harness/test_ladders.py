"""Ladders: every condition gives what it gives alone, and what does not depend on the condition is computed once."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from backends.small import folder_of
from command_line import MINI, content_without_cost, convbench, fork, succeed

from convbench.harness.ladder import RUNGS
from convbench.harness.results import read_results
from convbench.io.runfile import read_run
from convbench.retrieval.bm25 import BM25Retriever
from convbench.views.query import Query

FAST = ("--metrics", "retrieval,token-f1", "--offline")
LADDER = ("run", "bm25-history", "-d", "topiocqa", "--evidence", "ladder", *FAST)
SHARED = ("view", "rewrite", "search")


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Turns that BM25 was asked for."""
    turns: list[str] = []
    search = BM25Retriever.search

    def counted(self: BM25Retriever, queries: Sequence[Query], *rest: Any) -> Any:
        turns.extend(query.turn_id for query in queries)
        return search(self, queries, *rest)

    monkeypatch.setattr(BM25Retriever, "search", counted)
    return turns


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished evidence ladder; tests only read it, or copy it."""
    folder = tmp_path_factory.mktemp("ladder") / "out"
    succeed(*LADDER, "--out", folder)
    return folder


def content(folder: Path) -> dict[str, Any]:
    return content_without_cost(folder)


def conditions(folder: Path) -> dict[str, Any]:
    return read_results(folder / "results.json").conditions


def folders(out: Path) -> set[str]:
    return {path.name for path in out.iterdir() if path.is_dir()}


# ---- evidence


def test_each_rung_has_a_folder_and_the_report_covers_all(finished: Path) -> None:
    assert folders(finished) == set(RUNGS["evidence"])
    for rung in RUNGS["evidence"]:
        results = read_results(finished / rung / "results.json")
        assert (results.system["name"], results.conditions["evidence"]) == ("bm25-history", rung)
    report = (finished / "report.md").read_text(encoding="utf-8")
    assert all(f"bm25-history (evidence {rung})" in report for rung in RUNGS["evidence"])


def test_what_is_shared_is_computed_once(searched: list[str], tmp_path: Path) -> None:
    ended = succeed(*LADDER, "--out", tmp_path / "out")
    assert len(searched) == len(set(searched)) == 56
    for rung in RUNGS["evidence"][1:]:
        assert f"{tmp_path / 'out' / rung}: view, rewrite, search taken over from {tmp_path / 'out' / 'none'}" in ended.err


def test_a_rung_is_the_run_that_is_made_alone(finished: Path, tmp_path: Path) -> None:
    for rung in RUNGS["evidence"]:
        alone = tmp_path / rung
        succeed("run", "bm25-history", "-d", "topiocqa", "--evidence", rung, "--out", alone, *FAST)
        assert content(alone) == content(finished / rung)
        for stage in SHARED:
            manifests = [(folder / "stages" / f"{stage}.manifest.json").read_bytes() for folder in (alone, finished / rung)]
            assert manifests[0] == manifests[1]


def test_costs_are_those_of_the_run_that_paid_for_them(finished: Path) -> None:
    logs = [(finished / rung / "stages" / "search.cost.jsonl").read_bytes() for rung in RUNGS["evidence"]]
    assert len(set(logs)) == 1
    seconds = {rung: read_results(finished / rung / "results.json").cost.phases for rung in RUNGS["evidence"]}
    searches = [[phase.seconds for phase in phases if phase.name == "search"] for phases in seconds.values()]
    assert searches == [searches[0]] * len(searches)
    assert searches[0][0] > 0
    spent = [
        json.loads((finished / rung / "run.json").read_text(encoding="utf-8"))["executions"][-1]["seconds"] for rung in ("none", "gold")
    ]
    assert "search" in spent[0]
    assert "search" not in spent[1]


def test_the_same_command_again_computes_nothing(finished: Path, searched: list[str]) -> None:
    before = {rung: content(finished / rung) for rung in RUNGS["evidence"]}
    ended = succeed(*LADDER, "--out", finished)
    assert searched == []
    assert ended.err.count("every stage is finished, nothing to infer") == len(before)
    assert {rung: content(finished / rung) for rung in RUNGS["evidence"]} == before


def test_a_rung_that_is_gone_or_was_interrupted_takes_over_what_the_others_have(
    finished: Path, searched: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    shutil.rmtree(out / "gold")
    interrupted = out / "none" / "stages"
    key = json.loads((interrupted / "search.manifest.json").read_text(encoding="utf-8"))["key"]
    rows = (interrupted / "search.jsonl").read_bytes()
    (interrupted / f"search.{key[:16]}.part").write_bytes(rows[: len(rows) // 2])
    for name in ("search.jsonl", "search.manifest.json", "search.cost.jsonl"):
        (interrupted / name).unlink()
    succeed(*LADDER, "--out", out)
    assert searched == []
    assert [path.name for path in out.rglob("*") if path.name.endswith((".part", ".tmp"))] == []
    assert {rung: content(out / rung) for rung in RUNGS["evidence"]} == {rung: content(finished / rung) for rung in RUNGS["evidence"]}


@pytest.mark.slow
def test_a_ladder_that_is_killed_goes_on(finished: Path, tmp_path: Path) -> None:
    whole = {rung: content(finished / rung) for rung in RUNGS["evidence"]}
    for rung, file in (("other-turn", "stages/view.jsonl"), ("retrieved", "stages/search.jsonl"), ("gold", "turns.jsonl")):
        out = tmp_path / rung
        process = fork(tmp_path / "log", *LADDER, "--out", out)
        while process.is_alive() and not (out / rung / file).exists():
            time.sleep(0.001)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        succeed(*LADDER, "--out", out)
        assert [path.name for path in out.rglob("*") if path.name.endswith((".part", ".tmp"))] == []
        assert {name: content(out / name) for name in RUNGS["evidence"]} == whole


def test_rows_changed_by_hand_are_not_taken_over(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    for rung in RUNGS["evidence"]:
        if rung == "gold":
            shutil.rmtree(out / rung)
        else:
            rows = out / rung / "stages" / "search.jsonl"
            rows.write_bytes(rows.read_bytes()[:-2])
    succeed(*LADDER, "--out", out)
    assert {rung: content(out / rung) for rung in RUNGS["evidence"]} == {rung: content(finished / rung) for rung in RUNGS["evidence"]}


def test_the_plan_says_what_will_be_taken_over(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    plans = succeed(*LADDER, "--out", out, "--dry-run", "--json").json
    assert [Path(plan["folder"]).name for plan in plans] == list(RUNGS["evidence"])
    assert {stage["done"] for plan in plans for stage in plan["stages"]} == {0}
    assert not out.exists()
    shutil.copytree(finished / "retrieved", out / "retrieved")
    plans = succeed(*LADDER, "--out", out, "--dry-run", "--json").json
    done = {Path(plan["folder"]).name: {stage["name"]: stage["done"] for stage in plan["stages"]} for plan in plans}
    assert done["retrieved"] == {"view": 56, "rewrite": 56, "search": 56, "generate": 56}
    assert done["gold"] == {"view": 56, "rewrite": 56, "search": 56, "generate": 0}
    assert folders(out) == {"retrieved"}


def test_one_conversation_has_no_other_turn_to_lend(tmp_path: Path) -> None:
    ended = succeed(*LADDER, "--limit", 1, "--out", tmp_path)
    assert folders(tmp_path) == set(RUNGS["evidence"]) - {"other-turn"}
    (line,) = [line for line in ended.err.splitlines() if "left out" in line]
    assert line.startswith("bm25-history on topiocqa: --evidence other-turn is left out: turn 1_1: no other conversation of this run has")


def test_gold_passages_that_the_collection_lacks(tmp_path: Path) -> None:
    corpus = tmp_path / "full_wiki_segments.tsv"
    lines = (MINI / "topiocqa" / "full_wiki_segments.tsv").read_text(encoding="utf-8").splitlines(keepends=True)
    corpus.write_text("".join(lines[:1] + lines[2::2]), encoding="utf-8")
    ended = succeed(*LADDER, "--out", tmp_path / "out", "--data", MINI / "topiocqa", "--split", "mini", "--corpus", corpus)
    left_out = [line for line in ended.err.splitlines() if "left out" in line]
    assert [line.partition(" is left out: ")[0] for line in left_out] == [
        f"bm25-history on topiocqa, {rung}" for rung in ("other-turn", "gold+noise", "gold")
    ]
    assert all("is not in the collection" in line for line in left_out)
    scored = {path.parent.name for path in (tmp_path / "out").glob("*/results.json")}
    assert scored == {"none", "retrieved", "retrieved-minus-gold"}


def test_a_rung_that_fails_does_not_keep_the_others(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished / "none", out / "gold")
    ended = convbench(*LADDER, "--out", out)
    assert ended.code == 2
    assert f"bm25-history on topiocqa, gold: {out / 'gold'}: holds another run (system.evidence is 'none'" in ended.err
    assert {path.parent.name for path in out.glob("*/results.json")} == set(RUNGS["evidence"])
    assert content(out / "gold+noise") == content(finished / "gold+noise")


@pytest.mark.slow
def test_several_systems_and_datasets(tmp_path: Path) -> None:
    pairs = ("bm25-query", "bm25-rewrite", "-d", "topiocqa", "-d", "inscit", "--limit", 2)
    shown = succeed("run", *pairs, "--evidence", "ladder", "--out", tmp_path, *FAST, "--json").json
    assert len(shown) == 2 * 2 * 6
    for dataset in ("topiocqa", "inscit"):
        for system in ("bm25-query", "bm25-rewrite"):
            assert folders(tmp_path / dataset / system) == set(RUNGS["evidence"])


def test_a_unified_system_shares_its_index(tmp_path: Path) -> None:
    short = ("--set", "decoding.max_new_tokens=4", "--limit", 2, "--profile", "decoder", "--cache", tmp_path / "cache")
    succeed("run", folder_of("llama"), "-d", "topiocqa", "--evidence", "ladder", "--out", tmp_path / "out", *FAST, *short)
    assert len(list((tmp_path / "cache" / "dense").iterdir())) == 1
    built = [rung for rung in RUNGS["evidence"] if _has_phase(tmp_path / "out" / rung, "index")]
    assert built == ["none"]
    rankings = {(tmp_path / "out" / rung / "retrieval.trec").read_bytes() for rung in RUNGS["evidence"]}
    assert len(rankings) == 1


def _has_phase(folder: Path, name: str) -> bool:
    return any(phase.name == name and phase.seconds > 0.001 for phase in read_results(folder / "results.json").cost.phases)


# ---- history


def test_every_history(tmp_path: Path) -> None:
    succeed("run", "bm25-history", "-d", "topiocqa", "--history", "ladder", "--limit", 3, "--out", tmp_path, *FAST)
    assert folders(tmp_path) == set(RUNGS["history"])
    for rung in RUNGS["history"]:
        given = conditions(tmp_path / rung)
        expected = ("query", "human") if rung == "rewrite" else (rung, "none")
        assert (given["history"]["view"], given["rewriter"]) == expected
    queries = {rung: [record.query for record in read_run(tmp_path / rung / "turns.jsonl").records.values()] for rung in RUNGS["history"]}
    assert len({json.dumps(asked) for asked in queries.values()}) == len(queries)


def test_the_other_condition_may_be_fixed(tmp_path: Path) -> None:
    fixed = ("--history", "ladder", "--evidence", "gold")
    succeed("run", "bm25-history", "-d", "topiocqa", *fixed, "--limit", 2, "--out", tmp_path, *FAST)
    assert {conditions(tmp_path / rung)["evidence"] for rung in RUNGS["history"]} == {"gold"}


def test_histories_that_cannot_be_are_left_out(tmp_path: Path) -> None:
    own = ("--data", MINI / "topiocqa", "--split", "mini", "--set", "generator=null")
    ended = succeed("run", "bm25-history", "-d", "topiocqa", "--history", "ladder", *own, "--limit", 2, "--out", tmp_path, *FAST)
    assert folders(tmp_path) == set(RUNGS["history"]) - {"full-own", "rewrite"}
    lines = [line for line in ended.err.splitlines() if "left out" in line]
    assert len(lines) == 2
    assert "--history full-own is left out: bm25-history: history view 'full-own' shows the system its own responses" in lines[0]
    assert "--history rewrite is left out: " in lines[1]
    assert "turns have no human rewrite" in lines[1]


# ---- what is refused


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("bm25-query", "--history", "ladder", "--evidence", "ladder"), "--history ladder and --evidence ladder at once"),
        (("oracle", "--evidence", "ladder"), "oracle: --evidence does not apply to a system of kind 'oracle'"),
        (("bm25-query", "--set", "generator=null", "--evidence", "ladder"), "--evidence is what a responder sees, and it does not respond"),
        (("bm25-query", "--evidence", "lader"), "unknown evidence view 'lader'"),
    ],
)
def test_what_makes_no_sense(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    ended = convbench("run", *arguments, "-d", "topiocqa", "--out", tmp_path / "out", *FAST)
    assert said in ended.error
    assert ended.code == 2
    assert not (tmp_path / "out").exists()


def test_a_ladder_is_beside_the_plain_run_where_no_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plans = succeed("run", "bm25-query", "-d", "topiocqa", "--evidence", "ladder", "--dry-run", "--json").json
    assert {str(Path(plan["folder"]).parent) for plan in plans} == {"runs/bm25-query-topiocqa-evidence-ladder"}
