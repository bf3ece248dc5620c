"""What ``convbench diff`` prints, and what it refuses."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from command_line import MINI, convbench, succeed, without_digests

METRICS = ("--metrics", "retrieval,token-f1,bleu", "--offline")
ESCAPE = "\x1b]0;owned\x07\x1b[31m\x9b31m\u202e"


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("diff")
    for system in ("bm25-query", "bm25-rewrite"):
        succeed("run", system, "-d", "topiocqa", "--out", out / system, *METRICS)
    return out


@pytest.fixture
def both(runs) -> tuple[Path, Path]:
    return runs / "bm25-query", runs / "bm25-rewrite"


def values_in(folder: Path, protocol: str, measure: str) -> dict[str, float]:
    lines = [json.loads(line) for line in (folder / "scores.jsonl").read_text(encoding="utf-8").splitlines()]
    return {line["turn_id"]: line["value"] for line in lines if (line["protocol"], line["measure"]) == (protocol, measure)}


def changed_turns(folder: Path, change) -> None:
    """Changes every record of a run, and the digest that says which file was scored."""
    header, *lines = (folder / "turns.jsonl").read_text(encoding="utf-8").splitlines()
    content = "".join(f"{line}\n" for line in [header, *(json.dumps(change(json.loads(line))) for line in lines)])
    (folder / "turns.jsonl").write_text(content, encoding="utf-8")
    results = without_digests(folder)
    results["run_sha256"] = sha256(content.encode()).hexdigest()
    (folder / "results.json").write_text(json.dumps(results), encoding="utf-8")


def section(out: str, number: int) -> str:
    """The text of one turn."""
    return re.split(rf"^{number}\. ", out, flags=re.MULTILINE)[1].split("\n\n")[0]


def test_the_table_has_values_differences_intervals_and_p(both):
    out = succeed("diff", *both, "--turns", 0).out
    header = next(line for line in out.splitlines() if line.startswith("measure"))
    assert header.split() == ["measure", "A", "B", "B", "-", "A", "95", "%", "interval", "p", "turns"]
    row = next(line for line in out.splitlines() if line.startswith("  nDCG@3"))
    assert len(row) == len(header)
    _, first, second, difference, low, high, p, turns = row.split()
    assert float(difference) == pytest.approx(float(second) - float(first), abs=0.11)
    assert float(low.strip("[,")) < float(difference) < float(high.strip("]"))
    assert 0 < float(p) < 0.05
    assert turns == "56"
    bleu = next(line for line in out.splitlines() if line.startswith("  BLEU"))
    assert bleu.split()[-2:] == ["-", "-"]
    assert "p is not corrected" in " ".join(out.split())
    assert f"A  bm25-query    {both[0]}" in out
    assert "only B: human rewrite of the query" in out


def test_turns_are_shown_with_rankings_responses_and_references(both):
    found = succeed("diff", *both, "--json").json
    out = succeed("diff", *both, "--full").out
    counts = found["counts"]
    assert f"A better on {counts['first_better']}, equal on {counts['equal']}, B better on {counts['second_better']} of 56 turns" in out
    assert "10 of the 32 turns that flipped are shown" in out
    assert len(re.findall(r"^\d+\. ", out, re.MULTILINE)) == 10
    for number, turn in enumerate(found["turns"][:10], start=1):
        text = section(out, number)
        plain = " ".join(text.split())
        assert text.startswith(turn["turn_id"])
        assert f"{100 * turn['first']['value']:.1f} -> {100 * turn['second']['value']:.1f} (" in text
        assert ("B better" if turn["difference"] > 0 else "A better") in text
        assert turn["query"] in plain
        assert " ".join(turn["references"][0].split()) in plain
        assert " ".join(turn["first"]["response"].split()) in plain
        assert " ".join(turn["second"]["response"].split()) in plain
        assert f"B {turn['second']['gold_rank']}; best of" in plain
        gold = {id_ for id_, _ in turn["gold"]}
        for side in ("first", "second"):
            for rank, (id_, _) in enumerate(turn[side]["passages"][:3], start=1):
                assert f"{rank} * {id_} (gold)" in text if id_ in gold else f"{rank}   {id_}  " in text
    assert "Eiffel Tower" in section(out, 1)  # how a passage begins


def test_json_holds_all_turns_unless_fewer_are_asked_for(both):
    found = succeed("diff", *both, "--json").json
    assert list(found) == ["first", "second", "measures", "measure", "beside", "slices", "counts", "turns"]
    assert found["first"]["name"] == "bm25-query"
    assert found["second"]["conditions"]["rewriter"] == "human"
    assert (found["measure"], found["beside"]) == ("convgqr-line/nDCG@3", ["response-overlap/F1-max"])
    ours, theirs = (values_in(folder, "convgqr-line", "nDCG@3") for folder in both)
    differing = {id_ for id_ in ours if ours[id_] != theirs[id_]}
    assert {turn["turn_id"] for turn in found["turns"]} == differing
    assert found["counts"] == {
        "first_better": sum(ours[id_] > theirs[id_] for id_ in ours),
        "equal": len(ours) - len(differing),
        "second_better": sum(ours[id_] < theirs[id_] for id_ in ours),
        "one_sided": 0,
        "turns": 56,
    }
    for turn in found["turns"]:
        assert (turn["first"]["value"], turn["second"]["value"]) == (ours[turn["turn_id"]], theirs[turn["turn_id"]])
        assert turn["difference"] == turn["second"]["value"] - turn["first"]["value"]
    sizes = [abs(turn["difference"]) for turn in found["turns"]]
    assert sizes == sorted(sizes, reverse=True)
    (ndcg,) = (row for row in found["measures"] if row["name"] == "nDCG@3")
    assert ndcg["n"] == 56
    assert ndcg["interval"][0] < ndcg["difference"] < ndcg["interval"][1]
    few = succeed("diff", *both, "--json", "--turns", 2, "--passages", 1).json
    assert [turn["turn_id"] for turn in few["turns"]] == [turn["turn_id"] for turn in found["turns"][:2]]
    assert [turn["first"]["passages"] for turn in few["turns"]] == [turn["first"]["passages"][:1] for turn in found["turns"][:2]]
    assert len(found["turns"][0]["first"]["passages"]) > 3


def test_the_first_measure_decides_and_others_stand_beside_it(both):
    found = succeed("diff", *both, "--measure", "F1-max", "--measure", "convgqr-line/RR@100", "--sort", "worse", "--json").json
    assert (found["measure"], found["beside"]) == ("response-overlap/F1-max", ["convgqr-line/RR@100"])
    differences = [turn["difference"] for turn in found["turns"]]
    assert differences == sorted(differences)
    ranks = values_in(both[1], "convgqr-line", "RR@100")
    assert all(turn["second"]["beside"] == {"convgqr-line/RR@100": ranks[turn["turn_id"]]} for turn in found["turns"])
    out = succeed("diff", *both, "--measure", "F1-max", "--measure", "RR@100", "--sort", "worse", "--turns", 1).out
    assert f"1. {found['turns'][0]['turn_id']}  " in out
    assert "A better" in section(out, 1)
    assert "convgqr-line/RR@100 " in section(out, 1)


@pytest.mark.parametrize("columns", [60, 83, 120])
def test_no_line_of_a_turn_is_wider_than_the_terminal(both, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    out = succeed("diff", *both, "--turns", 20, "--full", "--passages", 5).out
    turns = out.partition("convgqr-line/nDCG@3: ")[2].splitlines()[1:]
    assert len(turns) > 200
    assert max(map(len, turns)) <= columns


def test_colours_reach_terminals_only(both):
    assert "\x1b" not in succeed("diff", *both).out
    master, slave = pty.openpty()
    command = [sys.executable, "-c", "from convbench.cli.main import main; main()", "diff", *map(str, both), "--turns", "1"]
    process = subprocess.Popen(command, stdout=slave, stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    os.close(slave)
    shown = b""
    try:
        while block := os.read(master, 65536):
            shown += block
    except OSError:
        pass  # the other end is closed
    finally:
        os.close(master)
    assert process.wait(timeout=60) == 0
    assert b"\x1b[32m" in shown
    assert b"(gold)" in shown  # never colour alone


def test_texts_cannot_reach_the_terminal(both, tmp_path):
    copies = [Path(shutil.copytree(folder, tmp_path / folder.name)) for folder in both]

    def spoil(record):
        record["query"] += ESCAPE
        record["response"] += f"\n\n1. fake{ESCAPE}"
        record["passages"] = [[f"{id_}{ESCAPE}", score] for id_, score in record["passages"]]
        return record

    for copy in copies:
        changed_turns(copy, spoil)
        results = without_digests(copy)
        results["system"]["name"] += ESCAPE
        results["conditions"]["note"] = f"{copy.name}{ESCAPE}"
        (copy / "results.json").write_text(json.dumps(results), encoding="utf-8")
    for arguments in ((), ("--json",)):
        done = succeed("diff", *copies, *arguments)
        for text in (done.out, done.err):
            assert all(character.isprintable() or character == "\n" for character in text)
    assert "owned" in done.out
    assert done.json["first"]["name"].endswith(ESCAPE)
    assert done.json["turns"][0]["first"]["response"].endswith(ESCAPE)


def test_a_dataset_that_is_gone_leaves_out_what_it_knew(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    shutil.copy(MINI / "topiocqa" / "topiocqa_mini.jsonl", data / "topiocqa_dev.jsonl")
    shutil.copy(MINI / "topiocqa" / "full_wiki_segments.tsv", data)
    folders = [tmp_path / name for name in ("bm25-query", "bm25-queries")]
    for folder in folders:
        succeed("run", folder.name, "-d", "topiocqa", "--data", data, "--out", folder, *METRICS)
    before = succeed("diff", *folders, "--json").json
    shutil.rmtree(data)
    after = succeed("diff", *folders, "--json")
    assert after.err.count("\n") == 1
    assert after.err.startswith("warning: queries, gold passages and references are left out, as the dataset is not at hand: ")
    assert after.json["counts"] == before["counts"]
    assert after.json["measures"] == before["measures"]
    for ours, theirs in zip(before["turns"], after.json["turns"], strict=True):
        assert (theirs["query"], theirs["gold"], theirs["references"]) == (None, None, None)
        assert theirs["second"] == {**ours["second"], "gold_rank": None}
    out = succeed("diff", *folders).out
    assert "rankings" in out
    assert "A says" in out
    assert "(gold)" not in out
    assert "gold rank" not in out


def test_slices_keep_the_turns_of_all_of_them(both):
    whole = succeed("diff", *both, "--json").json
    first = succeed("diff", *both, "--slice", "depth=1", "--json").json
    assert first["slices"] == ["depth=1"]
    assert first["counts"]["turns"] == 9  # conversations
    assert first["measures"] == whole["measures"]
    assert [turn["turn_id"] for turn in first["turns"]] == [t["turn_id"] for t in whole["turns"] if t["turn_id"].endswith("_1")]
    unanswered = {turn["turn_id"] for turn in succeed("diff", *both, "--slice", "answerable=no", "--json").json["turns"]}
    third = {turn["turn_id"] for turn in succeed("diff", *both, "--slice", "depth=3", "--json").json["turns"]}
    together = succeed("diff", *both, "--slice", "answerable=no", "--slice", "depth=3", "--json").json
    assert {turn["turn_id"] for turn in together["turns"]} == unanswered & third
    assert "of 9 turns with depth=1" in succeed("diff", *both, "--slice", "depth=1").out
    for wrong, reason in (
        ("depth", "expected SLICING=LABEL"),
        ("dept=1", "unknown slicing 'dept'. Did you mean 'depth'?"),
        ("answerable=non", "Did you mean 'no'? Labels of answerable: "),
    ):
        refused = convbench("diff", *both, "--slice", wrong)
        assert (refused.code, refused.out) == (2, "")
        assert reason in refused.error


def test_what_a_dataset_says_cannot_reach_the_terminal(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    turns = [{"conversation_id": name, "turn": 1, "query": f"mill{ESCAPE}", "response": f"1887{ESCAPE}", "gold": ["p1"]} for name in "ab"]
    passages = [{"id": f"p{number}", "title": f"Mill{ESCAPE}", "text": f"It opened.{ESCAPE}"} for number in (1, 2)]
    for name, rows in (("conversations", turns), ("collection", passages)):
        (data / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (data / "dataset.yaml").write_text(json.dumps({"name": "mills"}), encoding="utf-8")
    for number in (1, 2):
        run = tmp_path / f"{number}.jsonl"
        lines = [json.dumps({"turn_id": f"{name}_1", "passages": [[f"p{number}", 1.0]], "response": "1887"}) + "\n" for name in "ab"]
        run.write_text("".join(lines), encoding="utf-8")
        succeed("run", run, "-d", "generic", "--data", data, "--out", tmp_path / f"run{number}", "--metrics", "retrieval,token-f1")
    done = succeed("diff", tmp_path / "run1", tmp_path / "run2")
    assert done.out.count("owned") >= 6
    assert all(character.isprintable() or character == "\n" for character in done.out)
    assert " * p1 (gold)  Mill" in done.out
    assert "A 1, B not among 1 passage; best of 1 gold passage" in done.out
    assert "both say   1887" in done.out


def test_runs_that_do_not_compare_are_refused_in_one_line(both, tmp_path):
    succeed("run", "bm25-query", "-d", "orquac", "--out", tmp_path / "orquac", "--metrics", "retrieval")
    refused = convbench("diff", both[0], tmp_path / "orquac")
    assert (refused.code, refused.out) == (2, "")
    assert "is on topiocqa, split mini" in refused.error
    unknown = convbench("diff", *both, "--measure", "F1-mx")
    assert (unknown.code, unknown.out) == (2, "")
    assert "Did you mean 'F1-max'?" in unknown.error
    unscored = Path(shutil.copytree(both[1], tmp_path / "unscored"))
    (unscored / "scores.jsonl").unlink()
    missing = convbench("diff", both[0], unscored)
    assert missing.code == 3
    assert f"score the run again with `convbench score {unscored}`" in missing.error
    assert convbench("diff", *both, "--turns", -1).code == 2


def test_what_compares_is_still_shown_where_some_does_not(both, tmp_path):
    other = tmp_path / "other"
    succeed("run", "bm25-rewrite", "-d", "topiocqa", "--out", other, *METRICS, "--metric-set", "retrieval.depth=200")
    refused = convbench("diff", both[0], other, "--json")
    assert refused.code == 2
    found = json.loads(refused.out)
    differing = {row["name"]: list(row["differing"]) for row in found["measures"] if row["differing"]}
    assert "nDCG@3" in differing
    assert all("depth" in parts for parts in differing.values())
    assert found["measure"] == "response-overlap/F1-max"
    assert found["turns"]
    named = convbench("diff", both[0], other, "--measure", "nDCG@3")
    assert named.code == 2
    assert "does not compare: " in named.error


def test_a_run_with_itself_has_no_turns(both):
    found = succeed("diff", both[0], both[0], "--json").json
    assert found["turns"] == []
    assert found["counts"]["equal"] == 56
    assert "A better on 0, equal on 56, B better on 0 of 56 turns" in succeed("diff", both[0], both[0]).out
