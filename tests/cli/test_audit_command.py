"""``convbench data audit``: findings, overlap and lengths, printed and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import convbench, succeed

MISSING, USAGE = 3, 2


def own(root: Path, **splits: str) -> Path:
    """A dataset with one conversation of one question a split."""
    root.mkdir(exist_ok=True)
    for split, query in splits.items():
        turn = {"conversation_id": split, "turn": 1, "query": query, "response": "So.", "gold": ["p1"]}
        (root / f"conversations.{split}.jsonl").write_text(json.dumps(turn))
    (root / "collection.jsonl").write_text('{"id": "p1", "text": "Otters sleep on their backs."}\n')
    return root


def test_everything_in_one_json_object(tmp_path: Path) -> None:
    data = own(tmp_path / "own", dev="how do otters sleep?", train="How do otters sleep?", broken="")
    other = own(tmp_path / "other", test="how do otters sleep")
    report = succeed("data", "audit", "generic", "--data", data, "--split", "dev", "--with", f"generic={other}", "--json").json
    assert (report["dataset"], report["split"], report["passages"]) == ("own-own", "dev", 1)
    assert [finding["check"] for finding in report["findings"]] == ["turns-without-rewrite"]
    assert report["overlap"]["sets"] == ["own-own dev", "own-own train", "own-other test"]
    assert len(report["overlap"]["not_compared"]) == 1
    pairs = {(pair["first"], pair["second"], pair["kind"]): pair for pair in report["overlap"]["pairs"]}
    assert pairs["own-own dev", "own-other test", "questions"]["first_share"] == 1.0
    assert pairs["own-own train", "own-other test", "gold texts"]["common"] == 1
    assert report["lengths"]["turns"] == 1
    assert report["lengths"]["depths"]["1"]["passage"]["words"] == 5
    assert report["lengths"]["over"]["full"] == dict.fromkeys(["64", "128", "256", "512", "1024", "2048", "4096"], 0.0)


def test_printed_as_tables(tmp_path: Path) -> None:
    data = own(tmp_path / "own", dev="how do otters sleep?", train="How do otters sleep?")
    lines = succeed("data", "audit", "generic", "--data", data, "--split", "dev").out.splitlines()
    assert lines[0] == "info     turns-without-rewrite: 1 of 1 turns have no human rewrite (first: dev_1)"
    assert [line.split() for line in lines if " questions " in line and "/" in line] == [
        ["own-own", "dev", "/", "own-own", "train", kind, "questions", "1", "100.0%", "of", "1", "100.0%", "of", "1", example, "=", right]
        for kind, example, right in [("first", "dev", "train")]
    ] + [
        ["own-own", "dev", "/", "own-own", "train", "questions", "1", "100.0%", "of", "1", "100.0%", "of", "1", "dev_1", "=", "train_1"],
        ["own-own", "dev", "/", "own-own", "train", "questions", "with", "response", "1", "100.0%", "of", "1", "100.0%", "of", "1", "dev_1",
         "=", "train_1"],
    ]  # fmt: skip
    assert any(line.startswith("words / tokens a turn") and "one token for every 4 bytes" in line for line in lines)
    assert lines[-1].split() == ["full", *["0.0%"] * 7]


def test_without_a_collection(tmp_path: Path) -> None:
    data = own(tmp_path / "own", dev="why?")
    (data / "collection.jsonl").unlink()
    shown = succeed("data", "audit", "generic", "--data", data)
    assert "info     no-passages: there is no collection" in shown.out
    assert succeed("data", "audit", "generic", "--data", data, "--json").json["passages"] is None
    named = convbench("data", "audit", "generic", "--data", data, "--corpus", tmp_path / "nowhere")
    assert named.code == MISSING
    assert "nowhere: no passages here" in named.error


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--with", "qrecc"), USAGE, "--with 'qrecc': expected NAME=DIR or NAME:SPLIT=DIR"),
        (("--with", "qrec=."), USAGE, "unknown dataset 'qrec'. Did you mean 'qrecc'?"),
        (("--tokenizer", "nowhere"), MISSING, "nowhere: no such file; expected a tokenizer.json"),
    ],
)
def test_what_cannot_be_compared_or_counted(arguments: tuple[str, str], code: int, said: str) -> None:
    finished = convbench("data", "audit", "inscit", *arguments)
    assert (finished.code, finished.out) == (code, "")
    assert said in finished.error
