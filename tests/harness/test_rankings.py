"""Answering from another run's rankings: one system's retriever with another's generator, and the reverse."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from backends.small import folder_of
from command_line import convbench, succeed

from convbench.harness.folder import RunFolder
from convbench.harness.results import Results, read_results
from convbench.io.runfile import read_run
from convbench.types import TurnRecord

FAST = ("--metrics", "retrieval,token-f1", "--offline", "--limit", 3)
UNIFIED = ("--profile", "decoder", "--set", "decoding.max_new_tokens=6")


@pytest.fixture(scope="module")
def donors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Finished runs of a two-stage and of a unified system; tests only read them, or copy them."""
    folder = tmp_path_factory.mktemp("donors")
    run("bm25-rewrite", folder / "bm25", "--set", "k=20")
    run(folder_of("llama"), folder / "unified", *UNIFIED, "--set", "name=llama")
    return folder


def run(system: object, out: Path, *more: object) -> Results:
    succeed("run", system, "-d", "topiocqa", "--out", out, *FAST, *more)
    return read_results(out / "results.json")


def records(folder: Path) -> dict[str, TurnRecord]:
    return dict(read_run(folder / "turns.jsonl").records)


def same_but_for_the_query(one: dict[str, TurnRecord], other: dict[str, TurnRecord]) -> bool:
    def essence(record: TurnRecord) -> tuple[Any, ...]:
        return record.passages, record.response, record.evidence, record.abstained

    return {turn_id: essence(record) for turn_id, record in one.items()} == {turn_id: essence(record) for turn_id, record in other.items()}


def test_with_its_own_rankings_a_system_answers_as_it_did(donors: Path, tmp_path: Path) -> None:
    run("bm25-rewrite", tmp_path / "two", "--set", "k=20", "--rankings", donors / "bm25")
    assert same_but_for_the_query(records(tmp_path / "two"), records(donors / "bm25"))
    run(folder_of("llama"), tmp_path / "one", *UNIFIED, "--set", "name=llama", "--rankings", donors / "unified")
    assert same_but_for_the_query(records(tmp_path / "one"), records(donors / "unified"))


def test_the_grid(donors: Path, tmp_path: Path) -> None:
    lent = run("bm25-rewrite", tmp_path / "two", "--rankings", donors / "unified", "--set", "k=7")
    given = run(folder_of("llama"), tmp_path / "one", *UNIFIED, "--set", "name=llama", "--rankings", donors / "bm25", "--set", "k=7")
    assert (lent.system["name"], lent.conditions["rankings"]) == ("bm25-rewrite", "llama")
    assert (given.system["name"], given.conditions["rankings"]) == ("llama", "bm25-rewrite")
    for results, folder, donor in ((lent, "two", "unified"), (given, "one", "bm25")):
        theirs, ours = records(donors / donor), records(tmp_path / folder)
        assert {id_: record.passages for id_, record in ours.items()} == {id_: record.passages[:7] for id_, record in theirs.items()}
        assert all(record.evidence == tuple(id_ for id_, _ in record.passages)[: len(record.evidence)] for record in ours.values())
        assert any(record.response for record in ours.values())
        assert results.conditions["k"] == 7
    own = {measure.name: measure.value for measure in read_results(donors / "unified" / "results.json").metrics}
    assert {measure.name: measure.value for measure in lent.metrics}["RR@100"] == pytest.approx(own["RR@100"], abs=0.05)
    report = (tmp_path / "two" / "report.md").read_text(encoding="utf-8")
    assert "passages from the rankings of llama" in report


def test_no_index_is_needed(donors: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    results = [
        run("bm25-query", tmp_path / "two", "--rankings", donors / "unified", "--cache", cache),
        run(folder_of("llama"), tmp_path / "one", *UNIFIED, "--rankings", donors / "bm25", "--cache", cache),
    ]
    assert [result.cost.index_bytes for result in results] == [0, 0]
    assert not (cache / "bm25").exists()
    assert not (cache / "dense").exists()


@pytest.mark.parametrize("history", ["full-own", "rewrite", "last-1"])
def test_every_history_goes_with_it(donors: Path, history: str, tmp_path: Path) -> None:
    for system, more in (("bm25-query", ()), (folder_of("llama"), UNIFIED)):
        out = tmp_path / ("one" if more else "two")
        run(system, out, *more, "--history", history, "--rankings", donors / "bm25")
        theirs = records(donors / "bm25")
        assert {id_: record.passages for id_, record in records(out).items()} == {id_: record.passages for id_, record in theirs.items()}


@pytest.mark.slow
def test_it_goes_with_a_ladder(donors: Path, tmp_path: Path) -> None:
    succeed("run", "bm25-query", "-d", "topiocqa", "--evidence", "ladder", "--rankings", donors / "unified", "--out", tmp_path, *FAST)
    for rung in ("none", "gold+noise"):
        assert read_results(tmp_path / rung / "results.json").conditions["rankings"] == "llama"
    assert len({(tmp_path / rung / "retrieval.trec").read_bytes() for rung in ("none", "retrieved", "gold")}) == 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [("turns.jsonl", "bm25-rewrite"), ("mine.jsonl.gz", "bm25-rewrite"), ("bare.jsonl", "bare"), ("their.run", "their")],
)
def test_any_form_of_run_and_whose_rankings_they_are(donors: Path, name: str, expected: str, tmp_path: Path) -> None:
    source, path = donors / "bm25", tmp_path / name
    lines = (source / "turns.jsonl").read_bytes()
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(lines))
    elif name == "bare.jsonl":
        path.write_bytes(lines.split(b"\n", 1)[1])
    else:
        shutil.copy(source / ("retrieval.trec" if name.endswith(".run") else "turns.jsonl"), path)
    assert run("bm25-rewrite", tmp_path / "out", "--set", "k=20", "--rankings", path).conditions["rankings"] == expected
    assert same_but_for_the_query(records(tmp_path / "out"), records(source))


def test_rankings_that_were_lent_on_keep_their_name(donors: Path, tmp_path: Path) -> None:
    run("bm25-query", tmp_path / "first", "--rankings", donors / "unified")
    assert run("bm25-rewrite", tmp_path / "second", "--rankings", tmp_path / "first").conditions["rankings"] == "llama"


def test_a_run_s_folder_holds_it_like_any_other(donors: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ("run", "bm25-query", "-d", "topiocqa", "--out", out, *FAST)
    succeed(*command, "--rankings", donors / "unified")
    before = (out / "turns.jsonl").read_bytes()
    assert "nothing to infer" in succeed(*command, "--rankings", donors / "unified").err
    assert (out / "turns.jsonl").read_bytes() == before
    for other in ((), ("--rankings", donors / "bm25")):
        assert "holds another run (system.rankings" in convbench(*command, *other).error
    assert succeed("validate", out).code == 0


def test_another_file_is_another_run_and_a_finished_run_is_scored_without_it(donors: Path, tmp_path: Path) -> None:
    donor, out = tmp_path / "donor", tmp_path / "out"
    shutil.copytree(donors / "bm25", donor)
    run("bm25-query", out, "--rankings", donor)
    first = RunFolder(out).read_info()["stages"]
    lines = [json.loads(line) for line in (donor / "turns.jsonl").read_text(encoding="utf-8").splitlines()]
    for line in lines[1:]:
        line["passages"] = line["passages"][1:]
    (donor / "turns.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    run("bm25-query", out, "--rankings", donor)
    second = RunFolder(out).read_info()["stages"]
    assert [old["name"] for old, new in zip(first, second, strict=True) if old["key"] != new["key"]] == ["search", "generate"]
    assert records(out)["1_1"].passages == tuple(map(tuple, lines[1]["passages"]))
    shutil.rmtree(donor)
    succeed("score", out, "--metrics", "rouge")


def test_a_system_that_has_its_own_retriever_is_described_as_ever(donors: Path) -> None:
    for folder in ("bm25", "unified"):
        assert "rankings" not in RunFolder(donors / folder).spec().system
        assert "rankings" not in read_results(donors / folder / "results.json").conditions


def test_turns_that_are_not_in_the_run(donors: Path, tmp_path: Path) -> None:
    more = ("-d", "topiocqa", "--metrics", "retrieval", "--offline", "--limit", 5, "--out", tmp_path / "out")
    for system in (("bm25-query",), (folder_of("llama"), *UNIFIED)):
        ended = convbench("run", *system, *more, "--rankings", donors / "bm25")
        assert ended.code == 4
        assert (
            f"{donors / 'bm25'}: 13 of 32 turns of the dataset are not in the run (first: 4_1, 4_2, 4_3); --rankings needs" in ended.error
        )
    assert not (tmp_path / "out").exists()


def test_passages_of_another_collection(donors: Path, tmp_path: Path) -> None:
    path = tmp_path / "theirs.jsonl"
    lines = [
        {"turn_id": id_, "passages": [["nowhere", 2.0], [record.passages[0][0], 1.0]]} for id_, record in records(donors / "bm25").items()
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    for name, system in (("two", ("bm25-query",)), ("one", (folder_of("llama"), *UNIFIED))):
        ended = convbench("run", *system, "-d", "topiocqa", *FAST, "--out", tmp_path / name, "--rankings", path)
        assert ended.code == 3
        assert f"error: {path}: 1 of " in ended.err
        assert "ranked passages are not in this collection (first: 'nowhere')" in ended.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("oracle",), "oracle: --rankings does not apply to a system of kind 'oracle'"),
        (("bm25-query", "--set", "generator=null"), "bm25-query: --rankings takes the place of its retriever, and it does not respond"),
        (("unified-minilm", "--set", "decoding=null"), "unified-minilm: --rankings takes the place of its retriever"),
    ],
)
def test_systems_that_do_not_answer_from_rankings(donors: Path, arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    ended = convbench("run", *arguments, "-d", "topiocqa", "--out", tmp_path / "out", *FAST, "--rankings", donors / "bm25")
    assert said in ended.error
    assert ended.code == 2


def test_runs_that_have_no_rankings(donors: Path, tmp_path: Path) -> None:
    answers = tmp_path / "answers.jsonl"
    answers.write_text(
        "".join(json.dumps({"turn_id": id_, "response": "Yes."}) + "\n" for id_ in records(donors / "bm25")), encoding="utf-8"
    )
    for path, said in (
        (answers, "the run has no rankings"),
        (tmp_path / "gone", "no finished run here"),
        (tmp_path, "no finished run here"),
    ):
        ended = convbench("run", "bm25-query", "-d", "topiocqa", "--out", tmp_path / "out", *FAST, "--rankings", path)
        assert f"{path}: {said}" in ended.error
