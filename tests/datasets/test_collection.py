from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import convbench.datasets.loading
from convbench.datasets import collection as module
from convbench.datasets.base import Collection
from convbench.datasets.collection import collection_identity, prepare_store
from convbench.datasets.loading import Dataset, DatasetRequest, open_dataset
from convbench.errors import DataError
from convbench.types import Passage

MINI = Path(convbench.datasets.loading.__file__).parent / "mini"
PASSAGES = [Passage("a", "A red boat."), Passage("b", "An old lamp.", "Lighthouse")]


@pytest.fixture
def dataset() -> Dataset:
    return open_dataset(DatasetRequest("topiocqa"))


class Source:
    """A collection over one file that counts how often it is read."""

    def __init__(self, folder: Path, content: str = "corpus") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / "corpus.tsv"
        self.file.write_text(content)
        self.readings = 0

    def passages(self) -> Iterator[Passage]:
        self.readings += 1
        yield from PASSAGES

    def collection(self) -> Collection:
        return Collection("corpus", (self.file,), self.passages)


@pytest.mark.parametrize("name", ["topiocqa", "qrecc", "orquac", "inscit", "faithdial"])
def test_the_store_holds_what_the_adapter_streams(name: str, tmp_path: Path) -> None:
    dataset = open_dataset(DatasetRequest(name))
    collection = dataset.adapter.collection()
    store = prepare_store(dataset, collection, tmp_path)
    assert list(store) == list(collection.passages())
    gold = {passage_id for grades in dataset.adapter.qrels().values() for passage_id in grades}
    assert gold
    assert store.get(sorted(gold))


def test_it_is_built_once(dataset: Dataset, tmp_path: Path) -> None:
    source = Source(tmp_path)
    first = prepare_store(dataset, source.collection(), tmp_path / "cache")
    again = prepare_store(dataset, source.collection(), tmp_path / "cache")
    assert source.readings == 1
    assert again.sha256 == first.sha256
    assert list(again) == PASSAGES


def test_the_same_file_elsewhere_is_the_same_collection(dataset: Dataset, tmp_path: Path) -> None:
    one, other = Source(tmp_path / "one"), Source(tmp_path / "other")
    prepare_store(dataset, one.collection(), tmp_path / "cache")
    prepare_store(dataset, other.collection(), tmp_path / "cache")
    assert (one.readings, other.readings) == (1, 0)


@pytest.mark.parametrize("change", ["content", "name", "reader", "dataset"])
def test_what_changes_the_passages_builds_another(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    source = Source(tmp_path)
    prepare_store(dataset, source.collection(), tmp_path / "cache")
    if change == "content":
        source = Source(tmp_path, "another corpus")
    elif change == "name":
        source.file = source.file.rename(tmp_path / "corpus-2.tsv")
    elif change == "reader":
        monkeypatch.setattr(module, "READER_VERSION", module.READER_VERSION + 1)
    else:
        dataset = replace(dataset, name="qrecc")
    source.readings = 0
    prepare_store(dataset, source.collection(), tmp_path / "cache")
    assert source.readings == 1
    assert len(list((tmp_path / "cache" / "stores").iterdir())) == 2


def test_splits_share_a_corpus_but_not_a_union_of_gold(dataset: Dataset, tmp_path: Path) -> None:
    corpus = Source(tmp_path).collection()
    union = replace(corpus, origin="gold-union")
    other = replace(dataset, split="dev")
    assert collection_identity(dataset, corpus, tmp_path) == collection_identity(other, corpus, tmp_path)
    assert collection_identity(dataset, union, tmp_path) != collection_identity(other, union, tmp_path)
    assert collection_identity(dataset, union, tmp_path) != collection_identity(dataset, corpus, tmp_path)


def test_without_a_corpus_the_gold_passages_are_the_collection(tmp_path: Path) -> None:
    shutil.copy(MINI / "topiocqa" / "topiocqa_mini.jsonl", tmp_path)
    dataset = open_dataset(DatasetRequest("topiocqa", data=tmp_path, split="mini"))
    collection = dataset.adapter.collection()
    assert collection.origin == "gold-union"
    store = prepare_store(dataset, collection, tmp_path / "cache")
    assert {passage.id for passage in store} == {passage_id for turn in dataset.turns for passage_id in turn.gold}


def test_a_broken_corpus_leaves_no_finished_store(dataset: Dataset, tmp_path: Path) -> None:
    def broken() -> Iterator[Passage]:
        yield PASSAGES[0]
        raise DataError("corpus.tsv", "a bad line", line=2)

    source = Source(tmp_path)
    with pytest.raises(DataError, match=r"corpus\.tsv:2: a bad line"):
        prepare_store(dataset, Collection("corpus", (source.file,), broken), tmp_path / "cache")
    assert list(prepare_store(dataset, source.collection(), tmp_path / "cache")) == PASSAGES
