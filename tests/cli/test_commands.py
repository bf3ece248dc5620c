"""What the commands print and write."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from command_line import MINI, completed, convbench, start, succeed

import convbench as package

NAMES = ["cast", "faithdial", "generic", "inscit", "orquac", "qrecc", "topiocqa"]
BUNDLED = [name for name in NAMES if name not in ("cast", "generic")]
RETRIEVAL = ("--metrics", "retrieval")
BASELINES = Path(package.__file__).parents[1] / "baselines"
BROKEN_RUN = 4


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run folder; tests only read it, or copy it."""
    folder = tmp_path_factory.mktemp("runs") / "bm25-query"
    succeed("run", "bm25-query", "-d", "topiocqa", "--out", folder, *RETRIEVAL)
    return folder


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """The same, to be spoiled."""
    return Path(shutil.copytree(finished, tmp_path / "copied"))


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_version():
    assert succeed("--version").out == f"convbench, version {package.__version__}\n"


@pytest.mark.parametrize(
    "command", [(), ("run",), ("score",), ("validate",), ("data",), ("data", "prepare"), ("data", "audit"), ("baselines",)]
)
def test_every_command_has_help(command):
    shown = succeed(*command, "--help").out
    assert shown.startswith(f"Usage: {' '.join(['convbench', *command])} ")
    assert "\\b" not in shown


def test_examples_in_the_help_keep_their_lines():
    examples = [line.strip() for line in succeed("run", "--help").out.splitlines() if line.startswith("  convbench run ")]
    assert len(examples) == 5
    assert examples[0] == "convbench run bm25-query -d topiocqa"


# ---- data


def test_data_list():
    lines = succeed("data", "list").out.splitlines()
    assert [line.split()[0] for line in lines] == NAMES
    cards = succeed("data", "list", "--json").json
    assert [card["name"] for card in cards] == NAMES
    assert all(card["licence"] and card["citation"] and "mini" in card["splits"] for card in cards if card["name"] in BUNDLED)


@pytest.mark.parametrize("name", NAMES)
def test_data_info(name):
    shown = succeed("data", "info", name).out
    info = succeed("data", "info", name, "--json").json
    assert info["name"] == name
    for text in (info["title"], info["homepage"], info["paper"], info["licence"], *info["files"], *info["splits"]):
        assert text in shown
    for option, allowed in info["options"].items():
        assert f"{option}: {' | '.join(allowed)}" in shown


@pytest.mark.parametrize("name", BUNDLED)
def test_data_prepare(name):
    summary = succeed("data", "prepare", name, "--json").json
    assert summary["dataset"] == name
    assert summary["split"] == "mini"
    assert 9 <= summary["conversations"] < summary["judged_turns"] <= summary["turns"]
    assert summary["turns_with_rewrite"] == summary["turns"]
    assert (summary["collection"], summary["passages"] > 60, summary["notes"]) == ("corpus", True, [])
    assert succeed("data", "prepare", name, "--json").json == summary
    assert f"passages           {summary['passages']}\n" in succeed("data", "prepare", name).out


def test_data_prepare_takes_a_limit_and_a_corpus_from_elsewhere(tmp_path):
    shutil.copy(MINI / "topiocqa" / "topiocqa_mini.jsonl", tmp_path / "topiocqa_dev.jsonl")
    places = ("--data", tmp_path, "--corpus", MINI / "topiocqa" / "full_wiki_segments.tsv")
    summary = succeed("data", "prepare", "topiocqa", *places, "--limit", 2, "--json").json
    assert (summary["split"], summary["conversations"], summary["collection"]) == ("dev", 2, "corpus")
    assert summary["notes"] == ["limited to the first 2 of 9 conversations: not a result on topiocqa"]
    assert summary["passages"] == succeed("data", "prepare", "topiocqa", "--json").json["passages"]


@pytest.mark.parametrize("name", BUNDLED)
def test_data_audit_finds_no_error_in_the_bundled_sets(name):
    findings = succeed("data", "audit", name, "--json").json["findings"]
    assert all(finding["severity"] != "error" for finding in findings)
    assert succeed("data", "audit", name).out.split("\n\n")[0].count("\n") + 1 == len(findings)


def test_data_audit_says_what_is_wrong_and_fails(tmp_path):
    shutil.copytree(MINI / "topiocqa", tmp_path / "data")
    corpus = tmp_path / "data" / "full_wiki_segments.tsv"
    lines = corpus.read_text(encoding="utf-8").splitlines(keepends=True)
    gold = {json.loads(line)["Gold_passage"]["id"] for line in (tmp_path / "data" / "topiocqa_mini.jsonl").open(encoding="utf-8")}
    corpus.write_text("".join(line for line in lines if line.split("\t")[0] != min(gold)), encoding="utf-8")
    audit = ("data", "audit", "topiocqa", "--data", tmp_path / "data", "--split", "mini")
    shown, listed = convbench(*audit), convbench(*audit, "--json")
    assert (shown.code, listed.code) == (1, 1)
    assert shown.out.startswith("error    dangling-gold: 1 of ")
    finding = listed.json["findings"][0]
    assert (finding["check"], finding["count"]) == ("dangling-gold", 1)
    assert finding["examples"][0].startswith(min(gold))


# ---- baselines


def test_baselines_list():
    expected = {}
    for path in sorted(BASELINES.glob("*/system.yaml")):
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        expected[values["name"]] = values
    listed = succeed("baselines", "list", "--json").json
    assert {entry["name"]: (entry["kind"], entry["description"]) for entry in listed} == {
        name: (values["kind"], values["description"]) for name, values in expected.items()
    }
    lines = succeed("baselines", "list").out.splitlines()
    assert lines[0].split() == ["name", "kind", "needs", "scores", "description"]
    assert [line.split()[0] for line in lines[1:]] == list(expected)


# ---- run


def test_run_prints_where_the_report_is(finished):
    again = succeed("run", "bm25-query", "-d", "topiocqa", "--out", finished, *RETRIEVAL)
    assert again.out == f"report: {finished / 'report.html'}\n"
    assert again.err == "bm25-query on topiocqa: every stage is finished, nothing to infer\n"


def test_run_as_json(finished):
    again = succeed("run", "bm25-query", "-d", "topiocqa", "--out", finished, *RETRIEVAL, "--json")
    written = json.loads((finished / "results.json").read_text(encoding="utf-8"))
    assert again.json == [{key: value for key, value in written.items() if key != "check"}]
    assert f"report: {finished / 'report.html'}" in again.err


def test_quiet_leaves_warnings_only(copied):
    again = succeed("--quiet", "run", "bm25-query", "-d", "topiocqa", "--out", copied, *RETRIEVAL)
    assert again.err == ""
    warned = succeed(
        "--quiet", "run", "bm25-query", "-d", "topiocqa", "--out", copied, "--metrics", "retrieval,bertscore", "--offline",
        "--bertscore-model", "nobody/nothing",
    )  # fmt: skip
    assert warned.err.startswith("bertscore will not be computed: nobody/nothing: not on this machine")
    assert warned.err.count("\n") == 1


def test_a_first_run_in_a_process_of_its_own_prints_no_chatter(tmp_path):
    """Other packages log and draw bars; where nobody watches, nothing of it is seen."""
    places = ("--out", tmp_path / "run", "--cache", tmp_path / "cache", "--offline")
    run = completed(start("run", "bm25-query", "-d", "topiocqa", "--limit", 1, "--metrics", "retrieval,rouge,token-f1,bertscore", *places))
    assert (run.code, run.out, run.err) == (0, f"report: {tmp_path / 'run' / 'report.html'}\n", "")


def test_the_default_folder_is_named_after_system_and_dataset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    succeed("run", "oracle", "-d", "topiocqa", *RETRIEVAL)
    assert (tmp_path / "runs" / "oracle-topiocqa" / "results.json").exists()


def test_a_metric_named_twice_is_scored_once(tmp_path):
    succeed("run", "oracle", "-d", "topiocqa", "-d", "topiocqa", "--out", tmp_path, "--metrics", "token-f1, token-f1")
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert [metric["name"] for metric in results["metrics"]] == ["F1-loo", "EM-loo", "F1-max", "EM-max"]


def test_several_systems_and_datasets_share_a_report(tmp_path):
    names, datasets = ("oracle", "random"), ("topiocqa", "faithdial")
    out = tmp_path / "all"
    ran = succeed("run", *names, "-d", datasets[0], "-d", datasets[1], "--out", out, *RETRIEVAL, "--json")
    assert [(run["dataset"]["name"], run["system"]["name"]) for run in ran.json] == [(d, n) for d in datasets for n in names]
    for dataset in datasets:
        for name in names:
            folder = out / dataset / name
            assert {"run.json", "turns.jsonl", "results.json", "report.md", "report.html"} <= {path.name for path in folder.iterdir()}
    over_all = (out / "report.md").read_text(encoding="utf-8")
    assert all(name in over_all for name in (*names, *datasets))
    assert f"report: {out / 'report.html'}" in ran.err
    single = (out / "faithdial" / "random" / "report.md").read_text(encoding="utf-8")
    assert "topiocqa" not in single


def test_one_pair_that_fails_does_not_stop_the_others(tmp_path):
    shutil.copytree(MINI / "inscit", tmp_path / "data")  # its rewrites are not official files, so they are not read
    command = ("bm25-rewrite", "random", "-d", "inscit", "--data", tmp_path / "data", "--split", "mini", "--out", tmp_path / "out")
    ran = convbench("run", *command, *RETRIEVAL, "--json")
    assert ran.code == 2
    assert [run["system"]["name"] for run in ran.json] == ["random"]
    said = "56 of 56 turns have no human rewrite"
    assert f"bm25-rewrite on inscit: {said}" in ran.err
    assert ran.err.splitlines()[-1].startswith(f"error: {said}")
    assert not (tmp_path / "out" / "inscit" / "bm25-rewrite").exists()


# ---- run --dry-run


def test_a_dry_run_shows_what_is_to_do_and_leaves_no_folder(tmp_path):
    command = ("run", "bm25-query", "oracle", "-d", "topiocqa", "--out", tmp_path / "out", "--cache", tmp_path / "cache", "--dry-run")
    shown = succeed(*command)
    assert shown.out.splitlines()[:4] == [
        "bm25-query on topiocqa (mini): 9 conversations, 56 turns",
        f"  folder      {tmp_path / 'out' / 'topiocqa' / 'bm25-query'}",
        "  collection  corpus: full_wiki_segments.tsv",
        "  view        0 of 56 turns done",
    ]
    plans = succeed(*command, "--json").json
    assert [plan["system"] for plan in plans] == ["bm25-query", "oracle"]
    assert [stage["name"] for stage in plans[0]["stages"]] == ["view", "rewrite", "search", "generate"]
    assert not (tmp_path / "out").exists()
    assert {path.name for path in tmp_path.glob("cache/*")} <= {"digests"}  # of the official files, so that they are read once


def test_a_dry_run_shows_what_is_done(finished, copied):
    (copied / "stages" / "generate.manifest.json").unlink()
    rows = (copied / "stages" / "generate.jsonl").read_bytes().splitlines(keepends=True)
    (copied / "stages" / "generate.jsonl").unlink()
    before = files(copied)
    command = ("run", "bm25-query", "-d", "topiocqa", "--dry-run", "--json")
    (plan,) = succeed(*command, "--out", copied).json
    assert [(stage["name"], stage["done"], stage["total"]) for stage in plan["stages"]] == [
        ("view", 56, 56),
        ("rewrite", 56, 56),
        ("search", 56, 56),
        ("generate", 0, 56),
    ]
    assert files(copied) == before
    keys = {stage["name"]: stage["key"] for stage in json.loads((copied / "run.json").read_text(encoding="utf-8"))["stages"]}
    (copied / "stages" / f"generate.{keys['generate'][:16]}.part").write_bytes(b"".join(rows[:40]))
    (plan,) = succeed(*command, "--out", copied).json
    assert plan["stages"][-1] == {"name": "generate", "done": 32, "total": 56}
    (plan,) = succeed(*command, "--out", finished).json
    assert {(stage["done"], stage["total"]) for stage in plan["stages"]} == {(56, 56)}


def test_a_dry_run_refuses_the_folder_of_another_run(finished):
    refused = convbench("run", "oracle", "-d", "topiocqa", "--out", finished, "--dry-run")
    assert refused.code == 2
    assert "holds another run" in refused.error


# ---- validate


def problems(*arguments: object) -> list[tuple[str, str]]:
    """(check, message) of each problem but mere facts; the exit code must fit."""
    checked = convbench("validate", *arguments, "--json")
    assert all(set(problem) == {"check", "severity", "count", "message", "examples", "lines"} for problem in checked.json)
    assert checked.code == (BROKEN_RUN if any(problem["severity"] == "error" for problem in checked.json) else 0)
    return [(problem["check"], problem["message"]) for problem in checked.json if problem["severity"] != "info"]


@pytest.mark.parametrize(
    ("name", "kind"), [(".", "run folder, 56 turns"), ("turns.jsonl", "joint run, 56 turns"), ("retrieval.trec", "TREC run, 56 turns")]
)
def test_a_good_run_has_no_problems(finished, name, kind):
    assert problems(finished / name, "-d", "topiocqa") == problems(finished / name) == []
    assert succeed("validate", finished / name).err == f"{finished / name}: {kind}: in order\n"


def spoil(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_rows_that_were_changed(copied):
    with (copied / "stages" / "generate.jsonl").open("a", encoding="utf-8") as handle:
        handle.write("{}\n")
    assert problems(copied) == [("stage-files", "1 stage with another file than its manifest was written for")]
    shown = convbench("validate", copied)
    assert shown.out.splitlines()[0].endswith("(first: stages/generate.jsonl)")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_a_manifest_that_was_changed(copied, content):
    (copied / "stages" / "search.manifest.json").write_text(content, encoding="utf-8")
    ((check, _),) = problems(copied)
    assert check == ("stage-files" if content in ("[]", "{}") else "unreadable")
    assert "search." in convbench("validate", copied).out


@pytest.mark.parametrize("name", ["turns.jsonl", "retrieval.trec", "results.json"])
def test_a_file_that_is_missing(copied, name):
    (copied / name).unlink()
    assert problems(copied) == [("run-files", "1 file missing from the run folder")]
    assert f"(first: {name})" in convbench("validate", copied).out


def test_a_run_that_was_not_finished(copied):
    spoil(copied / "run.json", '"status": "finished"', '"status": "running"')
    (copied / "turns.jsonl").unlink()
    assert problems(copied) == [
        ("run-status", "1 run not finished (run.json says 'running'): run the same command again to finish it"),
        ("run-files", "1 file missing from the run folder"),
    ]


def test_a_folder_without_a_run(tmp_path):
    assert problems(tmp_path) == [("unreadable", f"{tmp_path}: no run here (no run.json); expected a folder that `convbench run` made")]


def test_files_that_disagree(copied):
    lines = (copied / "retrieval.trec").read_text(encoding="utf-8").splitlines(keepends=True)
    (copied / "retrieval.trec").write_text("".join(lines[1:]), encoding="utf-8")
    assert problems(copied) == [("files-disagree", "1 turn on which retrieval.trec and turns.jsonl disagree")]


@pytest.fixture
def trec(tmp_path: Path) -> Path:
    """A run of another tool: one gold passage for every turn."""
    lines = (MINI / "topiocqa" / "topiocqa_mini.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    path = tmp_path / "other.trec"
    ranked = [f"{r['Conversation_no']}_{r['Turn_no']} Q0 {r['Gold_passage']['id']} 1 2.0 other\n" for r in records]
    path.write_text("".join(ranked), encoding="utf-8")
    return path


def test_turns_that_are_missing_or_unknown(trec):
    assert problems(trec, "-d", "topiocqa") == []
    spoil(trec, "1_2 Q0", "88_2 Q0")
    shown = convbench("validate", trec, "-d", "topiocqa")
    assert shown.code == BROKEN_RUN
    assert shown.out.splitlines() == [
        "error    missing-turns: 1 turn of topiocqa mini missing, of 56; where a measure averages over them they score 0 (first: 1_2)",
        "error    extra-turns: 1 turn not in topiocqa mini: another split or numbering? (first: line 2: 88_2)",
    ]
    assert shown.err == f"{trec}: TREC run, 56 turns: 2 errors\n"


def test_passages_that_are_not_in_the_collection(trec):
    passages = succeed("data", "prepare", "topiocqa", "--json").json["passages"]
    spoil(trec, "1_1 Q0 ", "1_1 Q0 x")
    assert problems(trec, "-d", "topiocqa") == [("unknown-passages", f"1 passage not in the collection of {passages}")]


def test_ties_are_a_warning(trec):
    with trec.open("a", encoding="utf-8") as handle:
        handle.write("1_1 Q0 another 2 2.0 other\n1_1 Q0 third 3 1.0 other\n")
    ((check, message),) = problems(trec)
    assert (check, message.partition(" (")[0]) == ("tied-scores", "1 turn with tied scores")


def test_everything_wrong_with_a_file_is_found(trec):
    spoil(trec, " 2.0 ", " nan ")
    with trec.open("a", encoding="utf-8") as handle:
        handle.write("1_1 Q0 short 2 1.0\n")
    assert [check for check, _ in problems(trec)] == ["scores", "columns"]


def test_a_run_that_is_not_there(tmp_path):
    assert problems(tmp_path / "no.trec") == [("unreadable", f"{tmp_path / 'no.trec'}: no such file")]


def test_the_kind_can_be_said(trec):
    assert convbench("validate", trec, "--kind", "qrels").err == f"{trec}: judgements, 0 turns: 2 errors\n"


def test_a_dataset(tmp_path):
    assert succeed("validate", "-d", "topiocqa").err == "mini: dataset topiocqa mini, 56 turns: in order\n"
    files = shutil.copytree(MINI / "topiocqa", tmp_path / "files")
    (files / "topiocqa_mini.jsonl").rename(files / "topiocqa_dev.jsonl")
    expected = f"{files}: dataset topiocqa dev, 56 turns: in order\n"
    assert succeed("validate", files, "-d", "topiocqa").err == succeed("validate", "-d", "topiocqa", "--data", files).err == expected


def test_nothing_to_check():
    refused = convbench("validate", "--data", "somewhere")
    assert (refused.code, refused.error) == (2, "nothing to check: name a file, or a dataset with -d")


# ---- score


def test_score_prints_and_reports_several_runs(finished, tmp_path):
    other = tmp_path / "oracle"
    succeed("run", "oracle", "-d", "topiocqa", "--out", other, *RETRIEVAL)
    mine = shutil.copytree(finished, tmp_path / "bm25-query")
    scored = succeed("score", mine, other, "--metrics", "token-f1", "--json")
    assert [[metric["name"] for metric in run["metrics"][7:]] for run in scored.json] == [["F1-loo", "EM-loo", "F1-max", "EM-max"]] * 2
    over_both = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "oracle" in over_both
    assert "bm25-query" in over_both
