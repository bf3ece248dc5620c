"""Files against a dataset: turns, splits, numbering, passages; judgements; datasets themselves; what kind a file is."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convbench.datasets.loading import DatasetRequest, open_dataset
from convbench.errors import UsageError
from convbench.io.cache import cache_root
from convbench.validation.checks import CHECKS
from convbench.validation.kinds import Kind, kind_of
from convbench.validation.problems import Problem
from convbench.validation.target import Datasets
from convbench.validation.validate import Report, validate, validate_dataset

DOCS = Path(__file__).parents[2] / "docs" / "validate.md"


def check(path: Path, dataset: str | None = None, kind: Kind | None = None, **request: object) -> Report:
    def request_of(name: str) -> DatasetRequest:
        return replace(DatasetRequest(name), **request)  # type: ignore[arg-type]

    return validate(path, kind, Datasets(dataset, request_of, cache_root()))


def found(path: Path, dataset: str | None = None, **request: object) -> dict[str, tuple[str, ...]]:
    """The examples of each check; facts that are no fault are left out."""
    return {problem.check: problem.examples for problem in check(path, dataset, **request).problems if problem.severity != "info"}


def write(path: Path, lines: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def topics(path: Path, numbers: range) -> None:
    turns = [{"number": n, "raw_utterance": f"question {n}"} for n in (1, 2, 3)]
    write(path, [json.dumps([{"number": number, "turn": turns} for number in numbers])])


@pytest.fixture
def cast(tmp_path: Path) -> Path:
    """Two years of a track: topics 31-34 and 81-84, three turns each, one passage judged for each; three passages in all."""
    root = tmp_path / "cast"
    for year, name, first in (("2019", "evaluation_topics_v1.0.json", 31), ("2020", "2020_manual_evaluation_topics_v1.0.json", 81)):
        topics(root / name, range(first, first + 4))
        write(root / f"{year}qrels.txt", [f"{c}_{n} 0 MARCO_{n} {n}" for c in range(first, first + 4) for n in (1, 2, 3)])
    write(root / "passages.jsonl", [json.dumps({"id": f"MARCO_{n}", "contents": f"passage {n}"}) for n in (1, 2, 3)])
    return root


def ranked(turn_ids: list[str], passage: str = "MARCO_1") -> list[str]:
    return [f"{turn_id} Q0 {passage} 1 2.5 x" for turn_id in turn_ids]


def turns_of(first: int) -> list[str]:
    return [f"{c}_{n}" for c in range(first, first + 4) for n in (1, 2, 3)]


def test_a_run_that_fits(cast: Path, tmp_path: Path) -> None:
    report = check(write(tmp_path / "a.trec", ranked(turns_of(31))), "cast", data=cast)
    assert (report.kind, report.turns, report.problems) == ("TREC run", 12, ())
    assert report.verdict() == "TREC run, 12 turns: in order"


def test_missing_and_extra_turns_are_named(cast: Path, tmp_path: Path) -> None:
    turns = [*turns_of(31)[:5], "99_1", "99_2", *turns_of(31)[5:6]]
    report = check(write(tmp_path / "a.trec", ranked(turns)), "cast", data=cast)
    missing, extra = report.problems
    assert (missing.check, missing.count, missing.examples) == ("missing-turns", 6, ("33_1", "33_2", "33_3", "34_1", "34_2"))
    assert missing.message.startswith("6 turns of cast 2019 missing, of 12")
    assert (extra.check, extra.count, extra.examples, extra.lines) == ("extra-turns", 2, ("99_1", "99_2"), (6, 7))
    assert report.verdict() == "TREC run, 8 turns: 2 errors"


def test_turns_that_no_measure_counts_may_be_missing(cast: Path, tmp_path: Path) -> None:
    write(cast / "2019qrels.txt", [f"31_{n} 0 MARCO_1 1" for n in (1, 2, 3)])
    (problem,) = check(write(tmp_path / "a.trec", ranked(["31_1", "31_2", "31_3"])), "cast", data=cast).problems
    assert (problem.check, problem.severity, problem.count) == ("missing-unscored-turns", "info", 9)


def test_a_run_of_another_split(cast: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "a.trec", ranked([*turns_of(81), "31_1"]))
    problems = {problem.check: problem for problem in check(path, "cast", data=cast).problems}
    assert problems["wrong-split"].message == "1 file of another split: 12 of 13 turns are in '2020', 1 in '2019'"
    assert problems["extra-turns"].count == 12
    assert "wrong-split" not in found(path, "cast", data=cast, split="2020")


def test_the_files_of_other_splits_may_be_missing_or_broken(cast: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "a.trec", ranked(turns_of(81)))
    write(cast / "2020_manual_evaluation_topics_v1.0.json", ["[{"])
    assert set(found(path, "cast", data=cast)) == {"missing-turns", "extra-turns"}


@pytest.mark.parametrize(
    ("old", "new", "how"),
    [
        ("_", "-", "'_' before the turn's number instead of '-'"),
        ("", "Track-2019_", "what stands before the conversation's number left out"),
    ],
)
def test_a_run_of_another_numbering(cast: Path, tmp_path: Path, old: str, new: str, how: str) -> None:
    path = write(tmp_path / "a.trec", ranked([turn.replace(old, new, 1) for turn in turns_of(31)]))
    problems = {problem.check: problem.message for problem in check(path, "cast", data=cast).problems}
    assert problems["wrong-numbering"] == f"1 file with turns numbered otherwise: 12 of 12 would fit with {how}, now 0"


def test_a_run_that_counts_turns_from_0(cast: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "a.trec", ranked([f"{c}_{n}" for c in range(31, 35) for n in (0, 1, 2)]))
    problems = {problem.check: problem.message for problem in check(path, "cast", data=cast).problems}
    assert problems["wrong-numbering"].endswith("12 of 12 would fit with the turns counted from 1 instead of 0, now 8")


def test_unknown_passages(cast: Path, tmp_path: Path) -> None:
    lines = ranked(turns_of(31))
    lines[4] = lines[4].replace("MARCO_1", "CAR_9")
    (problem,) = check(write(tmp_path / "a.trec", lines), "cast", data=cast).problems
    assert (problem.check, problem.examples, problem.lines) == ("unknown-passages", ("'CAR_9'",), (5,))
    (cast / "passages.jsonl").unlink()
    assert set(found(tmp_path / "a.trec", "cast", data=cast)) == {"unchecked-passages"}


def test_a_joint_run_of_another_dataset(tmp_path: Path) -> None:
    mini = open_dataset(DatasetRequest("topiocqa"))
    records = [json.dumps({"turn_id": turn.id, "response": "yes"}) for turn in mini.turns]
    path = write(tmp_path / "a.jsonl", [json.dumps({"schema": "convbench.run/1", "dataset": "qrecc", "split": "mini"}), *records])
    assert found(path, "topiocqa") == {"header": ("dataset 'qrecc'",)}
    write(path, [json.dumps({"schema": "convbench.run/1", "dataset": "topiocqa", "split": "dev"}), *records])
    assert found(path, "topiocqa") == {"header": ("split 'dev'",)}


def test_responses_need_no_rankings(tmp_path: Path) -> None:
    mini = open_dataset(DatasetRequest("topiocqa"))
    path = write(tmp_path / "a.jsonl", [json.dumps({"turn_id": turn.id, "response": "yes"}) for turn in mini.turns[1:]])
    report = check(path, "topiocqa")
    assert (report.kind, report.turns) == ("responses", 55)
    assert [(problem.check, problem.examples) for problem in report.problems] == [("missing-turns", ("1_1",))]


# ---- judgements


def test_judgements(tmp_path: Path) -> None:
    lines = ["1_1 0 a 1", "1_1 0 b 0", "1_2\t0\tRio␣Grande:3\t2", "1_3 Q0 c 0"]
    path = write(tmp_path / "good.qrels", lines)
    assert [(p.check, p.severity, p.examples, p.lines) for p in check(path).problems] == [("no-relevant-passage", "info", ("1_3",), (4,))]
    bad = [
        "1_1 0 a 1",
        "1_1 0 a 2",
        "1_1 0 b 1.0",
        "1_1 0 Rio Grande:3 1",
        "1_1 0 c",
        "1 1 0 c 1",
        "1_1 0 d -2",
        "1_1 0 e\x07 1",
        "q 0 a 1",
        "1_1 0 f 10001",
    ]
    assert {p.check: p.lines for p in check(write(path, [*lines, *bad])).problems} == {
        "duplicate-judgements": (5,),
        "conflicting-grades": (6,),
        "grades": (7,),
        "id-blanks": (8, 10),
        "columns": (9,),
        "negative-grades": (11,),
        "control-characters": (12,),
        "turn-ids": (13,),
        "high-grades": (14,),
        "no-relevant-passage": (4,),
    }


def test_judgements_of_another_split(cast: Path) -> None:
    assert check(cast / "2019qrels.txt", "cast", data=cast).problems == ()
    assert set(found(cast / "2020qrels.txt", "cast", data=cast)) == {"extra-turns", "wrong-split"}


def test_judgements_of_some_turns_and_strange_passages(cast: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "some.qrels", ["31_1 0 MARCO_2 1", "31_2 0 MARCO_9 1"])
    problems = {problem.check: problem for problem in check(path, "cast", data=cast).problems}
    assert set(problems) == {"unknown-passages", "unjudged-turns"}
    assert problems["unknown-passages"].lines == (2,)
    assert problems["unjudged-turns"].count == 10


def test_json_judgements(tmp_path: Path) -> None:
    path = write(tmp_path / "qrels_test.txt", [json.dumps({"1_1": {"": 1}, "1_2": {"a_p0": 1, "b": 0.5, "c\x00": 1}, "1_3": []}, indent=1)])
    report = check(path)
    assert report.kind == "judgements"
    assert [(p.check, p.count) for p in report.problems if p.severity != "info"] == [
        ("grades", 1),
        ("control-characters", 1),
        ("fields", 1),
    ]
    assert [p.check for p in check(write(path, ['{"1_1": {"a": 1'])).problems] == ["unreadable"]


# ---- datasets


def test_datasets_in_order(cast: Path) -> None:
    report = validate_dataset(DatasetRequest("topiocqa"), cache_root())
    assert (report.kind, report.turns, report.problems) == ("dataset topiocqa mini", 56, ())
    assert check(cast, "cast").verdict() == "dataset cast 2019, 12 turns: in order"


def test_a_dataset_with_judgements_that_dangle(cast: Path) -> None:
    write(cast / "2019qrels.txt", ["31_1 0 MARCO_1 1", "31_2 0 gone 1"])
    assert set(found(cast, "cast")) == {"dangling-gold"}
    (cast / "passages.jsonl").unlink()
    assert set(found(cast, "cast")) == {"unchecked-passages"}


def test_a_dataset_that_cannot_be_read(cast: Path) -> None:
    write(cast / "2019qrels.txt", ["31_1 0 MARCO_1 1", "77_1 0 MARCO_1 1"])
    ((name, problem),) = [(p.check, p) for p in check(cast, "cast").problems]
    assert name == "unreadable"
    assert "turn 77_1 is not in" in problem.message
    with pytest.raises(UsageError, match="say which dataset this is"):
        check(cast, kind="dataset")


# ---- kinds


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("a.txt", "1_1 Q0 a 1 2.5 x\n", "run"),
        ("a.txt", "broken\n\n1_1 Q0 a 1 nan x\n1_1 Q0 b 2 1 x\n1_2 Q0 b 2 1 x\n", "run"),
        ("a.txt", "1_1 0 a 1\n", "qrels"),
        ("a.json", '{\n "1_1": {\n  "a": 1}}', "qrels"),
        ("a.json", '{"1_1": {}, "1_2": {"b": 1}}', "qrels"),
        ("a.jsonl", '{"turn_id": "1_1", "passages": [], "response": "x"}\n', "run"),
        ("a.jsonl", '{"schema": "convbench.run/1"}\n{"turn_id": "1_1", "response": "x"}\n', "run"),
        ("a.jsonl", '{"turn_id": "1_1", "response": "x"}\n', "responses"),
        ("a.trec", "", "run"),
        ("a.jsonl", "", "run"),
        ("responses.jsonl", "", "responses"),
        ("a.qrel", "one\n", "qrels"),
    ],
)
def test_the_kind_is_told(tmp_path: Path, name: str, text: str, kind: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert kind_of(tmp_path / name, has_dataset=False) == kind


@pytest.mark.parametrize("text", ['[{"Question": "what is 1 2"}]', '{"food_1": {"turns": []}}', "Some words stand here.\n"])
def test_what_is_nothing_else_may_be_a_dataset(tmp_path: Path, text: str) -> None:
    (tmp_path / "dev.json").write_text(text, encoding="utf-8")
    assert kind_of(tmp_path / "dev.json", has_dataset=True) == "dataset"
    with pytest.raises(UsageError, match=r"say --kind run\|responses\|qrels\|dataset "):
        kind_of(tmp_path / "dev.json", has_dataset=False)


def test_folders(tmp_path: Path) -> None:
    assert kind_of(tmp_path, has_dataset=False) == "run"
    assert kind_of(tmp_path, has_dataset=True) == "dataset"
    (tmp_path / "run.json").touch()
    assert kind_of(tmp_path, has_dataset=True) == "run"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert check(tmp_path / "no.trec").problems == (Problem("unreadable", "error", 1, f"{tmp_path / 'no.trec'}: no such file"),)


# ---- files that are hostile or broken


def test_a_broken_gzip_file(tmp_path: Path) -> None:
    whole = gzip.compress(b"".join(b"1_1 Q0 p%d %d %d x\n" % (n, n, -n) for n in range(1, 5000)))
    (tmp_path / "a.trec.gz").write_bytes(whole[: len(whole) // 2])
    assert "gzip" in found(tmp_path / "a.trec.gz")
    (tmp_path / "a.trec.gz").write_bytes(b"1_1 Q0 p 1 1 x\n")
    assert "gzip" in found(tmp_path / "a.trec.gz")


def test_a_line_that_is_too_long_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convbench.validation.lines.MAX_LINE", 100_000)
    path = write(tmp_path / "a.trec", ["1_1 Q0 a 1 2.5 x", "x" * 300_000, "1_2 Q0 a 1 1.5 x"])
    assert {p.check: p.lines for p in check(path).problems} == {"long-lines": (2,)}


def test_a_gzip_bomb_is_left_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convbench.io.bounds.FREE_EXPANSION", 1000)
    path = tmp_path / "a.trec.gz"
    path.write_bytes(gzip.compress(b"\n" * 10_000_000))
    problems = {p.check: p for p in check(path).problems}
    assert set(problems) == {"gzip", "empty"}
    assert problems["gzip"].lines[0] < 3_000_000


FRAGMENTS = st.sampled_from(
    [
        b"1_1 Q0 a 1 2.5 x\n",
        b"1_1 0 a 1\n",
        b'{"turn_id": "1_1", "passages": [["a", 1]]}\n',
        b'{"1_1": {"a": 1}}',
        b"[",
        b"\xff",
        b" ",
        b"\n",
    ]
)


@pytest.mark.parametrize("kind", ["run", "responses", "qrels"])
@pytest.mark.parametrize("name", ["a.trec", "a.jsonl", "a.gz"])
@given(content=st.lists(st.one_of(FRAGMENTS, st.binary(max_size=8)), max_size=8).map(b"".join), packed=st.booleans())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_give_a_report(tmp_path: Path, kind: Kind, name: str, content: bytes, packed: bool) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if packed else content)
    report = check(path, "topiocqa", kind)
    assert all(len(problem.examples) <= 5 and problem.to_line().isprintable() for problem in report.problems)
    assert json.loads(json.dumps([problem.to_json() for problem in report.problems]))


# ---- documentation


def test_every_check_is_documented() -> None:
    text = DOCS.read_text(encoding="utf-8")
    rows = [line.split("|")[1:3] for line in text.splitlines() if line.startswith("| `")]
    listed = {name.strip().strip("`"): severity.strip() for name, severity in rows}
    assert listed == {name: check.severity for name, check in CHECKS.items()}
