"""Runs on a part of the conversations: what they read, what their folder says, and what reads them again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command_line import convbench, succeed

from convbench.analysis.resampling import Resampling
from convbench.comparison.build import Settings, compare
from convbench.datasets.loading import DatasetRequest, open_dataset
from convbench.datasets.selection import Selection
from convbench.errors import UsageError
from convbench.harness.finished import FinishedRun
from convbench.harness.folder import RunFolder
from convbench.harness.results import read_results
from convbench.harness.spec import DatasetSpec, RunSpec
from convbench.io.runfile import read_run
from convbench.types import conversation_of

RETRIEVAL = ("--metrics", "retrieval")
HELD = Selection.parse("held-out:3:x")
SYSTEM = {"kind": "random", "name": "random"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both parts of the mini set, by two systems; tests only read them, or copy them."""
    out = tmp_path_factory.mktemp("parts")
    for part in ("held-out", "kept"):
        for system in ("random", "bm25-query"):
            succeed("run", system, "-d", "topiocqa", "--conversations", f"{part}:3:x", "--out", out / part / system, *RETRIEVAL)
    return out


def conversations(folder: Path) -> list[str]:
    return list(dict.fromkeys(conversation_of(turn_id) for turn_id in read_run(folder / "turns.jsonl").records))


def test_the_parts_share_no_conversation_and_are_all_of_them(runs: Path) -> None:
    held, kept = conversations(runs / "held-out" / "random"), conversations(runs / "kept" / "random")
    whole = [conversation.id for conversation in open_dataset(DatasetRequest("topiocqa")).conversations]
    assert (len(held), len(kept)) == (3, 6)
    assert sorted([*held, *kept], key=whole.index) == whole
    assert held == [conversation.id for conversation in open_dataset(DatasetRequest("topiocqa", conversations=HELD)).conversations]


def test_the_result_says_that_it_is_on_a_part(runs: Path) -> None:
    results = read_results(runs / "held-out" / "random" / "results.json")
    assert results.dataset.n_conversations == 3
    rule = "held-out part; 3 conversations held out: the first by sha256 of 'x:<conversation id>'"
    assert results.warnings == [f"3 of 9 conversations ({rule}): not a result on topiocqa"]
    assert "3 of 9 conversations (held-out part;" in (runs / "held-out" / "random" / "report.md").read_text(encoding="utf-8")


def test_run_json_keeps_the_selection(runs: Path) -> None:
    folder = RunFolder(runs / "held-out" / "random")
    assert folder.spec().dataset == DatasetSpec(name="topiocqa", conversations=HELD)
    assert folder.spec().dataset.request() == DatasetRequest("topiocqa", options={}, conversations=HELD)
    assert folder.read_info()["spec_sha256"] == folder.spec().digest


def test_a_specification_without_a_selection_has_the_digest_it_always_had() -> None:
    assert RunSpec(system=SYSTEM, dataset=DatasetSpec(name="topiocqa")).digest == (
        "e85cce82659de16e8e0fcbd0029129a929989e8cedca4a16a9157bcdfbf858f2"
    )
    assert RunSpec(system=SYSTEM, dataset=DatasetSpec(name="topiocqa", limit=2)).digest == (
        "84697052e1cc4360ca250b7c17505d1176ec00887beca2288edfd128ad396508"
    )


def test_every_selection_has_a_digest_of_its_own() -> None:
    texts = [None, "held-out:3:x", "kept:3:x", "held-out:4:x", "held-out:3:y", "held-out:1/3:x"]
    chosen = [Selection.parse(text) if text else None for text in texts]
    digests = [RunSpec(system=SYSTEM, dataset=DatasetSpec(name="topiocqa", conversations=part)).digest for part in chosen]
    assert len({*digests}) == len(texts)


def test_a_folder_of_an_earlier_version_goes_on(tmp_path: Path) -> None:
    command = ("run", "random", "-d", "topiocqa", "--out", tmp_path / "run", *RETRIEVAL)
    succeed(*command)
    info = tmp_path / "run" / "run.json"
    content = json.loads(info.read_text(encoding="utf-8"))
    assert content["spec"]["dataset"].pop("conversations", "missing") is None
    info.write_text(json.dumps(content), encoding="utf-8")
    assert RunFolder(tmp_path / "run").spec().dataset.conversations is None
    rows = sorted((tmp_path / "run" / "stages").glob("*.jsonl"))
    before = [path.stat().st_mtime_ns for path in rows]
    succeed(*command)
    succeed("score", tmp_path / "run", *RETRIEVAL)
    assert [path.stat().st_mtime_ns for path in rows] == before
    assert len(before) > 1


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ((), "dataset.conversations.hold_out.count is 3, asked for None"),
        (("--conversations", "held-out:4:x"), "(dataset.conversations.hold_out.count is 3, asked for 4)"),
        (("--conversations", "kept:3:x"), "(dataset.conversations.part is 'held-out', asked for 'kept')"),
        (("--conversations", "held-out:3:x", "--limit", "1"), "(dataset.limit is None, asked for 1)"),
    ],
)
def test_a_folder_does_not_go_on_with_other_conversations(runs: Path, asked: tuple[str, ...], named: str) -> None:
    refused = convbench("run", "random", "-d", "topiocqa", *asked, "--out", runs / "held-out" / "random", *RETRIEVAL)
    assert refused.code == 2
    assert "holds another run (" in refused.error
    assert named in refused.error


def test_what_reads_a_run_again_opens_the_same_conversations(runs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(runs / "held-out" / "bm25-query", folder)
    before = read_results(folder / "results.json")
    succeed("score", folder, *RETRIEVAL)
    assert read_results(folder / "results.json").metrics == before.metrics
    assert [conversation.id for conversation in FinishedRun(folder).dataset.conversations] == conversations(folder)
    assert convbench("validate", folder).code == 0
    given = ("-d", "topiocqa", "--conversations")
    assert convbench("validate", folder / "turns.jsonl", *given, "held-out:3:x").code == 0
    assert convbench("validate", folder / "turns.jsonl", *given, "kept:3:x").code == 4


def test_runs_on_one_part_compare_and_runs_on_two_do_not(runs: Path) -> None:
    quick = Settings(resampling=Resampling(resamples=200))
    held = [runs / "held-out" / system for system in ("bm25-query", "random")]
    (compared,) = compare(held, settings=quick).tasks
    assert list(dict.fromkeys(conversation_of(turn.id) for turn in compared.task.turns)) == conversations(held[0])
    assert [entrant.label for entrant in compared.task.entrants] == ["bm25-query", "random"]
    with pytest.raises(UsageError, match=r"do not compare, their turns differ: .* of 3 conversations, .* of 6 conversations"):
        compare([held[0], runs / "kept" / "random"], settings=quick)


def test_every_dataset_is_selected_from(tmp_path: Path) -> None:
    more = ("--conversations", "held-out:2:x", "--limit", "1", "--out", tmp_path, *RETRIEVAL)
    succeed("run", "random", "-d", "topiocqa", "-d", "inscit", *more)
    for name in ("topiocqa", "inscit"):
        two = open_dataset(DatasetRequest(name, conversations=Selection.parse("held-out:2:x"))).conversations
        assert (len(two), conversations(tmp_path / name / "random")) == (2, [two[0].id])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "held-out:3",
            "--conversations 'held-out:3': expected PART:SIZE:SALT, PART being kept or held-out, as in held-out:40:dev or kept:1/3:dev",
        ),
        ("kept:9:x", "topiocqa mini: nothing is left of 9 conversations: kept part; 9 conversations held out: "),
    ],
)
def test_a_selection_that_cannot_be_is_one_line(text: str, message: str, tmp_path: Path) -> None:
    refused = convbench("run", "random", "-d", "topiocqa", "--conversations", text, "--out", tmp_path / "run", *RETRIEVAL)
    assert refused.code == 2
    assert refused.error.startswith(message)
    assert not (tmp_path / "run").exists()


def test_an_export_needs_a_dataset_to_select_from(tmp_path: Path) -> None:
    refused = convbench("export", "qrels", "own.txt", "--conversations", "kept:3:x", "--out", tmp_path / "x")
    assert "--conversations and --limit say how a dataset is read: name it with -d" in refused.error
    done = succeed("export", "qrels", "-d", "topiocqa", "--conversations", "held-out:3:x", "--out", tmp_path / "qrels.txt", "--json")
    assert json.loads(done.out)
    turns = {line.split()[0] for line in (tmp_path / "qrels.txt").read_text(encoding="utf-8").splitlines()}
    assert turns <= {turn.id for turn in open_dataset(DatasetRequest("topiocqa", conversations=HELD)).turns}
