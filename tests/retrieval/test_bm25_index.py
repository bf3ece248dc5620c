from __future__ import annotations

import mmap
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import bm25s
import numpy as np
import pytest
from numpy.typing import NDArray

from convbench.errors import StorageError
from convbench.retrieval import bm25_index
from convbench.retrieval.bm25_index import BM25Index

METHODS = ["lucene", "robertson", "atire", "bm25l", "bm25+"]
BLOCK = 1 << 16
"""Passages that the compiled loop scores together."""

Words = Sequence[Sequence[int]]


def collection(seed: int, passages: int, vocabulary: int, longest: int) -> list[list[int]]:
    """Words by Zipf's law; some passages are empty, and every word stands somewhere."""
    chance = np.random.default_rng(seed)
    every = np.array_split(chance.permutation(vocabulary), passages)
    return [
        [*always.tolist(), *((chance.zipf(1.3, size) - 1) % vocabulary).tolist()]
        for always, size in zip(every, chance.integers(0, longest + 1, passages), strict=True)
    ]


def vocabulary_of(passages: Words) -> dict[str, int]:
    return {f"word {number}": number for number in range(max(max(words, default=0) for words in passages) + 1)}


def by_bm25s(passages: Words, method: str) -> Any:
    index = bm25s.BM25(k1=0.9, b=0.4, method=method)
    index.index((list(passages), vocabulary_of(passages)), show_progress=False)
    return index


def opened(index: Any, folder: Path, **options: bool) -> BM25Index:
    index.save(str(folder), show_progress=False)
    return BM25Index(folder, **options)


def expected(index: Any, words: Sequence[int], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """By definition, from the numpy scores of bm25s."""
    scores = index.get_scores_from_ids(list(words))
    absent = 0 if index.nonoccurrence_array is None else index.nonoccurrence_array[np.array(words)].sum()
    rows = np.flatnonzero((scores >= np.sort(scores)[-k:][0]) & (scores > absent))
    return rows, scores[rows]


def assert_equal(ours: BM25Index, theirs: Any, words: Sequence[int], k: int) -> int:
    """How many were found."""
    rows, scores = expected(theirs, words, k)
    found = ours.best(words, k)
    assert found[0].tolist() == rows.tolist()
    assert found[1].tobytes() == scores.tobytes()
    return len(rows)


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("method", METHODS)
def test_finds_what_bm25s_scores(tmp_path: Path, method: str, mapped: bool) -> None:
    passages = collection(3, 2000, 300, 25)
    theirs = by_bm25s(passages, method)
    ours = opened(theirs, tmp_path, mapped=mapped)
    chance = np.random.default_rng(4)
    for _ in range(60):
        words = chance.integers(0, 300, chance.integers(1, 15)).tolist()
        for k in (1, 10, 100, 5000):
            assert_equal(ours, theirs, words, k)


@pytest.mark.parametrize("method", ["lucene", "bm25+"])
def test_more_passages_than_are_scored_together(tmp_path: Path, method: str) -> None:
    chance = np.random.default_rng(5)
    passages = chance.integers(0, 50, (2 * BLOCK + 77, 3)).tolist()
    theirs = by_bm25s(passages, method)
    ours = opened(theirs, tmp_path)
    for words in ([3], [1, 2, 4], [7, 7, 0, 49], list(range(50)) * 2):
        for k in (1, 100, 1000, BLOCK + 1, 10**6):
            assert_equal(ours, theirs, words, k)


@pytest.mark.parametrize("method", METHODS)
def test_all_that_share_the_score_at_the_cut_are_found(tmp_path: Path, method: str) -> None:
    passages = [[0, 1], *([[1, 2]] * 30_000), [0, 0, 1], *([[3]] * 40_000), [2, 2]]
    theirs = by_bm25s(passages, method)
    ours = opened(theirs, tmp_path)
    for k in (1, 7, 1000):
        assert assert_equal(ours, theirs, [1], k) >= 30_000 or k == 1 or method == "robertson"  # it gives common words no weight
        assert_equal(ours, theirs, [2, 0], k)
        assert_equal(ours, theirs, [3, 2, 1, 0], k)


def test_scores_that_rise_with_the_row(tmp_path: Path) -> None:
    """Every passage is better than all before it: what is kept is sorted out again and again."""
    passages = [[0] * (1 + n) for n in range(3000)]
    theirs = bm25s.BM25(k1=1000, b=0.0)
    theirs.index((passages, {"word": 0}), show_progress=False)
    ours = opened(theirs, tmp_path)
    assert ours.best([0], 5)[0].tolist() == [2995, 2996, 2997, 2998, 2999]
    for k in (1, 64, 700):
        assert_equal(ours, theirs, [0], k)


def test_one_passage(tmp_path: Path) -> None:
    theirs = by_bm25s([[0, 1, 0]], "lucene")
    ours = opened(theirs, tmp_path)
    for words in ([0], [1, 0], [0, 0]):
        assert assert_equal(ours, theirs, words, 1) == 1
        assert ours.best(words, 1000)[0].tolist() == [0]


def test_no_words_none_wanted_and_words_that_no_passage_holds(tmp_path: Path) -> None:
    theirs = by_bm25s([[0, 1], [1]], "bm25+")
    empty = theirs.vocab_dict[""]
    ours = opened(theirs, tmp_path)
    for words, k in (([], 5), ([0], 0), ([empty], 5), ([99, empty], 5)):
        assert [found.tolist() for found in ours.best(words, k)] == [[], []]
    rows, scores = ours.best([empty, 0, 99], 5)
    assert (rows.tolist(), scores.tobytes()) == ([0], expected(theirs, [0], 5)[1].tobytes())


def test_mapped_postings_stay_on_disk(tmp_path: Path) -> None:
    index = opened(by_bm25s(collection(6, 50, 20, 9), "lucene"), tmp_path)
    for array in (index._weights, index._passages, index._ends):
        while isinstance(array, np.ndarray):
            array = array.base
        assert isinstance(array, mmap.mmap)
    loaded = BM25Index(tmp_path, mapped=False)
    assert loaded._weights.base is None or isinstance(loaded._weights.base, np.ndarray)
    assert [found.tobytes() for found in loaded.best([1, 2], 9)] == [found.tobytes() for found in index.best([1, 2], 9)]


def resident(folder: Path) -> int:
    """Bytes of an index' postings that this process holds on to."""
    mapped = Path("/proc/self/smaps").read_text(encoding="utf-8")
    held = re.findall(rf"{re.escape(str(folder))}/(?:data|indices)\.csc.*?\nRss: +(\d+) kB", mapped, re.DOTALL)
    return 1024 * sum(map(int, held))


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="only Linux tells what is resident")
def test_postings_that_were_read_are_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passages = [list(range(n % 7, 40)) for n in range(30_000)]
    index = opened(by_bm25s(passages, "lucene"), tmp_path)
    whole = 8 * len(index._passages)
    everything = list(range(40))
    first = index.best(everything, 100)
    assert resident(tmp_path) > 0.8 * whole
    monkeypatch.setattr(bm25_index, "_KEPT", whole // 2)
    monkeypatch.setattr(bm25_index, "_AROUND", 0)
    assert [found.tobytes() for found in index.best(everything, 100)] == [found.tobytes() for found in first]
    assert resident(tmp_path) == 0
    assert [found.tobytes() for found in index.best(everything[:10], 100)] != [found.tobytes() for found in first]
    assert 0 < resident(tmp_path) < whole // 2


def test_more_postings_than_32_bits_count(tmp_path: Path) -> None:
    """Word 0 has two thousand million postings, which are a hole in the files; those of word 1 come after them."""
    before, passages, weights = (1 << 31) + 5, np.array([2, 7, 70_000], np.int32), np.array([0.5, 2.0, 1.0], np.float32)
    by_bm25s([[0]] * 70_001, "lucene").save(str(tmp_path), show_progress=False)
    for name, array in (("indices", passages), ("data", weights)):
        count = before + len(array)
        with (tmp_path / f"{name}.csc.index.npy").open("wb") as handle:
            header = {"descr": np.lib.format.dtype_to_descr(array.dtype), "fortran_order": False, "shape": (count,)}
            np.lib.format.write_array_header_1_0(handle, header)
            handle.seek(4 * before, os.SEEK_CUR)
            handle.write(array.tobytes())
    np.save(tmp_path / "indptr.csc.index.npy", np.array([0, before, before + len(passages)], np.int64))
    index = BM25Index(tmp_path)
    for k, rows in ((1, [7]), (2, [7, 70_000]), (9, [2, 7, 70_000])):
        found, scores = index.best([1], k)
        assert found.tolist() == rows
        assert scores.tolist() == [weights[passages.tolist().index(row)] for row in rows]


def test_mapped_and_loaded_share_the_compiled_loop(tmp_path: Path) -> None:
    from convbench.retrieval.bm25_kernel import best

    opened(by_bm25s(collection(6, 50, 20, 9), "lucene"), tmp_path).best([1], 3)
    compiled = len(best.signatures)  # type: ignore[attr-defined]
    BM25Index(tmp_path, mapped=False).best([1], 3)
    assert len(best.signatures) == compiled  # type: ignore[attr-defined]


def test_the_compiled_code_does_without_a_folder_to_keep_it_in(monkeypatch: pytest.MonkeyPatch) -> None:
    from numba.core.dispatcher import Dispatcher

    from convbench.retrieval import bm25_kernel

    def refuse(self: Dispatcher) -> None:
        raise RuntimeError("cannot cache function: no locator available")

    def twice(value: int) -> int:
        return 2 * value

    monkeypatch.setattr(Dispatcher, "enable_caching", refuse)
    assert bm25_kernel.compiled(twice)(21) == 42


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("indices", lambda array: array[:-1], "weights for"),
        ("data", lambda array: array[:5], "weights for"),
        ("indptr", lambda array: array[::-1].copy(), "for 0 postings"),
        ("indptr", lambda array: np.concatenate([array[:2][::-1], array[2:]]), "not in order"),
    ],
)
def test_damaged_postings_never_reach_compiled_code(
    tmp_path: Path, name: str, change: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]], said: str
) -> None:
    opened(by_bm25s(collection(6, 50, 20, 9), "lucene"), tmp_path)
    path = tmp_path / f"{name}.csc.index.npy"
    array = np.load(path)
    np.save(path, change(array).astype(array.dtype))
    with pytest.raises(StorageError, match=said) as raised:
        BM25Index(tmp_path)
    assert str(raised.value).startswith(f"{tmp_path}: a damaged BM25 index")


def test_a_file_that_is_cut(tmp_path: Path) -> None:
    opened(by_bm25s(collection(6, 50, 20, 9), "lucene"), tmp_path)
    path = tmp_path / "data.csc.index.npy"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(StorageError, match=r"a damaged BM25 index .* remove the folder"):
        BM25Index(tmp_path)


SEARCHES = """
import sys
from pathlib import Path
from convbench.retrieval.bm25_index import BM25Index
rows, scores = BM25Index(Path(sys.argv[1])).best([1, 2], 5)
print(rows.tolist(), scores.tolist())
"""


@pytest.mark.parametrize(
    "spoil",
    [pytest.param(lambda path: b"", id="emptied", marks=pytest.mark.slow), pytest.param(lambda path: path.read_bytes()[:40], id="cut")],
)
def test_machine_code_that_was_spoilt_is_made_anew(tmp_path: Path, spoil: Callable[[Path], bytes]) -> None:
    opened(by_bm25s(collection(6, 50, 20, 9), "lucene"), tmp_path / "index")

    def search() -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "code")}
        command = [sys.executable, "-c", SEARCHES, str(tmp_path / "index")]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True)

    first = search()
    files = [path for path in (tmp_path / "code").rglob("*") if path.suffix in (".nbi", ".nbc")]
    assert files
    for path in files:
        path.write_bytes(spoil(path))
    again = search()
    assert again.stdout == first.stdout
    assert "compiling it anew" in again.stderr
