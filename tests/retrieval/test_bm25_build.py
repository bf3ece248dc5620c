from __future__ import annotations

import json
import logging
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bm25s
import numpy as np
import pytest
from small_disk import small_disk

from convbench.errors import StorageError, UsageError
from convbench.meter import Meter
from convbench.retrieval import bm25_block, bm25_build, bm25_count, bm25_merge, bm25_scores
from convbench.retrieval.base import Found
from convbench.retrieval.bm25 import BM25Config, BM25Retriever
from convbench.retrieval.bm25_block import Block, Counting, open_block, write_block
from convbench.retrieval.bm25_build import parts_of
from convbench.retrieval.bm25_count import check_index_room
from convbench.retrieval.bm25_merge import ranges
from convbench.retrieval.bm25_vocabulary import Vocabulary, knowing, save_vocabulary
from convbench.retrieval.index_folder import MANIFEST, IndexFolder
from convbench.types import Passage
from convbench.views.passages import passage_text
from convbench.views.query import Query
from convbench.views.words import Analyzer, AnalyzerConfig

if TYPE_CHECKING:
    from conftest import StoreOf

METHODS = ["lucene", "robertson", "atire", "bm25l", "bm25+"]
PLAIN = AnalyzerConfig(stemmer="none", stopwords="none")
ENGLISH = AnalyzerConfig()
OF_BM25S = ["data.csc.index.npy", "indices.csc.index.npy", "indptr.csc.index.npy", "params.index.json", "vocab.index.json"]


def collection(seed: int, count: int) -> list[Passage]:
    """Words by Zipf's law, of many scripts; many passages are empty or hold stop words only, some repeat one word very often."""
    chance, numbers = random.Random(seed), np.random.default_rng(seed)
    words = ["the", "of", "boats", "boating", "Straße", "naïve", "東京", "Ελλάδα", "привет", "e\u0301te\u0301", "𝔘𝔫𝔦", "x_y", "İstanbul"]
    words += ["".join(chance.choices("abcdeéß日ж", k=chance.randint(2, 7))) + chance.choice(["", "s", "ing", "ed"]) for _ in range(400)]
    texts = [
        " ".join(words[n % len(words)] for n in numbers.zipf(1.3, size) - 1)
        for size in numbers.choice([0, 0, 1, 3, 12, 40, 90], count).tolist()
    ]
    texts[count // 2] = "rope " * 300 + "sail"
    return [Passage(f"p{n}", text, chance.choice(["", "Boats", "the"])) for n, text in enumerate(texts)]


PASSAGES = collection(1, 330)


def retriever(method: str = "lucene", analyzer: AnalyzerConfig = ENGLISH, k1: float = 0.9, b: float = 0.4) -> BM25Retriever:
    return BM25Retriever(BM25Config.model_validate({"k1": k1, "b": b, "method": method, "analyzer": analyzer}))


def of_bm25s(passages: Sequence[Passage], folder: Path, method: str, analyzer: AnalyzerConfig, k1: float = 0.9, b: float = 0.4) -> None:
    """All of it by bm25s: its tokenizer, its index, its files."""
    tokenizer = Analyzer(analyzer).tokenizer()
    words = tokenizer.tokenize([passage_text(each) for each in passages], update_vocab=True, allow_empty=False, show_progress=False)
    index = bm25s.BM25(k1=k1, b=b, method=method)
    index.index((words, tokenizer.get_vocab_dict()), show_progress=False)
    index.save(str(folder), show_progress=False)


def built(cache: Path) -> Path:
    (folder,) = (cache / "bm25").iterdir()
    return folder


def content(folder: Path) -> dict[str, bytes]:
    """Every file below, which are those of the index and no others."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.name != "build.lock"}


def equal(ours: dict[str, bytes], theirs: dict[str, bytes]) -> bool:
    """Whether theirs are among our files: byte for byte, but for the blanks in JSON, which bm25s leaves out where orjson is installed."""
    numbers = [list(json.loads(files["vocab.index.json"]).items()) for files in (ours, theirs)]
    return numbers[0] == numbers[1] and all(ours[name] == theirs[name] for name in theirs if name != "vocab.index.json")


def small(monkeypatch: pytest.MonkeyPatch, rows: int = 50, read: int = 7, together: int = 100, remembered: int = 20) -> None:
    """Many blocks, reads and ranges in a small collection."""
    monkeypatch.setattr(bm25_block, "ROWS", rows)
    monkeypatch.setattr(bm25_count, "_READ", read)
    monkeypatch.setattr(bm25_count, "_REMEMBERED", remembered)
    monkeypatch.setattr(bm25_merge, "TOGETHER", together)
    monkeypatch.setattr(bm25_scores, "_TOGETHER", max(together // 3, 1))


@pytest.mark.parametrize("analyzer", [ENGLISH, PLAIN], ids=["english", "plain"])
@pytest.mark.parametrize("method", METHODS)
def test_files_are_those_of_bm25s(
    store_of: StoreOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, analyzer: AnalyzerConfig
) -> None:
    of_bm25s(PASSAGES, tmp_path / "theirs", method, analyzer)
    theirs = content(tmp_path / "theirs")
    assert set(theirs) == {*OF_BM25S, *(["nonoccurrence_array.index.npy"] if method in ("bm25l", "bm25+") else [])}
    store = store_of(PASSAGES)
    for number, sizes in enumerate([(65536, 10_000, 1 << 23), (50, 7, 300), (329, 330, 5000), (330, 4, 100)]):
        small(monkeypatch, *sizes)
        retriever(method, analyzer).index(store, tmp_path / str(number), Meter())
        ours = content(built(tmp_path / str(number)))
        assert equal(ours, theirs)
        assert sorted(ours) == sorted([MANIFEST, *(part.name for part in parts_of(bm25s.BM25(method=method)))])


@pytest.mark.parametrize("seed", range(4))
def test_random_collections(store_of: StoreOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    chance = random.Random(seed)
    passages, method = collection(seed + 10, chance.randint(2, 60)), chance.choice(METHODS)
    small(monkeypatch, chance.randint(1, 9), chance.randint(1, 99), chance.randint(1, 999))
    k1, b = chance.choice([0.0, 1.2]), chance.choice([0.0, 0.75, 1.0])
    of_bm25s(passages, tmp_path / "theirs", method, ENGLISH, k1, b)
    retriever(method, k1=k1, b=b).index(store_of(passages), tmp_path, Meter())
    assert equal(content(built(tmp_path)), content(tmp_path / "theirs"))


def test_a_pattern_that_matches_the_empty_word(store_of: StoreOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passages = [Passage("a", "quiet boat"), Passage("b", "q q"), Passage("c", "boats")]
    analyzer = AnalyzerConfig(pattern=r"(?<=q)|\w\w+")
    small(monkeypatch, 2)
    of_bm25s(passages, tmp_path / "theirs", "bm25+", analyzer)
    retriever("bm25+", analyzer).index(store_of(passages), tmp_path, Meter())
    ours = content(built(tmp_path))
    assert "" in json.loads(ours["vocab.index.json"])
    assert equal(ours, content(tmp_path / "theirs"))


def test_bm25s_itself_opens_the_index(store_of: StoreOf, tmp_path: Path) -> None:
    found = retriever()
    found.index(store_of(PASSAGES), tmp_path, Meter())
    theirs = bm25s.BM25.load(str(built(tmp_path)), mmap=True, show_progress=False)
    stem = Analyzer(ENGLISH).tokenizer().stemmer
    scores = theirs.get_scores([stem("boats"), "rope"])
    (ours,) = found.search([Query.of("1_1", "boats rope")], 10, Meter())
    np.testing.assert_allclose([score for _, score in ours.ranking.passages], np.sort(scores)[::-1][:10], rtol=1e-6)


class TestBlocks:
    def test_a_block_comes_back_as_it_was_written(self, tmp_path: Path) -> None:
        chance = np.random.default_rng(3)
        counting = Counting()
        passages = [chance.integers(0, 90, size).tolist() for size in chance.integers(0, 30, 500)]
        counting.add(passages[:100])
        counting.add([])
        counting.add(passages[100:])
        block = counting.block(["naïve", "東京", 'quo"te\n'])
        write_block(block, tmp_path / "block.npy")
        found = open_block(tmp_path / "block.npy")
        for name, array in block._asdict().items():
            assert getattr(found, name).dtype == array.dtype
            assert getattr(found, name).tolist() == array.tolist()
        assert found.new_words == ["naïve", "東京", 'quo"te\n']
        for word in range(90):
            part = found.between(word, word + 1)
            expected = [(row, words.count(word)) for row, words in enumerate(passages) if word in words]
            assert list(zip(part.rows.tolist(), part.times.tolist(), strict=True)) == expected

    @pytest.mark.parametrize("passages", [[[]], [[], []], [[0]], [[], [5, 5, 5], []]])
    def test_small_ones(self, tmp_path: Path, passages: list[list[int]]) -> None:
        counting = Counting()
        counting.add(passages)
        write_block(counting.block([]), tmp_path / "block.npy")
        found = open_block(tmp_path / "block.npy")
        assert found.lengths.tolist() == [len(words) for words in passages]
        assert found.words.tolist() == sorted({word for words in passages for word in words})
        assert found.new_words == []
        assert len(found.between(1, 5).rows) == 0

    @pytest.mark.parametrize(("times", "kind"), [(255, "uint8"), (256, "uint16"), (65536, "uint32")])
    def test_a_word_that_comes_very_often(self, tmp_path: Path, times: int, kind: str) -> None:
        counting = Counting()
        counting.add([[7] * times, [8]])
        block = counting.block([])
        assert (block.times.dtype, block.times.tolist()) == (np.dtype(kind), [times, 1])
        write_block(block, tmp_path / "block.npy")
        assert open_block(tmp_path / "block.npy").times.tolist() == [times, 1]

    def test_postings_beyond_what_32_bits_count(self) -> None:
        """The parts of a block are found by 64-bit places; a mapped file that is mostly a hole costs nothing."""
        most = 1 << 31
        rows = np.zeros(1, np.uint16)
        block = Block(np.array([0, most, most + 1]), np.array([4, 6], np.int32), rows, np.broadcast_to(rows, most + 1), rows, rows)
        assert len(block._replace(times=block.rows).between(6, 7).rows) == 1

    @pytest.mark.parametrize("most", [1, 10, 100, 1 << 40])
    def test_ranges_of_words(self, most: int) -> None:
        held_by = np.random.default_rng(2).zipf(1.2, 300).clip(0, 500).astype(np.int64)
        held_by[::50] = 0
        found = list(ranges(held_by, most))
        assert [first for first, _ in found] == [0, *(stop for _, stop in found[:-1])]
        assert found[-1][1] == len(held_by)
        for first, stop in found:
            assert stop == first + 1 or held_by[first:stop].sum() <= most

    def test_ranges_beyond_what_32_bits_count(self) -> None:
        held_by = np.array([3, 54_573_064, 1 << 31, 5, 1 << 33, 0, 1], np.int64)
        assert list(ranges(held_by, 1 << 31)) == [(0, 2), (2, 3), (3, 4), (4, 5), (5, 7)]


class TestVocabulary:
    WORDS = ("boat", "boats", "", "Ελλάδα", "𝔘𝔫𝔦", "東京", "zz", "a\nb", "\uffff", "é", "e\u0301")

    def test_it_maps_as_a_dictionary(self, tmp_path: Path) -> None:
        numbers = {word: 3 * number for number, word in enumerate(self.WORDS)}
        save_vocabulary(numbers, tmp_path)
        found = Vocabulary(tmp_path)
        assert dict(found) == numbers
        assert len(found) == len(numbers)
        for absent in ("boa", "boatss", "zzz", "\0", "E", "\ud800", "東"):
            assert absent not in found
            with pytest.raises(KeyError):
                found[absent]

    @pytest.mark.parametrize("words", [[], [""]])
    def test_next_to_nothing(self, tmp_path: Path, words: list[str]) -> None:
        save_vocabulary(dict.fromkeys(words, 0), tmp_path)
        assert list(Vocabulary(tmp_path)) == words
        assert "boat" not in Vocabulary(tmp_path)

    @pytest.mark.parametrize("analyzer", [ENGLISH, PLAIN])
    def test_queries_have_the_numbers_of_bm25s(self, tmp_path: Path, analyzer: AnalyzerConfig) -> None:
        texts = [passage_text(passage) for passage in PASSAGES]
        tokenizer = Analyzer(analyzer).tokenizer()
        tokenizer.tokenize(texts[::2], update_vocab=True, allow_empty=False, show_progress=False)
        save_vocabulary(tokenizer.get_vocab_dict(), tmp_path)
        ours = knowing(Analyzer(analyzer).tokenizer(), Vocabulary(tmp_path))
        for _ in range(2):
            asked = {"update_vocab": False, "allow_empty": False, "show_progress": False}
            assert ours.tokenize(texts, **asked) == tokenizer.tokenize(texts, **asked)


def spoilt(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "flipped":
        data[len(data) * 2 // 3] ^= 4
    path.write_bytes(data[: len(data) // 2] if how == "cut" else data)
    if how == "gone":
        path.unlink()


def searched(store: Any, cache: Path, queries: list[Query]) -> list[Found]:
    """What a newly opened index finds; no mapping of it stays, so that its files can be spoilt."""
    found = retriever("bm25+")
    found.index(store, cache, Meter())
    return found.search(queries, 9, Meter())


class TestDamage:
    @pytest.mark.parametrize("how", ["flipped", "cut", "gone"])
    def test_any_damaged_file_is_made_again(self, store_of: StoreOf, tmp_path: Path, caplog: pytest.LogCaptureFixture, how: str) -> None:
        store = store_of(PASSAGES[:40])
        retriever("bm25+").index(store, tmp_path, Meter())
        folder = built(tmp_path)
        whole = content(folder)
        queries = [Query.of("1_1", "boats rope sail")]
        expected = searched(store, tmp_path, queries)
        for name in sorted(whole):
            caplog.clear()
            spoilt(folder / name, how)
            assert searched(store, tmp_path, queries) == expected
            assert content(folder) == whole
            said = "the index is made again" if name == MANIFEST and how in ("flipped", "cut") else f"{name}: "
            assert said in caplog.text or (name == MANIFEST and how == "gone"), name

    def test_damaged_blocks_of_an_interrupted_build_are_made_again(
        self, store_of: StoreOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        small(monkeypatch)
        store = store_of(PASSAGES)
        retriever().index(store, tmp_path / "whole", Meter())
        leave_blocks(monkeypatch, store, tmp_path)
        blocks = built(tmp_path) / "blocks"
        assert not (blocks / "merged").exists()
        spoilt(blocks / "block-00000.npy", "flipped")
        spoilt(blocks / "block-00003.npy", "cut")
        spoilt(blocks / "block-00006.npy", "gone")
        counted = counting(monkeypatch)
        retriever().index(store, tmp_path, Meter())
        assert counted == [50, 50, 30]
        assert content(built(tmp_path)) == content(built(tmp_path / "whole"))
        assert "block-00003.npy: its content is not what was written: made again" in caplog.text

    def test_an_index_without_a_manifest_is_not_used(self, store_of: StoreOf, tmp_path: Path) -> None:
        store = store_of(PASSAGES[:40])
        retriever().index(store, tmp_path, Meter())
        whole = content(built(tmp_path))
        (built(tmp_path) / MANIFEST).unlink()
        spoilt(built(tmp_path) / "indices.csc.index.npy", "flipped")
        retriever().index(store, tmp_path, Meter())
        assert content(built(tmp_path)) == whole


def leave_blocks(monkeypatch: pytest.MonkeyPatch, store: Any, cache: Path) -> None:
    """What a build leaves that was interrupted when all words were counted."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(bm25_build, "write_postings", interrupted)
        with pytest.raises(KeyboardInterrupt):
            retriever().index(store, cache, Meter())


def counting(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The passages of every block that is counted from now on."""
    counted: list[int] = []
    block = Counting.block

    def noting(self: Counting, new_words: Sequence[str]) -> Block:
        made = block(self, new_words)
        counted.append(len(made.lengths))
        return made

    monkeypatch.setattr(Counting, "block", noting)
    return counted


class TestFormerIndexes:
    """Of versions that built them in memory: folders that came whole, without a lock or a manifest."""

    def test_they_are_named_when_an_index_is_built(self, store_of: StoreOf, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        for name in ("aa", "bb"):
            (tmp_path / "bm25" / name).mkdir(parents=True)
            (tmp_path / "bm25" / name / "data.csc.index.npy").write_bytes(bytes(1_000_000))
            (tmp_path / "bm25" / name / "vocab.index.json").write_bytes(bytes(50_000))
        (tmp_path / "bm25" / "mine").mkdir()
        store = store_of(PASSAGES)
        retriever().index(store, tmp_path, Meter())
        (said,) = caplog.messages
        assert said.startswith(f"{tmp_path / 'bm25'}: 2.1 MB of BM25 indexes of an older version")
        assert said.endswith("can be removed: aa, bb")
        caplog.clear()
        retriever().index(store, tmp_path, Meter())
        retriever("atire", k1=1.2).index(store, tmp_path / "other", Meter())
        assert caplog.messages == []

    def test_of_todays_only_whole_ones_and_none_at_work(self, store_of: StoreOf, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        retriever().index(store_of(PASSAGES), tmp_path, Meter())
        retriever("atire").index(store_of(PASSAGES), tmp_path, Meter())
        assert caplog.messages == []

    def test_beside_one_on_a_read_only_disk_it_says_what_to_do(self, store_of: StoreOf, tmp_path: Path) -> None:
        with small_disk(tmp_path / "disk", kib=256) as disk:
            (disk.folder / "bm25" / "aa").mkdir(parents=True)
            (disk.folder / "bm25" / "aa" / "data.csc.index.npy").write_bytes(b"postings")
            disk.writable(False)
            with pytest.raises(
                StorageError, match=r"read-only.*of another version: name a cache that can be written to \(--cache, or CONV"
            ):
                retriever().index(store_of(PASSAGES), disk.folder, Meter())


class TestFaults:
    @pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OSError("512 requested and 100 written")])
    def test_a_full_disk_while_counting(self, store_of: StoreOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
        small(monkeypatch, rows=120)
        store = store_of(PASSAGES)
        retriever().index(store, tmp_path / "whole", Meter())
        self._fails(monkeypatch, bm25_count, "write_block", 2, error, lambda: retriever().index(store, tmp_path, Meter()))
        assert sorted(path.name for path in built(tmp_path).rglob("block-*")) == ["block-00000.npy"]
        assert not list(built(tmp_path).rglob("*.tmp"))
        counted = counting(monkeypatch)
        retriever().index(store, tmp_path, Meter())
        assert counted == [120, 90]
        assert content(built(tmp_path)) == content(built(tmp_path / "whole"))

    @pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OSError("512 requested and 100 written")])
    @pytest.mark.parametrize("name", ["write_postings", "save_vocabulary"])
    def test_a_full_disk_while_sorting(
        self, store_of: StoreOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, name: str
    ) -> None:
        small(monkeypatch, rows=120)
        store = store_of(PASSAGES)
        retriever().index(store, tmp_path / "whole", Meter())
        self._fails(monkeypatch, bm25_build, name, 1, error, lambda: retriever().index(store, tmp_path, Meter()))
        assert {path.name for path in built(tmp_path).iterdir()} == {"blocks", "build.lock"}
        assert not (built(tmp_path) / "blocks" / "merged").exists()
        counted = counting(monkeypatch)
        retriever().index(store, tmp_path, Meter())
        assert counted == []
        assert content(built(tmp_path)) == content(built(tmp_path / "whole"))

    @staticmethod
    def _fails(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, time: int, error: OSError, build: Callable[[], None]) -> None:
        """The function does its work, and fails the given time it is called, with all of it written."""
        real, calls = getattr(module, name), []

        def failing(*arguments: object) -> None:
            real(*arguments)
            calls.append(name)
            if len(calls) == time:
                raise error

        with monkeypatch.context() as patch:
            patch.setattr(module, name, failing)
            with pytest.raises(StorageError, match="cannot write: the disk is full"):
                build()

    def test_a_disk_without_room_is_refused_before_anything_is_counted(self, tmp_path: Path) -> None:
        with pytest.raises(StorageError, match=r"are needed and .* are free: 9 passages take .* set CONVBENCH_CACHE"):
            check_index_room(tmp_path / "bm25" / "x", "9 passages take 1 EB each", 9 << 60)

    def test_the_arithmetic_of_the_room(self, store_of: StoreOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is asked for before counting is about what the finished index and its blocks take."""
        asked: list[int] = []
        small(monkeypatch, rows=100)
        monkeypatch.setattr(bm25_count, "check_index_room", lambda folder, what, needed: asked.append(needed))
        passages = [Passage(f"p{n}", " ".join(f"w{(7 * n + m) % 50}" for m in range(40))) for n in range(400)]
        leave_blocks(monkeypatch, store_of(passages), tmp_path)
        once = sum(path.stat().st_size - 6 * 128 for path in built(tmp_path).rglob("block-*"))
        (needed,) = asked
        assert needed == pytest.approx(once + 400 * 40 * 8, rel=0.02)

    def test_more_passages_than_32_bits_count_are_refused(self, tmp_path: Path) -> None:
        class Endless:
            sha256 = "0" * 64

            def __len__(self) -> int:
                return 1 << 31

        with pytest.raises(UsageError, match=r"bm25: the collection has 2,147,483,648 passages, at most 2,147,483,647"):
            retriever().index(Endless(), tmp_path, Meter())  # type: ignore[arg-type]

    def test_a_second_process_waits_and_finds_what_the_first_built(
        self, store_of: StoreOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        store = store_of(PASSAGES[:60])
        retriever().index(store, tmp_path / "first", Meter())
        first = built(tmp_path / "first")
        folder = IndexFolder(tmp_path / "second" / "bm25" / first.name, tmp_path / "second")
        found, counted = retriever(), counting(monkeypatch)
        thread = threading.Thread(target=found.index, args=(store, tmp_path / "second", Meter()))
        with caplog.at_level(logging.WARNING), folder.locked():
            thread.start()
            until(lambda: "is building this index" in caplog.text)
            shutil.copytree(first, folder.path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("build.lock"))
        thread.join(60)
        assert not thread.is_alive()
        assert counted == []
        assert len(found.search([Query.of("1_1", "boats")], 5, Meter())[0].ranking.passages) == 5


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


KILLS = """
import hashlib, os, signal, sys
from pathlib import Path
from convbench.datasets.store import ArrowPassageStore
from convbench.meter import Meter
from convbench.retrieval import bm25_block, bm25_merge
from convbench.retrieval.base import Found
from convbench.retrieval.bm25 import BM25Config, BM25Retriever
import bm25s, bm25s.tokenization, Stemmer, pyarrow

bm25_block.ROWS, bm25_merge.TOGETHER = 50, 2000
store, folder, step = ArrowPassageStore(Path(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[3])

def build(cache):
    BM25Retriever(BM25Config(k1=0.9, b=0.4, method="bm25+")).index(store, cache, Meter())

def build_until(cache, time):
    happened = 0
    def hook(event, arguments):
        nonlocal happened
        if event in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir"):
            happened += 1
            if happened == time:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    build(cache)

def digests(cache):
    (built,) = (cache / "bm25").iterdir()
    files = sorted(path for path in built.rglob("*") if path.name != "build.lock")
    return [(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]

build(folder / "whole")
whole, time, killed = digests(folder / "whole"), 1, 0
while True:
    cache = folder / str(time)
    child = os.fork()
    if not child:
        try:
            build_until(cache, time)
        finally:
            os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != -signal.SIGKILL:
        break
    build(cache)
    assert digests(cache) == whole, time
    killed, time = killed + 1, time + step
print(killed)
"""


def kills(store: Any, folder: Path, step: int) -> int:
    """Kills builds at every ``step``-th thing they do to the disk, and asserts that the next one ends with the same bytes; how many."""
    command = [sys.executable, "-c", KILLS, str(store.folder), str(folder), str(step)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_killed_builds_go_on_and_end_the_same(store_of: StoreOf, tmp_path: Path) -> None:
    assert kills(store_of(PASSAGES[:90]), tmp_path, 37) >= 4


@pytest.mark.slow
def test_builds_killed_at_any_moment_go_on_and_end_the_same(store_of: StoreOf, tmp_path: Path) -> None:
    assert kills(store_of(PASSAGES[:160]), tmp_path, 3) >= 60
