from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from small_index import shards_of

from convbench.retrieval.exact import ExactSearcher
from convbench.retrieval.shards import Storage

ONE_BLOCK = 1 << 30
SMALLEST = 1
"""Blocks of 1024 vectors, the fewest there are."""


def vectors_of(seed: int, rows: int, dim: int) -> NDArray[np.float32]:
    """Vectors of about length 1."""
    return np.random.default_rng(seed).standard_normal((rows, dim), dtype=np.float32) / np.float32(dim**0.5)


def one_flat_index(vectors: NDArray[np.float32], queries: NDArray[np.float32], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    import faiss

    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return index.search(queries, k)


@pytest.mark.parametrize("k", [1, 100, 700])
@pytest.mark.parametrize(("rows", "shard_rows"), [(1, 5), (700, 90), (3072, 999), (2500, 400)])
class TestEqualsOneFlatIndex:
    @pytest.mark.parametrize("storage", ["float16", "float32"])
    def test_few_queries(self, tmp_path: Path, rows: int, shard_rows: int, k: int, storage: Storage) -> None:
        """Each product is summed by itself then, so that nothing but the vectors matters."""
        vectors, queries = vectors_of(1, rows, 24).astype(storage).astype(np.float32), vectors_of(2, 9, 24)
        k = min(k, rows)
        scores, expected = one_flat_index(vectors, queries, k)
        found = ExactSearcher(shards_of(tmp_path, vectors, storage=storage, shard_rows=shard_rows), SMALLEST).nearest(queries, k)
        assert [neighbours.rows[:k].tolist() for neighbours in found] == expected.tolist()
        assert [neighbours.scores[:k].tolist() for neighbours in found] == scores.tolist()

    def test_many_queries(self, tmp_path: Path, rows: int, shard_rows: int, k: int) -> None:
        """Matrices are multiplied then; whole blocks are the same calls, only the odd rest may sum in another order."""
        vectors, queries = vectors_of(1, rows, 512).astype(np.float16).astype(np.float32), vectors_of(2, 300, 512)
        k = min(k, rows)
        scores, expected = one_flat_index(vectors, queries, k)
        found = ExactSearcher(shards_of(tmp_path, vectors, storage="float16", shard_rows=shard_rows), SMALLEST).nearest(queries, k)
        ours = np.array([neighbours.scores[:k] for neighbours in found])
        if rows % 1024 == 0:
            assert np.array_equal(ours, scores)
            assert [neighbours.rows[:k].tolist() for neighbours in found] == expected.tolist()
        np.testing.assert_allclose(ours, scores, rtol=0, atol=2e-6)
        exact = queries.astype(np.float64) @ vectors.astype(np.float64).T
        for query, neighbours in enumerate(found):
            np.testing.assert_allclose(exact[query, neighbours.rows[:k]], np.sort(exact[query])[::-1][:k], rtol=0, atol=2e-6)


@pytest.mark.parametrize("block_bytes", [SMALLEST, 4 * 16 * 2048, ONE_BLOCK])
def test_blocks_and_shards_do_not_show(tmp_path: Path, block_bytes: int) -> None:
    vectors, queries = vectors_of(3, 5000, 16), vectors_of(4, 5, 16)
    whole = ExactSearcher(shards_of(tmp_path / "whole", vectors, shard_rows=9999), ONE_BLOCK).nearest(queries, 50)
    found = ExactSearcher(shards_of(tmp_path / "parts", vectors, shard_rows=321), block_bytes).nearest(queries, 50)
    for ours, theirs in zip(found, whole, strict=True):
        assert (ours.rows.tolist(), ours.scores.tolist()) == (theirs.rows.tolist(), theirs.scores.tolist())


def test_products_below_zero_count(tmp_path: Path) -> None:
    vectors = -np.arange(1, 7, dtype=np.float32)[:, None]
    (found,) = ExactSearcher(shards_of(tmp_path, vectors, shard_rows=2)).nearest(np.ones((1, 1), dtype=np.float32), 4)
    assert found.rows[:4].tolist() == [0, 1, 2, 3]
    assert found.scores[:4].tolist() == [-1, -2, -3, -4]


@pytest.mark.parametrize(("queries", "dim"), [(2, 64), (300, 512)])
def test_copies_tie_wherever_they_stand(tmp_path: Path, queries: int, dim: int) -> None:
    vectors = vectors_of(5, 1501, dim)
    copies = [0, 3, 700, 1023, 1024, 1250, 1499, 1500]
    vectors[copies] = 3 * vectors[0]
    asked = np.concatenate([vectors[:1], vectors_of(6, queries - 1, dim)])
    found = ExactSearcher(shards_of(tmp_path, vectors, shard_rows=600), SMALLEST).nearest(asked, 1501)
    assert set(found[0].rows[: len(copies)].tolist()) == set(copies)
    for neighbours in found:
        assert len(set(neighbours.scores[np.isin(neighbours.rows, copies)].tolist())) == 1


@pytest.mark.parametrize("k", [1, 5, 39, 40, 400])
def test_every_passage_that_shares_the_score_at_the_cut_is_found(tmp_path: Path, k: int) -> None:
    """Far more share it than are looked at first; the query beside it is settled at once."""
    vectors = vectors_of(7, 3000, 8) / 100
    tied = np.arange(100, 2900, 4)
    vectors[tied] = 1.0
    queries = np.stack([np.ones(8, dtype=np.float32), vectors[0]])
    first, second = ExactSearcher(shards_of(tmp_path, vectors, shard_rows=999), SMALLEST).nearest(queries, k)
    assert set(tied.tolist()) <= set(first.rows.tolist())
    assert len(second.rows) <= k + 32


def test_more_asked_for_than_there_is(tmp_path: Path) -> None:
    (found,) = ExactSearcher(shards_of(tmp_path, vectors_of(8, 7, 4), shard_rows=3)).nearest(vectors_of(9, 1, 4), 1000)
    assert sorted(found.rows.tolist()) == list(range(7))


def test_memory_does_not_grow_with_the_collection(tmp_path: Path) -> None:
    dim, block = 64, 1024 * 4 * 64
    queries = vectors_of(10, 4, dim)
    peaks = []
    for rows in (20_000, 100_000):
        searcher = ExactSearcher(shards_of(tmp_path / str(rows), vectors_of(11, rows, dim), storage="float16", shard_rows=2000), block)
        searcher.nearest(queries, 10)
        tracemalloc.start()
        searcher.nearest(queries, 10)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 50_000
    assert peaks[1] < 4 * block < 100_000 * dim * 2
