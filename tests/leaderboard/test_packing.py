from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from command_line import succeed
from safetensors.numpy import save_file
from submission_folders import card, track_of

from convbench.backends.locate import locate_model
from convbench.config import load_config
from convbench.datasets.loading import DatasetRequest, open_dataset
from convbench.errors import ConvbenchError, MissingFileError, UsageError
from convbench.harness.results import read_results
from convbench.io.digests import file_sha256
from convbench.io.runfile import read_run
from convbench.leaderboard.answers import Answers
from convbench.leaderboard.card import Card
from convbench.leaderboard.checkpoint_cards import checkpoints
from convbench.leaderboard.pack import pack
from convbench.leaderboard.pack_foreign import pack_foreign
from convbench.leaderboard.submission import read_submission
from convbench.leaderboard.track import Track

ANSWERS = Answers(submitted="2026-01-02", authors="A. Author", links={"code": "https://example.org/code"}, training=())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on a bundled set; tests copy what they change."""
    folder = tmp_path_factory.mktemp("packing") / "run"
    succeed("run", "bm25-history", "-d", "topiocqa", "--metrics", "retrieval,token-f1", "--out", folder)
    return folder


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "boards"


@pytest.fixture
def track(root: Path, made: Path) -> Track:
    dataset = read_results(made / "results.json").dataset
    return track_of(
        root,
        turnset_sha256=dataset.turnset_sha256,
        collection_sha256=dataset.collection_sha256,
        response={"measures": ["F1-max", "rougeL"], "by": "F1-max"},
    )


@pytest.fixture(scope="module")
def turns() -> tuple[str, ...]:
    return tuple(turn.id for turn in open_dataset(DatasetRequest("topiocqa")).turns)


def change(path: Path, edit: Callable[[Any], None]) -> None:
    values = json.loads(path.read_text(encoding="utf-8"))
    edit(values)
    values.pop("check", None)
    path.write_text(json.dumps(values), encoding="utf-8")


def refused(run: Path, track: Track, root: Path, answers: Answers = ANSWERS) -> str:
    with pytest.raises(ConvbenchError) as raised:
        pack(run, track, root, answers)
    assert not (root / track.name / "submissions" / "bm25-history").exists()
    assert list(root.rglob("*.tmp")) == []
    return str(raised.value)


def test_a_finished_run(run: Path, track: Track, root: Path, turns: tuple[str, ...]) -> None:
    folder = pack(run, track, root, ANSWERS)
    assert folder == root / "toy" / "submissions" / "bm25-history"
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.yaml", "run.jsonl.gz"]
    found, results = load_config(Card, folder / "manifest.yaml"), read_results(run / "results.json")
    assert (found.id, found.name, found.kind, found.baseline) == ("bm25-history", "bm25-history", "two-stage", "bm25-history")
    assert (found.history, found.rewriter, found.evidence, found.decoding) == ("full", "none", "retrieved", "extractive")
    assert (found.parameters, found.checkpoints, found.training) == (0, (), ())
    assert (found.authors, found.submitted, dict(found.links)) == ("A. Author", "2026-01-02", {"code": "https://example.org/code"})
    assert (found.turnset_sha256, found.collection_sha256) == (results.dataset.turnset_sha256, results.dataset.collection_sha256)
    assert found.tool == f"convbench {results.convbench_version}"
    assert found.cost.index_bytes == results.cost.index_bytes > 0
    values = {metric.name: metric.value for metric in results.metrics}
    assert found.scores == {"nDCG@3": values["nDCG@3"], "F1-max": values["F1-max"]}
    assert read_submission(root, track, "bm25-history", turns=turns).findings == ()
    packed, whole = read_run(folder / "run.jsonl.gz").records, read_run(run / "turns.jsonl").records
    for turn_id in turns:
        one, two = packed[turn_id], whole[turn_id]
        assert (one.query, one.usage, one.ledger) == ("", {}, {})  # what is not scored is not passed on
        assert (one.response, one.evidence, one.abstained) == (two.response, two.evidence, two.abstained)
        assert [(id_, np.float32(score)) for id_, score in one.passages] == [(id_, np.float32(score)) for id_, score in two.passages]


def test_rankings_only(run: Path, track: Track, root: Path, turns: tuple[str, ...]) -> None:
    folder = pack(run, track, root, ANSWERS, rankings_only=True)
    assert set(load_config(Card, folder / "manifest.yaml").scores) == {"nDCG@3"}
    found = read_submission(root, track, "bm25-history", turns=turns)
    assert found.findings == ()
    assert found.run is not None
    assert all(record.passages and record.response is None and not record.evidence for record in found.run.records.values())
    unranked = track.model_copy(update={"retrieval": None})
    with pytest.raises(UsageError, match="scores no rankings, so rankings alone leave nothing to score"):
        pack(run, unranked, root, ANSWERS.model_copy(update={"id": "other"}), rankings_only=True)


def test_packed_twice_it_is_the_same_and_says_nothing_of_the_machine(run: Path, track: Track, root: Path, tmp_path: Path) -> None:
    first = pack(run, track, root, ANSWERS)
    held = {path.name: path.read_bytes() for path in first.iterdir()}
    shutil.rmtree(first)
    again = pack(Path(shutil.move(run, tmp_path / "elsewhere")), track, root, ANSWERS)
    assert {path.name: path.read_bytes() for path in again.iterdir()} == held
    assert str(tmp_path).encode() not in b"".join([held["manifest.yaml"], gzip.decompress(held["run.jsonl.gz"])])
    assert held["run.jsonl.gz"][3:8] == bytes(5)  # neither a name nor a time


def test_a_run_that_is_not_finished(run: Path, track: Track, root: Path) -> None:
    change(run / "run.json", lambda info: info.update(status="failed"))
    assert "not finished (run.json says 'failed'): run the same `convbench run` command again" in refused(run, track, root)
    (run / "results.json").unlink()
    with pytest.raises(MissingFileError, match="no finished run here"):
        pack(run, track, root, ANSWERS)


def test_a_run_of_a_part(run: Path, track: Track, root: Path) -> None:
    change(run / "run.json", lambda info: info["spec"]["dataset"].update(limit=3))
    assert "made from a part of the conversations: run it again on all of them" in refused(run, track, root)


def test_turns_that_were_changed_after_scoring(run: Path, track: Track, root: Path) -> None:
    lines = (run / "turns.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (run / "turns.jsonl").write_text("".join(lines[:-1]), encoding="utf-8")
    assert "is not the file that was scored" in refused(run, track, root)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"dataset": "inscit"}, "run on the dataset 'topiocqa', the track toy is of 'inscit'"),
        ({"split": "dev"}, "run on the split 'mini', the track toy is of 'dev'"),
        ({"tier": "sample"}, "run on the mini collection, the track toy is of the sample one"),
        ({"turnset_sha256": "d" * 64}, "the track's is dddd"),
        ({"collection_sha256": "d" * 64}, "collection_sha256 is "),
        ({"conditions": {"history": ["query"]}}, "manifest.yaml: history is 'full', the track takes 'query'"),
        ({"retrieval": {"measures": ["R@7"], "by": "R@7"}, "response": None}, "results.json has no R@7"),
    ],
)
def test_a_run_that_does_not_fit_the_track(run: Path, track: Track, root: Path, values: dict[str, Any], said: str) -> None:
    assert said in refused(run, track_of(root, **{**track.model_dump(mode="json"), **values}), root)


def test_answers_that_the_run_gives_itself(run: Path, track: Track, root: Path) -> None:
    answers = Answers(evidence="gold", parameters=7)
    assert "the run says parameters, evidence itself: leave the answer out" in refused(run, track, root, answers)
    assert "licences: the run has no checkpoint 'x'; it has none" in refused(run, track, root, Answers(licences={"x": "MIT"}))
    assert "not those of a shipped baseline 'oracle'" in refused(run, track, root, Answers(baseline="oracle"))


def test_another_setting_is_not_the_baseline(run: Path, track: Track, root: Path) -> None:
    change(run / "results.json", lambda results: results["system"].update(k=50))
    folder = pack(run, track, root, ANSWERS)
    assert load_config(Card, folder / "manifest.yaml").baseline is None


def test_an_id_or_a_name_that_is_taken(run: Path, track: Track, root: Path) -> None:
    folder = pack(run, track, root, ANSWERS)
    held = (folder / "manifest.yaml").read_bytes()
    with pytest.raises(UsageError, match="exists already; choose another id"):
        pack(run, track, root, ANSWERS)
    other = ANSWERS.model_copy(update={"id": "other", "name": "BM25 - history", "submitted": "2020-01-01"})
    with pytest.raises(UsageError, match=r"name: .* looks like .* choose another name"):
        pack(run, track, root, other)
    assert (folder / "manifest.yaml").read_bytes() == held
    assert [path.name for path in folder.parent.iterdir()] == ["bm25-history"]


def test_a_newcomer_takes_no_name_by_its_day_and_no_day_lies_ahead(run: Path, track: Track, root: Path) -> None:
    pack(run, track, root, ANSWERS)
    for day, said in (("2018-01-01", "choose another name"), ("9999-12-31", "is also the name|lies ahead of today")):
        answers = ANSWERS.model_copy(update={"id": "another", "submitted": day})
        with pytest.raises(UsageError, match=said):
            pack(run, track, root, answers)
    with pytest.raises(UsageError, match="submitted: 9999-12-31 lies ahead of today"):
        pack(run, track, root, ANSWERS.model_copy(update={"id": "another", "name": "Another", "submitted": "9999-12-31"}))
    persian = "\u06a9\u062a\u0627\u0628\u200c\u062e\u0627\u0646\u0647"
    made = pack(run, track, root, Answers(submitted="2026-01-02", id="another", name="Another", authors=persian, training=()))
    assert read_submission(root, track, made.name).findings == ()


def test_a_run_of_another_tool_through_the_harness(run: Path, track: Track, root: Path) -> None:
    for name in ("run.json", "results.json"):
        change(run / name, lambda values: (values.get("spec") or values)["system"].update(kind="replay"))
    assert "answer what kind of system it is (kind)" in refused(run, track, root)
    answers = ANSWERS.model_copy(update={"kind": "agent", "evidence": "retrieved", "parameters": 7_000_000_000})
    found = load_config(Card, pack(run, track, root, answers) / "manifest.yaml")
    assert (found.kind, found.parameters, found.history, found.tool, found.cost.ms_per_turn) == ("agent", 7_000_000_000, None, None, None)


def test_checkpoints_as_stages_describe_them() -> None:
    encoder = {"model": "tuned@0123456789ab+owner/base@ba9876543210", "revision": "v1", "files": "f" * 64}
    stages = {
        "rewrite": {"rewriter": {"type": "prompted", "model": {"model": "chat-9", "url": "http://127.0.0.1"}}},
        "search": {"retriever": {"encoder": encoder}},
        "generate": [{"generator": encoder}],
    }
    assert [(each.name, each.revision, each.sha256) for each in checkpoints(stages, {})] == [
        ("chat-9", None, None),
        ("tuned@0123456789ab", "v1", None),
        ("owner/base@ba9876543210", None, None),
    ]


def test_a_checkpoint_that_is_at_hand_has_its_whole_digest(tmp_path: Path) -> None:
    folder = tmp_path / "tuned"
    folder.mkdir()
    (folder / "config.json").write_text("{}", encoding="utf-8")
    save_file({"weight": np.arange(3.0)}, folder / "model.safetensors")
    described = {"model": locate_model(str(folder), offline=True).label, "revision": None, "files": "f" * 64}
    (found,) = checkpoints({"converse": {"model": described}}, {"model": {"model": str(folder)}})
    assert (found.name, found.revision) == (folder.name, None)
    assert found.sha256 == file_sha256(folder / "model.safetensors")
    (moved,) = checkpoints({"converse": {"model": described}}, {"model": {"model": "/nowhere"}})
    assert (moved.name, moved.sha256) == (described["model"], None)
    other = f"{folder.name}@{'0' * 12}"
    (changed,) = checkpoints({"converse": {"model": {**described, "model": other}}}, {"model": {"model": str(folder)}})
    assert (changed.name, changed.sha256) == (other, None)


def foreign(tmp_path: Path, turns: tuple[str, ...], **values: Any) -> tuple[Path, Path, Path]:
    trec = [f"{turn_id} Q0 p␣{rank} {rank} {9 - rank} x\n" for turn_id in reversed(turns) for rank in (1, 2)]
    responses = [json.dumps({"turn_id": turn_id, "response": "yes"}) + "\n" for turn_id in turns]
    (tmp_path / "a.trec").write_text("".join(trec), encoding="utf-8")
    (tmp_path / "a.jsonl").write_text("".join(responses), encoding="utf-8")
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(card("theirs", **values)), encoding="utf-8")
    return tmp_path / "a.trec", tmp_path / "a.jsonl", tmp_path / "a.yaml"


def test_files_of_another_tool(track: Track, root: Path, tmp_path: Path, turns: tuple[str, ...]) -> None:
    trec, responses, manifest = foreign(tmp_path, turns)
    folder = pack_foreign(trec, responses, manifest, track, root, turns=turns)
    found = read_submission(root, track, "theirs")
    assert found.findings == ()
    assert found.run is not None
    assert tuple(found.run.records) == turns
    record = found.run.records[turns[0]]
    assert (record.passages, record.response) == ((("p 1", 8.0), ("p 2", 7.0)), "yes")
    assert load_config(Card, folder / "manifest.yaml").turnset_sha256 == track.turnset_sha256


def test_files_of_another_tool_that_do_not_fit(track: Track, root: Path, tmp_path: Path, turns: tuple[str, ...]) -> None:
    def said(trec: Path | None, responses: Path | None) -> str:
        with pytest.raises(UsageError) as raised:
            pack_foreign(trec, responses, manifest, track, root, turns=turns)
        assert not (root / "toy" / "submissions").exists()
        return str(raised.value)

    trec, responses, manifest = foreign(tmp_path, turns[:-2])
    assert f"2 of the track's {len(turns)} turns are left out (first: {turns[-2]}, {turns[-1]})" in said(trec, responses)
    assert "nothing to pack" in said(None, None)
    trec, responses, manifest = foreign(tmp_path, (*turns, "9_9"))
    assert f"1 turns are not among the track's {len(turns)} (9_9)" in said(trec, None)
    trec.write_text("1_1 Q0 a 1 nan x\n1_1 Q0 a 2 1.0 x\n", encoding="utf-8")
    assert "line 1: 'nan' of turn 1_1) (and 1 more: see `convbench validate " in said(trec, responses)
    responses.write_text('{"turn_id": "1_1"}\n', encoding="utf-8")
    assert "turn 1_1: 'response' is missing" in said(None, responses)


def test_a_hand_written_card(track: Track, root: Path, tmp_path: Path, turns: tuple[str, ...]) -> None:
    trec, responses, manifest = foreign(tmp_path, turns)
    manifest.write_text(manifest.read_text(encoding="utf-8").replace("'2026-01-02'", "2026-01-02"), encoding="utf-8")
    pack_foreign(trec, None, manifest, track, root, turns=turns)
    with pytest.raises(UsageError, match="exists already"):
        pack_foreign(None, responses, manifest, track, root, turns=turns)


def test_a_run_that_answers_from_the_rankings_of_another_is_refused(made: Path, root: Path, track: Track, tmp_path: Path) -> None:
    """Its card would name a retriever that did not search, and not the one that did, which may be the oracle."""
    run = tmp_path / "answers"
    succeed("run", "first-sentence", "-d", "topiocqa", "--rankings", made, "--metrics", "retrieval,token-f1", "--out", run)
    with pytest.raises(UsageError, match="answers from the rankings of 'bm25-history': run it again without --rankings"):
        pack(run, track, root, ANSWERS)
    assert not (root / track.name / "submissions").exists()


def test_a_run_that_reads_the_gold_of_earlier_turns_is_a_shortcut(root: Path, track: Track, tmp_path: Path) -> None:
    succeed("run", "previous-gold", "-d", "topiocqa", "--metrics", "retrieval,token-f1", "--out", tmp_path / "shortcut")
    packed = pack(tmp_path / "shortcut", track, root, ANSWERS)
    assert load_config(Card, packed / "manifest.yaml").kind == "shortcut"
