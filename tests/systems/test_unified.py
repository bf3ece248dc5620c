"""The unified system on small decoders of every architecture, on all five mini sets, and the ways of reading that must agree."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from backends.checkpoints import make_causal, make_encoder
from backends.small import CLOSING, DECODERS, folder_of
from command_line import convbench, succeed

from convbench.config import build_config
from convbench.datasets.loading import DatasetRequest, open_dataset
from convbench.errors import UsageError
from convbench.io.runfile import read_run
from convbench.systems.base import Settings
from convbench.systems.catalog import system_values
from convbench.systems.unified import UnifiedConfig

DATASETS = ("topiocqa", "qrecc", "orquac", "inscit", "faithdial")
ALWAYS_AND_SLOWLY = [name if name in ("llama", "bert") else pytest.param(name, marks=pytest.mark.slow) for name in DECODERS]
"""A decoder with a cache and one whose attention goes both ways; the others are read the same way in tests of the backends."""
SHORT = ("--set", "decoding.max_new_tokens=6", "--metrics", "retrieval,token-f1", "--offline")


def profile(architecture: str, **changes: Any) -> str:
    """The form that reads a conversation oldest first; the closing tokens are the architecture's."""
    values = {"closing": list(CLOSING.get(architecture, ("</s>",))), **changes}
    return json.dumps(values)


def run(
    folder: Path, out: Path, *arguments: str, datasets: tuple[str, ...] = ("topiocqa",), architecture: str = "llama"
) -> list[dict[str, Any]]:
    """Runs a checkpoint; the results, one a dataset."""
    named = [argument for name in datasets for argument in ("-d", name)]
    path = out.with_suffix(".profile.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(profile(architecture), encoding="utf-8")
    results: list[dict[str, Any]] = succeed("run", folder, *named, "--out", out, "--profile", path, *SHORT, *arguments, "--json").json
    return results


@pytest.mark.parametrize("architecture", ALWAYS_AND_SLOWLY)
def test_a_small_decoder_runs_on_all_five_datasets(architecture: str, tmp_path: Path) -> None:
    found = run(folder_of(architecture), tmp_path / "run", "--limit", "2", datasets=DATASETS, architecture=architecture)
    assert [result["dataset"]["name"] for result in found] == list(DATASETS)
    for result in found:
        values = {metric["name"]: metric["value"] for metric in result["metrics"]}
        assert 0 < values["R@100"] <= 1
        assert values["F1-max"] is not None
        cost = result["cost"]
        assert cost["parameters"] > 100_000
        assert cost["index_bytes"] > 0
        assert {"encode", "search", "generate"} <= {phase["name"] for phase in cost["phases"]}
        assert cost["tokens_out"] > 0


@pytest.mark.slow
def test_minilm_does_both_jobs_and_retrieves_as_the_two_stage_system_does(tmp_path: Path) -> None:
    both = ("unified-minilm", "minilm-history", "-d", "topiocqa", "-d", "faithdial")
    succeed("run", *both, "--out", tmp_path, "--metrics", "retrieval", "--offline", "--limit", "4")
    for dataset in ("topiocqa", "faithdial"):
        unified, two_stage = (read_run(tmp_path / dataset / name / "turns.jsonl").records for name in ("unified-minilm", "minilm-history"))
        whole = [turn_id for turn_id, record in unified.items() if not record.ledger["truncated"]]
        assert len(whole) > 5
        for turn_id in whole:
            ours, theirs = dict(unified[turn_id].passages), dict(two_stage[turn_id].passages)
            assert ours.keys() == theirs.keys()
            assert max(abs(ours[id_] - theirs[id_]) for id_ in ours) < 1e-5
            assert unified[turn_id].usage["tokens_out"] > 0


@pytest.mark.parametrize("history", ["full", "queries", "last-2", "query", "full-own", "rewrite"])
def test_reading_a_conversation_once_changes_nothing(history: str, tmp_path: Path) -> None:
    folder = folder_of("llama")
    for name, reuse in (("once", "true"), ("again", "false")):
        run(folder, tmp_path / name, "--history", history, "--set", f"reuse={reuse}", "--limit", "3")
    once, again = (read_run(tmp_path / name / "turns.jsonl").records for name in ("once", "again"))
    for turn_id, record in once.items():
        assert record.response == again[turn_id].response
        assert record.query == again[turn_id].query
        assert record.evidence == again[turn_id].evidence
        scores, others = dict(record.passages), dict(again[turn_id].passages)
        assert max(abs(scores[id_] - others[id_]) for id_ in scores) < 1e-5
    reused = [record.usage["tokens_reused"] for record in once.values()]
    assert min(reused) > 0 == max(record.usage["tokens_reused"] for record in again.values())


def test_own_responses_are_what_the_next_turn_reads(tmp_path: Path) -> None:
    run(folder_of("llama"), tmp_path / "own", "--history", "full-own", "--limit", "2")
    records = read_run(tmp_path / "own" / "turns.jsonl").records
    checked = 0
    for turn_id, record in records.items():
        conversation, _, number = turn_id.rpartition("_")
        following = records.get(f"{conversation}_{int(number) + 1}")
        if following is not None and record.response:
            assert f"agent: {record.response}\nuser: " in following.query
            checked += 1
    assert checked > 5


def test_the_results_do_not_depend_on_how_many_conversations_are_worked_on_together(tmp_path: Path) -> None:
    for size in (1, 3):
        run(folder_of("mistral"), tmp_path / str(size), "--set", f"conversations={size}", "--limit", "4")
    one, three = (read_run(tmp_path / str(size) / "turns.jsonl").records for size in (1, 3))
    for turn_id, record in one.items():
        assert record.response == three[turn_id].response
        assert max(abs(a - b) for (_, a), (_, b) in zip(record.passages, three[turn_id].passages, strict=True)) < 1e-5


@pytest.mark.parametrize("evidence", ["none", "retrieved", "gold", "gold+noise", "retrieved-minus-gold", "other-turn"])
def test_the_responder_sees_the_evidence_that_is_asked_for(evidence: str, tmp_path: Path) -> None:
    run(folder_of("llama"), tmp_path / "run", "--evidence", evidence, "--limit", "3")
    turns = {turn.id: turn for turn in open_dataset(DatasetRequest("topiocqa", limit=3)).turns}
    for turn_id, record in read_run(tmp_path / "run" / "turns.jsonl").records.items():
        shown, gold, retrieved = set(record.evidence), set(turns[turn_id].gold), [id_ for id_, _ in record.passages]
        if evidence == "none":
            assert not shown
        elif evidence in ("retrieved", "gold"):
            assert list(record.evidence) == (retrieved if evidence == "retrieved" else sorted(gold))[: len(shown)]
        else:
            assert bool(shown & gold) == (evidence == "gold+noise")
        assert evidence == "none" or shown or record.ledger["truncated"]


def test_a_session_that_is_too_long_loses_its_oldest_exchanges_and_the_report_says_so(tmp_path: Path) -> None:
    path = tmp_path / "short.json"
    path.write_text(json.dumps({"closing": ["</s>"], "lengths": {"session": 120}}), encoding="utf-8")
    out = tmp_path / "run"
    (result,) = succeed("run", folder_of("llama"), "-d", "topiocqa", "--out", out, "--profile", path, *SHORT, "--limit", "3", "--json").json
    records = read_run(out / "turns.jsonl").records
    cut = [record for record in records.values() if record.ledger["truncated"].get("history")]
    assert cut
    assert result["truncation"]["n_truncated"] == sum(bool(record.ledger["truncated"]) for record in records.values())
    assert "of turns truncated" in (out / "report.md").read_text(encoding="utf-8")
    turns = {turn.id: turn for turn in open_dataset(DatasetRequest("topiocqa", limit=3)).turns}
    for turn_id, record in records.items():
        assert record.usage["query_tokens"] <= 120
        assert record.query.endswith(f"user: {turns[turn_id].query}\n")
        earlier = [exchange.turn_id for exchange in turns[turn_id].history]
        dropped = record.ledger["truncated"].get("history", [])
        assert earlier == [*dropped, *record.ledger["history_kept"]]


def test_a_checkpoint_that_only_encodes_is_a_retriever(tmp_path: Path) -> None:
    folder = make_encoder(tmp_path / "encoder", "bert")
    succeed("run", folder, "-d", "topiocqa", "--out", tmp_path / "run", "--profile", "minilm", *SHORT[2:], "--limit", "1")
    records = read_run(tmp_path / "run" / "turns.jsonl").records
    assert all(record.response is None and record.passages for record in records.values())


def test_own_weights_have_to_be_given() -> None:
    card = open_dataset(DatasetRequest("topiocqa")).card
    values = build_config(UnifiedConfig, system_values("unified-paper"), "unified-paper")
    with pytest.raises(UsageError, match=r"unified-paper: it has no weights of its own: give yours with --set model.model=CHECKPOINT"):
        values.build(Settings(card, offline=True, seed=0))


def test_the_paper_s_settings_run_on_weights_that_are_given(tmp_path: Path) -> None:
    folder = make_causal(tmp_path / "mine", "mistral")
    weights = ("--set", f"model.model={folder}")
    (result,) = succeed("run", "unified-paper", "-d", "inscit", "--out", tmp_path / "run", *weights, *SHORT, "--limit", "1", "--json").json
    assert result["system"]["name"] == "unified-paper"


def test_a_folder_that_says_how_it_is_used_needs_no_profile(tmp_path: Path) -> None:
    folder = make_causal(tmp_path / "mine", "qwen3")
    own = {"pooling": "last", "attention": "causal", "closing": ["<|im_end|>"], "session": {"order": "oldest-first", "user": "Q {text} "}}
    (folder / "convbench.json").write_text(json.dumps(own), encoding="utf-8")
    succeed("run", folder, "-d", "qrecc", "--out", tmp_path / "run", *SHORT, "--limit", "1")
    assert all(record.query.startswith("Q ") for record in read_run(tmp_path / "run" / "turns.jsonl").records.values())


def test_a_decoder_can_be_asked_to_retrieve_only(tmp_path: Path) -> None:
    folder = folder_of("llama")
    (result,) = run(folder, tmp_path / "both", "--limit", "2")
    (only,) = run(folder, tmp_path / "only", "--limit", "2", "--set", "decoding=null")
    assert only["cost"]["tokens_out"] == 0 < result["cost"]["tokens_out"]
    assert "evidence" not in only["conditions"]
    both, alone = (read_run(tmp_path / name / "turns.jsonl").records for name in ("both", "only"))
    for turn_id, record in alone.items():
        assert record.response is None
        scores, others = dict(record.passages), dict(both[turn_id].passages)
        assert both[turn_id].ledger["truncated"] or max(abs(scores[id_] - others[id_]) for id_ in scores) < 1e-5


def test_what_cannot_write_is_not_asked_to(tmp_path: Path) -> None:
    folder = make_encoder(tmp_path / "mine", "bert")
    finished = convbench("run", folder, "-d", "topiocqa", "--out", tmp_path / "run", "--profile", "minilm", *SHORT)
    assert "it has no head that writes, so nothing is decoded: leave out decoding settings, or set decoding=null" in finished.error
    shown = convbench("run", folder, "-d", "topiocqa", "--out", tmp_path / "run", "--profile", "minilm", "--evidence", "gold")
    assert "--evidence is what a responder sees, and it does not respond" in shown.error


def test_a_response_that_leaves_no_room_is_refused_before_anything_is_computed(tmp_path: Path) -> None:
    long = ("--set", "decoding.max_new_tokens=600", "--metrics", "retrieval", "--offline")
    finished = convbench("run", folder_of("llama"), "-d", "topiocqa", "--out", tmp_path / "run", *long)
    assert "512 positions leave 0 tokens for a prompt beside a response of 600: lower it with --set" in finished.error
    assert not (tmp_path / "run").exists()


def test_a_profile_is_for_bare_checkpoints(tmp_path: Path) -> None:
    finished = convbench("run", "bm25-query", "-d", "topiocqa", "--out", tmp_path / "run", "--profile", "decoder")
    assert finished.error.startswith("bm25-query: --profile says how a bare checkpoint is used;")


@pytest.mark.parametrize(
    ("prompt", "said"), [({"evidence": "p {rnk}: {txt}"}, "must hold {text} once"), ({"stop": [""]}, "a stop string must not be empty")]
)
def test_prompts_that_say_nothing(prompt: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text(json.dumps({"closing": ["</s>"], "prompt": prompt}), encoding="utf-8")
    finished = convbench("run", folder_of("llama"), "-d", "topiocqa", "--out", tmp_path / "run", "--profile", path, *SHORT)
    assert said in finished.error


@pytest.mark.parametrize("kind", ["hnsw", "ivf-pq", "sq8"])
def test_approximate_indexes_say_what_they_miss(kind: str, tmp_path: Path) -> None:
    (result,) = run(folder_of("llama"), tmp_path / "run", "--set", f"index.index.type={kind}", "--set", "decoding=null")
    recall = result["cost"]["recall"]
    assert 0 < recall["found"] <= recall["of"]
    said = f"the index is approximate; it finds {100 * recall['value']:.1f} % ({recall['found']:,} of {recall['of']:,})"
    assert said in (tmp_path / "run" / "report.md").read_text(encoding="utf-8")


def test_a_finished_run_is_scored_without_its_checkpoint(tmp_path: Path) -> None:
    folder = make_causal(tmp_path / "mine", "llama")
    succeed("run", folder, "-d", "topiocqa", "--out", tmp_path / "run", *SHORT, "--limit", "2")
    shutil.rmtree(folder)
    succeed("score", tmp_path / "run", "--metrics", "rouge")
