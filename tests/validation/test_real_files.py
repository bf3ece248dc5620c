"""The real judgements and datasets: what is in order is called so, and what is known to be odd about them is found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from convbench.datasets.loading import DatasetRequest
from convbench.io.cache import cache_root
from convbench.validation.problems import Problem
from convbench.validation.target import Datasets
from convbench.validation.validate import validate


def problems(path: Path, dataset: str | None = None, data: Path | None = None, split: str | None = None) -> dict[str, Problem]:
    datasets = Datasets(dataset, lambda name: replace(DatasetRequest(name), data=data, split=split), cache_root())
    return {problem.check: problem for problem in validate(path, None, datasets).problems}


def test_cast_judgements(real_data: Path) -> None:
    cast = real_data / "trec_cast"
    first, second = cast / "2019" / "data" / "2019qrels.txt.gz", cast / "2020" / "2020qrels.txt.gz"
    assert problems(first) == problems(second) == {}
    found = problems(first, "cast", cast)
    assert {check: problem.count for check, problem in found.items()} == {"unchecked-passages": 1, "unjudged-turns": 479 - 173}
    found = problems(second, "cast", cast, "2020")
    assert {check: problem.count for check, problem in found.items()} == {"unchecked-passages": 1, "unjudged-turns": 216 - 208}


def test_cast_judgements_of_another_year(real_data: Path) -> None:
    cast = real_data / "trec_cast"
    found = problems(cast / "2019" / "data" / "2019qrels.txt.gz", "cast", cast, "2020")
    assert found["extra-turns"].count == 173
    assert found["wrong-split"].message == "1 file of another split: 173 of 173 turns are in '2019', 0 in '2020'"


def test_cast_training_judgements_repeat_two(real_data: Path) -> None:
    found = problems(real_data / "trec_cast" / "2019" / "data" / "training" / "train_topics_mod.qrel")
    assert found["duplicate-judgements"].lines == (527, 528)
    assert set(found) == {"duplicate-judgements", "no-relevant-passage"}


def test_topiocqa_judgements_are_numbered_with_a_hyphen(real_data: Path) -> None:
    gold, data = real_data / "topiocqa" / "gold" / "dev_gold.trec", real_data / "topiocqa" / "hub" / "topiocqa_valid.jsonl"
    assert {check: problem.count for check, problem in problems(gold).items()} == {"turn-ids": 1466}
    assert "1466 of 1466 would fit with '_'" in problems(gold, "topiocqa", data)["wrong-numbering"].message


def test_topiocqa_judgements_of_the_later_release_fit_the_first_less(real_data: Path) -> None:
    gold, first_release = real_data / "topiocqa" / "gold" / "dev_gold.trec", real_data / "topiocqa" / "topiocqa_dev.json"
    assert "803 of 1466 would fit" in problems(gold, "topiocqa", first_release)["wrong-numbering"].message


@pytest.mark.parametrize(("name", "without_gold"), [("qrels_dev.txt", 2732), ("qrels_test.txt.gz", 8164), ("qrecc_qrel.tsv.gz", 0)])
def test_qrecc_judgements(real_data: Path, name: str, without_gold: int) -> None:
    found = problems(real_data / "qrecc" / "qrels" / name)
    assert {check: problem.count for check, problem in found.items()} == ({"no-relevant-passage": without_gold} if without_gold else {})


def test_qrecc_judgements_with_integer_passages_do_not_fit_the_collection(real_data: Path) -> None:
    found = problems(real_data / "qrecc" / "qrels" / "qrecc_qrel.tsv.gz", "qrecc", real_data / "qrecc")
    assert {"extra-turns", "unknown-passages", "wrong-numbering"} <= set(found)


@pytest.mark.parametrize(("folder", "dataset"), [("topiocqa/hub", "topiocqa"), ("inscit", "inscit"), ("trec_cast", "cast")])
def test_datasets(real_data: Path, folder: str, dataset: str) -> None:
    assert set(problems(real_data / folder, dataset)) <= {"unchecked-passages"}
