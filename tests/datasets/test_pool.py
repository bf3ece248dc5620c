from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import MINI

import convbench
from convbench.datasets.collection import prepare_store
from convbench.datasets.comparable import open_others
from convbench.datasets.corpora import jsonl_passages
from convbench.datasets.loading import Dataset, DatasetRequest, open_dataset
from convbench.datasets.pool import MANIFEST, PASSAGES, Pool, pool_folder, pools_in, read_pool
from convbench.datasets.pool_write import Contributor, write_pool
from convbench.datasets.store import ArrowPassageStore
from convbench.errors import DataError, MissingFileError, UsageError

REQUEST = DatasetRequest("topiocqa")
Write = Callable[..., Pool]


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> tuple[Dataset, ArrowPassageStore]:
    dataset = open_dataset(REQUEST)
    return dataset, prepare_store(dataset, dataset.collection(), tmp_path_factory.mktemp("pool-cache"))


@pytest.fixture
def write(full, tmp_path) -> Write:
    dataset, store = full
    last, first = store.ids([len(store) - 1, 0])
    rankings = {dataset.turns[0].id: [last, first], dataset.turns[1].id: []}

    def written(folder: str = "pool", *, depth: int = 2, name: str = "by-hand", rankings: dict[str, list[str]] = rankings) -> Pool:
        given = Contributor(name, {"k": depth}, {"search": {"b": 1, "a": 2}}, Path("by-hand"), rankings)
        return write_pool(dataset, store, "corpus", [given], depth=depth, folder=tmp_path / folder)

    return written


def test_gold_and_ranked_passages_in_the_order_of_the_collection(full, write):
    dataset, store = full
    pool = write()
    gold = {id_ for grades in dataset.adapter.qrels().values() for id_ in grades}
    wanted = gold | set(store.ids([0, len(store) - 1]))
    assert len(wanted) < len(store)
    expected = [passage for passage in store if passage.id in wanted]
    assert list(pool.collection().passages()) == expected
    assert list(jsonl_passages([pool.folder / PASSAGES], id_field="id", text_field="text", title_field="title")) == expected
    own = pool.manifest
    assert (own.dataset, own.split, own.depth, own.passages) == ("topiocqa", "mini", 2, len(expected))
    assert (own.full.sha256, own.full.passages, own.full.origin) == (store.sha256, len(store), "corpus")
    assert (own.gold.turns, own.gold.passages, own.gold.missing) == (len(dataset.retrieval_turns().ids), len(gold), 0)
    assert [(system.name, system.turns) for system in own.systems] == [("by-hand", 1)]


def test_the_same_bytes_twice_and_nothing_else_in_the_folder(write):
    one, other = write("one"), write("other")
    assert one.manifest == other.manifest
    for name in (MANIFEST, PASSAGES):
        assert (one.folder / name).read_bytes() == (other.folder / name).read_bytes()
    assert {path.name for path in one.folder.iterdir()} == {MANIFEST, PASSAGES, ".lock"}
    assert read_pool(one.folder) == one


@pytest.mark.parametrize("name", ["", MANIFEST, PASSAGES])
def test_it_stands_in_for_the_corpus_whatever_part_is_named(write, name):
    pool = write()
    dataset = open_dataset(replace(REQUEST, corpus=pool.folder / name))
    assert dataset.pool == pool
    assert dataset.collection().origin == "pooled"
    assert [path.name for path in dataset.collection().files] == [MANIFEST, PASSAGES]
    assert open_dataset(REQUEST).pool is None
    assert open_dataset(replace(REQUEST, corpus=pool.folder, limit=2)).pool == pool


def test_a_folder_without_a_manifest_is_no_pool(write, tmp_path):
    pool = write()
    (pool.folder / MANIFEST).unlink()
    assert pool_folder(pool.folder) is None
    assert pool_folder(None) is None
    with pytest.raises(MissingFileError, match="no finished pool here"):
        read_pool(pool.folder)
    with pytest.raises(MissingFileError):  # nor does a reader take its passages for a corpus
        open_dataset(replace(REQUEST, corpus=pool.folder)).collection()


def test_datasets_without_a_corpus_option_take_one(tmp_path):
    dataset = open_dataset(DatasetRequest("faithdial"))
    store = prepare_store(dataset, dataset.collection(), tmp_path / "cache")
    pool = write_pool(dataset, store, "corpus", [], depth=1, folder=tmp_path / "pool")
    assert open_dataset(DatasetRequest("faithdial", corpus=pool.folder)).pool == pool


class TestRefused:
    def test_of_another_dataset(self, write):
        with pytest.raises(UsageError, match=r"a pool for topiocqa, split mini, and inscit, split mini is asked for"):
            open_dataset(DatasetRequest("inscit", corpus=write().folder))

    def test_of_another_split(self, write, tmp_path):
        shutil.copy(MINI / "topiocqa" / "topiocqa_mini.jsonl", tmp_path / "topiocqa_dev.jsonl")
        with pytest.raises(UsageError, match=r"split mini, and topiocqa, split dev is asked for: make one with `convbench data pool"):
            open_dataset(DatasetRequest("topiocqa", tmp_path, "dev", corpus=write().folder))

    def test_of_other_judgements(self, write, tmp_path):
        turns = MINI / "topiocqa" / "topiocqa_mini.jsonl"
        kept = turns.read_text(encoding="utf-8").splitlines(keepends=True)[:-1]
        (tmp_path / turns.name).write_text("".join(kept), encoding="utf-8")
        with pytest.raises(UsageError, match=r"a pool for other judgements of topiocqa, split mini \(digest \w+, the files at hand give"):
            open_dataset(DatasetRequest("topiocqa", tmp_path, "mini", corpus=write().folder))

    def test_passages_that_were_changed(self, write):
        pool = write()
        path = pool.folder / PASSAGES
        path.write_bytes(path.read_bytes().replace(b"the", b"teh", 1))
        with pytest.raises(DataError, match=r"pool\.jsonl: is not the file that pool\.json names"):
            list(open_dataset(replace(REQUEST, corpus=pool.folder)).collection().passages())
        with pytest.raises(DataError, match=r"pool\.jsonl: is not the file"):
            write()
        path.unlink()
        with pytest.raises(MissingFileError, match="the passages of the pool are gone"):
            list(pool.collection().passages())

    @pytest.mark.parametrize(
        ("edit", "message"),
        [
            (lambda values: values | {"schema_version": 2}, "expected an object with schema_version 1"),
            (lambda values: values | {"depth": 0}, "depth"),
            (lambda values: values | {"colour": "red"}, "colour"),
            (lambda values: {key: value for key, value in values.items() if key != "gold"}, "gold"),
            (lambda _: [], "expected an object"),
        ],
    )
    def test_a_manifest_that_was_changed(self, write, edit, message):
        pool = write()
        path = pool.folder / MANIFEST
        path.write_text(json.dumps(edit(json.loads(path.read_text(encoding="utf-8")))), encoding="utf-8")
        with pytest.raises(DataError, match=message) as raised:
            read_pool(pool.folder)
        assert "\n" not in str(raised.value)
        assert pools_in(pool.folder.parent) == []

    def test_a_folder_that_holds_another_pool(self, write, full):
        pool = write()
        assert write() == pool
        with pytest.raises(UsageError, match=r"holds another pool: its depth differ \(2 there, 3 here\); choose another --out"):
            write(depth=3)
        with pytest.raises(UsageError, match="its systems differ"):
            write(name="another")
        with pytest.raises(UsageError, match="its systems differ"):
            write(rankings={full[0].turns[0].id: []})
        assert read_pool(pool.folder) == pool

    def test_a_ranked_passage_that_the_collection_lacks(self, write, full):
        turn = full[0].turns[0].id
        with pytest.raises(DataError, match=rf"by-hand: turn {turn}: passage 'nowhere' is not in this collection of {len(full[1])}"):
            write(rankings={turn: ["nowhere"]})

    def test_a_file_in_its_place(self, write, tmp_path):
        (tmp_path / "pool").write_text("")
        with pytest.raises(UsageError, match="expected a folder for the pool"):
            write()


def test_leftovers_of_a_killed_writer_go(write, tmp_path):
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool" / ".lock").touch()
    (tmp_path / "pool" / f".{PASSAGES}.4711.tmp").write_text("half")
    (tmp_path / "pool" / PASSAGES).write_text("of a writer that was killed before the manifest")
    pool = write()
    assert {path.name for path in pool.folder.iterdir()} == {MANIFEST, PASSAGES, ".lock"}
    assert len(list(pool.collection().passages())) == pool.manifest.passages


def test_other_splits_of_an_audit_are_read_without_it(write, tmp_path):
    shutil.copy(MINI / "topiocqa" / "topiocqa_mini.jsonl", tmp_path / "topiocqa_dev.jsonl")
    own = DatasetRequest("topiocqa", tmp_path, "mini", corpus=write().folder)
    opened = list(open_others(own, "mini", ()))
    assert [each.split for each in opened if isinstance(each, Dataset)] == ["dev"]
    assert all(each.pool is None for each in opened if isinstance(each, Dataset))


def test_pools_of_a_folder(write, tmp_path):
    pools = [write("b"), write("a", depth=3)]
    (tmp_path / "c").mkdir()
    assert [pool.folder.name for pool in pools_in(tmp_path)] == ["a", "b"]
    assert pools_in(tmp_path / "nowhere") == []
    assert pools[0].manifest.describe().startswith("topiocqa, split mini: ")
    assert "gold passages and the top 2 of by-hand" in pools[0].manifest.describe()


def test_everybody_asks_the_dataset_for_its_collection():
    """The adapter knows nothing of pools: whoever asks it would search another collection than the results say."""
    package = Path(convbench.__file__).parent
    sources = {path.relative_to(package).as_posix(): path.read_text(encoding="utf-8") for path in package.rglob("*.py")}
    asking = [path for path, source in sources.items() if re.search(r"adapter\.collection\(", source)]
    assert asking == ["datasets/loading.py"]
